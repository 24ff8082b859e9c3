"""The paper's damage: some clips of a tracklet lose almost all detail (Sec. 4.4)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from resight.data.clips import tracklet_rng

SCALE_DOWN = 5
JPEG_QUALITY = 50


def corrupt_frame(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Scale down by 5, compress as JPEG of quality 50, scale back. Paper: Sec. 4.4.

    Args:
        frame: (h, w, 3) RGB uint8.

    Returns:
        The same shape.
    """
    height, width = frame.shape[:2]
    small_size = (max(1, round(width / SCALE_DOWN)), max(1, round(height / SCALE_DOWN)))
    small = np.array(Image.fromarray(frame).resize(small_size, Image.Resampling.BILINEAR))
    compressed = simplejpeg.encode_jpeg(small, quality=JPEG_QUALITY, colorspace="RGB", colorsubsampling="420")
    decoded = simplejpeg.decode_jpeg(compressed, colorspace="RGB")
    return np.asarray(Image.fromarray(decoded).resize((width, height), Image.Resampling.BILINEAR))


def choose_corrupted(tracklet_ids: Sequence[str], n_clips: int, max_corrupted: int, seed: int) -> NDArray[np.bool_]:
    """Which clips are corrupted: M_c uniform in 0 … M_c^max, then M_c clips without repeats. Paper: Sec. 4.4.

    Each tracklet draws from its own seed, so that two methods, or two subsets of a data set, see the same damage.

    Args:
        tracklet_ids: T ids.
        n_clips: M.
        max_corrupted: M_c^max, 0 … M.
        seed: another seed, other damage.

    Returns:
        (T, M), True where corrupted.
    """
    chosen = np.zeros((len(tracklet_ids), n_clips), bool)
    for row, tracklet_id in zip(chosen, tracklet_ids, strict=True):
        rng = tracklet_rng(tracklet_id, seed)
        row[rng.permutation(n_clips)[: rng.integers(max_corrupted + 1)]] = True
    return chosen
