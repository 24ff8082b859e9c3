"""The Triton kernel of the GPU engine: one step of the recurrence; see `resight.scoring.gpu_steps`.

Legend: P tracklet pairs, H hidden units. Nothing is compiled before the first call of `advance`. With the environment
variable TRITON_INTERPRET=1 set before Triton is first imported, `advance` also runs without a GPU.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from torch import Tensor

try:
    import triton
    import triton.language as tl
except ImportError:  # `advance` raises an error, and its caller falls back to PyTorch
    triton = tl = None

ROWS = 2
"""Tracklet pairs per program; two share one read of the bias and weight vectors."""

_SERIES = 0.03
"""Below this, log(1 + e) is computed by its series, because the GPU's logarithm is inaccurate close to 1."""


def advance(
    y: Tensor,
    bias2: Tensor,
    weight3: Tensor,
    bias3: Tensor,
    cosine: Tensor,
    old: Tensor,
    new: Tensor,
    hidden: Tensor,
    before: Tensor,
    now: Tensor,
    bias1: Tensor,
    z: Tensor,
    last: bool,
) -> None:
    """Do the same as `resight.scoring.gpu_steps.advance_in_torch`, in one pass over memory.

    Raises:
        ModuleNotFoundError: If Triton is not installed.
    """
    n_pairs, n_hidden = y.shape
    block = 1 << (n_hidden - 1).bit_length()
    _compiled()[(-(-n_pairs // ROWS),)](
        y, bias2, weight3, bias3, cosine, old, new, hidden, before, now, bias1, z, n_pairs,
        H=n_hidden, BLOCK=block, ROWS=ROWS, LAST=last, SERIES=_SERIES,
        num_warps=min(8, max(1, block // 256)), enable_fp_fusion=True,
    )  # fmt: skip


@cache
def _compiled() -> Any:
    if triton is None:
        raise ModuleNotFoundError("Triton is not installed: pip install triton")
    return triton.jit(_advance)


def _advance(  # type: ignore[no-untyped-def]  # Triton reads the annotations of arguments that are not pointers
    y, bias2, weight3, bias3, cosine, old, new, hidden, before, now, bias1, z, n_pairs,
    H: tl.constexpr, BLOCK: tl.constexpr, ROWS: tl.constexpr, LAST: tl.constexpr, SERIES: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    unit = tl.arange(0, BLOCK)
    real, there = row < n_pairs, unit < H
    at = row[:, None] * H + unit[None, :]
    mask = real[:, None] & there[None, :]
    if not LAST:  # loaded early, so that loading overlaps with the sum over y
        h = tl.load(hidden + at, mask=mask, other=0.0)
        p_before = tl.load(before + at, mask=mask, other=0.0).to(tl.float32)
        p_now = tl.load(now + at, mask=mask, other=0.0).to(tl.float32)

    x = tl.load(y + at, mask=mask, other=0.0).to(tl.float32)
    x = tl.maximum(x + tl.load(bias2 + unit, mask=there, other=0.0)[None, :], 0.0)
    x = tl.sum(x * tl.load(weight3 + unit, mask=there, other=0.0)[None, :], axis=1) + tl.load(bias3)
    e = tl.exp(-tl.abs(x))
    log1p = tl.where(e < SERIES, e * (1 - e * (0.5 - e * (1 / 3 - e * 0.25))), tl.log(1 + e))
    alpha = tl.maximum(x, 0.0) + log1p  # softplus

    total = tl.load(old + row, mask=real, other=1.0) + alpha
    share = alpha / total
    score = tl.load(old + n_pairs + row, mask=real, other=0.0)
    score += share * (tl.load(cosine + row, mask=real, other=0.0) - score)
    tl.store(new + row, total, mask=real)
    tl.store(new + n_pairs + row, score, mask=real)
    if not LAST:
        h += share[:, None] * (p_before - h)
        tl.store(hidden + at, h, mask=mask)
        x = h - p_now + tl.load(bias1 + unit, mask=there, other=0.0)[None, :]
        tl.store(z + at, tl.maximum(x, 0.0).to(z.dtype.element_ty), mask=mask)
