"""How the benchmarks measure: plain and fast in turns, medians, and the distance to the machine's limit.

A shared machine gives and takes away cores while a benchmark runs. So both sides take turns, each turn gives one
ratio, and what is reported is the median of the ratios; the matrix rate is measured in the same turns.
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
    """One line of the table.

    Attributes:
        group: heading under which it stands, such as ``encoder``.
        name: what was done, with its size.
        unit: of both rates, such as ``clips/s``.
        plain: rate of the plain way; None where there is none.
        ours: rate of Resight.
        ratio: median over the turns of ours / plain.
        target: the ratio aimed at, if there is one.
        limit: share of `limit_name` that ours reaches, 0 ... 1.
        limit_name: such as ``float32 matrix rate, 186 GFLOP/s``.
        note: agreement of the two, memory, what falls short and why.
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
        """As plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Turns:
    """Seconds of several ways to do the same, turn by turn: ``seconds[name][turn]``."""

    seconds: dict[str, list[float]]

    def median(self, name: str) -> float:
        """Median seconds of one way."""
        return statistics.median(self.seconds[name])

    def ratio(self, slow: str, fast: str) -> float:
        """Median over the turns of seconds(slow) / seconds(fast)."""
        return statistics.median(a / b for a, b in zip(self.seconds[slow], self.seconds[fast], strict=True))


def take_turns(ways: dict[str, Work], repeats: int, *, warm_up: bool = True) -> Turns:
    """Time each way once a turn, `repeats` turns, after one call of each that is not counted.

    Args:
        ways: by name, called without arguments, in this order.
        repeats: number of turns.
        warm_up: whether to make the call that is not counted.
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
"""Rows and columns of the matrices whose product gives the matrix rate."""

MATRIX_FLOP = 2 * MATRIX**3
"""Operations of one `matrix_product`."""


def matrix_product(dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu") -> Work:
    """The work that measures the matrix rate: `MATRIX_FLOP` operations."""
    a = torch.randn(MATRIX, MATRIX, device=device, dtype=dtype)
    out = torch.empty_like(a)
    return lambda: torch.mm(a, a, out=out)
