"""The importance of a clip pair: the small network g.

D features of a clip, H hidden units, ... any leading axes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resight.errors import RecipeError, ShapeError

FIRST_STEPS = 2
"""Training steps that still normalise by their own batch, until the running statistics mean something."""


class Importance(nn.Module):
    """g: how much a clip pair should count, given how it differs from the pairs seen before it.

    Linear, ReLU, BatchNorm, Dropout, twice; Linear to one number; softplus. Paper: Sec. 4.2, the g of Eq. 1.

    **Batch statistics.** One training step calls g once for every pair of clips, 63 times or so, each time on another
    stage of the recurrence. Normalising each call by its own batch teaches g something that evaluation cannot do:
    every step of the recurrence would have statistics of its own. So after the first steps training normalises with the
    running statistics, as evaluation does (batch renormalisation, Ioffe 2017, without clipping). They move once a step,
    by the mean over its calls (`settle`); else the last dozen pairs of the order would shape them. The first steps
    replace what they started from: differences of unit vectors are small, and a variance that starts at 1 would hide
    them for a hundred steps. And g(0) never counts (`at_zero`): a batch of identical rows has no variance, and would
    drag the running variance towards 0.

    Args:
        dim: features per clip, D.
        hidden: units in both hidden layers, H.
        dropout: share of hidden units dropped in training, in [0, 1).

    Raises:
        RecipeError: if `dropout` is out of its range.
    """

    def __init__(self, dim: int = 1024, hidden: int = 1024, dropout: float = 0.5) -> None:
        super().__init__()
        if not 0 <= dropout < 1:
            raise RecipeError(f"expected a dropout in [0, 1), found {dropout}")
        self.dim, self.hidden = dim, hidden
        self.first = nn.Linear(dim, hidden)
        self.first_norm = _StepNorm(hidden)
        self.second = nn.Linear(hidden, hidden)
        self.second_norm = _StepNorm(hidden)
        self.last = nn.Linear(hidden, 1)
        self.dropout = dropout

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
        importance = self.from_hidden(F.linear(x.reshape(-1, self.dim), self.first.weight))
        self.settle()
        return importance.reshape(x.shape[:-1])

    def from_hidden(self, hidden: Tensor) -> Tensor:
        """G after the product of its first layer: the recurrence is linear, so it can run on the far side of it.

        Args:
            hidden: (P, H), the first weight matrix times r_{t-1} - c_t, without bias.

        Returns:
            (P,), all > 0.
        """
        x = F.relu(hidden + self.first.bias)
        x = self._dropped(self.first_norm(x))
        x = F.relu(self.second(x))
        x = self._dropped(self.second_norm(x))
        return F.softplus(self.last(x).to(hidden.dtype)).squeeze(-1)

    def settle(self) -> None:
        """End a training step: move the running statistics by those of all calls since the last time."""
        self.first_norm.settle()
        self.second_norm.settle()

    def at_zero(self) -> Tensor:
        """g(0) as evaluation computes it, also in training; a scalar, differentiable."""
        return self.folded().from_hidden(self.first.bias.new_zeros(1, self.hidden))[0]

    def folded(self) -> FoldedImportance:
        """G as it is in evaluation mode, with each BatchNorm folded into the layer after it; differentiable."""
        scale1, shift1 = self.first_norm.scale_and_shift()
        scale2, shift2 = self.second_norm.scale_and_shift()
        last = self.last.weight[0]
        return FoldedImportance(
            weight1=self.first.weight,
            bias1=self.first.bias,
            weight2=self.second.weight * scale1,
            bias2=self.second.bias + self.second.weight @ shift1,
            weight3=last * scale2,
            bias3=self.last.bias[0] + last @ shift2,
        )

    def _dropped(self, x: Tensor) -> Tensor:
        if not self.training or self.dropout == 0:
            return x
        # On a CPU torch.dropout takes four times as long to draw its mask, as long as all else in a training step.
        return x * torch.rand_like(x).ge_(self.dropout).div_(1 - self.dropout)


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

    def from_hidden(self, hidden: Tensor) -> Tensor:
        """As `Importance.from_hidden` in evaluation mode: (P, H) to (P,)."""
        x = F.relu(torch.addmm(self.bias2, F.relu(hidden + self.bias1), self.weight2.t()))
        return F.softplus(x @ self.weight3 + self.bias3)


class _StepNorm(nn.BatchNorm1d):
    """BatchNorm that normalises with its running statistics in training too, which move once per training step."""

    step_mean: Tensor
    step_var: Tensor

    def __init__(self, features: int) -> None:
        super().__init__(features)
        self.calls = 0
        self.register_buffer("step_mean", torch.zeros(features), persistent=False)
        self.register_buffer("step_var", torch.ones(features), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        self.calls += 1
        x = x.to(self.step_mean.dtype)  # of half precision, where products are
        with torch.no_grad():  # a share of 1/n in call n keeps the mean of the calls so far
            var, mean = torch.var_mean(x, 0)
            self.step_mean.lerp_(mean, 1 / self.calls)
            self.step_var.lerp_(var, 1 / self.calls)
        assert self.num_batches_tracked is not None
        if self.num_batches_tracked < FIRST_STEPS:
            return F.batch_norm(x, None, None, self.weight, self.bias, True, eps=self.eps)
        scale, shift = self.scale_and_shift()
        return x * scale + shift

    def settle(self) -> None:
        if self.calls == 0:
            return
        mean, var = self.statistics()
        assert self.num_batches_tracked is not None and self.momentum is not None
        self.num_batches_tracked += 1
        share = (1 / self.num_batches_tracked).clamp(min=self.momentum)
        mean.lerp_(self.step_mean, share)
        var.lerp_(self.step_var, share)
        self.calls = 0

    def statistics(self) -> tuple[Tensor, Tensor]:
        assert self.running_mean is not None and self.running_var is not None
        return self.running_mean, self.running_var

    def scale_and_shift(self) -> tuple[Tensor, Tensor]:
        """Scale and shift of evaluation mode."""
        mean, var = (x.clone() for x in self.statistics())  # `settle` may change them before the backward pass
        scale = self.weight * torch.rsqrt(var + self.eps)
        return scale, self.bias - mean * scale
