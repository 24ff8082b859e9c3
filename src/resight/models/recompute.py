"""Values computed without gradients; the backward pass recomputes only the rows that receive a gradient.

Legend: R rows of values. A batch-hard loss reads all values but sends a gradient through few of them. Therefore nothing
is stored for the backward pass, which recomputes the few rows with gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from resight.processes import ONE_PROCESS, Processes


def recomputed(
    values: Tensor,
    again: Callable[..., Tensor],
    inputs: Sequence[Tensor],
    parameters: Sequence[nn.Parameter],
    chunk: int,
    processes: Processes = ONE_PROCESS,
) -> Tensor:
    """Return the same values as a differentiable tensor; its backward pass recomputes rows with a nonzero gradient.

    The gradient equals that of the plain computation, with the memory of `chunk` rows. The backward pass uses the
    autocast settings of this call.

    Args:
        values: (R, ...), computed without gradients.
        again: Called with row numbers (C,) int64 and the inputs; returns those rows of `values`. Random numbers and
            other state must be the same as when `values` was computed.
        inputs: Tensors passed to `again` that may receive gradients.
        parameters: Other tensors that receive gradients.
        chunk: C, the largest number of rows to recompute at once.
        processes: Each of these processes has all values and recomputes its part of the rows. The gradient is the mean
            over the processes.
    """
    rows: Tensor = _Recomputed.apply(values, again, chunk, processes, len(inputs), *inputs, *parameters)  # type: ignore[no-untyped-call]
    return rows


class _Recomputed(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        values: Tensor,
        again: Callable[..., Tensor],
        chunk: int,
        processes: Processes,
        n_inputs: int,
        *tensors: Tensor,
    ) -> Tensor:
        ctx.again, ctx.chunk, ctx.processes = again, chunk, processes
        ctx.parameters = tensors[n_inputs:]
        ctx.save_for_backward(*tensors[:n_inputs])
        device = values.device.type
        ctx.autocast = {
            "device_type": device,
            "enabled": torch.is_autocast_enabled(device),
            "dtype": torch.get_autocast_dtype(device),
        }
        return values.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        wanted = ctx.needs_input_grad[5:]
        sums: list[Tensor | None] = [None] * len(wanted)
        rows = gradient.flatten(1).ne(0).any(1) if gradient.ndim > 1 else gradient.ne(0)
        numbers = rows.nonzero()[:, 0]
        numbers = numbers[ctx.processes.share(len(numbers))]
        gradient = gradient * ctx.processes.count if ctx.processes.count > 1 else gradient
        # If no row has a gradient, one empty part gives zeros: without gradients an optimiser would skip its step.
        for part in torch.split(numbers, ctx.chunk):
            inputs = [x.detach().requires_grad_(x.requires_grad) for x in ctx.saved_tensors]
            sources = [x for x, want in zip((*inputs, *ctx.parameters), wanted, strict=True) if want]
            with torch.enable_grad(), torch.autocast(**ctx.autocast):
                # The cache may hold weights that were rounded without gradients.
                torch.clear_autocast_cache()
                values = ctx.again(part, *inputs)
            parts = iter(torch.autograd.grad(values, sources, gradient[part], allow_unused=True))
            for i, want in enumerate(wanted):
                if want and (summand := next(parts)) is not None:
                    before = sums[i]
                    sums[i] = summand if before is None else before.add_(summand)
        return None, None, None, None, None, *sums
