"""Several clip encoders side by side, whose features are joined.

Networks that were trained differently make different mistakes, so that their mean cosine is more accurate than each
cosine alone. Legend: B clips of L frames of H x W, D features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class JoinedEncoder(nn.Module):
    """Encodes a clip with several encoders and concatenates their features, each scaled to the same length.

    The cosine of two joined features is the mean of the encoders' cosines.

    Args:
        parts: The encoders.
        sizes: (height, width) of the frames of each encoder, to which frames are resized.
        dim: Features per clip of all encoders together.
        architecture: What the encoders are made of, as JSON values, for model files.

    Attributes:
        dim: Features per clip, D: the sum over all encoders.
        architecture: As given.
    """

    def __init__(
        self,
        parts: Sequence[nn.Module],
        sizes: Sequence[tuple[int, int]],
        dim: int,
        architecture: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.sizes = [(int(height), int(width)) for height, width in sizes]
        self.dim = dim
        self.architecture = dict(architecture or {})

    def forward(self, clips: Tensor) -> Tensor:
        """Return clip features of length 1, (B, 3, L, H, W) in [-1, 1] to (B, D)."""
        frames = clips.transpose(1, 2)
        features = []
        for part, size in zip(self.parts, self.sizes, strict=True):
            resized = resize_float(frames.flatten(0, 1), size).view(*frames.shape[:3], *size)
            features.append(part(resized.transpose(1, 2)))
        return join(features)


def join(features: Sequence[Tensor]) -> Tensor:
    """Return features (..., D_i) of several encoders as one, (..., D), of length 1 and with equal shares."""
    scaled = [F.normalize(own.float(), dim=-1) for own in features]
    return torch.cat(scaled, -1) / len(scaled) ** 0.5


def resize_float(frames: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize frames (N, 3, H, W) to (height, width), bilinearly and with anti-aliasing."""
    if tuple(frames.shape[-2:]) == size:
        return frames
    resized: Tensor = F.interpolate(frames, size=size, mode="bilinear", antialias=True)
    return resized
