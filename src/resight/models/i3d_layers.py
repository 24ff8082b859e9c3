"""What the I3D computes with: clips laid out with time next to the channels, times treated as channels.

B clips, H x W pixels, T times, C channels in, O channels out; all activations are (B, H, W, T, C), contiguous.
A clip of four frames has two times after the first layer and one after the fifth. With one or two times, every output
of a 3x3x3 convolution sees every input, so it is a plain 3x3 convolution over T * C channels, without a tap that only
meets padding; in this layout the T * C channels of a pixel lie together, and nothing has to be moved.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

Triple = tuple[int, int, int]
Piece = tuple[int, int, Tensor]
"""One convolution over height and width: first time, last time + 1, kernel (times out * O, times in * C, h, w)."""


def same_padding(n: int, size: int, stride: int) -> tuple[int, int]:
    """Padding before and after `n` inputs that gives ceil(n / stride) outputs, as in TensorFlow."""
    total = max((-(-n // stride) - 1) * stride + size - n, 0)
    return total // 2, total - total // 2


def times_as_channels(weight: Tensor, n_times: int, stride: int) -> list[Piece]:
    """A convolution over time, height and width as convolutions over height and width only.

    Two output times or fewer make one convolution, since each needs every input; of more, each makes its own, with
    the taps that meet a frame. Differentiable in `weight`.

    Args:
        weight: (O, C, size, size, size), size 3 at stride 1 or size 7 at stride 2.
        n_times: T.
        stride: along all three axes.

    Returns:
        The convolutions whose outputs, side by side, are the output times in order.
    """
    size = weight.shape[2]
    before, _ = same_padding(n_times, size, stride)
    n_out = -(-n_times // stride)
    pieces = []
    for together in [range(n_out)] if n_out <= 2 else [range(t, t + 1) for t in range(n_out)]:
        first = max(0, together[0] * stride - before)
        end = min(n_times, together[-1] * stride - before + size)
        starts = [before - t * stride for t in together]  # the tap that meets time 0
        taps = torch.stack([weight[:, :, first + s : end + s] for s in starts])  # (out, O, C, in, h, w)
        pieces.append((first, end, taps.transpose(2, 3).flatten(2, 3).flatten(0, 1)))
    return pieces


def convolve(x: Tensor, pieces: list[Piece], bias: Tensor | None, stride: int) -> Tensor:
    """Convolution with "same" padding.

    Args:
        x: (B, H, W, T, C).
        pieces: from `times_as_channels` for T times and this stride.
        bias: (O,) or None.
        stride: along time, height and width.

    Returns:
        (B, H', W', T', O).
    """
    n_out = -(-x.shape[3] // stride) // len(pieces)
    size = pieces[0][2].shape[2]
    high, wide = (same_padding(n, size, stride) for n in x.shape[1:3])
    padding = (high[0], wide[0])
    if padding != (high[1], wide[1]):  # conv2d pads both ends alike
        x, padding = F.pad(x, (0, 0, 0, 0, *wide, *high)), (0, 0)
    outputs = []
    for first, end, kernel in pieces:
        images = x[:, :, :, first:end].flatten(3).permute(0, 3, 1, 2)
        y = F.conv2d(images, kernel, None if bias is None else bias.repeat(n_out), stride, padding)
        y = y.permute(0, 2, 3, 1)
        outputs.append(y.reshape(*y.shape[:3], n_out, -1))
    return outputs[0] if len(outputs) == 1 else torch.cat(outputs, 3)


def max_pool(x: Tensor, size: Triple, stride: Triple) -> Tensor:
    """Max pooling with "same" padding; x is not negative, so that padding with -inf equals the port's zeros.

    Args:
        x: (B, H, W, T, C).
        size: along height, width and time.
        stride: the same.

    Returns:
        (B, H', W', T', C). At T = 2 every window along time sees both times: T' is 1, and at stride 1 stands for two.
    """
    if x.shape[3] == 2 and size[2] > 1:
        size, stride = (*size[:2], 2), (*stride[:2], 2)
    before = [same_padding(n, k, s)[0] for n, k, s in zip(x.shape[1:4], size, stride, strict=True)]
    # ceil_mode pads the end
    return F.max_pool3d(x.permute(0, 4, 1, 2, 3), size, stride, before, ceil_mode=True).permute(0, 2, 3, 4, 1)
