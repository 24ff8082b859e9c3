from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from resight.data.frames import Pixels
from resight.ingest.cameras import Source
from resight.ingest.crops import PlannedTracklet, clip_boxes, frame_indices, frame_times, plan_tracklets
from resight.ingest.mot import Boxes
from resight.ingest.settings import IngestSettings
from resight.ingest.skipped import SkipLog

DOOR = Source("door", Path("door.mp4"))


@dataclass
class Blank:
    """Footage without images, at 10 video frames per second."""

    size: tuple[int, int] = (100, 200)
    times: NDArray[np.float64] = field(default_factory=lambda: np.arange(40) / 10)

    def decode(self, indices: object) -> list[tuple[int, Pixels | None]]:
        raise AssertionError("planning must not decode video frames")


def plan(rows: list[tuple[float, ...]], **changes: float) -> tuple[list[PlannedTracklet], dict[str, int]]:
    skipped = SkipLog()
    chosen = IngestSettings(**({"min_frames": 2, "min_width": 4, "min_height": 8, "margin": 0.0} | changes))  # type: ignore[arg-type]
    planned = plan_tracklets(Boxes.from_rows(rows), DOOR, Blank(), chosen, skipped)  # type: ignore[arg-type]
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
    assert frame_indices(frames, DOOR, times).tolist() == [-1, 0, 1, 3, 4]
    even = Source("door", Path("door.mp4"), rate=25)
    assert frame_indices(np.array([0, 1, 2, 4, 5, 6]), even, times).tolist() == [-1, 0, 1, 2, 3, 4]
    np.testing.assert_allclose(frame_times(np.array([1, 4, 6]), even, times), [0, 0.12, 0.2])
    np.testing.assert_allclose(frame_times(np.array([1, 3, 6]), DOOR, times), [0, 0.12, 0.16 + 2 * 0.16 / 3])
    assert frame_indices(np.array([1, 2]), even, np.zeros(1)).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("box", "expected"), [((-5, -5, 20, 20), (0, 0, 15, 15)), ((190, 90, 50, 50), (190, 90, 200, 100))]
)
def test_boxes_are_clipped_to_the_image(box: tuple[float, ...], expected: tuple[float, ...]) -> None:
    assert clip_boxes(np.array([box], float), (100, 200)).tolist() == [list(expected)]
