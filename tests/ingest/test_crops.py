from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from resight.data.frames import Pixels
from resight.ingest.account import Account
from resight.ingest.cameras import Source
from resight.ingest.crops import PlannedTracklet, clip_boxes, find_places, frame_times, plan_tracklets
from resight.ingest.mot import Boxes
from resight.ingest.settings import IngestSettings

DOOR = Source("door", Path("door.mp4"))


@dataclass
class Blank:
    """Footage of nothing, 10 pictures a second."""

    size: tuple[int, int] = (100, 200)
    times: NDArray[np.float64] = field(default_factory=lambda: np.arange(40) / 10)

    def pictures(self, wanted: object) -> list[tuple[int, Pixels | None]]:
        raise AssertionError("a plan needs no pixels")


def plan(rows: list[tuple[float, ...]], **chosen: float) -> tuple[list[PlannedTracklet], dict[str, int]]:
    account = Account()
    made = IngestSettings(**({"min_frames": 2, "min_width": 4, "min_height": 8, "margin": 0.0} | chosen))  # type: ignore[arg-type]
    planned = plan_tracklets(Boxes.from_rows(rows), DOOR, Blank(), made, account)  # type: ignore[arg-type]
    return planned, {entry.reason: entry.count for entry in account.entries()}


def rows(track: int, frames: range | list[int], box: tuple[float, ...] = (10, 20, 30, 40)) -> list[tuple[float, ...]]:
    return [(frame, track, *box, 1.0) for frame in frames]


def test_a_track_is_split_where_it_is_away_for_too_long() -> None:
    planned, left_out = plan(rows(7, [1, 2, 3, 13, 14, 25, 26, 37]), max_gap=1.0)
    assert [(t.id, t.frames.tolist()) for t in planned] == [
        ("door-0007/door/0007-1", [1, 2, 3, 13, 14]),
        ("door-0007/door/0007-2", [25, 26]),
    ]
    assert [(t.start, t.end) for t in planned] == [(0.0, 1.3), (2.4, 2.5)]
    assert left_out == {"tracklet of fewer than 2 frames": 1}
    (whole,), _ = plan(rows(7, [1, 2, 3, 13, 14, 25, 26, 37]), max_gap=1.1)
    assert whole.id == "door-0007/door/0007"


def test_crops_have_a_margin_and_stay_in_the_picture() -> None:
    (one,), _ = plan(rows(1, [1, 2]), margin=0.1)
    assert one.corners.tolist() == [[7, 16, 43, 64]] * 2
    (one,), _ = plan(rows(1, [1, 2], (-10, 70, 30, 90)), margin=0.1)
    assert one.corners.tolist() == [[0, 61, 23, 100]] * 2


def test_small_boxes_are_measured_inside_the_picture() -> None:
    planned, left_out = plan(rows(1, [1, 2], (-27, 20, 30, 40)) + rows(2, [1, 2], (10, 95, 30, 40)))
    assert planned == []
    assert left_out == {"box smaller than 4 × 8 pixels": 4}
    assert plan(rows(1, [1, 2], (300, 20, 30, 40)))[1] == {"box outside the picture": 2}


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.tuples(
            st.integers(1, 40),
            st.integers(0, 3),
            *[st.floats(-300, 300)] * 2,
            *[st.floats(0.01, 300)] * 2,
            st.just(1.0),
        ),
        unique_by=lambda row: row[:2],
    ),
    st.floats(0, 1),
)
def test_every_box_is_planned_once_or_left_out(given_rows: list[tuple[float, ...]], margin: float) -> None:
    planned, left_out = plan(given_rows, margin=margin, min_frames=1)
    assert sum(len(t.frames) for t in planned) + sum(left_out.values()) == len(given_rows)
    for tracklet in planned:
        left, top, right, bottom = tracklet.corners.T
        assert (left >= 0).all() and (left < right).all() and (right <= 200).all()
        assert (top >= 0).all() and (top < bottom).all() and (bottom <= 100).all()
        assert (np.diff(tracklet.frames) > 0).all()


def test_frames_are_counted_unless_a_rate_says_when_they_were() -> None:
    times = np.array([0.0, 0.04, 0.12, 0.16])
    frames = np.array([0, 1, 2, 4, 5])
    assert find_places(frames, DOOR, times).tolist() == [-1, 0, 1, 3, 4]
    even = Source("door", Path("door.mp4"), rate=25)
    assert find_places(np.array([0, 1, 2, 4, 5, 6]), even, times).tolist() == [-1, 0, 1, 2, 3, 4]
    np.testing.assert_allclose(frame_times(np.array([1, 4, 6]), even, times), [0, 0.12, 0.2])
    np.testing.assert_allclose(frame_times(np.array([1, 3, 6]), DOOR, times), [0, 0.12, 0.16 + 2 * 0.16 / 3])
    assert find_places(np.array([1, 2]), even, np.zeros(1)).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("box", "expected"), [((-5, -5, 20, 20), (0, 0, 15, 15)), ((190, 90, 50, 50), (190, 90, 200, 100))]
)
def test_boxes_are_cut_off_at_the_border(box: tuple[float, ...], expected: tuple[float, ...]) -> None:
    assert clip_boxes(np.array([box], float), (100, 200)).tolist() == [list(expected)]
