"""Splits of your own data, as applied by the readers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from resight.data.draw_splits import SplitRule, make_splits
from resight.data.readers import read_dataset, read_splits
from resight.errors import DatasetError
from resight.tracklet import JUNK, by_person

PERSONS = ("anna", "bob", "carl", "dora", "eve", "finn")


@pytest.fixture
def crops(tmp_path: Path) -> Path:
    """Return six persons under two cameras, and a manifest with one more tracklet."""
    root = tmp_path / "crops"
    lines: list[dict[str, Any]] = []
    for person in PERSONS:
        for camera in ("door", "gate"):
            folder = root / person / camera / "1"
            folder.mkdir(parents=True)
            (folder / "1.jpg").touch()
            lines.append({"frames": f"{person}/{camera}/1", "person": person, "camera": camera})
    lines.append({"frames": ["eve/gate/1/1.jpg"], "camera": "gate", "id": "somebody"})
    (root / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return root


def test_a_folder_is_read_as_its_splits(crops: Path, shuffled_disk: None) -> None:
    name = f"folder:{crops}"
    (before,) = read_splits(name)
    assert before.number is None and before.camera_names == ("door", "gate")
    made = make_splits(name, SplitRule(4))
    assert made.path == crops / "splits.json"
    splits = read_splits(name)
    note = f"{crops / 'splits.json'} defines train, query and gallery; {name}#all is the whole data set"
    assert splits == tuple(replace(split, notes=(note,)) for split in made.splits)
    assert [split.number for split in splits] == [1, 2, 3, 4]
    assert {split.name for split in splits} == {"folder"}
    assert read_splits(f"{name}#3") == splits[2:3]
    assert read_dataset(f"{name}#all") == before
    assert read_dataset(name).notes == (note, f"this is split 1 of 4; {name}#2 selects the second")
    with pytest.raises(DatasetError, match=r"selects split 5, but .* has splits 1 to 4"):
        read_splits(f"{name}#5")
    made.path.unlink()
    assert read_splits(name) == (before,)


def test_a_manifest_has_its_own_splits(crops: Path) -> None:
    made = make_splits(f"manifest:{crops}", SplitRule(1))
    assert made.path == crops / "manifest.splits.json"
    (split,) = read_splits(f"manifest:{crops}")
    # A single split has no number.
    assert split.number is None and split.query != split.gallery
    assert [one.query for one in read_splits(f"manifest:{crops / 'manifest.jsonl'}")] == [split.query]
    assert [t.id for t in split.gallery if t.person == JUNK] == ["somebody"]
    assert read_splits(f"folder:{crops}")[0].number is None
    (crops / "manifest.jsonl").rename(crops / "night.jsonl")
    assert read_splits(f"manifest:{crops / 'night.jsonl'}")[0].number is None
    assert make_splits(f"manifest:{crops / 'night.jsonl'}", SplitRule(2)).path == crops / "night.splits.json"


def test_a_person_named_after_splitting_is_found_on_both_sides(crops: Path) -> None:
    """The ids do not change, so the overlap shows only in the persons."""
    manifest = crops / "manifest.jsonl"
    make_splits(f"manifest:{crops}", SplitRule(1))
    person = PERSONS[by_person(read_dataset(f"manifest:{crops}").train).popitem()[0] - 1]
    manifest.write_text(manifest.read_text().replace('"camera": "gate", "id"', f'"person": "{person}", "id"'))
    with pytest.raises(
        DatasetError, match=rf"1 persons are in both training and test.* {person}/\w+/1 \(train\) and somebody"
    ):
        read_splits(f"manifest:{crops}")


def test_any_file_name_is_allowed(tmp_path: Path) -> None:
    odd = ("Zoë", "bad\udcff", "張", "a b")
    for person in odd:
        for camera in ("1", "2"):
            folder = tmp_path / person / camera / "1"
            try:
                folder.mkdir(parents=True)
            except (OSError, UnicodeEncodeError):
                pytest.skip("this file system wants text")
            (folder / "1.jpg").touch()
    made = make_splits(f"folder:{tmp_path}", SplitRule(2))
    assert [split.query for split in read_splits(f"folder:{tmp_path}")] == [split.query for split in made.splits]
    assert "Zoë/1/1".encode() in made.path.read_bytes()


def test_left_out_tracklets_are_noted(crops: Path) -> None:
    for person in PERSONS[1:]:
        for camera in ("door", "gate"):
            (crops / person / camera / "1" / "2.jpg").touch()
    make_splits(f"folder:{crops}", SplitRule(1, min_frames=2))
    note = "2 tracklets are in no split (the first: anna/door/1, anna/gate/1)"
    assert read_dataset(f"folder:{crops}").notes[1:] == (note,)


def _grow(root: Path, _: dict[str, Any]) -> None:
    (root / "zoe" / "door" / "1").mkdir(parents=True)
    (root / "zoe" / "door" / "1" / "1.jpg").touch()


def _shrink(root: Path, _: dict[str, Any]) -> None:
    (root / "anna" / "door" / "1" / "1.jpg").unlink()


def _overlap(_: Path, file: dict[str, Any]) -> None:
    file["splits"][1]["train"].append(file["splits"][1]["query"][0])


def _name_a_stranger(_: Path, file: dict[str, Any]) -> None:
    file["splits"][0]["gallery"].append("zoe/door/1")


def _take_a_query_out(_: Path, file: dict[str, Any]) -> None:
    file["splits"][0]["query"] = []


def _adopt_by_hand(root: Path, file: dict[str, Any]) -> None:
    _grow(root, file)
    file["splits"][0]["train"].append("zoe/door/1")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            _grow,
            r"does not match the tracklets of .*: 1 were added \(the first: zoe/door/1\); .*--replace\), or delete",
        ),
        (_shrink, r"does not match the tracklets of .*: 1 were removed \(the first: anna/door/1\); restore the data"),
        (_overlap, r"in split 2, 1 persons are in both training and test.* --replace"),
        (_name_a_stranger, r"lists 1 tracklets that are not in folder:.* \(the first: zoe/door/1\)"),
        (_take_a_query_out, "split 1 has no query"),
        (_adopt_by_hand, r"if you edited the lists on purpose, set it to sha256:[0-9a-f]{64}"),
    ],
)
def test_splits_that_do_not_fit_are_explained(
    crops: Path, damage: Callable[[Path, dict[str, Any]], None], message: str
) -> None:
    path = make_splits(f"folder:{crops}", SplitRule(2)).path
    file = json.loads(path.read_text())
    damage(crops, file)
    path.write_text(json.dumps(file))
    with pytest.raises(DatasetError, match=message) as caught:
        read_splits(f"folder:{crops}")
    assert str(path) in str(caught.value)
    assert read_dataset(f"folder:{crops}#all").number is None
    make_splits(f"folder:{crops}", SplitRule(2), replace=True)
    assert len(read_splits(f"folder:{crops}")) == 2


def test_a_file_corrected_by_hand_is_accepted(crops: Path) -> None:
    path = make_splits(f"folder:{crops}", SplitRule(1)).path
    file = json.loads(path.read_text())
    gone = file["splits"][0]["train"].pop()
    path.write_text(json.dumps(file))
    assert gone not in {t.id for t in read_dataset(f"folder:{crops}").train}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not a file of splits .*JSONDecodeError.*draw the splits again: resight splits folder:"),
        ("[]", "is not a file of splits"),
        ('{"format": 2}', "has format 2, but this version of Resight reads format 1; update Resight"),
        ('{"format": 1, "splits": [{"train": []}]}', "KeyError: 'query'"),
        ('{"format": 1, "splits": [{"train": "anna", "query": [], "gallery": []}]}', "expected a list .*found anna"),
        ('{"format": 1, "seed": 0, "rule": "", "made_for": "", "left_out": [], "splits": []}', "lists no split"),
    ],
)
def test_a_file_of_another_form_is_explained(crops: Path, text: str, message: str) -> None:
    (crops / "splits.json").write_text(text)
    with pytest.raises(DatasetError, match=message):
        read_splits(f"folder:{crops}")
