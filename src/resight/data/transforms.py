"""From decoded clips to what the encoder takes; one random draw a clip, never a frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from resight.recipe import Stage1


@dataclass(frozen=True)
class Augmentation:
    """One random view of a clip: where it is cropped, whether it is mirrored, how its colours are shifted.

    Attributes:
        crop: (top, left) as shares 0 … 1 of the room that the enlarged frame leaves.
        flip: mirrored left to right.
        gain: (3,) factor of each colour channel.
        contrast: factor of the distance from mid-grey.
    """

    crop: tuple[float, float] = (0.5, 0.5)
    flip: bool = False
    gain: tuple[float, float, float] = (1.0, 1.0, 1.0)
    contrast: float = 1.0


def draw_augmentation(stage: Stage1, rng: np.random.Generator) -> Augmentation:
    """Draw crop, flip and colour for one clip. Paper: Appendix A.1 (crop and flip)."""
    top, left, flip, *colour = rng.random(7)
    gain = [float(np.exp(stage.colour * 0.5 * (c - 0.5))) for c in colour[:3]]
    return Augmentation(
        crop=(float(top), float(left)),
        flip=bool(flip < stage.flip),
        gain=(gain[0], gain[1], gain[2]),
        contrast=float(np.exp(stage.colour * (colour[3] - 0.5))),
    )


def enlarged_size(height: int, width: int, stage: Stage1) -> tuple[int, int]:
    """Size to which frames are resized before the random crop: 256 × 128 gives 288 × 144."""
    return round(height * stage.enlarge), round(width * stage.enlarge)


def augment_clip(clip: NDArray[np.uint8], size: tuple[int, int], augmentation: Augmentation) -> NDArray[np.uint8]:
    """Crop, mirror and tint a clip.

    Args:
        clip: (L, h, w, 3) uint8, h × w at least `size`.
        size: (height, width) of the crop.
        augmentation: what was drawn.

    Returns:
        (L, height, width, 3) uint8.
    """
    height, width = size
    top = round(augmentation.crop[0] * (clip.shape[1] - height))
    left = round(augmentation.crop[1] * (clip.shape[2] - width))
    clip = clip[:, top : top + height, left : left + width]
    if augmentation.flip:
        clip = clip[:, :, ::-1]
    if augmentation.contrast != 1.0 or augmentation.gain != (1.0, 1.0, 1.0):
        # a table of 256 values a channel: the same result as arithmetic on every pixel, and far cheaper
        levels = np.arange(256, dtype=np.float32)[:, None] * np.array(augmentation.gain, np.float32)
        table = np.clip((levels - 128) * augmentation.contrast + 128.5, 0, 255).astype(np.uint8)
        clip = np.stack([table[:, channel][clip[..., channel]] for channel in range(3)], axis=-1)
    return np.ascontiguousarray(clip)


def prepare_clips(pixels: Tensor) -> Tensor:
    """The encoder's input from decoded clips.

    Args:
        pixels: (B, L, H, W, 3) uint8.

    Returns:
        (B, 3, L, H, W) float32 in [-1, 1].
    """
    return pixels.permute(0, 4, 1, 2, 3).to(torch.float32).div_(127.5).sub_(1.0)
