"""Augment decoded clips and convert them to the encoder's input. All frames of a clip are augmented in the same way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from resight.recipe import Stage1

Pixels = NDArray[np.uint8]

GREY = 128
"""Value of erased pixels: the middle of the encoder's input range."""

CACHED = 2**17
"""Number of values that are converted at once on a CPU: 512 KiB of float32, which stay in the cache."""


@dataclass(frozen=True)
class Augmentation:
    """The random changes of one clip.

    Attributes:
        crop: (top, left) position of the crop, from 0 to 1 over the possible positions in the enlarged frame.
        flip: Whether the clip is mirrored left to right.
        gain: Factor of each of the three colour channels.
        contrast: Factor of the distance from mid-grey.
        erased: (top, left, height, width) of a rectangle that is painted grey, relative to the clip's size, or None.
    """

    crop: tuple[float, float] = (0.5, 0.5)
    flip: bool = False
    gain: tuple[float, float, float] = (1.0, 1.0, 1.0)
    contrast: float = 1.0
    erased: tuple[float, float, float, float] | None = None


def draw_augmentation(stage: Stage1, rng: np.random.Generator) -> Augmentation:
    """Draw crop, flip, colour and erasing for one clip. Paper: Appendix A.1 (crop and flip)."""
    top, left, flip, *colour = rng.random(7)
    gain = [float(np.exp(stage.colour * 0.5 * (c - 0.5))) for c in colour[:3]]
    return Augmentation(
        crop=(float(top), float(left)),
        flip=bool(flip < stage.flip),
        gain=(gain[0], gain[1], gain[2]),
        contrast=float(np.exp(stage.colour * (colour[3] - 0.5))),
        erased=_draw_rectangle(rng) if stage.erasing and rng.random() < stage.erasing else None,
    )


def draw_augmentations(stage: Stage1, rng: np.random.Generator, clips: int) -> list[Augmentation]:
    """Draw the random changes of some clips."""
    return [draw_augmentation(stage, rng) for _ in range(clips)]


def _draw_rectangle(rng: np.random.Generator) -> tuple[float, float, float, float]:
    """Draw the rectangle of random erasing (Zhong et al. 2020): 2 to 40 % of the area, aspect ratio 0.3 to 3.3."""
    area, ratio = rng.uniform(0.02, 0.4), rng.uniform(0.3, 1 / 0.3)
    height, width = min(np.sqrt(area * ratio), 1.0), min(np.sqrt(area / ratio), 1.0)
    top, left = rng.random(2) * (1 - height, 1 - width)
    return float(top), float(left), float(height), float(width)


def enlarged_size(height: int, width: int, stage: Stage1) -> tuple[int, int]:
    """Return the size to which frames are resized before the random crop: 256 × 128 gives 288 × 144."""
    return round(height * stage.enlarge), round(width * stage.enlarge)


def resize_frames(frames: Pixels, size: tuple[int, int]) -> Pixels:
    """Resize frames by bilinear interpolation with anti-aliasing.

    Every value is within one grey level of exact interpolation. As in Pillow, values are rounded after each axis, but
    with 16-bit weights: a few percent of the values differ from Pillow's by one grey level, and a few in a million by
    two.

    Args:
        frames: (n, h, w, 3) uint8.
        size: (height, width).

    Returns:
        (n, height, width, 3) uint8; `frames` itself if it has this size already.
    """
    if frames.shape[1:3] == size or not len(frames):
        return frames if len(frames) else np.empty((0, *size, 3), np.uint8)
    # This view is in channels-last format, for which torch has vectorised code.
    planes = torch.from_numpy(np.require(frames, requirements=["C", "W"])).permute(0, 3, 1, 2)
    resized = F.interpolate(planes, size=size, mode="bilinear", antialias=True)
    return np.ascontiguousarray(resized.permute(0, 2, 3, 1).numpy())


def augment_clip(clip: Pixels, size: tuple[int, int], augmentation: Augmentation, out: Pixels | None = None) -> Pixels:
    """Crop, mirror, recolour and erase a clip.

    Args:
        clip: (L, h, w, 3) uint8, at least as large as `size`.
        size: (height, width) of the crop.
        augmentation: The changes to apply.
        out: (L, height, width, 3) array to fill.

    Returns:
        (L, height, width, 3) uint8: `out` if it was given.
    """
    height, width = size
    top = round(augmentation.crop[0] * (clip.shape[1] - height))
    left = round(augmentation.crop[1] * (clip.shape[2] - width))
    clip = clip[:, top : top + height, left : left + width]
    if augmentation.flip:
        # NumPy would take five times as long to mirror groups of three bytes.
        clip = torch.from_numpy(np.require(clip, requirements="W")).flip(2).numpy()
    if augmentation.contrast != 1.0 or augmentation.gain != (1.0, 1.0, 1.0):
        # A table of 256 values per channel gives the same result as arithmetic on every pixel and is much faster.
        levels = np.arange(256, dtype=np.float32) * np.array(augmentation.gain, np.float32)[:, None]
        table = np.clip((levels - 128) * augmentation.contrast + 128.5, 0, 255).astype(np.uint8)
        column = np.ascontiguousarray(clip).reshape(-1, width, 3)
        clip = np.asarray(Image.fromarray(column).point(table.ravel().tolist())).reshape(clip.shape)
    if out is None:
        out = np.empty((len(clip), height, width, 3), np.uint8)
    out[...] = clip
    if augmentation.erased is not None:
        # Only the copy is erased, because other clips may share the frames.
        y, x, tall, wide = (round(s * n) for s, n in zip(augmentation.erased, (height, width) * 2, strict=True))
        out[:, y : y + tall, x : x + wide] = GREY
    return out


def prepare_clips(pixels: Tensor) -> Tensor:
    """Convert decoded clips to the encoder's input.

    Args:
        pixels: (B, L, H, W, 3) uint8, on the encoder's device: transferring bytes takes a quarter of the time.

    Returns:
        (B, 3, L, H, W) float32 in [-1, 1], channels last in memory.
    """
    if pixels.device.type != "cpu":
        prepared = pixels.to(torch.float32).div_(127.5).sub_(1.0)
    else:
        # NumPy requests huge pages. Without them, first access to new memory takes longer than the arithmetic.
        prepared = torch.from_numpy(np.empty(pixels.shape, np.float32))
        parts = (torch.split(whole.reshape(-1), CACHED) for whole in (pixels, prepared))
        for source, target in zip(*parts, strict=True):
            target.copy_(source).div_(127.5).sub_(1.0)
    return prepared.permute(0, 4, 1, 2, 3)
