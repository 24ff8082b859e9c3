"""Plain frame reading, as in most data pipelines: one Pillow image at a time, converted to float early."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

HEIGHT, WIDTH = 256, 128
BILINEAR = Image.Resampling.BILINEAR


def read_picture(path: Path) -> NDArray[np.uint8]:
    """Return an image, (h, w, 3)."""
    return np.asarray(Image.open(path).convert("RGB"))


def training_clip(paths: Sequence[Path], rng: np.random.Generator) -> Tensor:
    """Return a training clip with one random crop and flip for all frames, (3, L, 256, 128) in [-1, 1]."""
    top, left = int(rng.integers(33)), int(rng.integers(17))
    flip = rng.random() < 0.5
    frames = []
    for path in paths:
        picture = Image.open(path).convert("RGB").resize((144, 288), BILINEAR)
        picture = picture.crop((left, top, left + WIDTH, top + HEIGHT))
        if flip:
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        frames.append(to_tensor(picture))
    return torch.stack(frames, 1)


def test_clip(paths: Sequence[Path], *, corrupted: bool = False) -> Tensor:
    """Return a test clip at the encoder's size, (3, L, 256, 128) in [-1, 1]."""
    frames = []
    for path in paths:
        picture = Image.open(path).convert("RGB")
        if corrupted:
            picture = corrupt(picture)
        frames.append(to_tensor(picture.resize((WIDTH, HEIGHT), BILINEAR)))
    return torch.stack(frames, 1)


def corrupt(picture: Image.Image) -> Image.Image:
    """Return an image scaled down by 5, compressed as JPEG of quality 50, and scaled up again."""
    small = picture.resize((round(picture.width / 5), round(picture.height / 5)), BILINEAR)
    content = io.BytesIO()
    small.save(content, "JPEG", quality=50)
    return Image.open(content).convert("RGB").resize(picture.size, BILINEAR)


def to_tensor(picture: Image.Image) -> Tensor:
    """Return an image as a tensor (3, h, w) in [-1, 1]."""
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).float().div(255).sub(0.5).div(0.5)
