"""PRID2011 and iLIDS-VID, from the synthetic world in their layouts, and from broken copies."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import loadmat, savemat
from tests.data.readers.conftest import MakeLayout

from resight.data.readers.two_camera import (
    ILIDS_VID_SPLITS,
    PRID2011_SPLITS,
    read_ilids_vid,
    read_prid2011,
    read_prid2011_splits,
)
from resight.errors import DatasetError


@pytest.fixture
def prid(copy_layout: MakeLayout) -> Path:
    return copy_layout("prid2011")


@pytest.fixture
def ilids(copy_layout: MakeLayout) -> Path:
    return copy_layout("ilids-vid")


def test_prid2011_has_ten_splits_as_the_file_lists_them(prid: Path) -> None:
    splits = read_prid2011(prid)
    listed = json.loads((prid / PRID2011_SPLITS).read_text())
    assert [split.number for split in splits] == list(range(1, 11))
    assert {split.name for split in splits} == {"prid2011"}
    for split, halves in zip(splits, listed, strict=True):
        assert [t.id for t in split.query] == [f"cam_a/{person}" for person in sorted(halves["test"])]
        assert [t.id for t in split.gallery] == [f"cam_b/{person}" for person in sorted(halves["test"])]
        assert [t.id for t in split.train] == [f"{c}/{p}" for p in sorted(halves["train"]) for c in ("cam_a", "cam_b")]
        assert {t.camera for t in split.query} == {1}
        assert {t.camera for t in split.gallery} == {2}
        assert all(t.person == int(t.id[-4:]) for t in (*split.train, *split.query, *split.gallery))
    assert len({tuple(t.person for t in split.query) for split in splits}) > 5


def test_prid2011_persons_in_no_split_are_not_read(prid: Path) -> None:
    on_disk = {path.name for path in (prid / "prid_2011" / "multi_shot").glob("*/*")}
    assert {t.id[6:] for t in (*read_prid2011(prid)[0].train, *read_prid2011(prid)[0].query)} < on_disk


@pytest.mark.parametrize("place", [".", "prid_2011", "elsewhere"])
def test_prid2011_splits_may_lie_beside_or_inside(prid: Path, place: str) -> None:
    before = [split.query for split in read_prid2011(prid)]
    (prid / "elsewhere").mkdir()
    (prid / PRID2011_SPLITS).rename(prid / place / PRID2011_SPLITS)
    if place == "elsewhere":
        with pytest.raises(
            DatasetError, match=rf"no {PRID2011_SPLITS} in any of .*prid_2011.*archive of the frames does"
        ):
            read_prid2011(prid)
    else:
        assert [split.query for split in read_prid2011(prid)] == before
        assert [split.query for split in read_prid2011(prid / "prid_2011")] == before


def test_ilids_vid_takes_the_first_half_of_a_row_for_testing(ilids: Path) -> None:
    splits = read_ilids_vid(ilids)
    rows = loadmat(ilids / "train-test people splits" / ILIDS_VID_SPLITS)["ls_set"]
    folders = sorted(path.name for path in (ilids / "i-LIDS-VID" / "sequences" / "cam1").iterdir())
    assert [split.number for split in splits] == list(range(1, 11))
    assert {split.name for split in splits} == {"ilids-vid"}
    half = len(folders) // 2
    for split, row in zip(splits, rows - 1, strict=True):
        assert [t.id for t in split.query] == [f"cam1/{name}" for name in sorted(folders[n] for n in row[:half])]
        assert [t.id for t in split.gallery] == [f"cam2/{name}" for name in sorted(folders[n] for n in row[:half])]
        assert {t.id[5:] for t in split.train} == {folders[n] for n in row[half:]}
        assert all(t.person == int(t.id[-3:]) for t in (*split.train, *split.query, *split.gallery))


@pytest.mark.parametrize("place", [".", "i-LIDS-VID", "i-LIDS-VID/train-test people splits"])
def test_ilids_vid_splits_may_lie_beside_or_inside(ilids: Path, place: str) -> None:
    before = [split.query for split in read_ilids_vid(ilids)]
    assert [split.query for split in read_ilids_vid(ilids / "i-LIDS-VID")] == before
    (ilids / place).mkdir(exist_ok=True)
    (ilids / "train-test people splits" / ILIDS_VID_SPLITS).rename(ilids / place / ILIDS_VID_SPLITS)
    assert [split.query for split in read_ilids_vid(ilids)] == before
    assert [split.query for split in read_ilids_vid(ilids / "i-LIDS-VID")] == before


def _write_splits(root: Path, splits: Any) -> None:
    (root / PRID2011_SPLITS).unlink()
    (root / PRID2011_SPLITS).write_text(splits if isinstance(splits, str) else json.dumps(splits))


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ("[{", r"expected a list of \{\"train\": .*JSONDecodeError"),
        ({"train": [], "test": []}, r"expected a list of .*TypeError"),
        ([{"train": ["person_0001"]}], r"expected a list of .*KeyError: 'test'"),
        ([], r"lists no split"),
        ([{"train": ["person_0001"], "test": []}], r"expected split 1 to have training and test persons"),
        ([{"train": ["person_0001"], "test": ["person_0001"]}], r"expected split 1 .* each listed once"),
        ([{"train": ["person_0001"], "test": ["../passwords"]}], r"lists '../passwords': expected a folder such as"),
        ([{"train": ["person_0001"], "test": ["person_9999"]}], r"lists person_9999, but .*person_9999 holds no frame"),
    ],
)
def test_a_broken_splits_file_is_explained(prid: Path, splits: Any, message: str) -> None:
    for camera in ("cam_a", "cam_b"):
        folder = prid / "prid_2011" / "multi_shot" / camera / "person_0001"
        folder.mkdir(exist_ok=True)
        (folder / "0001.png").touch()
    _write_splits(prid, splits)
    with pytest.raises(DatasetError, match=rf"{PRID2011_SPLITS}:? {message}"):
        read_prid2011(prid)


def test_a_listed_person_without_frames_is_named(prid: Path) -> None:
    listed = json.loads((prid / PRID2011_SPLITS).read_text())[0]["test"][0]
    for path in (prid / "prid_2011" / "multi_shot" / "cam_b" / listed).iterdir():
        path.unlink()
    with pytest.raises(DatasetError, match=rf"lists {listed}, but .*cam_b.{listed} holds no frame; copy"):
        read_prid2011(prid)


def _lose_a_person(root: Path) -> None:
    shutil.rmtree(max((root / "i-LIDS-VID" / "sequences" / "cam2").iterdir()))


def _lose_a_pair(root: Path) -> None:
    for camera in ("cam1", "cam2"):
        shutil.rmtree(max((root / "i-LIDS-VID" / "sequences" / camera).iterdir()))


def _lose_the_frames(root: Path) -> None:
    for path in max((root / "i-LIDS-VID" / "sequences" / "cam2").iterdir()).iterdir():
        path.unlink()


def _lose_the_splits(root: Path) -> None:
    shutil.rmtree(root / "train-test people splits")


def _write_rows(root: Path, name: str, rows: Any) -> None:
    path = root / "train-test people splits" / ILIDS_VID_SPLITS
    path.unlink()
    savemat(path, {name: np.array(rows)})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_lose_a_person, r"sequences has 1 persons in one camera only, the first: person\d+; .*copy"),
        (_lose_a_pair, r"ls_set must have \d+ columns, .*found an array of shape \(10, \d+\) with numbers 1 to \d+"),
        (_lose_the_frames, r"lists person\d+, but .*cam2.* holds no frame"),
        (_lose_the_splits, rf"no {ILIDS_VID_SPLITS} in any of .*train-test people splits.*data set's own archive"),
        (lambda root: _write_rows(root, "sets", [[1, 2]]), r"expected a variable ls_set, found sets"),
        (lambda root: _write_rows(root, "ls_set", [[1, 1, 2, 3]]), r"shape \(1, 4\) with numbers 1 to 3"),
        (lambda root: _write_rows(root, "ls_set", np.zeros((0, 6))), r"shape \(0, 6\) with no number"),
        (lambda root: _write_rows(root, "ls_set", ["text"]), r"expected ls_set to hold whole numbers"),
    ],
)
def test_broken_ilids_vid_is_explained(ilids: Path, damage: Callable[[Path], None], message: str) -> None:
    damage(ilids)
    with pytest.raises(DatasetError, match=message):
        read_ilids_vid(ilids)


def test_the_official_prid2011_splits_have_the_published_counts(tmp_path: Path) -> None:
    path = os.environ.get("RESIGHT_PRID2011_SPLITS")
    if not path:
        pytest.skip("RESIGHT_PRID2011_SPLITS does not name the official splits_prid2011.json")
    halves = read_prid2011_splits(Path(path))
    persons = {person for split in halves for person in (*split.train, *split.test)}
    for camera in ("cam_a", "cam_b"):
        for person in persons:
            folder = tmp_path / "prid_2011" / "multi_shot" / camera / person
            folder.mkdir(parents=True)
            (folder / "0001.png").touch()
    shutil.copy(path, tmp_path)
    splits = read_prid2011(tmp_path)
    assert len(splits) == 10
    assert len(persons) == 178
    for split in splits:
        assert len(split.query) == len(split.gallery) == 89
        assert len(split.train) == 178
        assert len({t.person for t in (*split.train, *split.query)}) == 178
