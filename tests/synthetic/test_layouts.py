"""Tests of the layouts of synthetic worlds; tests/data/readers/ tests reading them."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image
from scipy.io import loadmat

from resight.data.readers import READERS
from resight.errors import DatasetError
from resight.synthetic.faults import read_faults
from resight.synthetic.layout_writers import LAYOUTS, SPLITS
from resight.synthetic.layouts import make_layout, reader_of, write_layout
from resight.synthetic.world import WorldScale, make_world

SCALE = WorldScale("layouts", 32, 3, 4, (2, 3), 1.5, 3, 2, median_frames=8, spread=0.5, max_frames=12)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("worlds") / "world"
    make_world(out, SCALE, seed=1, workers=1)
    return out


def digest(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("kind", LAYOUTS)
def test_the_same_world_gives_the_same_bytes(world: Path, tmp_path: Path, kind: str) -> None:
    for name in ("one", "two"):
        write_layout(world, tmp_path / name, kind)
    assert digest(tmp_path / "one") == digest(tmp_path / "two")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("duke-video", r"train/0001/0000/0001_C\d_F\d{4}_X\d{5}.jpg"),
        ("duke-video-old", r"train/0001/0000/0001C\dF\d{4}X\d{5}.jpg"),
        ("ls-vid", r"tracklet_train/0001/0001_0000_0\d_\d{5}.jpg"),
        ("folder", r"0001/camera\d/0001C\dT\d{4}/0001C\dT\d{4}F\d{3}.jpg"),
        ("manifest", r"frames/0001C\dT\d{4}/0001C\dT\d{4}F\d{3}.jpg"),
        ("prid2011", r"prid_2011/multi_shot/cam_a/person_0001/0001.png"),
        ("ilids-vid", r"i-LIDS-VID/sequences/cam1/person001/cam1_person001_00001.png"),
    ],
)
def test_file_names_match_the_data_set(world: Path, tmp_path: Path, kind: str, names: str) -> None:
    write_layout(world, tmp_path / "out", kind)
    paths = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*g")}
    assert any(re.fullmatch(names, name) for name in paths)
    # Junk is omitted where the layout cannot represent it, and there is no person 0.
    assert kind == "manifest" or not any(
        "00-1" in name or re.search(r"(person_?|train/|gallery/|test/)0+[/_]", name) for name in paths
    )


def test_a_jpeg_is_linked_and_a_png_is_encoded(world: Path, tmp_path: Path) -> None:
    write_layout(world, tmp_path / "duke", "duke-video")
    inodes = {path.stat().st_ino for path in world.rglob("*.jpg")}
    assert {path.stat().st_ino for path in (tmp_path / "duke").rglob("*.jpg")} < inodes
    write_layout(world, tmp_path / "prid", "prid2011")
    for path in list((tmp_path / "prid").rglob("*.png"))[::20]:
        with Image.open(path) as picture:
            assert (picture.format, picture.size) == ("PNG", (16, 32))


def test_without_hard_links_frames_are_copied(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_layout(world, tmp_path / "linked", "duke-video")

    def refuse(source: Path, target: Path) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    write_layout(world, tmp_path / "copied", "duke-video")
    assert digest(tmp_path / "copied") == digest(tmp_path / "linked")


@pytest.mark.parametrize("kind", ["duke-video", "duke-video-old", "folder", "ls-vid", "manifest"])
def test_faults_keep_their_frames(world: Path, tmp_path: Path, kind: str) -> None:
    write_layout(world, tmp_path / "out", kind)
    by_content = {path.stat().st_ino: path.name for path in world.rglob("*.jpg")}
    faults, moved = read_faults(world), read_faults(tmp_path / "out")
    assert moved
    for path in (tmp_path / "out").rglob("*.jpg"):
        assert moved.get(path.name) == faults.get(by_content[path.stat().st_ino])


def test_splits_are_halves_and_match_the_folders(world: Path, tmp_path: Path) -> None:
    write_layout(world, tmp_path / "prid", "prid2011")
    splits = json.loads((tmp_path / "prid" / "splits_prid2011.json").read_text())
    both = set.intersection(
        *(
            {path.name for path in (tmp_path / "prid" / "prid_2011" / "multi_shot" / c).iterdir()}
            for c in ("cam_a", "cam_b")
        )
    )
    assert len(splits) == SPLITS
    for split in splits:
        assert len(split["train"]) == len(split["test"]) == len(both) // 2
        assert set(split["train"]) | set(split["test"]) <= both
    write_layout(world, tmp_path / "ilids", "ilids-vid")
    rows = loadmat(tmp_path / "ilids" / "train-test people splits" / "train_test_splits_ilidsvid.mat")["ls_set"]
    folders = list((tmp_path / "ilids" / "i-LIDS-VID" / "sequences" / "cam2").iterdir())
    assert rows.shape == (SPLITS, len(folders))
    assert all(sorted(row) == list(range(1, len(folders) + 1)) for row in rows)


def test_the_table_of_ls_vid_has_the_matlab_format(world: Path, tmp_path: Path) -> None:
    write_layout(world, tmp_path / "out", "ls-vid")
    path = tmp_path / "out" / "test" / "data" / "info_test.mat"
    assert path.read_bytes().startswith(b"MATLAB 7.3 MAT-file")
    with h5py.File(path) as file:
        queries = np.asarray(file["query"])
    assert queries.shape[0] == 1
    lines = (tmp_path / "out" / "list_sequence" / "list_seq_test.txt").read_text().splitlines()
    assert 1 <= queries.min() <= queries.max() <= len(lines)


def test_ls_vid_without_h5py_leaves_nothing(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(DatasetError, match=r"needs h5py: pip install 'resight\[h5\]'"):
        write_layout(world, tmp_path / "out", "ls-vid")
    assert list(tmp_path.iterdir()) == []


def test_a_manifest_has_the_persons_of_all_tracklets_except_junk(world: Path, tmp_path: Path) -> None:
    write_layout(world, tmp_path / "out", "manifest")
    lines = [json.loads(line) for line in (tmp_path / "out" / "manifest.jsonl").read_text().splitlines()]
    assert len(lines) == len(list((tmp_path / "out" / "frames").iterdir()))
    assert sum("person" not in line for line in lines) == SCALE.junk
    assert all(("person" not in line) == line["id"].startswith("00-1") for line in lines)
    # Each distractor is a separate person.
    distractors = [line["person"] for line in lines if line["id"].startswith("0000")]
    assert len(set(distractors)) == len(distractors) == SCALE.distractors


@pytest.mark.parametrize("kind", ["mars", "folder", "duke-video-old"])
def test_a_layout_is_rendered_without_keeping_the_world(world: Path, tmp_path: Path, kind: str) -> None:
    report = make_layout(tmp_path / "made", kind, SCALE, seed=1, workers=1)
    assert report.out == tmp_path / "made"
    assert [path.name for path in tmp_path.iterdir()] == ["made"]
    if kind != "mars":
        write_layout(world, tmp_path / "expected", kind)
    assert digest(tmp_path / "made") == digest(world if kind == "mars" else tmp_path / "expected")
    assert READERS[reader_of(kind)](report.out)


def test_a_layout_that_cannot_be_made_is_refused_before_rendering(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(DatasetError, match=r"no layout 'market'"):
        make_layout(tmp_path / "out", "market", SCALE)
    with pytest.raises(DatasetError, match="needs h5py"):
        make_layout(tmp_path / "out", "ls-vid", SCALE)
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(DatasetError, match="new or an empty folder"):
        make_layout(tmp_path, "folder", SCALE)
    assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]


def test_invalid_arguments_are_refused(world: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no layout 'market'; known layouts: mars, duke-video, "):
        write_layout(world, tmp_path / "out", "market")
    with pytest.raises(DatasetError, match=r"is not a synthetic world: .*world.json is missing"):
        write_layout(tmp_path, tmp_path / "out", "duke-video")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "photo.jpg").touch()
    with pytest.raises(DatasetError, match="new or an empty folder"):
        write_layout(world, tmp_path / "full", "duke-video")
    assert [path.name for path in tmp_path.iterdir()] == ["full"]


def test_too_few_persons_in_two_cameras_are_refused(tmp_path: Path) -> None:
    scale = WorldScale("alone", 32, 2, 2, (1, 1), 1.0, 0, 0, median_frames=8, spread=0.1, max_frames=9)
    make_world(tmp_path / "world", scale, workers=1)
    with pytest.raises(DatasetError, match=r"0 persons .* larger world"):
        write_layout(tmp_path / "world", tmp_path / "out", "prid2011")
