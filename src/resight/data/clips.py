"""Which frames a clip is made of: the four one-clip samplers of Table 1, and M evenly placed clips."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from resight.errors import DatasetError
from resight.recipe import ClipSpec


def sample_clips(n_frames: int, spec: ClipSpec, rng: np.random.Generator | None = None) -> NDArray[np.int64]:
    """Frame numbers of the clips of one tracklet. Paper: Sec. 3.1, Table 1.

    ``spaced`` places the M starts evenly over 0 … n-L, so that clips overlap where n < M·L (M = 1: in the middle).
    A tracklet shorter than L is looped. ``consec`` and ``random`` draw from `rng`; the others draw nothing.

    Args:
        n_frames: n, frames of the tracklet, at least 1.
        spec: how many clips, of which length, by which sampler.
        rng: needed by ``consec`` and ``random``.

    Returns:
        (M, L) frame numbers in 0 … n-1; (1, n) for ``all``.

    Raises:
        DatasetError: if the tracklet has no frames.

    >>> sample_clips(10, ClipSpec(length=4, count=3))
    array([[0, 1, 2, 3],
           [3, 4, 5, 6],
           [6, 7, 8, 9]])
    >>> sample_clips(2, ClipSpec(length=4, count=1))
    array([[0, 1, 0, 1]])
    """
    if n_frames < 1:
        raise DatasetError(f"a tracklet has {n_frames} frames, expected at least 1")
    length = spec.length
    last_start = max(n_frames - length, 0)
    if spec.sampler == "all":
        return np.arange(n_frames)[None]
    if spec.sampler == "spaced":
        starts = np.linspace(0, last_start, spec.count) if spec.count > 1 else np.array([last_start / 2])
        return (np.floor(starts + 0.5).astype(np.int64)[:, None] + np.arange(length)) % n_frames
    if spec.sampler == "evenly" and n_frames >= length:
        # the middle of each of L equal parts
        return ((np.arange(length) + 0.5) * n_frames / length).astype(np.int64)[None]
    if spec.sampler == "random" and n_frames >= length:
        return np.sort(_needed(rng).choice(n_frames, length, replace=False))[None]
    start = int(_needed(rng).integers(last_start + 1)) if spec.sampler == "consec" else 0
    return (start + np.arange(length))[None] % n_frames


def tracklet_rng(tracklet_id: str, seed: int) -> np.random.Generator:
    """Random numbers of one tracklet, the same whichever other tracklets are drawn for, and in any process."""
    digest = hashlib.sha256(f"{seed}/{tracklet_id}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "little"))


def _needed(rng: np.random.Generator | None) -> np.random.Generator:
    if rng is None:
        raise ValueError("this sampler draws: pass rng")
    return rng
