"""Values computed without gradient, whose gradient is computed later, and only where there is one to compute.

R rows of values. A batch-hard loss looks at all values and sends gradient through few: so nothing is kept for the
backward pass, which computes again, with gradient, just the rows that the loss asks for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn


def recomputed(
    values: Tensor,
    again: Callable[..., Tensor],
    inputs: Sequence[Tensor],
    parameters: Sequence[nn.Parameter],
    chunk: int,
) -> Tensor:
    """The same values, differentiable: rows whose gradient is not all zero are computed again in the backward pass.

    The gradient is that of the plain computation; memory is that of `chunk` rows. Autocast is as it was here.

    Args:
        values: (R, ...), without gradient.
        again: called with some row numbers (C,) int64 and then the inputs, gives those rows of `values`; whatever it
            draws or looks up must be what it was when `values` was computed.
        inputs: tensors that `again` takes and that gradient may flow to.
        parameters: what else gradient flows to.
        chunk: C, rows computed again at once, at most.
    """
    found: Tensor = _Recomputed.apply(values, again, chunk, len(inputs), *inputs, *parameters)  # type: ignore[no-untyped-call]
    return found


class _Recomputed(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, values: Tensor, again: Callable[..., Tensor], chunk: int, n_inputs: int, *tensors: Tensor
    ) -> Tensor:
        ctx.again, ctx.chunk = again, chunk
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
        wanted = ctx.needs_input_grad[4:]
        sums: list[Tensor | None] = [None] * len(wanted)
        rows = gradient.flatten(1).ne(0).any(1) if gradient.ndim > 1 else gradient.ne(0)
        # Where no row is wanted, one empty part gives zeros: without a gradient an optimiser would skip its step.
        for part in torch.split(rows.nonzero()[:, 0], ctx.chunk):
            inputs = [x.detach().requires_grad_(x.requires_grad) for x in ctx.saved_tensors]
            sources = [x for x, want in zip((*inputs, *ctx.parameters), wanted, strict=True) if want]
            with torch.enable_grad(), torch.autocast(**ctx.autocast):
                # Weights that were rounded where no gradient was wanted may still be at hand, without one.
                torch.clear_autocast_cache()
                values = ctx.again(part, *inputs)
            parts = iter(torch.autograd.grad(values, sources, gradient[part], allow_unused=True))
            for place, want in enumerate(wanted):
                if want and (one := next(parts)) is not None:
                    before = sums[place]
                    sums[place] = one if before is None else before.add_(one)
        return None, None, None, None, *sums
