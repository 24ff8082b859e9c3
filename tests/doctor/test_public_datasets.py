"""Broken public data sets: the doctor reports each fault, and no reader raises an unexpected exception."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat
from tests.doctor.breaking import (
    Broken,
    breaks,
    check,
    examine,
    frames_of_one,
    move_below,
    pictures,
    remove,
    repaint,
    rewrite,
    rewrite_table,
    swap,
)
from tests.doctor.conftest import Copy

CASES: list[Broken] = []


@breaks(CASES, "mars", "unpacked-too-deep", "a/b/c")
def unpacked_too_deep(root: Path) -> None:
    move_below(root, "a/b/c")


@breaks(CASES, "mars", "name-case", "rename it to bbox_train")
def a_folder_with_a_capital(root: Path) -> None:
    (root / "bbox_train").rename(root / "Bbox_train")


@breaks(CASES, "mars", "name-case", "rename it to query_IDX.mat")
def a_table_in_other_letters(root: Path) -> None:
    (root / "info/query_IDX.mat").rename(root / "info/Query_idx.mat")


@breaks(CASES, "mars", "layout-missing", "of these folders it has only")
def no_info(root: Path) -> None:
    remove(root / "info")


@breaks(CASES, "mars", "layout-missing", "query_IDX.mat")
def no_table(root: Path) -> None:
    remove(root / "info/query_IDX.mat")


@breaks(CASES, "mars", "layout-missing", "contains nothing")
def nothing_in_it(root: Path) -> None:
    remove(*root.iterdir())


@breaks(CASES, "mars", "not-unpacked", "MARS.zip")
def only_an_archive(root: Path) -> None:
    remove(*root.iterdir())
    (root / "MARS.zip").write_bytes(b"PK")


@breaks(CASES, "mars", "zero-bytes", "0 bytes")
def a_frame_of_no_bytes(root: Path) -> None:
    rewrite(frames_of_one(root)[1], b"")


@breaks(CASES, "mars", "truncated", "without an end marker")
def a_truncated_frame(root: Path) -> None:
    frame = frames_of_one(root)[1]
    rewrite(frame, frame.read_bytes()[:-200])


@breaks(CASES, "mars", "unreadable", "unknown format")
def a_frame_that_is_a_web_page(root: Path) -> None:
    rewrite(frames_of_one(root)[1], b"<html>404</html>")


@breaks(CASES, "mars", "unreadable", "the first")
def a_frame_with_a_hole(root: Path) -> None:
    frame = frames_of_one(root)[1]
    rewrite(frame, frame.read_bytes()[:300] + b"\xff\xd9")


@breaks(CASES, "mars", "frames-missing", "1 missing frame")
def a_listed_frame_missing(root: Path) -> None:
    frames_of_one(root)[1].unlink()


@breaks(CASES, "mars", "frames-missing", "the number in its table")
def a_frame_missing_without_lists(root: Path) -> None:
    remove(root / "info/train_name.txt", root / "info/test_name.txt", frames_of_one(root)[1])


@breaks(CASES, "mars", "frames-missing", "all frames of 1 person")
def a_person_missing(root: Path) -> None:
    remove(root / "bbox_train/0001")


@breaks(CASES, "mars", "odd-size", "90 × 70")
def a_frame_of_another_size(root: Path) -> None:
    repaint(frames_of_one(root)[0], lambda picture: picture.resize((70, 90)))


@breaks(CASES, "mars", "tiny-frames", "at least 16")
def a_tiny_frame(root: Path) -> None:
    repaint(frames_of_one(root)[0], lambda picture: picture.resize((8, 12)))


@breaks(CASES, "mars", "suffix-case", "ignores all suffixes except .jpg")
def a_suffix_in_capitals(root: Path) -> None:
    frame = frames_of_one(root)[0]
    frame.rename(frame.with_suffix(".JPG"))


@breaks(CASES, "mars", "frames-unlisted", "in no list")
def a_frame_that_nobody_listed(root: Path) -> None:
    shutil.copy(frames_of_one(root)[0], root / "bbox_train/0001/0001C1T0009F001.jpg")


@breaks(CASES, "mars", "name-zeros", "1 to 0001")
def a_number_without_zeros(root: Path) -> None:
    (root / "bbox_train/0001").rename(root / "bbox_train/1")


@breaks(CASES, "mars", "name-zeros", "four digits")
def a_number_without_zeros_and_no_list(root: Path) -> None:
    remove(root / "info/train_name.txt")
    (root / "bbox_train/0001").rename(root / "bbox_train/1")


@breaks(CASES, "mars", "table-wrong", "should be tracks_test_info.mat")
def another_table_under_the_name(root: Path) -> None:
    remove(root / "info/tracks_train_info.mat")
    shutil.copy(root / "info/tracks_test_info.mat", root / "info/tracks_train_info.mat")


@breaks(CASES, "mars", "table-wrong", "should be tracks_train_info.mat")
def tables_exchanged(root: Path) -> None:
    swap(root / "info", "tracks_train_info.mat", "tracks_test_info.mat")


@breaks(CASES, "mars", "table-wrong", "four columns")
def three_columns(root: Path) -> None:
    rewrite_table(root / "info/tracks_test_info.mat", "track_test_info", lambda rows: rows[:, :3])


@breaks(CASES, "mars", "table-wrong", "four columns")
def one_dimension(root: Path) -> None:
    rewrite_table(root / "info/tracks_test_info.mat", "track_test_info", lambda rows: rows[:, :1].T)


@breaks(CASES, "mars", "table-wrong", "whole numbers")
def a_corrupt_table(root: Path) -> None:
    rewrite(root / "info/tracks_test_info.mat", b"MATLAB 5.0 MAT-file" + b"\1" * 300)


@breaks(CASES, "mars", "table-wrong", "not a readable MATLAB file")
def an_empty_table(root: Path) -> None:
    rewrite(root / "info/query_IDX.mat", b"")


@breaks(CASES, "mars", "table-wrong", "whole numbers")
def an_infinite_table(root: Path) -> None:
    rewrite_table(root / "info/query_IDX.mat", "query_IDX", lambda rows: np.full(rows.shape, np.inf))


@breaks(CASES, "mars", "table-rows", "rows of tracks_test_info.mat")
def a_query_past_the_end(root: Path) -> None:
    rewrite_table(root / "info/query_IDX.mat", "query_IDX", lambda rows: rows + 1000)


@breaks(CASES, "mars", "table-rows", "counted from 1")
def rows_counted_from_0(root: Path) -> None:
    rewrite_table(root / "info/tracks_train_info.mat", "track_train_info", lambda rows: rows - [[1, 1, 0, 0]])


@breaks(CASES, "mars", "table-rows", "a gap or overlap")
def rows_that_overlap(root: Path) -> None:
    rewrite_table(root / "info/tracks_train_info.mat", "track_train_info", lambda rows: rows - [[1, 0, 0, 0]])


@breaks(CASES, "mars", "table-rows", "the number that tracks_train_info.mat counts")
def a_list_that_is_too_short(root: Path) -> None:
    path = root / "info/train_name.txt"
    rewrite(path, path.read_bytes()[:200].rpartition(b"\n")[0])


@breaks(CASES, "mars", "roles-swapped", "frames in bbox_train")
def train_and_test_exchanged(root: Path) -> None:
    swap(root, "bbox_train", "bbox_test")


@breaks(CASES, "mars", "roles-swapped", "junk or distractors in tracks_train_info.mat")
def contents_of_tables_exchanged(root: Path) -> None:
    paths = root / "info/tracks_train_info.mat", root / "info/tracks_test_info.mat"
    train, test = (loadmat(path)[f"track_{part}_info"] for path, part in zip(paths, ("train", "test"), strict=True))
    rewrite_table(paths[0], "track_train_info", lambda _: test)
    rewrite_table(paths[1], "track_test_info", lambda _: train)


@breaks(CASES, "mars", "text-encoding", "UTF-16")
def a_list_in_utf16(root: Path) -> None:
    path = root / "info/train_name.txt"
    rewrite(path, path.read_text().encode("utf-16"))


@breaks(CASES, "mars", "text-encoding", "0xe9")
def a_list_in_latin1(root: Path) -> None:
    rewrite(root / "info/train_name.txt", "dé.jpg\n".encode("latin-1"))


@breaks(CASES, "mars", "broken-link", "nowhere")
def a_link_to_nowhere(root: Path) -> None:
    frame = frames_of_one(root)[0]
    frame.unlink()
    frame.symlink_to("nowhere.jpg")


@breaks(CASES, "mars", "broken-link", "cycle")
def a_link_to_itself(root: Path) -> None:
    (root / "bbox_train/loop").symlink_to("loop")


@breaks(CASES, "mars", "broken-link", "cycle")
def a_folder_within_itself(root: Path) -> None:
    (root / "bbox_train/up").symlink_to("..")


@breaks(CASES, "mars", "several-copies", "2 mars data sets")
def two_copies(root: Path) -> None:
    move_below(root, "one")
    shutil.copytree(root / "one", root / "two")


@breaks(CASES, "duke-video", "roles-swapped", "none is in the gallery")
def train_and_gallery_exchanged(root: Path) -> None:
    swap(root, "train", "gallery")


@breaks(CASES, "duke-video", "layout-missing", "of these folders it has only")
def no_gallery(root: Path) -> None:
    remove(root / "gallery")


@breaks(CASES, "duke-video", "roles-overlap", "in both train and test")
def a_person_in_train_and_test(root: Path) -> None:
    person = min((root / "query").iterdir())
    shutil.copytree(person, root / "train" / person.name)


@breaks(CASES, "duke-video", "tracklet-twice", "pair")
def a_tracklet_twice(root: Path) -> None:
    folder = frames_of_one(root)[0].parent
    shutil.copytree(folder, folder.with_name("9999"))


@breaks(CASES, "duke-video", "empty-folder", "empty folder")
def an_empty_tracklet(root: Path) -> None:
    (root / "train/0001/8888").mkdir()


@breaks(CASES, "duke-video", "reader-refuses", "frame.jpg")
def a_frame_of_another_name(root: Path) -> None:
    frame = frames_of_one(root)[0]
    frame.rename(frame.with_name("frame.jpg"))


@breaks(CASES, "duke-video", "frame-gaps", "consecutive numbers")
def frames_lost_in_between(root: Path) -> None:
    remove(*frames_of_one(root, 9)[3:5])


@breaks(CASES, "duke-video", "no-match", "protocol duke-video")
def a_query_that_nobody_answers(root: Path) -> None:
    remove(root / "gallery" / min((root / "query").iterdir()).name)


@breaks(CASES, "ls-vid", "reader-refuses", "line 1")
def a_line_that_says_nothing(root: Path) -> None:
    path = root / "list_sequence/list_seq_test.txt"
    rewrite(path, b"what is this\n" + path.read_bytes())


@breaks(CASES, "ls-vid", "text-encoding", "UTF-16")
def lists_in_utf16(root: Path) -> None:
    rewrite(root / "list_sequence/list_seq_test.txt", "a 1".encode("utf-16"))


@breaks(CASES, "ls-vid", "layout-missing", "info_test.mat")
def no_query_table(root: Path) -> None:
    remove(root / "test")


@breaks(CASES, "ls-vid", "table-wrong", "whole numbers")
def a_corrupt_hdf5(root: Path) -> None:
    rewrite(root / "test/data/info_test.mat", b"\x89HDF\r\n\x1a\n" + b"\0" * 99)


@breaks(CASES, "ls-vid", "reader-note", "no frame on disk")
def a_tracklet_without_frames(root: Path) -> None:
    frames = pictures(root / "tracklet_test")
    remove(*(path for path in frames if path.name[:9] == frames[0].name[:9]))


@breaks(CASES, "prid2011", "reader-refuses", "each listed once")
def somebody_in_both_halves(root: Path) -> None:
    path = root / "splits_prid2011.json"
    splits = json.loads(path.read_text())
    splits[0]["test"][0] = splits[0]["train"][0]
    rewrite(path, json.dumps(splits).encode())


@breaks(CASES, "prid2011", "layout-missing", "splits_prid2011.json")
def no_splits(root: Path) -> None:
    remove(root / "splits_prid2011.json")


@breaks(CASES, "prid2011", "reader-refuses", "splits_prid2011.json")
def splits_cut_off(root: Path) -> None:
    rewrite(root / "splits_prid2011.json", b"[1, 2")


@breaks(CASES, "prid2011", "layout-missing", "only prid_2011/multi_shot/cam_a")
def one_camera_of_two(root: Path) -> None:
    remove(root / "prid_2011/multi_shot/cam_b")


@breaks(CASES, "prid2011", "wrong-suffix", "JPEG")
def jpeg_named_png(root: Path) -> None:
    repaint(frames_of_one(root)[0], lambda picture: picture, "JPEG")


@breaks(CASES, "prid2011", "not-colour", "mode L")
def a_grey_frame(root: Path) -> None:
    repaint(frames_of_one(root)[0], lambda picture: picture.convert("L"))


@breaks(CASES, "prid2011", "truncated", "without an end marker")
def a_truncated_png(root: Path) -> None:
    frame = frames_of_one(root)[0]
    rewrite(frame, frame.read_bytes()[:-30])


@breaks(CASES, "ilids-vid", "reader-refuses", "one camera only")
def a_person_lost_in_one_camera(root: Path) -> None:
    remove(frames_of_one(root / "i-LIDS-VID/sequences/cam2")[0].parent)


@breaks(CASES, "ilids-vid", "wrong-kind", "layout of ilids-vid", read_as="mars")
def read_as_another(root: Path) -> None:
    pass


@pytest.mark.parametrize("case", CASES, ids=str)
def test_faults_are_found_and_readers_report_them(case: Broken, copy: Copy) -> None:
    check(case, copy(case.kind))


def test_splits_are_searched_for_only_where_the_reader_searches(copy: Copy) -> None:
    root = copy("prid2011")
    assert "layout-missing" not in kinds_of(root / "prid_2011")
    (root / "splits_prid2011.json").rename(root.parent / "splits_prid2011.json")
    assert {"layout-missing", "reader-refuses"} <= kinds_of(root / "prid_2011")


def kinds_of(root: Path) -> set[str]:
    return {finding.kind for finding in examine("prid2011", root).findings}


def test_person_folders_of_duke_need_no_leading_zeros(copy: Copy) -> None:
    root = copy("duke-video")
    person = min((root / "train").iterdir())
    person.rename(person.with_name(str(int(person.name))))
    report = examine("duke-video", root)
    assert report.statistics and "name-zeros" not in {finding.kind for finding in report.findings}
