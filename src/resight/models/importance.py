"""The importance network, g in the paper: the importance of a clip pair.

Legend: D features of a clip, H hidden units, P tracklet pairs, T clip pairs of each; ... stands for any leading axes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resight.errors import RecipeError, ShapeError
from resight.processes import Processes

FIRST_STEPS = 2
"""Number of training steps that normalise by their own batch, before the running statistics are meaningful."""

Norm = Callable[[Tensor], Tensor]
Statistics = tuple[Tensor, Tensor]
"""Mean and variance of a BatchNorm, (H,) each."""


class Importance(nn.Module):
    """The network g: weight of a clip pair, given its difference from the clip pairs before it.

    Linear, ReLU, BatchNorm, Dropout, twice; Linear to one number; softplus. Paper: Sec. 4.2, the g of Eq. 1.

    **Batch statistics.** One training step calls the network once per clip pair, about 63 times, each time at another
    step of the recurrence. If every call were normalised by its own batch, every step of the recurrence would have its
    own statistics, which evaluation cannot reproduce. Therefore training normalises by the running statistics, as
    evaluation does (batch renormalisation, Ioffe 2017, without clipping), except in the first steps. The statistics are
    updated once per training step, by their mean over its calls (`settle`); otherwise they would mostly depend on the
    last clip pairs. The first steps replace the initial statistics: differences of unit vectors are small, and an
    initial variance of 1 would hide them for a hundred steps. The call g(0) is excluded (`at_zero`), because a batch of
    identical rows would pull the running variance towards 0.

    Args:
        dim: Features per clip, D.
        hidden: Units in both hidden layers, H.
        dropout: Share of hidden units dropped in training, in [0, 1), rounded to a multiple of 1/256.

    Raises:
        RecipeError: If `dropout` is out of range.
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
        """Return the importance of differences between representations.

        Args:
            x: (..., D), r_{t-1} - c_t.

        Returns:
            (...), all > 0.

        Raises:
            ShapeError: If the last axis does not have length D.
        """
        if x.shape[-1] != self.dim:
            raise ShapeError(f"expected (..., {self.dim}) for this importance network, found {tuple(x.shape)}")
        importance = self.from_hidden(F.linear(x.reshape(-1, self.dim), self.first.weight))
        self.settle()
        return importance.reshape(x.shape[:-1])

    def from_hidden(self, hidden: Tensor, kept: Tensor | None = None, norms: tuple[Norm, Norm] | None = None) -> Tensor:
        """Return the importance, given the product of the first layer.

        The recurrence of Eq. 2 is linear, so it can be computed after this product instead of before it.

        Args:
            hidden: (P, H), the first weight matrix times r_{t-1} - c_t, without bias.
            kept: (P, 2, H) uint8, dropout masks of both layers, 1 for units that are kept; None samples them. In
                evaluation all units are kept.
            norms: Replacements of the two BatchNorms.

        Returns:
            (P,), all > 0.
        """
        first, second = norms or (self.first_norm, self.second_norm)
        x = torch.relu_(hidden + self.first.bias)
        x = self._dropped(first(x), kept, 0)
        x = torch.relu_(self.second(x))
        x = self._dropped(second(x), kept, 1)
        return F.softplus(self.last(x).to(hidden.dtype)).squeeze(-1)

    def settle(self) -> None:
        """End a training step: update the running statistics by those of all calls since the last update."""
        self.first_norm.settle()
        self.second_norm.settle()

    def learns_from_its_batch(self) -> bool:
        """Return whether the next training step normalises by its own batch."""
        return int(self.first_norm.steps) < FIRST_STEPS

    def statistics(self) -> list[Statistics]:
        """Return the current running statistics of both BatchNorms."""
        return [norm.current() for norm in (self.first_norm, self.second_norm)]

    def fixed_norms(self, statistics: Sequence[Statistics]) -> tuple[FixedNorm, FixedNorm]:
        """Return both BatchNorms with fixed statistics, differentiable in their scales and shifts."""
        first, second = statistics
        return self.first_norm.fixed(first), self.second_norm.fixed(second)

    def settle_at(self, first: Moments, second: Moments) -> None:
        """As `settle`, with the given moments of the inputs of both BatchNorms."""
        for norm, moments in ((self.first_norm, first), (self.second_norm, second)):
            if moments.rows:
                norm.step_mean, norm.step_var = moments.over_calls()
                norm.calls = 1
        self.settle()

    def draw_kept(self, seed: int, pairs: Sequence[int], calls: int) -> Tensor | None:
        """Return dropout masks of tracklet pairs, which depend only on the seed and the number of each pair.

        Any selection and grouping of the pairs of a step thus has the same dropout.

        Args:
            seed: Seed of the step.
            pairs: Numbers of P tracklet pairs.
            calls: Calls of the network per tracklet pair, T.

        Returns:
            (P, T, 2, H) uint8, 1 for units that are kept, else 0; None if nothing is dropped.
        """
        if not self._cut:
            return None
        generator = torch.Generator(self.first.weight.device)
        numbers = calls * 2 * self.hidden
        words = torch.empty(len(pairs), -(-numbers // 8), dtype=torch.int64, device=self.first.weight.device)
        for row, pair in zip(words, pairs, strict=True):
            row.random_(-(2**63), None, generator=generator.manual_seed(seed + pair))
        kept = words.view(torch.uint8)[:, :numbers] >= self._cut
        return kept.view(torch.uint8).view(len(pairs), calls, 2, self.hidden)

    def at_zero(self, norms: tuple[FixedNorm, FixedNorm] | None = None) -> Tensor:
        """Return g(0) as in evaluation mode, a differentiable scalar."""
        return self.folded(norms).from_hidden(self.first.bias.new_zeros(1, self.hidden))[0]

    def folded(self, norms: tuple[FixedNorm, FixedNorm] | None = None) -> FoldedImportance:
        """Return the network of evaluation mode with each BatchNorm folded into the next layer; differentiable.

        Args:
            norms: BatchNorms with other statistics than the current ones.
        """
        first, second = norms or self.fixed_norms(self.statistics())
        scale1, shift1, scale2, shift2 = first.scale, first.shift, second.scale, second.shift
        last = self.last.weight[0]
        return FoldedImportance(
            weight1=self.first.weight,
            bias1=self.first.bias,
            weight2=self.second.weight * scale1,
            bias2=self.second.bias + self.second.weight @ shift1,
            weight3=last * scale2,
            bias3=self.last.bias[0] + last @ shift2,
        )

    @property
    def _cut(self) -> int:
        """Number of the 256 values of a random byte that drop a unit."""
        return min(255, round(256 * self.dropout)) if self.training else 0

    def _dropped(self, x: Tensor, kept: Tensor | None = None, layer: int = 0) -> Tensor:
        if not self._cut:
            return x
        if kept is None:
            # Eight units per random number: on a CPU torch.dropout takes longer than everything else in a step.
            words = torch.empty(-(-x.numel() // 8), dtype=torch.int64, device=x.device).random_(-(2**63), None)
            mask = (words.view(torch.uint8)[: x.numel()] >= self._cut).view(torch.uint8).view(x.shape)
        else:
            mask = kept[:, layer].contiguous()  # converting a strided or boolean mask takes ten times as long
        return x.mul_(mask.to(x.dtype)).mul_(256 / (256 - self._cut))


@dataclass(frozen=True)
class FixedNorm:
    """A BatchNorm with fixed statistics: x * scale + shift.

    Attributes:
        scale: (H,).
        shift: (H,).
        seen: If not None, a list to which every call appends (rows, mean, sum of squared deviations) of its input.
    """

    scale: Tensor
    shift: Tensor
    seen: list[tuple[int, Tensor, Tensor]] | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """Normalise (P, H) to (P, H)."""
        x = x.to(self.scale.dtype)  # may be half precision
        if self.seen is not None:
            mean = x.mean(0)
            self.seen.append((len(x), mean, (x - mean).square_().sum(0)))
        return torch.addcmul(self.shift, x, self.scale)


@dataclass(frozen=True)
class FoldedImportance:
    """The importance network of evaluation mode: softplus(w3 relu(W2 relu(W1 x + b1) + b2) + b3).

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
        """Return the importance as `Importance.from_hidden` in evaluation mode, (P, H) to (P,)."""
        x = F.relu(torch.addmm(self.bias2, F.relu(hidden + self.bias1), self.weight2.t()))
        return F.softplus(x @ self.weight3 + self.bias3)


class Moments:
    """Mean and variance of a BatchNorm's input in every call of a step, combined from several groups of rows.

    Attributes:
        rows: Rows of every call so far.
    """

    def __init__(self) -> None:
        self.rows = 0
        self._mean = self._squares = torch.zeros(())

    def add(self, norm: FixedNorm) -> None:
        """Add the calls of another group of rows, in the order of the calls (Chan, Golub and LeVeque 1979)."""
        if not norm.seen:
            return
        rows = norm.seen[0][0]
        mean, squares = (torch.stack(parts) for parts in list(zip(*norm.seen, strict=True))[1:])
        self._add(rows, mean, squares)

    def _add(self, rows: int, mean: Tensor, squares: Tensor) -> None:
        if not self.rows:
            self.rows, self._mean, self._squares = rows, mean, squares
            return
        total, difference = self.rows + rows, mean - self._mean
        self._squares = self._squares + squares + difference.square() * (self.rows * rows / total)
        self._mean = self._mean + difference * (rows / total)
        self.rows = total

    def combined(self, processes: Processes) -> Moments:
        """Return the moments of the rows of all processes."""
        if processes.count == 1:
            return self
        whole = Moments()
        own = torch.stack([torch.full_like(self._mean, self.rows), self._mean, self._squares])
        for rows, mean, squares in processes.stacked(own):
            whole._add(int(rows[0, 0]), mean, squares)
        return whole

    def over_calls(self) -> Statistics:
        """Return mean and variance, averaged over the calls."""
        return self._mean.mean(0), self._squares.mean(0) / (self.rows - 1)


class _StepNorm(nn.BatchNorm1d):
    """BatchNorm that uses its running statistics in training too, and updates them once per training step."""

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
        x = x.to(self.step_mean.dtype)  # may be half precision
        with torch.no_grad():  # weight 1/n in call n gives the mean of all calls
            mean = x.mean(0)  # torch.var_mean takes five times as long
            var = (x - mean).square_().sum(0) / (len(x) - 1)
            self.step_mean.lerp_(mean, 1 / self.calls)
            self.step_var.lerp_(var, 1 / self.calls)
        if self.steps < FIRST_STEPS:
            return F.batch_norm(x, None, None, self.weight, self.bias, True, eps=self.eps)
        return self.fixed(self.current())(x)

    def settle(self) -> None:
        if self.calls == 0:
            return
        assert self.running_mean is not None and self.running_var is not None and self.momentum is not None
        self.steps.add_(1)
        share = (1 / self.steps).clamp(min=self.momentum)
        self.running_mean.lerp_(self.step_mean, share)
        self.running_var.lerp_(self.step_var, share)
        self.calls = 0

    @property
    def steps(self) -> Tensor:
        """Number of training steps so far, a scalar."""
        assert self.num_batches_tracked is not None
        return self.num_batches_tracked

    def current(self) -> Statistics:
        """Return a copy of the running statistics, because `settle` may change them before the backward pass."""
        assert self.running_mean is not None and self.running_var is not None
        return self.running_mean.clone(), self.running_var.clone()

    def fixed(self, statistics: Statistics) -> FixedNorm:
        """Return scale and shift of evaluation mode for the given statistics."""
        mean, var = statistics
        scale = self.weight * torch.rsqrt(var + self.eps)
        return FixedNorm(scale, self.bias - mean * scale)
