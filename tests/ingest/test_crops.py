from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from resight.data.frames import Pixels
from resight.ingest.boxes import Boxes
from resight.ingest.crops import PlannedTracklet, clip_boxes, plan_tracklets
from resight.ingest.numbering import MISSING, FrameNumbers
from resight.ingest.settings import IngestSettings
from resight.ingest.skipped import SkipLog


@dataclass
class Blank:
    """Footage without images, at 10 video frames per second."""

    sizes: NDArray[np.int64] = field(default_factory=lambda: np.array([[100, 200]] * 40))
    times: NDArray[np.float64] = field(default_factory=lambda: np.arange(40) / 10)
    numbers: NDArray[np.int64] | None = None
    lost: int = 0

    def decode(self, indices: object) -> list[tuple[int, Pixels | None]]:
        raise AssertionError("planning must not decode video frames")


def plan(rows: list[tuple[float, ...]], **changes: float) -> tuple[list[PlannedTracklet], dict[str, int]]:
    skipped = SkipLog()
    chosen = IngestSettings(**({"min_frames": 2, "min_width": 4, "min_height": 8, "margin": 0.0} | changes))  # type: ignore[arg-type]
    blank = Blank()
    planned = plan_tracklets(Boxes.from_rows(rows), "door", blank, FrameNumbers(blank.times), chosen, skipped)  # type: ignore[arg-type]
    return planned, {entry.reason: entry.count for entry in skipped.entries()}


def rows(track: int, frames: range | list[int], box: tuple[float, ...] = (10, 20, 30, 40)) -> list[tuple[float, ...]]:
    return [(frame, track, *box, 1.0) for frame in frames]


def test_a_track_is_split_at_gaps_longer_than_the_maximum() -> None:
    planned, skipped = plan(rows(7, [1, 2, 3, 13, 14, 25, 26, 37]), max_gap=1.0)
    assert [(t.id, t.frames.tolist()) for t in planned] == [
        ("door-0007/door/0007-1", [1, 2, 3, 13, 14]),
        ("door-0007/door/0007-2", [25, 26]),
    ]
    assert [(t.start, t.end) for t in planned] == [(0.0, 1.3), (2.4, 2.5)]
    assert skipped == {"tracklet with fewer than 2 frames": 1}
    (whole,), _ = plan(rows(7, [1, 2, 3, 13, 14, 25, 26, 37]), max_gap=1.1)
    assert whole.id == "door-0007/door/0007"


def test_crops_have_a_margin_and_stay_inside_the_video_frame() -> None:
    (tracklet,), _ = plan(rows(1, [1, 2]), margin=0.1)
    assert tracklet.corners.tolist() == [[7, 16, 43, 64]] * 2
    (tracklet,), _ = plan(rows(1, [1, 2], (-10, 70, 30, 90)), margin=0.1)
    assert tracklet.corners.tolist() == [[0, 61, 23, 100]] * 2


def test_box_sizes_are_measured_inside_the_video_frame() -> None:
    planned, skipped = plan(rows(1, [1, 2], (-27, 20, 30, 40)) + rows(2, [1, 2], (10, 95, 30, 40)))
    assert planned == []
    assert skipped == {"box smaller than 4 × 8 pixels": 4}
    assert plan(rows(1, [1, 2], (300, 20, 30, 40)))[1] == {"box outside the video frame": 2}


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
def test_every_box_is_planned_once_or_skipped(boxes: list[tuple[float, ...]], margin: float) -> None:
    planned, skipped = plan(boxes, margin=margin, min_frames=1)
    assert sum(len(t.frames) for t in planned) + sum(skipped.values()) == len(boxes)
    for tracklet in planned:
        left, top, right, bottom = tracklet.corners.T
        assert (left >= 0).all() and (left < right).all() and (right <= 200).all()
        assert (top >= 0).all() and (top < bottom).all() and (bottom <= 100).all()
        assert (np.diff(tracklet.frames) > 0).all()


def test_frame_numbers_count_video_frames_unless_a_rate_is_given() -> None:
    times = np.array([0.0, 0.04, 0.12, 0.16])
    frames = np.array([0, 1, 2, 4, 5])
    assert FrameNumbers(times).indices(frames).tolist() == [-1, 0, 1, 3, 4]
    even = FrameNumbers(times, rate=25)
    assert even.indices(np.array([0, 1, 2, 4, 5, 6])).tolist() == [-1, 0, 1, 2, 3, 4]
    np.testing.assert_allclose(even.seconds(np.array([1, 4, 5])), [0, 0.12, 0.16])
    np.testing.assert_allclose(FrameNumbers(times).seconds(np.array([1, 3])), [0, 0.12])
    assert FrameNumbers(np.zeros(1), rate=25).indices(np.array([1, 2])).tolist() == [0, 1]
    assert even.of_pictures().tolist() == [1, 2, 3, 4, 5]


def test_numbers_in_file_names_are_the_frame_numbers() -> None:
    numbers = FrameNumbers(np.arange(3) / 5, numbers=np.array([300, 305, 315]))
    assert numbers.indices(np.array([299, 300, 301, 305, 315, 316])).tolist() == [-1, 0, MISSING, 1, 2, 3]
    assert numbers.seconds(np.array([300, 315])).tolist() == [0, 0.4]
    assert numbers.of_pictures().tolist() == [300, 305, 315]


@pytest.mark.parametrize(
    ("box", "expected"), [((-5, -5, 20, 20), (0, 0, 15, 15)), ((190, 90, 50, 50), (190, 90, 200, 100))]
)
def test_boxes_are_clipped_to_the_image(box: tuple[float, ...], expected: tuple[float, ...]) -> None:
    assert clip_boxes(np.array([box], float), np.array([[100, 200]])).tolist() == [list(expected)]
