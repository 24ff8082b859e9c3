"""The importance of a clip pair: the small network g.

D features of a clip, H hidden units, ... any leading axes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resight.errors import ShapeError


class Importance(nn.Module):
    """g: how much a clip pair should count, given how it differs from the pairs seen before it.

    Linear, ReLU, BatchNorm, Dropout, twice; Linear to one number; softplus. Paper: Sec. 3.3, the g of Eq. 1.

    **Batch statistics.** One training step calls g once for every pair of clips, 63 times or so, each time on another
    stage of the recurrence. Two measures make the running statistics, and so evaluation, agree with training. First,
    the caller says into how many calls a step is split (`from_hidden`), and one step moves the running statistics as
    far as one call of an ordinary BatchNorm would; else only the last dozen pairs of the order would shape them.
    Second, g(0) never sees batch statistics (`at_zero`): a batch of identical rows has no variance, would come out as
    the bias of the BatchNorm whatever the weights are, and would drag the running variance towards 0.

    Args:
        dim: features per clip, D.
        hidden: units in both hidden layers, H.
        dropout: share of hidden units dropped in training, in [0, 1).
    """

    def __init__(self, dim: int = 1024, hidden: int = 1024, dropout: float = 0.5) -> None:
        super().__init__()
        self.dim, self.hidden = dim, hidden
        self.first = nn.Linear(dim, hidden)
        self.first_norm = nn.BatchNorm1d(hidden)
        self.second = nn.Linear(hidden, hidden)
        self.second_norm = nn.BatchNorm1d(hidden)
        self.last = nn.Linear(hidden, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Importance of differences between representations.

        Args:
            x: (..., D), r_{t-1} - c_t.

        Returns:
            (...), all > 0.

        Raises:
            ShapeError: if the last axis is not D long.
        """
        if x.shape[-1] != self.dim:
            raise ShapeError(f"expected (..., {self.dim}) for this importance network, found {tuple(x.shape)}")
        hidden = F.linear(x.reshape(-1, self.dim), self.first.weight)
        return self.from_hidden(hidden).reshape(x.shape[:-1])

    def from_hidden(self, hidden: Tensor, calls: int = 1) -> Tensor:
        """G after the product of its first layer: the recurrence is linear, so it can run on the far side of it.

        Args:
            hidden: (P, H), the first weight matrix times r_{t-1} - c_t, without bias.
            calls: into how many calls this training step is split, so that together they move the running
                statistics as far as one.

        Returns:
            (P,), all > 0.
        """
        x = F.relu(hidden + self.first.bias)
        x = self.dropout(self._normalised(x, self.first_norm, calls))
        x = F.relu(self.second(x))
        x = self.dropout(self._normalised(x, self.second_norm, calls))
        return F.softplus(self.last(x)).squeeze(-1)

    def at_zero(self) -> Tensor:
        """g(0) as evaluation computes it, also in training; a scalar, differentiable."""
        return self.folded().from_hidden(self.first.bias.new_zeros(1, self.hidden))[0]

    def folded(self) -> FoldedImportance:
        """G as it is in evaluation mode, with each BatchNorm folded into the layer after it; differentiable."""
        scale1, shift1 = _affine(self.first_norm)
        scale2, shift2 = _affine(self.second_norm)
        last = self.last.weight[0]
        return FoldedImportance(
            weight1=self.first.weight,
            bias1=self.first.bias,
            weight2=self.second.weight * scale1,
            bias2=self.second.bias + self.second.weight @ shift1,
            weight3=last * scale2,
            bias3=self.last.bias[0] + last @ shift2,
        )

    def _normalised(self, x: Tensor, norm: nn.BatchNorm1d, calls: int) -> Tensor:
        assert norm.momentum is not None
        return F.batch_norm(
            x,
            norm.running_mean,
            norm.running_var,
            norm.weight,
            norm.bias,
            training=self.training,
            momentum=norm.momentum / calls,
            eps=norm.eps,
        )


@dataclass(frozen=True)
class FoldedImportance:
    """g in evaluation mode as three affine layers: softplus(w3 relu(W2 relu(W1 x + b1) + b2) + b3).

    Attributes:
        weight1: (H, D).
        bias1: (H,).
        weight2: (H, H).
        bias2: (H,).
        weight3: (H,).
        bias3: ().
    """

    weight1: Tensor
    bias1: Tensor
    weight2: Tensor
    bias2: Tensor
    weight3: Tensor
    bias3: Tensor

    def from_hidden(self, hidden: Tensor, calls: int = 1) -> Tensor:
        """As `Importance.from_hidden` in evaluation mode, where `calls` does not matter: (P, H) to (P,)."""
        x = F.relu(torch.addmm(self.bias2, F.relu(hidden + self.bias1), self.weight2.t()))
        return F.softplus(x @ self.weight3 + self.bias3)


def _affine(norm: nn.BatchNorm1d) -> tuple[Tensor, Tensor]:
    assert norm.running_mean is not None and norm.running_var is not None
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    return scale, norm.bias - norm.running_mean * scale
