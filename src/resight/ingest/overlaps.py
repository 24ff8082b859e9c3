"""Measure how much boxes overlap, and remove duplicates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def suppress_overlaps(boxes: FloatArray, scores: FloatArray, max_overlap: float) -> NDArray[np.int64]:
    """Return the boxes kept by non-maximum suppression: those that overlap no better box that is kept.

    Args:
        boxes: (n, 4) Left, top, width and height.
        scores: (n,) Scores, higher is better.
        max_overlap: Largest intersection over union that two kept boxes may have.

    Returns:
        Rows of the kept boxes, best first.
    """
    order = np.argsort(-scores, kind="stable")
    kept = []
    while len(order):
        best, order = order[0], order[1:]
        kept.append(int(best))
        order = order[box_overlaps(boxes[best], boxes[order]) <= max_overlap]
    return np.array(kept, np.int64)


def box_overlaps(box: FloatArray, others: FloatArray) -> FloatArray:
    """Return the intersection over union of one box with each of several boxes.

    Args:
        box: (4,) Left, top, width and height.
        others: (n, 4) Boxes in the same form.

    Returns:
        (n,) Values from 0 to 1.
    """
    low = np.maximum(box[:2], others[:, :2])
    high = np.minimum(box[:2] + box[2:], others[:, :2] + others[:, 2:])
    intersection = (high - low).clip(0).prod(1)
    return np.asarray(intersection / (box[2:].prod() + others[:, 2:].prod(1) - intersection))
