from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resight.errors import DatasetError
from resight.ingest.boxes import Boxes, write_boxes
from resight.ingest.skipped import SkipLog
from resight.ingest.tracks import read_tracks


def read(tmp_path: Path, text: str, min_score: float | None = None) -> tuple[Boxes, dict[str, int]]:
    path = tmp_path / "tracks.txt"
    path.write_text(text, encoding="utf-8")
    skipped = SkipLog()
    boxes = read_tracks(path, skipped, min_score=min_score).boxes
    return boxes, {entry.reason: entry.count for entry in skipped.entries()}


def test_rows_are_sorted_by_frame_and_track(tmp_path: Path) -> None:
    boxes, skipped = read(tmp_path, "2,1,10,20,30,40,0.5\n1,7,1,2,3,4,0.25,-1,-1,-1\n1,3,5,6,7,8\n")
    assert boxes.frame.tolist() == [1, 1, 2]
    assert boxes.track.tolist() == [3, 7, 1]
    assert boxes.box.tolist() == [[5, 6, 7, 8], [1, 2, 3, 4], [10, 20, 30, 40]]
    assert boxes.score.tolist() == [1, 0.25, 0.5]
    assert skipped == {}


@pytest.mark.parametrize(
    "text",
    [
        "1,2,3,4,5,6,1",
        "1, 2, 3, 4, 5, 6, 1",
        "1 2 3 4 5 6 1",
        "1\t2\t3\t4\t5\t6\t1",
        "1;2;3;4;5;6;1",
        "1.0,2.0,3,4,5,6,1,",
    ],
)
def test_all_common_separators_are_read(tmp_path: Path, text: str) -> None:
    boxes, skipped = read(tmp_path, f"\ufeff# a comment\r\n\r\n{text}\r\n")
    assert (boxes.frame.tolist(), boxes.track.tolist(), boxes.box.tolist()) == ([1], [2], [[3, 4, 5, 6]])
    assert skipped == {}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("1,anna,3,4,5,6,1", "row with non-numeric values"),
        ("1,2,,4,5,6,1", "row with non-numeric values"),
        ("1,2,3", "too few columns"),
        ("1,2,nan,4,5,6,1", "not finite"),
        ("1,2,3,4,inf,6,1", "not finite"),
        ("1.5,2,3,4,5,6,1", "not a whole number"),
        ("1,2.5,3,4,5,6,1", "not a whole number"),
        ("1,2,3,4,-5,6,1", "without area"),
        ("1,2,3,4,5,0,1", "without area"),
        ("1,2,3,4,1e9,6,1", "too large"),
        ("1e30,2,3,4,5,6,1", "too large"),
        ("1,-1,3,4,5,6,1", "without a track"),
        ("9,9,3,4,5,6,1", "second box"),
        ("1,2,3,4,5,6,0.1", "score below 0.3"),
    ],
)
def test_a_row_that_cannot_be_used_is_skipped_with_its_reason(tmp_path: Path, row: str, reason: str) -> None:
    path = tmp_path / "tracks.txt"
    path.write_text(f"9,9,1,1,5,5,1\n{row}\n", encoding="utf-8")
    skipped = SkipLog()
    assert len(read_tracks(path, skipped, min_score=0.3).boxes) == 1
    (entry,) = skipped.entries()
    assert reason in entry.reason
    assert (entry.count, entry.first) == (1, "tracks.txt, line 2")


@settings(deadline=None)
@given(st.text(alphabet="0123456789.,-+e infax\n\t;#", max_size=200))
def test_arbitrary_text_does_not_break_the_reader(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.txt"
    path.write_text(text, encoding="utf-8")
    try:
        boxes = read_tracks(path, SkipLog()).boxes
    except DatasetError:
        return
    assert (
        np.isfinite(boxes.box).all() and (boxes.box[:, 2:] > 0).all() and (boxes.tracked or (boxes.track == -1).all())
    )


def test_rows_without_any_track_are_detections(tmp_path: Path) -> None:
    boxes, skipped = read(tmp_path, "1,-1,3,4,5,6,0.5\n1,-1,30,4,5,6,0.25\n")
    assert (boxes.tracked, boxes.track.tolist(), skipped) == (False, [-1, -1], {})
    boxes, skipped = read(tmp_path, "1,-1,3,4,5,6,0.5\n1,0,30,4,5,6,0.25\n")
    assert (boxes.tracked, boxes.track.tolist()) == (True, [0])
    assert skipped == {"row without a track (id below 0)": 1}


def test_a_file_without_a_usable_row_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="an empty file"):
        read(tmp_path, "")
    with pytest.raises(DatasetError, match="cannot read"):
        read_tracks(tmp_path / "none.txt", SkipLog())


def test_written_boxes_can_be_read_again(tmp_path: Path) -> None:
    boxes, _ = read(tmp_path, "2,1,10.25,20,30,40,0.5\n1,7,1,2,3,4,0.25\n")
    write_boxes(tmp_path / "again.txt", boxes)
    again = read_tracks(tmp_path / "again.txt", SkipLog()).boxes
    for name in ("frame", "track", "box", "score"):
        np.testing.assert_array_equal(getattr(again, name), getattr(boxes, name))
