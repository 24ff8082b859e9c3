"""A baseline for learned encoders: the colour histogram."""

from __future__ import annotations

import torch
from torch import Tensor, nn

LEVELS = 8
STRIPES = 6


class ColourHistogram(nn.Module):
    """Colours of six horizontal stripes, the classic description of a person: nothing is learned.

    Each stripe of the middle half of the frame (the person rather than the ground) gives a histogram of 8 x 8 x 8
    colours over all frames of the clip; square roots make the cosine a Bhattacharyya coefficient.
    """

    dim = STRIPES * LEVELS**3

    def forward(self, clips: Tensor) -> Tensor:
        """(B, 3, L, H, W) in [-1, 1] to (B, 3072), not negative."""
        width = clips.shape[4]
        clips = clips[..., width // 4 : width - width // 4]
        levels = ((clips + 1) * (LEVELS / 2)).long().clamp(0, LEVELS - 1)
        colour = (levels[:, 0] * LEVELS + levels[:, 1]) * LEVELS + levels[:, 2]  # (B, L, H, W)
        stripe = torch.arange(clips.shape[3], device=clips.device) * STRIPES // clips.shape[3]
        bins = (stripe[:, None] * LEVELS**3 + colour).flatten(1)
        counts = torch.zeros(len(clips), self.dim, device=clips.device)
        counts.scatter_add_(1, bins, torch.ones_like(bins, dtype=counts.dtype))
        return (counts / bins.shape[1]).sqrt()
