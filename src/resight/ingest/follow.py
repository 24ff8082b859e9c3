"""Follow a person from a box in one video frame through the next ones, by the motion of the picture.

Forward-backward median flow (Kalal, Mikolajczyk and Matas, ICPR 2010): points in the box are followed to the next video
frame and back, those that do not return to their origin are left out, and the median of the motion of the others moves
the box. Its size stays: estimates of it from the few points on a trunk drift. No weights and no detector are needed. A
person is lost if few points return, or the box does not look like the first one any more.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from resight.data.frames import Pixels, resize_frame
from resight.ingest.video import Footage

SECONDS = 3.0
"""Longest time for which a person is followed. Longer, the box drifts from the person too often."""

GRID = 12
"""Points per side of the grid in the core of the box."""

CORE = (0.3, 0.12, 0.7, 0.6)
"""Left, top, right and bottom of the part of the box that is followed, as shares: the trunk. At the sides of a box is
background, and legs swing."""

RETURN = 0.04
"""Largest distance between a point and where it returns to, as a share of the height of the box."""

LEAST_POINTS = 20
"""Fewest points that return; with fewer, the person is lost."""

ALIKE = 0.5
"""Least correlation of the core of the box with that of the first; below it, the box shows something else."""

_LOOK = (24, 12)
"""Height and width to which the core of a box is reduced to compare it."""

_WINDOW = (15, 15)
_LEVELS = 3
_Box = NDArray[np.float64]


def follow(footage: Footage, index: int, box: Sequence[float]) -> _Box:
    """Return the boxes of a person from a video frame on, for at most `SECONDS`, or until the person is lost.

    Args:
        footage: The video frames.
        index: Index of the video frame with the box.
        box: Left, top, width and height in pixels.

    Returns:
        (n, 4) Boxes in the video frames ``index`` to ``index + n - 1``, n >= 1.

    Raises:
        ImportError: If OpenCV is not installed, or cannot be loaded.
    """
    import cv2

    last = int(np.searchsorted(footage.times, footage.times[index] + SECONDS, side="right"))
    boxes = [np.asarray(box, np.float64)]
    before: tuple[NDArray[np.uint8], NDArray[np.float64]] | None = None  # the last picture, and the look of the first
    for _, image in footage.decode(range(index, last)):
        if image is None or not _is_visible(boxes[-1], image):
            break
        picture = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
        if before is None:
            before = picture, _look(image, boxes[0])
            continue
        moved = _moved(before[0], picture, boxes[-1])
        if moved is None or not _is_visible(moved, image) or (_look(image, moved) * before[1]).sum() < ALIKE:
            break
        boxes.append(moved)
        before = picture, before[1]
    return np.stack(boxes)


def _moved(before: NDArray[np.uint8], after: NDArray[np.uint8], box: _Box) -> _Box | None:
    """Return the box in the next video frame; None if too few points return."""
    import cv2

    left, top, width, height = box
    x, y = np.meshgrid(
        left + np.linspace(CORE[0], CORE[2], GRID) * width, top + np.linspace(CORE[1], CORE[3], GRID) * height
    )
    points = np.stack([x.ravel(), y.ravel()], 1).astype(np.float32)[:, None]
    there, found, _ = cv2.calcOpticalFlowPyrLK(
        before, after, points, np.empty_like(points), winSize=_WINDOW, maxLevel=_LEVELS
    )
    back, returned, _ = cv2.calcOpticalFlowPyrLK(
        after, before, there, np.empty_like(points), winSize=_WINDOW, maxLevel=_LEVELS
    )
    distance = np.linalg.norm((back - points)[:, 0], axis=1)
    kept = (found[:, 0] == 1) & (returned[:, 0] == 1) & (distance <= RETURN * height)
    if kept.sum() < LEAST_POINTS:
        return None
    left, top = np.array([left, top]) + np.median((there - points)[kept, 0], axis=0)
    return np.array([left, top, width, height], np.float64)


def _is_visible(box: _Box, image: Pixels) -> bool:
    """Return whether at least half of a box is in the picture."""
    height, width = image.shape[:2]
    inside = np.minimum(box[:2] + box[2:], [width, height]) - np.maximum(box[:2], 0)
    return bool((inside > 0).all() and inside.prod() >= 0.5 * box[2:].prod())


def _look(image: Pixels, box: _Box) -> NDArray[np.float64]:
    """Return the core of a box as a small picture of mean 0 and length 1."""
    left, top, width, height = box
    low = np.floor([left + CORE[0] * width, top + CORE[1] * height]).astype(int).clip(0)
    high = np.ceil([left + CORE[2] * width, top + CORE[3] * height]).astype(int).clip(low + 1)
    inside = image[low[1] : high[1], low[0] : high[0]]
    values = resize_frame(inside, _LOOK).astype(np.float64)
    values -= values.mean()
    return values / max(float(np.linalg.norm(values)), 1e-6)
