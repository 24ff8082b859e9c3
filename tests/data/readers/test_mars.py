"""MARS from a tiny data set in the official layout, and the published counts from the official tables."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from resight.data.readers.mars import read_mars, read_mars_info, tracklets_from_rows
from resight.errors import DatasetError
from resight.tracklet import DISTRACTOR, JUNK

# (person, camera, tracklet, first frame number, how many frames), in the official order.
TRAIN = [(1, 1, 1, 1, 3), (1, 2, 1, 1, 4), (3, 1, 1, 1, 2)]
TEST = [(-1, 1, 1, 1, 2), (0, 2, 1, 1, 3), (2, 1, 1, 1, 3), (2, 1, 2, 17, 2), (2, 4, 1, 1, 5), (4, 6, 1, 1, 3)]
QUERY = [3, 5]


def frame_name(person: int, camera: int, tracklet: int, frame: int) -> str:
    return f"{'00-1' if person == JUNK else f'{person:04d}'}C{camera}T{tracklet:04d}F{frame:03d}.jpg"


def write_part(root: Path, part: str, tracklets: list[tuple[int, int, int, int, int]]) -> list[str]:
    rows, names = [], list[str]()
    for person, camera, tracklet, first, count in tracklets:
        rows.append((len(names) + 1, len(names) + count, person, camera))
        new = [frame_name(person, camera, tracklet, frame) for frame in range(first, first + count)]
        folder = root / f"bbox_{part}" / new[0][:4]
        folder.mkdir(parents=True, exist_ok=True)
        for name in new:
            (folder / name).touch()
        names += new
    (root / "info").mkdir(exist_ok=True)
    savemat(root / "info" / f"tracks_{part}_info.mat", {f"track_{part}_info": np.array(rows, dtype=np.int32)})
    return names


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_part(tmp_path, "train", TRAIN)
    write_part(tmp_path, "test", TEST)
    savemat(tmp_path / "info" / "query_IDX.mat", {"query_IDX": np.array([QUERY], dtype=np.uint16)})
    return tmp_path


def write_name_lists(root: Path) -> None:
    for part in ("train", "test"):
        names = sorted(path.name for path in (root / f"bbox_{part}").rglob("*.jpg"))
        (root / "info" / f"{part}_name.txt").write_text("\r\n".join(names) + "\r\n")


def test_reads_every_role(root: Path) -> None:
    dataset = read_mars(root)
    assert dataset.name == "mars"
    assert dataset.notes == ()
    assert [(t.id, t.person, t.camera, len(t)) for t in dataset.train] == [
        ("0001C1T0001", 1, 1, 3),
        ("0001C2T0001", 1, 2, 4),
        ("0003C1T0001", 3, 1, 2),
    ]
    assert [t.person for t in dataset.gallery] == [JUNK, DISTRACTOR, 2, 2, 2, 4]
    assert [t.id for t in dataset.query] == ["0002C1T0001", "0002C4T0001"]
    assert all(query in dataset.gallery for query in dataset.query)
    assert all(t.frame(number).is_file() for t in (*dataset.train, *dataset.gallery) for number in range(len(t)))


def test_a_tracklet_need_not_begin_at_the_first_frame(root: Path) -> None:
    tracklet = read_mars(root).find("0002C1T0002")
    assert tracklet is not None
    assert tracklet.names == ("0002C1T0002F017.jpg", "0002C1T0002F018.jpg")


def test_name_lists_and_listing_agree(root: Path) -> None:
    rebuilt = read_mars(root)
    write_name_lists(root)
    (root / "bbox_test" / "0002" / "Thumbs.db").touch()
    assert read_mars(root) == rebuilt


def test_missing_frames_are_left_out_and_noted(root: Path) -> None:
    write_name_lists(root)
    (root / "bbox_test" / "0002" / "0002C1T0002F017.jpg").unlink()
    shutil.rmtree(root / "bbox_train" / "0003")
    dataset = read_mars(root)
    tracklet = dataset.find("0002C1T0002")
    assert tracklet is not None
    assert tracklet.names == ("0002C1T0002F018.jpg",)
    assert dataset.find("0003C1T0001") is None
    assert any("bbox_test: 1 listed frames" in note and "0002C1T0002F017.jpg" in note for note in dataset.notes)
    assert any("bbox_train: 1 tracklets" in note and "0003C1T0001" in note for note in dataset.notes)


def test_a_query_without_frames_is_left_out(root: Path) -> None:
    write_name_lists(root)
    for path in (root / "bbox_test" / "0002").glob("0002C4*"):
        path.unlink()
    dataset = read_mars(root)
    assert [t.id for t in dataset.query] == ["0002C1T0001"]
    assert len(dataset.gallery) == len(TEST) - 1
    assert any("1 of 2 queries" in note for note in dataset.notes)


@pytest.mark.parametrize("folder", ["info", "bbox_train", "bbox_test"])
def test_a_missing_folder_is_named(root: Path, folder: str) -> None:
    shutil.rmtree(root / folder)
    with pytest.raises(DatasetError, match=rf"no folder .*{folder}.*contains bbox_train"):
        read_mars(root)


def test_an_empty_folder_of_frames_is_an_error(root: Path) -> None:
    shutil.rmtree(root / "bbox_test")
    (root / "bbox_test" / "0001").mkdir(parents=True)
    with pytest.raises(DatasetError, match="bbox_test holds no frame"):
        read_mars(root)


def _remove_query(info: Path) -> None:
    (info / "query_IDX.mat").unlink()


def _damage_query(info: Path) -> None:
    (info / "query_IDX.mat").write_bytes(b"not a table")


def _rename_variable(info: Path) -> None:
    savemat(info / "query_IDX.mat", {"queries": np.array([1])})


def _too_large_query(info: Path) -> None:
    savemat(info / "query_IDX.mat", {"query_IDX": np.array([len(TEST) + 1])})


def _zero_query(info: Path) -> None:
    savemat(info / "query_IDX.mat", {"query_IDX": np.array([0, 1])})


def _three_columns(info: Path) -> None:
    savemat(info / "tracks_test_info.mat", {"track_test_info": np.ones((3, 3))})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_remove_query, "no table .*query_IDX.mat"),
        (_damage_query, "query_IDX.mat is not a readable MATLAB file"),
        (_rename_variable, "expected a variable query_IDX, found queries"),
        (_too_large_query, "expected rows of tracks_test_info.mat, 1 to 6, found 7"),
        (_zero_query, "1 to 6, found 0 to 1"),
        (_three_columns, r"four columns .*shape \(3, 3\)"),
    ],
)
def test_damaged_tables_are_named(root: Path, damage: Callable[[Path], None], message: str) -> None:
    damage(root / "info")
    with pytest.raises(DatasetError, match=message):
        read_mars(root)


@pytest.mark.parametrize("extra", [False, True])
def test_without_name_lists_all_frames_must_exist(root: Path, extra: bool) -> None:
    if extra:
        (root / "bbox_test" / "0004" / "0004C6T0001F004.jpg").touch()
    else:
        (root / "bbox_test" / "0002" / "0002C1T0001F001.jpg").unlink()
    with pytest.raises(DatasetError, match=rf"holds {19 if extra else 17} frames, .* counts 18.*test_name.txt"):
        read_mars(root)


@pytest.mark.parametrize("row", [(0, 2, 1, 1), (1, 3, 1, 1), (2, 1, 1, 1)])
def test_a_row_outside_the_list_is_an_error(row: tuple[int, int, int, int]) -> None:
    names = [frame_name(1, 1, 1, frame) for frame in (1, 2)]
    with pytest.raises(DatasetError, match=r"row 2 .* has frames \d to \d, but there are 2 names.*test_name.txt"):
        tracklets_from_rows(np.array([(1, 2, 1, 1), row]), names, Path("bbox"))


@pytest.mark.parametrize("wrong", [frame_name(2, 1, 1, 2), frame_name(1, 2, 1, 2), "frame.jpg"])
def test_frames_of_another_person_are_an_error(wrong: str) -> None:
    right = frame_name(1, 1, 1, 1)
    for names in ([right, wrong], [wrong, right]):
        with pytest.raises(DatasetError, match=rf"row 1 .*person 1, camera 1.*0001C1T.*'{wrong}' is among them"):
            tracklets_from_rows(np.array([(1, 2, 1, 1)]), names, Path("bbox"))


def test_other_files_are_ignored(root: Path) -> None:
    before = read_mars(root)
    for name in ("Thumbs.db", "._0002C1T0001F001.jpg", "0002C1T0001F001.jpg.part"):
        (root / "bbox_test" / "0002" / name).touch()
    (root / "bbox_test" / ".cache").mkdir()
    assert read_mars(root) == before


def test_two_rows_with_the_same_prefix_get_different_ids() -> None:
    names = [frame_name(1, 1, 1, frame) for frame in (1, 2, 17, 18)]
    tracklets = tracklets_from_rows(np.array([(1, 2, 1, 1), (3, 4, 1, 1)]), names, Path("bbox"))
    assert [t.id for t in tracklets] == ["0001C1T0001", "0001C1T0001F017"]


def test_frames_are_sorted_by_number() -> None:
    names = [frame_name(1, 1, 1, frame) for frame in (1000, 998, 999)]
    (tracklet,) = tracklets_from_rows(np.array([(1, 3, 1, 1)]), names, Path("bbox"))
    assert [name[12:-4] for name in tracklet.names] == ["998", "999", "1000"]


def test_official_tables_have_the_published_counts() -> None:
    folder = os.environ.get("RESIGHT_MARS_INFO")
    if not folder:
        pytest.skip("RESIGHT_MARS_INFO does not name a folder with the three official MARS tables")
    info = read_mars_info(Path(folder))
    train = tracklets_from_rows(info.train, _invented_names(info.train), Path("bbox_train"))
    test = tracklets_from_rows(info.test, _invented_names(info.test), Path("bbox_test"))
    query = [test[row] for row in info.query]
    assert len(train) == 8298
    assert len({t.person for t in train}) == 625
    assert sum(map(len, train)) == 509_914
    assert len({t.id for t in test}) == len(test) == 12_180
    assert sum(map(len, test)) == 681_089
    assert sum(t.person == JUNK for t in test) == 870
    assert sum(t.person == DISTRACTOR for t in test) == 3248
    assert len(query) == 1980
    assert sum(t.person != JUNK for t in test) == 11_310


def _invented_names(rows: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> list[str]:
    """Return names that match the rows, because the tables do not contain the official name lists."""
    return [
        frame_name(person, camera, number, frame)
        for number, (first, last, person, camera) in enumerate(rows.tolist(), start=1)
        for frame in range(1, last - first + 2)
    ]
