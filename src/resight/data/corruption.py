"""The paper's corruption, which removes almost all detail from some clips of a tracklet (Sec. 4.4)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from resight.data.clips import tracklet_rng
from resight.data.transforms import Pixels, resize_frames

SCALE_DOWN = 5
JPEG_QUALITY = 50


def corrupt_frames(frames: Pixels) -> Pixels:
    """Downscale frames by 5, compress them as JPEG of quality 50, and scale them back. Paper: Sec. 4.4.

    Args:
        frames: (n, h, w, 3) uint8 RGB.

    Returns:
        Frames of the same shape.
    """
    height, width = frames.shape[1:3]
    small = resize_frames(frames, (max(1, round(height / SCALE_DOWN)), max(1, round(width / SCALE_DOWN))))
    compressed = [simplejpeg.encode_jpeg(f, JPEG_QUALITY, colorspace="RGB", colorsubsampling="420") for f in small]
    decoded = np.array([simplejpeg.decode_jpeg(c, colorspace="RGB") for c in compressed], np.uint8)
    return resize_frames(decoded.reshape(small.shape), (height, width))


def corrupt_frame(frame: Pixels) -> Pixels:
    """Corrupt one frame (h, w, 3) as `corrupt_frames` does."""
    corrupted: Pixels = corrupt_frames(frame[None])[0]
    return corrupted


def choose_corrupted(tracklet_ids: Sequence[str], n_clips: int, max_corrupted: int, seed: int) -> NDArray[np.bool_]:
    """Draw which clips are corrupted: M_c uniform in 0 … M_c^max, then M_c clips without repeats. Paper: Sec. 4.4.

    The draw of a tracklet depends only on its id and the seed, so that all methods and all subsets of a data set get
    the same corruption.

    Args:
        tracklet_ids: T ids.
        n_clips: M, the number of clips per tracklet.
        max_corrupted: M_c^max, 0 … M.
        seed: Seed of the draw.

    Returns:
        (T, M) bool, True for corrupted clips.
    """
    chosen = np.zeros((len(tracklet_ids), n_clips), bool)
    for row, tracklet_id in zip(chosen, tracklet_ids, strict=True):
        rng = tracklet_rng(tracklet_id, seed)
        row[rng.permutation(n_clips)[: rng.integers(max_corrupted + 1)]] = True
    return chosen
