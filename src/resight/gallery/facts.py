"""What is known of pairs of tracklets without labels: who was there at the same time, and parts of one tracklet."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from resight.gallery.types import Entry


def together(entries: Sequence[Entry]) -> NDArray[np.bool_]:
    """Return which tracklets were there at the same time as which, (T, T); False where times are unknown."""
    start, end = (
        np.array([np.nan if time is None else time for time in times], np.float64)
        for times in ([e.start for e in entries], [e.end for e in entries])
    )
    overlap: NDArray[np.bool_] = (start[:, None] <= end) & (start <= end[:, None])
    np.fill_diagonal(overlap, False)
    return overlap


def one_camera(entries: Sequence[Entry]) -> NDArray[np.bool_]:
    """Return which tracklets are from one known camera, (T, T)."""
    names, camera = np.unique([entry.camera for entry in entries], return_inverse=True)
    known = names[camera] != ""
    same: NDArray[np.bool_] = (camera[:, None] == camera) & known[:, None] & known
    np.fill_diagonal(same, False)
    return same


def half_length(frame_numbers: NDArray[np.integer]) -> int:
    """Return the most clips at the start and at the end of a tracklet that have no frame in common; 0 if none have.

    Args:
        frame_numbers: (M, L) frame numbers of its clips.
    """
    for clips in range(len(frame_numbers) // 2, 0, -1):
        if not np.intersect1d(frame_numbers[:clips], frame_numbers[len(frame_numbers) - clips :]).size:
            return clips
    return 0
