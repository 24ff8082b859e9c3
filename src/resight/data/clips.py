"""Which frames a clip is made of: the four one-clip samplers of Table 1, and two that cut M clips."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from resight.errors import DatasetError
from resight.recipe import ClipSpec


def sample_clips(n_frames: int, spec: ClipSpec, rng: np.random.Generator | None = None) -> NDArray[np.int64]:
    """Frame numbers of the clips of one tracklet. Paper: Sec. 3.1, Table 1 (all but ``cover`` and strides above 1).

    ``spaced`` places the M starts evenly over where a clip can start, so that clips overlap in short tracklets
    (M = 1: in the middle). ``cover`` sees the whole tracklet evenly: M·L evenly spaced frames, which are all frames
    where n is no more, are dealt out to the clips so that a clip's own are as near to the stride as can be; no frame is
    seen twice before every frame is seen once. Otherwise a tracklet too short for the stride takes the largest that
    fits, and one shorter than L is looped. ``consec`` and ``random`` draw from `rng`; the others draw nothing.

    Args:
        n_frames: n, frames of the tracklet, at least 1.
        spec: how many clips, of which length and stride, by which sampler.
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
    >>> sample_clips(16, ClipSpec(length=4, count=4, stride=2, sampler="cover"))
    array([[ 0,  2,  4,  6],
           [ 1,  3,  5,  7],
           [ 8, 10, 12, 14],
           [ 9, 11, 13, 15]])
    """
    if n_frames < 1:
        raise DatasetError(f"a tracklet has {n_frames} frames, expected at least 1")
    length = spec.length
    if spec.sampler == "all":
        return np.arange(n_frames)[None]
    if spec.sampler == "cover":
        return _covering(n_frames, spec)
    if spec.sampler == "evenly" and n_frames >= length:
        # the middle of each of L equal parts
        return ((np.arange(length) + 0.5) * n_frames / length).astype(np.int64)[None]
    if spec.sampler == "random" and n_frames >= length:
        return np.sort(_needed(rng).choice(n_frames, length, replace=False))[None]
    steps = np.arange(length) * min(spec.stride, max((n_frames - 1) // max(length - 1, 1), 1))
    last_start = max(n_frames - 1 - int(steps[-1]), 0)
    if spec.sampler == "spaced":
        starts = np.linspace(0, last_start, spec.count) if spec.count > 1 else np.array([last_start / 2])
        return (np.floor(starts + 0.5).astype(np.int64)[:, None] + steps) % n_frames
    start = int(_needed(rng).integers(last_start + 1)) if spec.sampler == "consec" else 0
    return (start + steps)[None] % n_frames


def _covering(n_frames: int, spec: ClipSpec) -> NDArray[np.int64]:
    """The clips of ``cover``, (M, L).

    The M·L evenly spaced frames are cut into equal blocks of neighbours; a block of q·L is dealt out to q clips in
    turn, so that a clip's frames are q places apart. q divides M; of those, the largest that keeps within the stride.
    """
    clips, length = spec.count, spec.length
    apart = n_frames / (clips * length)  # of two places, in frames
    q = max((d for d in range(1, clips + 1) if clips % d == 0 and d * apart <= spec.stride), default=1)
    places = ((np.arange(clips * length) + 0.5) * apart).astype(np.int64)
    dealt: NDArray[np.int64] = places.reshape(clips // q, length, q).transpose(0, 2, 1).reshape(clips, length)
    return dealt


def tracklet_rng(tracklet_id: str, seed: int) -> np.random.Generator:
    """Random numbers of one tracklet, the same whichever other tracklets are drawn for, and in any process."""
    digest = hashlib.sha256(f"{seed}/{tracklet_id}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "little"))


def _needed(rng: np.random.Generator | None) -> np.random.Generator:
    if rng is None:
        raise ValueError("this sampler draws: pass rng")
    return rng
