"""Weights stored with fewer bits, for smaller model files; they are computed with in float32."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from resight.errors import CheckpointError

Bits = Literal[8, 16, 32]

SCALE = ".int8_scale"
"""Suffix of the name of the scales of an 8-bit tensor."""

SMALLEST = 1024
"""Tensors with fewer values keep 16 bits: they are a small part of a file."""


def reduce_weights(tensors: Mapping[str, Tensor], bits: Bits) -> dict[str, Tensor]:
    """Return tensors as they are stored.

    With 16 bits, floating-point tensors become float16. With 8 bits, the weights of convolutions (four or more axes,
    1,024 or more values) become int8, with one float32 scale for each output channel, so that the largest magnitude of
    a channel is 127; the others become float16.

    Args:
        tensors: Tensors by name. Integer tensors are not changed.
        bits: Bits per weight; 32 changes nothing.

    Raises:
        CheckpointError: If a value is too large for float16.
    """
    if bits == 32:
        return dict(tensors)
    reduced: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if not tensor.is_floating_point():
            reduced[name] = tensor
        elif bits == 8 and tensor.ndim > 3 and tensor.numel() >= SMALLEST:
            rows = tensor.detach().float().flatten(1)
            scale = rows.abs().amax(1).clamp(min=1e-12) / 127
            reduced[name] = (rows / scale[:, None]).round().to(torch.int8).view(tensor.shape)
            reduced[name + SCALE] = scale
        else:
            reduced[name] = tensor.half()
            if not reduced[name].isfinite().all():
                raise CheckpointError(
                    f"{name} has a magnitude of {tensor.abs().max():g}, expected at most "
                    f"{torch.finfo(torch.float16).max:g}, the range of float16: save the model in float32"
                )
    return reduced


def restore_weights(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return stored tensors with their int8 weights as float32; the others are not changed."""
    restored = {name: tensor for name, tensor in tensors.items() if not name.endswith(SCALE)}
    for name in tensors.keys() - restored.keys():
        weights = name.removesuffix(SCALE)
        rows = restored[weights].float().flatten(1) * tensors[name][:, None]
        restored[weights] = rows.view(restored[weights].shape)
    return restored
