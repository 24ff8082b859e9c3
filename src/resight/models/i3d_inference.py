"""A copy of the I3D for inference, with BatchNorm folded into convolutions and weights prepared once per clip length.

For instance-normalised channels, BatchNorm is folded into the instance normalisation instead, because the statistics of
the clip come between convolution and BatchNorm.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from resight.models.i3d import EPS, I3D, Inception, Unit
from resight.models.i3d_layers import Piece, convolve, times_as_channels
from resight.models.instance_norm import clip_statistics, scale_first


def inference_encoder(encoder: I3D, dtype: torch.dtype = torch.float32) -> FoldedI3D:
    """Return a copy for inference: about three times as fast on a CPU, ten times in bfloat16 with AMX.

    Args:
        encoder: The encoder with its current running statistics; later changes do not affect the copy.
        dtype: float32 gives the features of `encoder` to about six digits, bfloat16 to about two. On a CPU without
            bfloat16 instructions float32 is faster.

    Returns:
        Encoder from (B, 3, L, H, W) in [-1, 1] to (B, D) float32, on the device of `encoder`.
    """
    return FoldedI3D(encoder, dtype).eval()


class FoldedI3D(Inception):
    """See `inference_encoder`. Its weights are not parameters: they can be neither saved nor moved."""

    def __init__(self, encoder: I3D, dtype: torch.dtype) -> None:
        super().__init__(encoder.channels, encoder.normalised)
        self._dtype = dtype
        self._folded = {name: _fold(encoder.unit(name), self.normalised.get(name, 0)) for name in self.channels}
        self._norms = {name: _batch_norm(encoder.unit(name)) for name in self.normalised}
        self._strides = {name: encoder.unit(name).stride for name in encoder.channels}
        self._prepared: dict[tuple[tuple[str, ...], int], tuple[list[Piece], Tensor]] = {}

    @torch.no_grad()
    def forward(self, clips: Tensor) -> Tensor:
        """Return clip features; see `Inception.forward`."""
        return super().forward(clips.to(self._dtype))

    def _convolve(self, x: Tensor, *units: str) -> Tensor:
        pieces, bias = self._weights(units, x.shape[3])
        if pieces[0][2].ndim == 2:
            return F.linear(x, pieces[0][2], bias)
        return convolve(x, pieces, bias, self._strides[units[0]])

    def _activate(self, x: Tensor, *units: str) -> Tensor:
        if units[0] in self.normalised:
            n = self.normalised[units[0]]
            scale, shift = (part[:n] for part in self._norms[units[0]])
            mean, inverse_deviation = clip_statistics(x, n, EPS)
            scale = scale * inverse_deviation
            x = scale_first(x, scale, shift - mean * scale).to(x.dtype)
        return x.relu_()

    def _weights(self, units: tuple[str, ...], n_times: int) -> tuple[list[Piece], Tensor]:
        """Kernels and bias for `convolve` with `n_times` time steps, kept for the next call."""
        key = (units, n_times)
        if key not in self._prepared:
            weight, bias = (torch.cat(parts) for parts in zip(*(self._folded[name] for name in units), strict=True))
            if weight.shape[2] == 1:
                pieces = [(0, n_times, weight.flatten(1))]
            else:
                pieces = [
                    (first, end, kernel.contiguous(memory_format=torch.channels_last))
                    for first, end, kernel in times_as_channels(weight, n_times, self._strides[units[0]])
                ]
            self._prepared[key] = [(a, b, kernel.to(self._dtype)) for a, b, kernel in pieces], bias.to(self._dtype)
        return self._prepared[key]


@torch.no_grad()
def _fold(unit: Unit, normalised: int) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution with its BatchNorm folded in, except for the first `normalised` channels."""
    scale, shift = _batch_norm(unit)
    scale[:normalised], shift[:normalised] = 1, 0
    return unit.conv3d.weight * scale.view(-1, 1, 1, 1, 1), shift


@torch.no_grad()
def _batch_norm(unit: Unit) -> tuple[Tensor, Tensor]:
    """Scale and shift of a BatchNorm in evaluation mode, (O,) each."""
    mean, var = unit.statistics()
    scale = unit.bn.weight * torch.rsqrt(var + EPS)
    return scale, unit.bn.bias - mean * scale
