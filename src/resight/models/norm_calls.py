"""BatchNorm of every layer of a network replaced while it runs, without changing its modules.

Legend: N rows of the batch in this process, C channels, ... any further axes.

All networks call `torch.nn.functional.batch_norm`. Within a context of this module, these calls go to it:

* `SharedBatchNorm` uses the statistics of all processes. DistributedDataParallel leaves BatchNorm to each process. With
  16 of 32 clips it would normalise by other statistics, and two processes would train another network than one.
  torch.nn.SyncBatchNorm works on GPUs only and replaces modules.
* `FixedStatistics` normalises as usual, but does not update the running statistics.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from resight.processes import Processes

_ACTIVE: list[SharedBatchNorm] = []


def active_norms() -> AbstractContextManager[object]:
    """Return the `SharedBatchNorm` that is active now, to enter it again in the backward pass, where it is not."""
    return _ACTIVE[-1] if _ACTIVE else nullcontext()


class NormCall(NamedTuple):
    """The arguments of a call of `torch.nn.functional.batch_norm`, with input (N, C, ...)."""

    input: Tensor
    running_mean: Tensor | None
    running_var: Tensor | None
    weight: Tensor | None = None
    bias: Tensor | None = None
    training: bool = False
    momentum: float = 0.1
    eps: float = 1e-5


class NormMode(TorchFunctionMode):
    """Context in which `batch_norm` is called instead of `torch.nn.functional.batch_norm`."""

    def batch_norm(self, call: NormCall) -> Tensor:
        """Return the normalised input, (N, C, ...)."""
        raise NotImplementedError

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Replace calls of `batch_norm`."""
        if func is F.batch_norm:
            return self.batch_norm(NormCall(*args, **(kwargs or {})))
        return func(*args, **(kwargs or {}))


class FixedStatistics(NormMode):
    """Within this context, BatchNorm in training does not update its running statistics."""

    def batch_norm(self, call: NormCall) -> Tensor:
        """Normalise with copies of the running statistics, which are updated and thrown away."""
        if call.training and call.running_mean is not None and call.running_var is not None:
            call = call._replace(running_mean=call.running_mean.clone(), running_var=call.running_var.clone())
        return F.batch_norm(*call)


class SharedBatchNorm(NormMode):
    """Within this context, BatchNorm in training normalises by the mean and variance of all processes' rows.

    Running statistics are updated with the same mean and variance in every process. Results equal those of one process
    with the whole batch, up to rounding.

    Args:
        processes: The processes, all of which run the same network.
    """

    def __init__(self, processes: Processes) -> None:
        super().__init__()
        self._processes = processes

    def __enter__(self) -> SharedBatchNorm:
        super().__enter__()  # type: ignore[no-untyped-call]
        _ACTIVE.append(self)
        return self

    def __exit__(self, *exception: object) -> None:
        _ACTIVE.pop()
        super().__exit__(*exception)  # type: ignore[no-untyped-call]

    def batch_norm(self, call: NormCall) -> Tensor:
        """Normalise by the statistics of all processes in training, else as usual."""
        if not call.training:
            return F.batch_norm(*call)
        y: Tensor = _SharedNorm.apply(  # type: ignore[no-untyped-call]
            *call[:5], call.momentum, call.eps, self._processes
        )
        return y


class _SharedNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None,
        bias: Tensor | None,
        momentum: float,
        eps: float,
        processes: Processes,
    ) -> Tensor:
        axes = [0, *range(2, x.ndim)]
        wide = torch.promote_types(x.dtype, torch.float32)
        var, mean = torch.var_mean(x.to(wide), axes, correction=0)
        rows = x.numel() // x.shape[1]
        # Means and sums of squared deviations are combined, because a variance as the difference of two sums loses
        # digits (Chan, Golub and LeVeque 1979).
        counts, means, squares = torch.split(
            processes.stacked(torch.cat([mean.new_full((1,), rows), mean, var * rows])), [1, len(mean), len(mean)], 1
        )
        count = counts.sum()
        mean = (counts * means).sum(0) / count
        var = (squares + counts * (means - mean).square()).sum(0) / count
        if running_mean is not None and running_var is not None:
            running_mean.lerp_(mean.to(running_mean.dtype), momentum)
            running_var.lerp_((var * (count / (count - 1))).to(running_var.dtype), momentum)
        ctx.save_for_backward(x, weight, mean, torch.rsqrt(var + eps), count)
        ctx.processes, ctx.has_bias = processes, bias is not None
        return F.batch_norm(x, mean, var, weight, bias, False, 0.0, eps)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, inverse, count = ctx.saved_tensors
        axes = [0, *range(2, x.ndim)]
        shape = [1, -1, *[1] * (x.ndim - 2)]
        normed = (x.to(mean.dtype) - mean.view(shape)) * inverse.view(shape)
        wide = gradient.to(mean.dtype)
        own = torch.stack([wide.sum(axes), (wide * normed).sum(axes)])
        of_bias, of_weight = own.clone()
        mean_1, mean_2 = ctx.processes.total(own) / count
        scale = inverse if weight is None else inverse * weight
        of_x = (wide - mean_1.view(shape) - normed * mean_2.view(shape)) * scale.view(shape)
        return (
            of_x.to(x.dtype),
            None,
            None,
            None if weight is None else of_weight.to(weight.dtype),
            of_bias.to(mean.dtype) if ctx.has_bias else None,
            None,
            None,
            None,
        )
