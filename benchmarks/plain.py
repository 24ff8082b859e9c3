"""What a user would write: the I3D with explicit padding everywhere, and Eq. 1 and 2 as a batched loop."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resight.models.aggregators import Learned
from resight.models.i3d import I3D


class PlainI3D(nn.Module):
    """The I3D layer by layer with TensorFlow's padding written out; same parameter names as `I3D`."""

    def __init__(self) -> None:
        super().__init__()
        for name, child in I3D().named_children():
            self.add_module(name, child)

    def forward(self, clips: Tensor) -> Tensor:
        """(B, 3, L, H, W) to (B, 1024)."""
        x = self._unit("Conv3d_1a_7x7", clips, 7, 2)
        x = _pool(x, (1, 3, 3), (1, 2, 2))
        x = self._unit("Conv3d_2c_3x3", self._unit("Conv3d_2b_1x1", x, 1, 1), 3, 1)
        x = _pool(x, (1, 3, 3), (1, 2, 2))
        for name in ("3b", "3c", "4b", "4c", "4d", "4e", "4f", "5b", "5c"):
            if name == "4b":
                x = _pool(x, (3, 3, 3), (2, 2, 2))
            if name == "5b":
                x = _pool(x, (2, 2, 2), (2, 2, 2))
            x = self._mixed(f"Mixed_{name}", x)
        return x.mean((2, 3, 4))

    def _unit(self, name: str, x: Tensor, size: int, stride: int) -> Tensor:
        x = F.pad(x, _padding(x, (size,) * 3, (stride,) * 3))
        x = F.conv3d(x, self.get_parameter(f"{name}.conv3d.weight"), stride=stride)
        return F.relu(self.get_submodule(f"{name}.bn")(x))

    def _mixed(self, name: str, x: Tensor) -> Tensor:
        branches = [
            self._unit(f"{name}.b0", x, 1, 1),
            self._unit(f"{name}.b1b", self._unit(f"{name}.b1a", x, 1, 1), 3, 1),
            self._unit(f"{name}.b2b", self._unit(f"{name}.b2a", x, 1, 1), 3, 1),
            self._unit(f"{name}.b3b", _pool(x, (3, 3, 3), (1, 1, 1)), 1, 1),
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


@torch.inference_mode()
def plain_similarity(query: Tensor, gallery: Tensor, aggregator: Learned) -> Tensor:
    """Eq. 1 to 6 for all pairs of tracklets, one step of the recurrence after the other.

    Args:
        query: (Q, M, D).
        gallery: (G, N, D).
        aggregator: whose g, in evaluation mode.

    Returns:
        (Q, G).
    """
    q, g = F.normalize(query, dim=-1), F.normalize(gallery, dim=-1)
    r = q[:, None, 0] * g[None, :, 0]
    total = aggregator.importance(torch.zeros_like(r))
    for t in range(1, q.shape[1] * g.shape[1]):
        c = q[:, None, t // g.shape[1]] * g[None, :, t % g.shape[1]]
        alpha = aggregator.importance(r - c)
        r = (total[..., None] * r + alpha[..., None] * c) / (total + alpha)[..., None]
        total = total + alpha
    return r.sum(-1)
