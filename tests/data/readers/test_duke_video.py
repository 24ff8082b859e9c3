"""DukeMTMC-VideoReID, from the synthetic world in its layout, and from broken copies of it."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.data.readers.conftest import SCALE, MakeLayout

from resight.data.readers.duke_video import read_duke_video
from resight.data.readers.mars import read_mars
from resight.errors import DatasetError
from resight.tracklet import Tracklet


@pytest.fixture
def root(copy_layout: MakeLayout) -> Path:
    return copy_layout("duke-video")


def first_tracklet(root: Path, role: str = "gallery") -> Path:
    return min((root / role).glob("*/*"))


def test_reads_every_role(root: Path, world: Path) -> None:
    dataset, mars = read_duke_video(root), read_mars(world)
    assert (dataset.name, dataset.root, dataset.notes, dataset.number) == ("duke-video", root, (), None)
    assert [(t.person, t.camera, len(t)) for t in dataset.train] == [(t.person, t.camera, len(t)) for t in mars.train]
    # One query per person. Persons without a query keep their numbers.
    assert sorted(t.person for t in dataset.query) == sorted({t.person for t in mars.query})
    unasked = {t.person for t in dataset.gallery} - {t.person for t in dataset.query}
    assert len(unasked) >= SCALE.distractors
    assert min(unasked) > 0
    assert all(
        t.id == t.folder.relative_to(root).as_posix() for t in (*dataset.train, *dataset.query, *dataset.gallery)
    )


def test_both_forms_of_frame_names_give_the_same(root: Path, layouts: MakeLayout) -> None:
    old = read_duke_video(layouts("duke-video-old"))
    assert "_" in read_duke_video(root).train[0].names[0]
    assert "_" not in old.train[0].names[0]

    def plain(tracklets: tuple[Tracklet, ...]) -> list[tuple[str, int, int, list[str]]]:
        return [(t.id, t.person, t.camera, [name.replace("_", "") for name in t.names]) for t in tracklets]

    for role in ("train", "query", "gallery"):
        assert plain(getattr(read_duke_video(root), role)) == plain(getattr(old, role))


def test_frames_are_sorted_by_frame_number(tmp_path: Path) -> None:
    # Neither the order as text nor that of the last number.
    names = ["0001C1F0002X0030.jpg", "0001C1F0010X0020.jpg", "0001C1F10001X0010.JPG"]
    for role in ("train", "query", "gallery"):
        folder = tmp_path / role / "0001" / "0001"
        folder.mkdir(parents=True)
        for name in reversed(names):
            (folder / name).touch()
    assert read_duke_video(tmp_path).train[0].names == tuple(names)


def test_what_is_left_out_is_noted(root: Path) -> None:
    empty = first_tracklet(root)
    for path in empty.iterdir():
        path.unlink()
    (empty / "Thumbs.db").touch()
    (root / "train" / "old" / "thumbnails").mkdir(parents=True)
    (root / "train" / ".DS_Store").touch()
    dataset = read_duke_video(root)
    assert empty.relative_to(root).as_posix() not in {t.id for t in dataset.gallery}
    assert Counter(note.split(":")[0] for note in dataset.notes) == {"train": 1, "gallery": 1}
    assert "old" in dataset.notes[0]
    assert "1 tracklets are left out because they hold no picture" in dataset.notes[1]


@pytest.mark.parametrize("role", ["train", "query", "gallery"])
def test_a_missing_folder_is_named_with_the_withdrawal(root: Path, role: str) -> None:
    shutil.rmtree(root / role)
    with pytest.raises(DatasetError, match=rf"no folder .*{role}: .*withdrew it in 2019"):
        read_duke_video(root)
    (root / role).mkdir()
    with pytest.raises(DatasetError, match=rf"no tracklet in .*{role}: .*withdrew it in 2019"):
        read_duke_video(root)


def _frame_of_nobody(tracklet: Path) -> None:
    (tracklet / "000001.jpg").touch()


def _frame_of_another_person(tracklet: Path) -> None:
    (tracklet / "9999_C1_F0001_X00001.jpg").touch()


def _frame_of_another_camera(tracklet: Path) -> None:
    name = min(tracklet.iterdir()).name
    camera = int(name[6])
    (tracklet / f"{name[:6]}{camera % 6 + 1}_F9999_X99999.jpg").touch()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_frame_of_nobody, r"000001.jpg does not have the name of a frame, such as 0001_C6_F0099_X30823.jpg"),
        (_frame_of_another_person, r"frames of person \d+ under one camera, but '9999_C1.* copy"),
        (_frame_of_another_camera, r"under one camera, but '.*_F9999_X99999.jpg' is different"),
    ],
)
def test_a_frame_in_the_wrong_folder_is_named(root: Path, damage: Callable[[Path], None], message: str) -> None:
    damage(first_tracklet(root, "query"))
    with pytest.raises(DatasetError, match=message):
        read_duke_video(root)
