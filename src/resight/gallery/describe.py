"""What is stored of a tracklet besides its features: a key, a strip of small pictures, and a measure of quality.

Quality is the geometric mean of three values, each 0 ... 1, so that one bad value is enough for a low quality:

* size: height of the frames, as a share of the height of the model's input; 1 if they are larger,
* sharpness: v / (v + `SHARP`), where v is the variance of the Laplacian of the small grey pictures of the strip, a
  common measure of focus,
* consistency: mean cosine of the clip features with their mean, 0 if it is negative. A tracking error, another person
  in some of the clips, lowers it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from resight.data.frames import Pixels, resize_frame
from resight.explanation.strips import JPEG_QUALITY, TILE_SIZE
from resight.features.types import PADDING

SHARP = 100.0
"""Variance of the Laplacian at which sharpness is one half."""

_LARGEST, _LEAST = 2.0**14, 2.0**-4
"""Features whose greatest value is outside of this range are scaled, so that float16 can hold them."""


def content_key(frames: Iterable[bytes], numbers: NDArray[np.int64], count: int, statistics: str = "") -> bytes:
    """Return a hash of everything that decides the features of a tracklet in a gallery, 32 bytes.

    Names, places and times of files are not part of it, so that the same frames are known again.

    Args:
        frames: Contents of the distinct frames of all clips, in ascending order.
        numbers: (M, L) frame numbers of the clips.
        count: Number of frames of the tracklet.
        statistics: Camera whose statistics encode it; empty if it has none of its own.
    """
    digest = hashlib.sha256(repr((count, numbers.tolist(), statistics)).encode())
    for frame in frames:
        digest.update(hashlib.sha256(frame).digest())
    return digest.digest()


def middle_frames(numbers: NDArray[np.integer]) -> list[int]:
    """Return the number of the middle frame of each clip, (M, L)."""
    clips = [[number for number in clip if number != PADDING] for clip in numbers.tolist()]
    return [clip[len(clip) // 2] for clip in clips]


def small_pictures(frames: Sequence[Pixels]) -> list[Pixels]:
    """Return frames (h, w, 3) at the size of the pictures of a strip."""
    return [resize_frame(frame, TILE_SIZE) for frame in frames]


def as_strip(pictures: Sequence[Pixels]) -> tuple[bytes, ...]:
    """Return small pictures as JPEG."""
    return tuple(
        simplejpeg.encode_jpeg(
            np.ascontiguousarray(picture), quality=JPEG_QUALITY, colorspace="RGB", colorsubsampling="420"
        )
        for picture in pictures
    )


def storable(features: NDArray[np.floating]) -> NDArray[np.float16]:
    """Return clip features (M, D) as float16, scaled by a power of two if their range requires it.

    All clips have the same scale, so that cosines, and means of the features, keep their directions.
    """
    greatest = float(np.abs(features).max())
    scale = 1.0
    if np.isfinite(greatest) and greatest > 0 and not _LEAST <= greatest <= _LARGEST:
        scale = 2.0 ** -round(np.log2(greatest))
    return (np.asarray(features, np.float64) * scale).astype(np.float16)


def unit_mean(features: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return the mean of normalised clip features, (M, D), scaled to length 1, (D,): that of `MeanFeature`."""
    values = np.asarray(features, np.float32)
    mean = _normalised(values).mean(axis=0)
    unit: NDArray[np.float32] = _normalised(mean[None])[0].astype(np.float32)
    return unit


def quality_of(
    heights: Sequence[int], pictures: Sequence[Pixels], features: NDArray[np.floating], height: int
) -> float:
    """Return the quality of a tracklet, 0 ... 1, see the module.

    Args:
        heights: Heights of some frames in pixels.
        pictures: Small pictures of the frames.
        features: (M, D) clip features.
        height: Height of the model's input in pixels.
    """
    size = min(1.0, float(np.median(heights)) / height)
    focus = float(np.mean([_laplacian_variance(picture) for picture in pictures]))
    values = _normalised(np.asarray(features, np.float32))
    consistency = float((values @ unit_mean(features)).mean())
    return float(max(size * focus / (focus + SHARP) * consistency, 0.0) ** (1 / 3))


def _laplacian_variance(picture: Pixels) -> float:
    grey = picture.astype(np.float32).mean(axis=2)
    edges = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * grey[1:-1, 1:-1]
    return float(edges.var())


def _normalised(values: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(values, axis=-1, keepdims=True)
    scaled: NDArray[np.float32] = values / np.maximum(lengths, 1e-12)
    return scaled
