"""The boxes of a tracker, and checks of what they cannot be."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resight.outputs import replace_file

_SWAPPED = 0.1, 0.5
"""Overlap of successive boxes below which columns are wrong, and above which others are right."""
_FEWEST = 20


@dataclass(frozen=True, eq=False)
class Boxes:
    """N boxes, sorted by frame and then by track.

    Attributes:
        frame: (N,) int64 frame numbers, as the tracker counts them.
        track: (N,) int64 track ids: all at least 0, or all -1 for detections that have not been tracked.
        box: (N, 4) float64 left, top, width and height in pixels; width and height are positive.
        score: (N,) float64 detection scores; 1 where the text has none.
    """

    frame: NDArray[np.int64]
    track: NDArray[np.int64]
    box: NDArray[np.float64]
    score: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def tracked(self) -> bool:
        """Whether every box belongs to a track."""
        return bool((self.track >= 0).all())

    @classmethod
    def from_rows(cls, rows: Iterable[tuple[float, ...]]) -> Boxes:
        """Return boxes built from rows of (frame, track, left, top, width, height, score), in any order."""
        table = np.array(sorted(rows, key=lambda row: row[:2]), np.float64).reshape(-1, 7)
        return cls(table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), table[:, 2:6], table[:, 6])

    def chosen(self, kept: NDArray[np.bool_]) -> Boxes:
        """Return the boxes for which `kept` is true."""
        return Boxes(self.frame[kept], self.track[kept], self.box[kept], self.score[kept])

    def scaled(self, sizes: NDArray[np.int64]) -> Boxes:
        """Return boxes in pixels from boxes in shares of the picture, given (N, 2) height and width for each."""
        return replace(self, box=self.box * sizes[:, [1, 0, 1, 0]])


def write_boxes(path: Path, boxes: Boxes) -> None:
    """Write boxes as MOT Challenge text. An existing file is replaced atomically."""
    columns = boxes.frame.tolist(), boxes.track.tolist(), boxes.box.tolist(), boxes.score.tolist()
    lines = [
        f"{frame},{track},{x:.2f},{y:.2f},{w:.2f},{h:.2f},{score:.4f}\n"
        for frame, track, (x, y, w, h), score in zip(*columns, strict=True)
    ]
    with replace_file(path) as temporary:
        temporary.write_text("".join(lines), encoding="utf-8")


def are_shares(boxes: Boxes) -> bool:
    """Return whether all boxes are shares of the picture: no box in pixels is smaller than one pixel."""
    return len(boxes) > 0 and bool((boxes.box[:, 2:] <= 1).all() and (np.abs(boxes.box[:, :2]) <= 2).all())


def look_like_corners(boxes: Boxes, sizes: NDArray[np.int64]) -> bool:
    """Return whether width and height are probably the right and bottom of the boxes.

    They are always larger than left and top, and either most boxes extend beyond the picture, or, where a track moves,
    right - left varies less than half as much as the column itself.

    Args:
        boxes: Tracked boxes, in pixels.
        sizes: (N, 2) height and width of the picture of each box.
    """
    left, top, wide, high = boxes.box.T
    if not len(boxes) or not ((wide > left).all() and (high > top).all()):
        return False
    if ((left + wide > sizes[:, 1]) | (top + high > sizes[:, 0])).mean() > 0.5:
        return True
    as_size, as_corner, moving = 0.0, 0.0, 0
    for track in np.unique(boxes.track):
        rows = boxes.track == track
        if rows.sum() >= 5 and left[rows].std() + top[rows].std() > 4:
            moving += int(rows.sum())
            as_size += wide[rows].std() + high[rows].std()
            as_corner += (wide - left)[rows].std() + (high - top)[rows].std()
    return moving >= _FEWEST and as_corner < 0.5 * as_size


def look_swapped(boxes: Boxes) -> bool:
    """Return whether frame and track are probably in each other's column: only then do boxes of a track overlap."""
    below, above = _SWAPPED
    as_written, count = _continuity(boxes.frame, boxes.track, boxes.box)
    swapped, other = _continuity(boxes.track, boxes.frame, boxes.box)
    return min(count, other) >= _FEWEST and as_written < below and swapped > above


def _continuity(frame: NDArray[np.int64], track: NDArray[np.int64], box: NDArray[np.float64]) -> tuple[float, int]:
    """Return the mean intersection over union of boxes of a track in successive frames, and the number of pairs."""
    order = np.lexsort((frame, track))
    pairs = (np.diff(track[order]) == 0) & (np.diff(frame[order]) == 1)
    first, second = box[order[:-1]][pairs], box[order[1:]][pairs]
    if not len(first):
        return 0.0, 0
    low = np.maximum(first[:, :2], second[:, :2])
    high = np.minimum(first[:, :2] + first[:, 2:], second[:, :2] + second[:, 2:])
    intersection = (high - low).clip(0).prod(1)
    union = first[:, 2:].prod(1) + second[:, 2:].prod(1) - intersection
    return float((intersection / union).mean()), len(first)
