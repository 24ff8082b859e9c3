"""Instance normalisation of a layer's first channels: what a camera does to brightness and contrast leaves them.

Source: Pan, Luo, Shi, Tang, "Two at once: enhancing learning and generalization capacities via IBN-Net" (2018).

B clips, H x W pixels, T times, C channels, N of them normalised; activations are (B, H, W, T, C), see `i3d_layers`.
All of it waits for memory, not for arithmetic, so the C channels stay together, and few passes are made over them.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_PLACES = (1, 2, 3)  # height, width, time


def normalise_first(x: Tensor, n: int, eps: float) -> Tensor:
    """The first channels with mean 0 and variance 1 in every clip, the others as they are; differentiable once.

    Args:
        x: (B, H, W, T, C).
        n: N, 1 … C.
        eps: added to the variances.

    Returns:
        (B, H, W, T, C), of the type of `x`; statistics are taken in single precision at least.
    """
    y: Tensor = _InstanceNorm.apply(x, n, eps)  # type: ignore[no-untyped-call]
    return y


def clip_statistics(x: Tensor, n: int, eps: float) -> tuple[Tensor, Tensor]:
    """Mean and 1 / standard deviation of the first channels in every clip.

    Args:
        x: (B, H, W, T, C).
        n: N.
        eps: added to the variances.

    Returns:
        (B, 1, 1, 1, N) each, in single precision at least.
    """
    first = x[..., :n].to(torch.promote_types(x.dtype, torch.float32))
    mean = first.mean(_PLACES, keepdim=True)
    variance = (first - mean).square_().mean(_PLACES, keepdim=True)  # two passes: a flat clip would cancel in one
    return mean, torch.rsqrt(variance + eps)


def scale_first(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """The first channels times `scale` plus `shift`, the others as they are.

    Args:
        x: (B, H, W, T, C).
        scale: (B, 1, 1, 1, N).
        shift: (B, 1, 1, 1, N).

    Returns:
        (B, H, W, T, C), in single precision at least.
    """
    others = (0, x.shape[-1] - scale.shape[-1])  # one pass over all is cheaper than taking them apart
    return torch.addcmul(F.pad(shift, others), x, F.pad(scale, others, value=1))


class _InstanceNorm(torch.autograd.Function):
    """By hand, since what autograd makes of it takes three times as long backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, n: int, eps: float) -> Tensor:
        mean, scale = clip_statistics(x, n, eps)
        y = scale_first(x, scale, -mean * scale).to(x.dtype)
        ctx.save_for_backward(y, scale)
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        """Gives scale · (g - mean(g) - y · mean(g · y)), and g itself for the others."""
        y, scale = ctx.saved_tensors
        n, others = scale.shape[-1], y.shape[-1] - scale.shape[-1]
        first = gradient[..., :n]
        mean = first.mean(_PLACES, keepdim=True, dtype=scale.dtype)
        along = (first * y[..., :n]).mean(_PLACES, keepdim=True, dtype=scale.dtype)
        found = scale_first(gradient, scale, -mean * scale).addcmul_(y, F.pad(-along * scale, (0, others)))
        return found.to(gradient.dtype), None, None
