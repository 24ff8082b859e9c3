from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.api.conftest import MakeModel, make_model, manifest
from tests.ingest.conftest import MakeVideo, make_video, tracks_text

from resight.api.gallery import Gallery
from resight.checkpoints import save_checkpoint
from resight.cli import main

__all__ = ["make_model", "make_video", "manifest"]

Run = Callable[..., Any]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """A function that runs a command and returns its exit status, and its JSON output or its messages."""

    def call(*arguments: object, as_json: bool = True) -> tuple[int, Any]:
        status = 0
        try:
            main(["gallery", *map(str, arguments), *(["--json"] if as_json else [])])
        except SystemExit as error:
            status = int(error.code or 0)
        captured = capsys.readouterr()
        return status, json.loads(captured.out) if as_json and captured.out else captured.out + captured.err

    return call


@pytest.fixture
def model_file(make_model: MakeModel, tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, make_model().checkpoint)
    return path


@pytest.fixture
def folder(run: Run, model_file: Path, manifest: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "site.gallery"
    status, result = run("add", folder, f"manifest:{manifest}", "--model", model_file, "--workers", "0")
    assert status == 0 and len(result["added"]) == result["tracklets"] == 8
    return folder


def test_a_gallery_from_the_command_line(run: Run, folder: Path, manifest: Path, tmp_path: Path) -> None:
    assert run("add", folder, f"manifest:{manifest}", "--workers", "0")[1]["known"] == 8
    status, found = run("search", folder, "door-0001", "-k", "3", "--cameras", "hall", "--out", tmp_path / "a.html")
    assert status == 0 and [a["camera"] for a in found["answers"]] == ["hall"] * 3 and (tmp_path / "a.html").is_file()
    assert run("search", folder, "door-0001", "hall-0001", "--exact")[1]["searched"] == 6
    assert run("search", folder, manifest / "0001/c1/0001", "--after", "70")[1]["searched"] == 6
    assert run("explain", folder, "door-0001", "hall-0001", "--out", tmp_path / "why.html")[0] == 0
    assert run("info", folder)[1]["cameras"] == {"door": 4, "hall": 4}
    assert run("verify", folder) == (0, {"problems": []})
    assert run("export", folder, tmp_path / "files", "--table", "jsonl")[1]["tracklets"] == 8
    assert run("remove", folder, "door-0001")[1] == {"removed": ["door-0001"]}
    status, text = run("remove", folder, "door-0001", "door-0002", as_json=False)
    assert status == 1 and "erased 1 of 2" in text and "resight: " in text
    assert run("expire", folder, "--older-than", "1")[1] == {"removed": []}
    assert "6 tracklets" in run("info", folder, as_json=False)[1]


def test_batch_search(run: Run, folder: Path, tmp_path: Path) -> None:
    queries = tmp_path / "queries.txt"
    queries.write_text("door-0001\tdoor-0002\n\nhall-0003\n")
    for out in (tmp_path / "answers.csv", tmp_path / "answers.jsonl"):
        assert run("batch", folder, queries, out, "-k", "2") == (0, {"queries": 2, "answers": 4, "failed": []})
    rows = list(csv.DictReader((tmp_path / "answers.csv").read_text().splitlines()))
    lines = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    assert [row["query"] for row in rows] == ["door-0001, door-0002"] * 2 + ["hall-0003"] * 2
    assert [(row["id"], float(row["similarity"])) for row in rows] == [
        (line["id"], line["similarity"]) for line in lines
    ]
    queries.write_text("nobody\ndoor-0001\n")
    status, result = run("batch", folder, queries, tmp_path / "answers.csv")
    assert status == 1 and result["answers"] == 7 and result["failed"][0][0] == "nobody"


def test_re_ranking_says_what_it_did(run: Run, folder: Path, tmp_path: Path) -> None:
    plain = run("search", folder, "door-0001", "-k", "7")[1]["answers"]
    page = tmp_path / "answers.html"
    found = run("search", folder, "door-0001", "-k", "7", "--rerank", "--out", page)[1]["answers"]
    places = {answer["id"]: answer["rank"] for answer in plain}
    for answer in found:
        (effect,) = answer["effects"]
        old = places[answer["id"]]
        moved = f"moved from place {old} to {answer['rank']}" if old != answer["rank"] else "in the same place"
        assert effect["text"] == f"{moved} by shared neighbours" and effect["text"] in page.read_text()
    assert any(answer["rank"] != places[answer["id"]] for answer in found)
    queries = tmp_path / "queries.txt"
    queries.write_text("door-0001\n")
    assert run("batch", folder, queries, tmp_path / "answers.csv", "-k", "7", "--rerank")[0] == 0
    rows = list(csv.DictReader((tmp_path / "answers.csv").read_text().splitlines()))
    assert [row["effects"] for row in rows] == [answer["effects"][0]["text"] for answer in found]


def test_rebuild_and_merge(run: Run, folder: Path, make_model: MakeModel, manifest: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    save_checkpoint(other, make_model(seed=2).checkpoint)
    status, text = run("add", folder, f"manifest:{manifest}", "--model", other, as_json=False)
    assert status == 1 and "gallery rebuild" in text and text.count("\n") == 1
    assert run("rebuild", folder, "--model", other, "--workers", "0")[1] == {"tracklets": 8, "dropped": []}
    second = tmp_path / "second.gallery"
    run("add", second, manifest / "0001/c1/0001", "--model", other, "--workers", "0")
    assert run("merge", second, folder)[1]["known"] == 1


def test_ingesting_into_a_gallery(
    run: Run, model_file: Path, make_video: MakeVideo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = make_video(count=20)
    (tmp_path / "tracks.txt").write_text(tracks_text(range(20)))
    folder = tmp_path / "site.gallery"
    Gallery(folder, model_file).close()
    command = ["ingest", video, tmp_path / "crops", "--tracks", tmp_path / "tracks.txt", "--gallery", folder]
    for added in (2, 0):
        main([*map(str, command), "--json"])
        assert len(json.loads(capsys.readouterr().out)["gallery"]["added"]) == added
    assert run("info", folder)[1]["cameras"] == {"door": 2}


@pytest.mark.parametrize(
    "command",
    [("info",), ("verify",), ("remove", "x"), ("search", "x"), ("expire", "--older-than", "2"), ("merge", "x")],
)
def test_no_command_but_add_makes_a_gallery(run: Run, tmp_path: Path, command: tuple[str, ...]) -> None:
    status, text = run(command[0], tmp_path / "none", *command[1:], as_json=False)
    assert status == 1 and "does not exist" in text and text.count("\n") == 1
    assert not (tmp_path / "none").exists()
