"""resight splits and resight synth --layout, as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from resight.cli import main
from resight.data.readers import read_splits
from resight.synthetic import world


@pytest.fixture
def crops(tmp_path: Path) -> Path:
    for person in range(1, 9):
        for camera in ("door", "gate"):
            folder = tmp_path / "crops" / str(person) / camera / "1"
            folder.mkdir(parents=True)
            (folder / "1.jpg").touch()
    return tmp_path / "crops"


def test_splits_are_drawn_and_read(crops: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = f"folder:{crops}"
    main(["splits", name, "--number", "3", "--test-share", "0.25", "--queries", "camera:gate", "--seed", "5", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert (found["dataset"], found["file"], found["seed"]) == (name, str(crops / "splits.json"), 5)
    assert found["splits"] == 3 * [
        {
            "train": {"persons": 6, "tracklets": 12},
            "query": {"persons": 2, "tracklets": 2},
            "gallery": {"persons": 2, "tracklets": 4},
        }
    ]
    assert [len(split.query) for split in read_splits(name)] == [2, 2, 2]
    assert {t.camera for split in read_splits(name) for t in split.query} == {2}


def test_the_rule_and_the_counts_are_printed(crops: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = f"folder:{crops}"
    main(["splits", name])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("50 % of the persons seen in two or more cameras are test persons")
    assert lines[-5:] == [
        "train     4 persons, 8 tracklets",
        "query     4 persons, 8 tracklets",
        "gallery   4 persons, 8 tracklets",
        f"wrote {crops / 'splits.json'}: 10 splits from seed 0",
        f"use them as {name}, the first as {name}#1",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--test-share", "1.5"], "the test share must be between 0 and 1"),
        (["--test-share", "0.1"], "gives 1 test persons and 7 training persons"),
        (["--number", "71"], "in 70 ways"),
        (["--queries", "camera:roof"], "its cameras are door, gate"),
        (["--min-frames", "2"], "0 of 0 persons"),
    ],
)
def test_splits_that_cannot_be_drawn_are_explained(
    crops: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="1"):
        main(["splits", f"folder:{crops}", *options])
    assert message in capsys.readouterr().err
    assert not (crops / "splits.json").exists()


def test_other_splits_need_replace(crops: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["splits", f"folder:{crops}", "--json"]
    main(command)
    main(command)
    with pytest.raises(SystemExit, match="1"):
        main([*command, "--seed", "1"])
    assert "--replace" in capsys.readouterr().err
    main([*command, "--seed", "1", "--replace"])
    assert json.loads(capsys.readouterr().out)["seed"] == 1


def test_a_world_in_another_layout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny = world.WorldScale("tiny", 32, 2, 4, (2, 2), 1.0, 0, 1, median_frames=7, spread=0.1, max_frames=8)
    monkeypatch.setattr(world, "SCALES", {"tiny": tiny})
    out = tmp_path / "out"
    main(["synth", str(out), "--scale", "tiny", "--layout", "manifest", "--workers", "1"])
    assert capsys.readouterr().out.endswith(f"wrote {out}: use it as manifest:{out}\n")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    main(["splits", f"manifest:{out}", "--number", "2"])
    assert "1 of them of unknown persons" in capsys.readouterr().out
    assert len(read_splits(f"manifest:{out}")) == 2
    with pytest.raises(SystemExit, match="1"):
        main(["synth", str(tmp_path / "market"), "--scale", "tiny", "--layout", "market"])
    assert "known layouts: mars, duke-video" in capsys.readouterr().err
