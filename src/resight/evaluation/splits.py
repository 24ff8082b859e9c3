"""Scores over several official splits: each one kept, their mean and standard deviation beside them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from resight.errors import ProtocolError
from resight.evaluation.metrics import Scores
from resight.evaluation.protocols import PROTOCOLS


@dataclass(frozen=True)
class SplitScores:
    """Scores of one method on several splits, judged alike.

    Attributes:
        splits: the scores of each split, two at least.
    """

    splits: tuple[Scores, ...]

    def __post_init__(self) -> None:
        if len(self.splits) < 2:
            raise ProtocolError(f"a mean over splits needs two of them, found {len(self.splits)}")
        conditions = {(one.protocol, one.without_match, one.frames, one.reranking) for one in self.splits}
        if len(conditions) > 1:
            raise ProtocolError(
                f"splits must be judged alike to be averaged, found protocol, unmatched queries, frames and re-ranking "
                f"of {sorted(map(str, conditions))}; evaluate them again in the same way"
            )

    def mean(self) -> dict[str, float]:
        """Mean over the splits of what `Scores.measures` gives."""
        return {name: float(np.mean(values)) for name, values in self._columns().items()}

    def std(self) -> dict[str, float]:
        """Sample standard deviation over the splits (n - 1 below), of what `Scores.measures` gives."""
        return {name: float(np.std(values, ddof=1)) for name, values in self._columns().items()}

    def to_json(self) -> dict[str, Any]:
        """Mean, standard deviation and every split, as plain values."""
        return {"mean": self.mean(), "std": self.std(), "splits": [one.to_json() for one in self.splits]}

    def line(self) -> str:
        """What the scores are worth, in one line."""
        first = self.splits[0]
        queries, valid = (sum(getattr(one, name) for one in self.splits) for name in ("queries", "valid_queries"))
        line = replace(first, queries=queries, valid_queries=valid).line()
        official = PROTOCOLS[first.protocol].splits if first.protocol in PROTOCOLS else len(self.splits)
        missing = f" of {official}" if official > len(self.splits) else ""
        return f"{line}; mean ± standard deviation over {len(self.splits)}{missing} splits"

    def _columns(self) -> dict[str, list[float]]:
        rows = [one.measures() for one in self.splits]
        return {name: [row[name] for row in rows] for name in rows[0]}
