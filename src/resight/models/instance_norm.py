"""Instance normalisation of a layer's first channels, which removes a camera's brightness and contrast from them.

Source: Pan, Luo, Shi, Tang, "Two at once: enhancing learning and generalization capacities via IBN-Net" (2018).

Legend: B clips, H x W pixels, T time steps, C channels, N of them normalised; activations are (B, H, W, T, C), see
`i3d_layers`. The speed is limited by memory, not by arithmetic, so all C channels are processed in few joint passes.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_AXES = (1, 2, 3)
"""Height, width and time."""


def normalise_first(x: Tensor, n: int, eps: float) -> Tensor:
    """Normalise the first channels to mean 0 and variance 1 in every clip; differentiable once.

    Args:
        x: (B, H, W, T, C).
        n: N, 1 … C.
        eps: Added to the variances.

    Returns:
        (B, H, W, T, C) in the dtype of `x`; statistics are computed in single precision or better.
    """
    y: Tensor = _InstanceNorm.apply(x, n, eps)  # type: ignore[no-untyped-call]
    return y


def clip_statistics(x: Tensor, n: int, eps: float) -> tuple[Tensor, Tensor]:
    """Return the mean and the inverse standard deviation of the first channels in every clip.

    Args:
        x: (B, H, W, T, C).
        n: N.
        eps: Added to the variances.

    Returns:
        (B, 1, 1, 1, N) each, in single precision or better.
    """
    first = x[..., :n].to(torch.promote_types(x.dtype, torch.float32))
    mean = first.mean(_AXES, keepdim=True)
    variance = (first - mean).square_().mean(_AXES, keepdim=True)  # one pass would cancel for uniform clips
    return mean, torch.rsqrt(variance + eps)


def scale_first(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Multiply the first channels by `scale` and add `shift`; other channels are unchanged.

    Args:
        x: (B, H, W, T, C).
        scale: (B, 1, 1, 1, N).
        shift: (B, 1, 1, 1, N).

    Returns:
        (B, H, W, T, C) in single precision or better.
    """
    others = (0, x.shape[-1] - scale.shape[-1])  # one pass over all channels is cheaper than splitting them
    return torch.addcmul(F.pad(shift, others), x, F.pad(scale, others, value=1))


class _InstanceNorm(torch.autograd.Function):
    """Instance normalisation with its own backward pass, three times as fast as autograd's."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, n: int, eps: float) -> Tensor:
        mean, scale = clip_statistics(x, n, eps)
        y = scale_first(x, scale, -mean * scale).to(x.dtype)
        ctx.save_for_backward(y, scale)
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        """Return scale · (g - mean(g) - y · mean(g · y)) for the first channels, and g for the others."""
        y, scale = ctx.saved_tensors
        n, others = scale.shape[-1], y.shape[-1] - scale.shape[-1]
        first = gradient[..., :n]
        mean = first.mean(_AXES, keepdim=True, dtype=scale.dtype)
        along = (first * y[..., :n]).mean(_AXES, keepdim=True, dtype=scale.dtype)
        result = scale_first(gradient, scale, -mean * scale).addcmul_(y, F.pad(-along * scale, (0, others)))
        return result.to(gradient.dtype), None, None
