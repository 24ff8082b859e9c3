"""Plain I3D: one torch call per layer, with explicit padding."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resight.models.i3d import EPS, I3D

BLOCKS = ("3b", "3c", "4b", "4c", "4d", "4e", "4f", "5b", "5c")


class PlainI3D(nn.Module):
    """Shares the parameters of the I3D that it is made from, under the same names."""

    def __init__(self, encoder: I3D) -> None:
        super().__init__()
        self.normalised = encoder.normalised
        for name, child in encoder.named_children():
            self.add_module(name, child)

    def forward(self, clips: Tensor) -> Tensor:
        """Return clip features, (B, 3, L, H, W) to (B, D)."""
        x = self._unit("Conv3d_1a_7x7", clips, 2)
        x = _pool(x, (1, 3, 3), (1, 2, 2))
        x = self._unit("Conv3d_2c_3x3", self._unit("Conv3d_2b_1x1", x))
        x = _pool(x, (1, 3, 3), (1, 2, 2))
        for name in BLOCKS:
            if name == "4b":
                x = _pool(x, (3, 3, 3), (2, 2, 2))
            if name == "5b":
                x = _pool(x, (2, 2, 2), (2, 2, 2))
            x = self._mixed(f"Mixed_{name}", x)
        return x.mean((2, 3, 4))

    def _unit(self, name: str, x: Tensor, stride: int = 1) -> Tensor:
        weight = self.get_parameter(f"{name}.conv3d.weight")
        norm = self.get_submodule(f"{name}.bn")
        x = F.conv3d(F.pad(x, _padding(x, tuple(weight.shape[2:]), (stride,) * 3)), weight, stride=stride)
        if name in self.normalised:
            first, others = x.tensor_split([self.normalised[name]], 1)
            x = torch.cat([F.instance_norm(first, eps=EPS), others], 1)
        return F.relu(norm(x))

    def _mixed(self, name: str, x: Tensor) -> Tensor:
        branches = [
            self._unit(f"{name}.b0", x),
            self._unit(f"{name}.b1b", self._unit(f"{name}.b1a", x)),
            self._unit(f"{name}.b2b", self._unit(f"{name}.b2a", x)),
            self._unit(f"{name}.b3b", _pool(x, (3, 3, 3), (1, 1, 1))),
        ]
        return torch.cat(branches, 1)


def _padding(x: Tensor, size: tuple[int, ...], stride: tuple[int, ...]) -> list[int]:
    amounts: list[int] = []
    for n, k, s in zip(reversed(x.shape[2:]), reversed(size), reversed(stride), strict=True):
        whole = max(k - s, 0) if n % s == 0 else max(k - n % s, 0)
        amounts += [whole // 2, whole - whole // 2]
    return amounts


def _pool(x: Tensor, size: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
    return F.max_pool3d(F.pad(x, _padding(x, size, stride)), size, stride)
