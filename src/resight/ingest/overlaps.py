"""Boxes that cover each other, and which of them to keep."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def suppress_overlaps(boxes: FloatArray, scores: FloatArray, most: float) -> NDArray[np.int64]:
    """Non-maximum suppression: keep a box unless a kept one with a better score overlaps it.

    Args:
        boxes: (n, 4) left, top, width, height.
        scores: (n,).
        most: intersection over union that is still no overlap.

    Returns:
        Rows of the kept boxes, best first.
    """
    order = np.argsort(-scores, kind="stable")
    kept = []
    while len(order):
        best, order = order[0], order[1:]
        kept.append(int(best))
        order = order[box_overlaps(boxes[best], boxes[order]) <= most]
    return np.array(kept, np.int64)


def box_overlaps(box: FloatArray, others: FloatArray) -> FloatArray:
    """Intersection over union of one box, (4,), with others, (n, 4), all as left, top, width, height."""
    low = np.maximum(box[:2], others[:, :2])
    high = np.minimum(box[:2] + box[2:], others[:, :2] + others[:, 2:])
    shared = (high - low).clip(0).prod(1)
    return np.asarray(shared / (box[2:].prod() + others[:, 2:].prod(1) - shared))
