"""LS-VID, from the synthetic world in its layout, from its known variants, and from broken copies."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy.io import savemat
from tests.data.readers.conftest import MakeLayout

from resight.data.readers.ls_vid import read_ls_vid
from resight.data.readers.mars import read_mars
from resight.errors import DatasetError
from resight.tracklet import JUNK


@pytest.fixture
def root(copy_layout: MakeLayout) -> Path:
    return copy_layout("ls-vid")


def list_of(root: Path, part: str) -> Path:
    return root / "list_sequence" / f"list_seq_{part}.txt"


def table_of(root: Path) -> Path:
    return root / "test" / "data" / "info_test.mat"


def rewrite(root: Path, change: Callable[[int, str], str], part: str = "test") -> None:
    # The copies are hard links, so files are replaced instead of changed.
    lines = list_of(root, part).read_text().splitlines()
    list_of(root, part).unlink()
    list_of(root, part).write_text("".join(f"{change(n, line)}\n" for n, line in enumerate(lines)))


def write_query(root: Path, rows: list[int]) -> None:
    table_of(root).unlink()
    with h5py.File(table_of(root), "w") as file:
        file["query"] = np.array([rows], np.float64)


def test_reads_every_role(root: Path, world: Path) -> None:
    dataset, mars = read_ls_vid(root), read_mars(world)
    assert (dataset.name, dataset.root, dataset.notes, dataset.number) == ("ls-vid", root, (), None)
    assert [(t.person, t.camera, len(t)) for t in dataset.train] == [(t.person, t.camera, len(t)) for t in mars.train]
    assert [(t.person, t.camera, len(t)) for t in dataset.query] == [(t.person, t.camera, len(t)) for t in mars.query]
    assert set(dataset.query) < set(dataset.gallery)
    assert len(dataset.gallery) == sum(t.person != JUNK for t in mars.gallery)
    assert all(t.frame(n).is_file() for t in (*dataset.train, *dataset.gallery) for n in range(len(t)))
    assert dataset.train[0].id == "tracklet_train/0001/0001_0000"


def test_one_tracklet_does_not_take_the_frames_of_a_longer_name(tmp_path: Path) -> None:
    (tmp_path / "list_sequence").mkdir()
    (tmp_path / "test" / "data").mkdir(parents=True)
    (tmp_path / "frames").mkdir()
    for name in ("1_1_3_10.jpg", "1_1_3_9.jpg", "1_10_4_1.jpg", "1_1.txt", ".1_1_3_11.jpg"):
        (tmp_path / "frames" / name).touch()
    for part in ("train", "test"):
        # Windows line endings, a tracklet name that ends in the separator, an empty line.
        list_of(tmp_path, part).write_text("frames/1_1_ 1\r\nframes/1_10 1\r\n\r\n", newline="")
    savemat(table_of(tmp_path), {"query": np.array([[2]])})
    dataset = read_ls_vid(tmp_path)
    assert [(t.id, t.camera, t.names) for t in dataset.gallery] == [
        ("frames/1_1", 3, ("1_1_3_9.jpg", "1_1_3_10.jpg")),
        ("frames/1_10", 4, ("1_10_4_1.jpg",)),
    ]
    assert dataset.query == dataset.gallery[1:]


def test_copies_with_both_folders_in_info_are_read(root: Path) -> None:
    before = read_ls_vid(root)
    (root / "info").mkdir(exist_ok=True)
    (root / "list_sequence").rename(root / "info" / "list_sequence")
    (root / "test" / "data").rename(root / "info" / "data")
    after = read_ls_vid(root)
    assert (after.train, after.query, after.gallery) == (before.train, before.query, before.gallery)


def test_lists_may_have_cameras_and_name_folders(root: Path) -> None:
    before = read_ls_vid(root)
    for part, tracklets in (("train", before.train), ("test", before.gallery)):
        for tracklet in tracklets:
            (root / tracklet.id).mkdir()
            for number, name in enumerate(tracklet.names):
                (tracklet.folder / name).rename(root / tracklet.id / f"frame{number}.jpg")
        rewrite(root, lambda n, line, of=tracklets: f"{line} {of[n].camera}", part)  # type: ignore[misc]
    after = read_ls_vid(root)
    assert [(t.id, t.person, t.camera, len(t)) for t in after.gallery] == [
        (t.id, t.person, t.camera, len(t)) for t in before.gallery
    ]
    assert after.gallery[0].folder == root / after.gallery[0].id


def test_persons_and_cameras_that_begin_at_0_are_counted_from_1(root: Path) -> None:
    before = read_ls_vid(root)
    for part, tracklets in (("train", before.train), ("test", before.gallery)):
        rewrite(root, lambda n, line, of=tracklets: f"{of[n].id} {of[n].person - 1} {of[n].camera - 1}", part)  # type: ignore[misc]
    assert min(t.camera for t in before.gallery) == 1
    after = read_ls_vid(root)
    assert (after.train, after.gallery) == (before.train, before.gallery)


def test_tracklets_without_frames_are_left_out_and_noted(root: Path) -> None:
    before = read_ls_vid(root)
    lost = before.query[0]
    for number in range(len(lost)):
        lost.frame(number).unlink()
    junk = next(n for n, t in enumerate(before.gallery) if t not in before.query)
    rewrite(root, lambda n, line: f"{line.split()[0]} -1" if n == junk else line)
    after = read_ls_vid(root)
    assert lost.id not in {t.id for t in after.gallery}
    assert after.query == before.query[1:]
    assert [t.id for t in after.gallery if t.person == JUNK] == [before.gallery[junk].id]
    assert any(
        f"1 listed tracklets have no frame on disk and are left out, the first: {lost.id}" in n for n in after.notes
    )
    assert any(f"1 of {len(before.query)} queries" in note for note in after.notes)


def _no_list(root: Path) -> None:
    list_of(root, "test").unlink()


def _empty_list(root: Path) -> None:
    rewrite(root, lambda n, line: "")


def _broken_line(root: Path) -> None:
    rewrite(root, lambda n, line: line.split()[0] if n == 1 else line)


def _no_table(root: Path) -> None:
    table_of(root).unlink()


def _query_too_large(root: Path) -> None:
    write_query(root, [1, 99])


def _query_from_0(root: Path) -> None:
    write_query(root, [0, 1])


def _no_query(root: Path) -> None:
    write_query(root, [])


def _no_frames(root: Path) -> None:
    shutil.rmtree(root / "tracklet_train")
    shutil.rmtree(root / "tracklet_test")


def _two_cameras(root: Path) -> None:
    path = min((root / "tracklet_test").rglob("*.jpg"))
    person, tracklet, camera, _ = path.stem.split("_")
    path.with_name(f"{person}_{tracklet}_{int(camera) + 7:02d}_00999.jpg").touch()


def _other_names(root: Path) -> None:
    path = min((root / "tracklet_test").rglob("*.jpg"))
    path.rename(path.with_name("_".join(path.stem.split("_")[:2]) + "F1.jpg"))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_no_list, r"no list .*list_seq_test.txt: an LS-VID folder contains"),
        (_empty_list, r"list_seq_test.txt lists no tracklet"),
        (
            _broken_line,
            r"list_seq_test.txt, line 2: expected the path of a tracklet, its person .*found 'tracklet_test",
        ),
        (_no_table, r"no table .*test/data/info_test.mat: an LS-VID folder contains"),
        (_query_too_large, r"info_test.mat: expected lines of list_seq_test.txt, 1 to \d+, found 1 to 99"),
        (_query_from_0, r"1 to \d+, found 0 to 1"),
        (_no_query, r"1 to \d+, found none"),
        (_no_frames, r"no frame of the \d+ listed tracklets is in .*tracklet_train/0001/0001_0000.*unpack"),
        (_two_cameras, r"must hold the frames of tracklet_test/.* all of one camera, found '"),
        (_other_names, r"as <person>_<tracklet>_<camera>_<frame>.jpg, .* found '"),
    ],
)
def test_broken_copies_are_explained(root: Path, damage: Callable[[Path], None], message: str) -> None:
    damage(root)
    with pytest.raises(DatasetError, match=message):
        read_ls_vid(root)
