"""Folders of tracklets, and one folder of frames as a query."""

from __future__ import annotations

from pathlib import Path

import pytest

from resight.data.readers.folder import read_folder, read_tracklet
from resight.errors import DatasetError
from resight.tracklet import DISTRACTOR


def touch(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


def test_every_tracklet_has_every_role(tmp_path: Path) -> None:
    touch(tmp_path, "bob/gate/1/1.jpg", "anna/door/1/1.jpg", "anna/door/2/1.jpg", "anna/gate/1/1.jpg")
    dataset = read_folder(tmp_path)
    assert dataset.name == "folder"
    assert dataset.train == dataset.query == dataset.gallery
    assert [(t.id, t.person, t.camera) for t in dataset.train] == [
        ("anna/door/1", 1, 1),
        ("anna/door/2", 1, 1),
        ("anna/gate/1", 1, 2),
        ("bob/gate/1", 2, 2),
    ]
    assert dataset.notes == ()


def test_order_is_natural(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{person}/c{camera}/1/1.jpg" for person in (10, 9) for camera in (10, 9)))
    touch(tmp_path, "9/c9/1/frame10.jpg", "9/c9/1/frame9.jpg", "9/c9/1/frame010.jpg")
    dataset = read_folder(tmp_path)
    assert [(t.id, t.person, t.camera) for t in dataset.train] == [
        ("9/c9/1", 1, 1),
        ("9/c10/1", 1, 2),
        ("10/c9/1", 2, 1),
        ("10/c10/1", 2, 2),
    ]
    assert dataset.train[0].names == ("1.jpg", "frame9.jpg", "frame010.jpg", "frame10.jpg")


def test_suffixes_in_any_case_and_nothing_hidden(tmp_path: Path) -> None:
    touch(tmp_path, *(f"a/c/1/{name}" for name in ("1.JPG", "2.Jpeg", "3.png", "4.txt", ".5.jpg")))
    touch(tmp_path, ".cache/c/1/1.jpg", "a/.trash/1/1.jpg", "a/c/.old/1.jpg", ".hidden.jpg", "README.txt")
    (tracklet,) = read_folder(tmp_path).train
    assert tracklet.names == ("1.JPG", "2.Jpeg", "3.png")


def test_an_empty_tracklet_is_noted_and_its_camera_not_counted(tmp_path: Path) -> None:
    touch(tmp_path, "a/c1/1/notes.txt", "a/c2/1/1.jpg")
    dataset = read_folder(tmp_path)
    assert [(t.id, t.camera) for t in dataset.train] == [("a/c2/1", 1)]
    assert dataset.notes == ("a/c1/1 holds no picture and is left out",)


@pytest.mark.parametrize("path", ["1.jpg", "a/1.jpg", "a/c/1.PNG"])
def test_a_picture_above_the_tracklet_folders_is_an_error(tmp_path: Path, path: str) -> None:
    touch(tmp_path, "a/c/1/1.jpg", path)
    with pytest.raises(DatasetError, match=r"is not deep enough.*<person>/<camera>/<tracklet>"):
        read_folder(tmp_path)


def test_tracklets_too_deep_are_an_error(tmp_path: Path) -> None:
    touch(tmp_path, "set/a/c/1/1.jpg")
    with pytest.raises(DatasetError, match=r"holds folders.*perhaps the data set is .*set$"):
        read_folder(tmp_path)


def test_no_tracklet_and_no_folder_are_errors(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no tracklet in"):
        read_folder(tmp_path)
    with pytest.raises(DatasetError, match="no folder"):
        read_folder(tmp_path / "elsewhere")


def test_read_tracklet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "walk/10.jpg", "walk/9.jpg")
    tracklet = read_tracklet(tmp_path / "walk")
    assert (tracklet.id, tracklet.person, tracklet.camera) == ("walk", DISTRACTOR, 0)
    assert tracklet.names == ("9.jpg", "10.jpg")
    monkeypatch.chdir(tmp_path / "walk")
    assert read_tracklet(Path()).id == "walk"


def test_read_tracklet_errors(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="holds no picture"):
        read_tracklet(tmp_path)
    with pytest.raises(DatasetError, match="no folder"):
        read_tracklet(tmp_path / "elsewhere")
