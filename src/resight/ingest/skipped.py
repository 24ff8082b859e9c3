"""Count the input that an ingestion skips: the reason, how often, and where it first happened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Skipped:
    """One reason for skipping input, and how often it applied.

    Attributes:
        reason: Short description, such as ``box without area``.
        count: Number of rows, boxes, frames or tracklets that were skipped.
        first: Where it happened first, such as ``line 17``.
    """

    reason: str
    count: int
    first: str

    def to_json(self) -> dict[str, Any]:
        """Return the entry as JSON values."""
        return {"reason": self.reason, "count": self.count, "first": self.first}

    def __str__(self) -> str:
        return f"{self.reason}: {self.count} (first: {self.first})"


class SkipLog:
    """Skipped input, counted by reason, in the order in which the reasons first occur."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._first: dict[str, str] = {}

    def add(self, reason: str, where: str, count: int = 1) -> None:
        """Record that `count` items were skipped, the first of them at `where`; do nothing if `count` is 0."""
        if count:
            self._counts[reason] = self._counts.get(reason, 0) + count
            self._first.setdefault(reason, where)

    def entries(self) -> tuple[Skipped, ...]:
        """Return one entry per reason recorded so far."""
        return tuple(Skipped(reason, count, self._first[reason]) for reason, count in self._counts.items())
