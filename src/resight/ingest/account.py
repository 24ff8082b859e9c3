"""What was left out, why, and where it happened first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class LeftOut:
    """One reason and how often it applied.

    Attributes:
        reason: in words, such as ``box without area``.
        count: how many rows, boxes, frames or tracklets.
        first: the first of them, such as ``line 17``.
    """

    reason: str
    count: int
    first: str

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"reason": self.reason, "count": self.count, "first": self.first}

    def __str__(self) -> str:
        return f"{self.reason}: {self.count} (first: {self.first})"


class Account:
    """Counts what is left out by reason, in the order in which the reasons turn up."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._first: dict[str, str] = {}

    def leave_out(self, reason: str, where: str, count: int = 1) -> None:
        """Note that `count` things are left out, the first of them at `where`; 0 notes nothing."""
        if count:
            self._counts[reason] = self._counts.get(reason, 0) + count
            self._first.setdefault(reason, where)

    def entries(self) -> tuple[LeftOut, ...]:
        """What was left out so far."""
        return tuple(LeftOut(reason, count, self._first[reason]) for reason, count in self._counts.items())
