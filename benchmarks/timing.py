"""Timing of benchmarks: alternating turns, medians, and the share of the machine's limit.

On a shared machine the available processor time changes while a benchmark runs. Therefore the implementations take
turns, each turn gives one ratio, and the median ratio is reported. The matrix rate is measured in the same turns.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

Work = Callable[[], object]


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes:
        group: Heading of the table, such as ``encoder``.
        name: What was measured, and its size.
        unit: Unit of both rates, such as ``clips/s``.
        plain: Rate of the plain implementation, or None if there is none.
        ours: Rate of Resight.
        ratio: Median over the turns of ours / plain.
        target: Target of the ratio, if any.
        limit: Share of the limit that Resight reaches, 0 ... 1.
        limit_name: What the limit is, such as ``float32 matrix rate, 186 GFLOP/s``.
        note: Agreement of the two implementations, memory, and other remarks.
        facts: Further numbers, not shown in the table.
    """

    group: str
    name: str
    unit: str
    plain: float | None
    ours: float
    ratio: float | None
    target: float | None = None
    limit: float | None = None
    limit_name: str = ""
    note: str = ""
    facts: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the row as plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Turns:
    """Seconds of several implementations: ``seconds[name][turn]``."""

    seconds: dict[str, list[float]]

    def median(self, name: str) -> float:
        """Return the median seconds of one implementation."""
        return statistics.median(self.seconds[name])

    def ratio(self, slow: str, fast: str) -> float:
        """Return the median over the turns of seconds(slow) / seconds(fast)."""
        return statistics.median(a / b for a, b in zip(self.seconds[slow], self.seconds[fast], strict=True))


def take_turns(ways: dict[str, Work], repeats: int, *, warm_up: bool = True) -> Turns:
    """Time each implementation once per turn.

    Args:
        ways: Name to function without arguments; called in this order.
        repeats: Number of turns.
        warm_up: Call each function once, untimed, before the first turn.
    """
    if warm_up:
        for work in ways.values():
            work()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, work in ways.items():
            start = time.perf_counter()
            work()
            seconds[name].append(time.perf_counter() - start)
    return Turns(seconds)


MATRIX = 2048
"""Rows and columns of the matrices whose product measures the matrix rate."""

MATRIX_FLOP = 2 * MATRIX**3
"""Floating-point operations of one `matrix_product`."""


def matrix_product(dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu") -> Work:
    """Return the work that measures the matrix rate: `MATRIX_FLOP` operations."""
    a = torch.randn(MATRIX, MATRIX, device=device, dtype=dtype)
    out = torch.empty_like(a)
    return lambda: torch.mm(a, a, out=out)
