"""Convolution and pooling of the I3D, with time steps stored next to the channels and treated as channels.

Legend: B clips, H x W pixels, T time steps, C input channels, O output channels; activations are (B, H, W, T, C),
contiguous. A clip of four frames has two time steps after the first layer and one after the fifth. With one or two time
steps, every output of a 3x3x3 convolution depends on every input, so it is a plain 3x3 convolution over T * C channels
without taps that only meet padding. In this layout the T * C channels of a pixel are contiguous, so nothing is copied.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

Triple = tuple[int, int, int]
Piece = tuple[int, int, Tensor]
"""A convolution over height and width: first time step, last time step + 1, kernel (T out * O, T in * C, h, w)."""


def same_padding(n: int, size: int, stride: int) -> tuple[int, int]:
    """Return the padding before and after `n` inputs that gives ceil(n / stride) outputs, as in TensorFlow."""
    total = max((-(-n // stride) - 1) * stride + size - n, 0)
    return total // 2, total - total // 2


def times_as_channels(weight: Tensor, n_times: int, stride: int) -> list[Piece]:
    """Return convolutions over height and width that equal one over time, height and width.

    Up to two output time steps become one convolution, because each depends on every input. With more, each becomes its
    own convolution of the taps that meet a frame. Differentiable in `weight`.

    Args:
        weight: (O, C, size, size, size), size 3 at stride 1 or size 7 at stride 2.
        n_times: T.
        stride: Stride of all three axes.

    Returns:
        The convolutions, whose concatenated outputs are the output time steps in order.
    """
    size = weight.shape[2]
    before, _ = same_padding(n_times, size, stride)
    n_out = -(-n_times // stride)
    pieces = []
    for together in [range(n_out)] if n_out <= 2 else [range(t, t + 1) for t in range(n_out)]:
        first = max(0, together[0] * stride - before)
        end = min(n_times, together[-1] * stride - before + size)
        starts = [before - t * stride for t in together]  # the tap that meets time step 0
        taps = torch.stack([weight[:, :, first + s : end + s] for s in starts])  # (out, O, C, in, h, w)
        pieces.append((first, end, taps.transpose(2, 3).flatten(2, 3).flatten(0, 1)))
    return pieces


def convolve(x: Tensor, pieces: list[Piece], bias: Tensor | None, stride: int) -> Tensor:
    """Convolve with "same" padding.

    Args:
        x: (B, H, W, T, C).
        pieces: Result of `times_as_channels` for T time steps and this stride.
        bias: (O,) or None.
        stride: Stride along time, height and width.

    Returns:
        (B, H', W', T', O).
    """
    n_out = -(-x.shape[3] // stride) // len(pieces)
    size = pieces[0][2].shape[2]
    high, wide = (same_padding(n, size, stride) for n in x.shape[1:3])
    padding = (high[0], wide[0])
    if padding != (high[1], wide[1]):  # conv2d pads both ends equally
        x, padding = F.pad(x, (0, 0, 0, 0, *wide, *high)), (0, 0)
    outputs = []
    for first, end, kernel in pieces:
        images = x[:, :, :, first:end].flatten(3).permute(0, 3, 1, 2)
        y = F.conv2d(images, kernel, None if bias is None else bias.repeat(n_out), stride, padding)
        y = y.permute(0, 2, 3, 1)
        outputs.append(y.reshape(*y.shape[:3], n_out, -1))
    return outputs[0] if len(outputs) == 1 else torch.cat(outputs, 3)


def max_pool(x: Tensor, size: Triple, stride: Triple) -> Tensor:
    """Max-pool with "same" padding. `x` must not be negative: then padding with -inf equals the port's zeros.

    Args:
        x: (B, H, W, T, C).
        size: Window along height, width and time.
        stride: Stride along height, width and time.

    Returns:
        (B, H', W', T', C). For T = 2 every window along time covers both time steps, so T' is 1; at stride 1 this one
        stands for two equal ones.
    """
    if x.shape[3] == 2 and size[2] > 1:
        size, stride = (*size[:2], 2), (*stride[:2], 2)
    before = [same_padding(n, k, s)[0] for n, k, s in zip(x.shape[1:4], size, stride, strict=True)]
    # ceil_mode adds the padding at the end.
    return F.max_pool3d(x.permute(0, 4, 1, 2, 3), size, stride, before, ceil_mode=True).permute(0, 2, 3, 4, 1)
