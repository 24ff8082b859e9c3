"""Choose the frames of clips: the four one-clip samplers of Table 1, and two samplers of M clips."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from resight.errors import DatasetError
from resight.recipe import ClipSpec


def sample_clips(n_frames: int, spec: ClipSpec, rng: np.random.Generator | None = None) -> NDArray[np.int64]:
    """Return the frame numbers of the clips of one tracklet.

    Paper: Sec. 3.1, Table 1 (all but ``cover`` and strides above 1).

    * ``spaced``: M clips with evenly spaced starts; for M = 1, one clip in the middle. Clips may overlap.
    * ``cover``: M·L evenly spaced frames of the whole tracklet, or all frames if there are no more, divided among the
      clips so that the distance within a clip is as close as possible to the stride. No frame is used twice before all
      frames are used once.
    * ``consec``: one clip from a random start. ``random``: L random frames. ``evenly``: the middle frames of L equal
      parts. ``all``: every frame.

    Except for ``cover``, a tracklet that is too short for the stride gets the largest stride that fits, and a tracklet
    with fewer than L frames is repeated. Only ``consec`` and ``random`` use `rng`.

    Args:
        n_frames: n, the number of frames in the tracklet, at least 1.
        spec: Number, length and stride of clips, and the sampler.
        rng: Random numbers for ``consec`` and ``random``.

    Returns:
        (M, L) frame numbers in 0 … n-1; (1, n) for ``all``.

    Raises:
        DatasetError: If the tracklet has no frames.

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
        raise DatasetError(f"expected a tracklet with at least one frame, found {n_frames} frames")
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
    """Return the (M, L) frame numbers of ``cover``.

    The M·L evenly spaced frames are divided into blocks of q·L successive frames. A block makes q clips, each of every
    q-th frame of the block. q is the largest divisor of M for which the distance between frames is within the stride.
    """
    clips, length = spec.count, spec.length
    apart = n_frames / (clips * length)  # distance between successive positions, in frames
    q = max((d for d in range(1, clips + 1) if clips % d == 0 and d * apart <= spec.stride), default=1)
    positions = ((np.arange(clips * length) + 0.5) * apart).astype(np.int64)
    divided: NDArray[np.int64] = positions.reshape(clips // q, length, q).transpose(0, 2, 1).reshape(clips, length)
    return divided


def tracklet_rng(tracklet_id: str, seed: int) -> np.random.Generator:
    """Return a random generator that depends only on the tracklet and the seed."""
    digest = hashlib.sha256(f"{seed}/{tracklet_id}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "little"))


def _needed(rng: np.random.Generator | None) -> np.random.Generator:
    if rng is None:
        raise ValueError("samplers consec and random need rng")
    return rng
