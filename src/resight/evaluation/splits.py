"""Scores over several splits, with mean and standard deviation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from resight.errors import ProtocolError
from resight.evaluation.compare import MEASURES, OPEN_SET_COLUMNS, TRAPEZOID, Comparison, open_set_cells, save_json
from resight.evaluation.metrics import AP_KIND, Scores
from resight.evaluation.protocols import PROTOCOLS
from resight.tables import Row, Table


@dataclass(frozen=True)
class SplitScores:
    """Scores of one aggregator on several splits, under the same conditions.

    Attributes:
        splits: Scores of each split, at least two.

    Raises:
        ProtocolError: If there are fewer than two splits, or their conditions differ.
    """

    splits: tuple[Scores, ...]

    def __post_init__(self) -> None:
        if len(self.splits) < 2:
            raise ProtocolError(f"a mean over splits needs at least two of them, found {len(self.splits)}")
        conditions = {(part.protocol, part.without_match, part.frames, part.reranking) for part in self.splits}
        if len(conditions) > 1:
            raise ProtocolError(
                "splits can only be averaged under the same protocol, treatment of unmatched queries, frames and "
                f"re-ranking, found {sorted(map(str, conditions))}; evaluate them again under the same conditions"
            )

    def mean(self) -> dict[str, float]:
        """Return the mean over the splits of each of `Scores.measures`."""
        return _means(self._rows())

    def std(self) -> dict[str, float]:
        """Return the sample standard deviation over the splits (divisor n - 1) of each of `Scores.measures`."""
        return _deviations(self._rows())

    def to_json(self) -> dict[str, Any]:
        """Return mean, standard deviation, conditions and the scores of each split as plain values."""
        first = self.splits[0]
        return {
            "protocol": first.protocol,
            "ap_kind": AP_KIND,
            "queries": sum(part.queries for part in self.splits),
            "valid_queries": sum(part.valid_queries for part in self.splits),
            "frames": first.frames,
            "reranking": first.reranking,
            "mean": self.mean(),
            "std": self.std(),
            "splits": [part.to_json() for part in self.splits],
        }

    def line(self) -> str:
        """Return the conditions of the scores in one line."""
        first = self.splits[0]
        queries, valid = (sum(getattr(part, name) for part in self.splits) for name in ("queries", "valid_queries"))
        line = replace(first, queries=queries, valid_queries=valid).line()
        official = PROTOCOLS[first.protocol].splits if first.protocol in PROTOCOLS else len(self.splits)
        missing = f" of {official}" if official > len(self.splits) else ""
        return f"{line}; mean ± standard deviation over {len(self.splits)}{missing} splits"

    def _rows(self) -> list[dict[str, float]]:
        return [part.measures() for part in self.splits]


@dataclass(frozen=True)
class SplitComparison:
    """Comparison of the same aggregators on several splits.

    Attributes:
        parts: Number of the split to its comparison; at least two.
    """

    parts: Mapping[int, Comparison]

    @property
    def headline(self) -> str:
        """Name of the last aggregator, which is the trained one if there is one."""
        return self._first.headline

    @property
    def scores(self) -> dict[str, SplitScores]:
        """Name of the aggregator to its scores."""
        parts = list(self.parts.values())
        return {name: SplitScores(tuple(part.scores[name] for part in parts)) for name in parts[0].scores}

    @property
    def protocol_line(self) -> str:
        """Conditions of the scores in one line."""
        return next(iter(self.scores.values())).line()

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks on the scores, each sentence once."""
        return tuple(dict.fromkeys(note for part in self.parts.values() for note in part.notes))

    def to_json(self) -> dict[str, Any]:
        """Return means, deviations, and everything except the rankings of each split as plain values."""
        return {
            "headline": self.headline,
            "conditions": self.protocol_line,
            "scores": {name: scores.to_json() for name, scores in self.scores.items()},
            "open_set": {name: self._open_set_json(name) for name in self._first.open_sets},
            "splits": {number: part.to_json() for number, part in self.parts.items()},
            "notes": list(self.notes),
        }

    def tables(self) -> list[Table]:
        """Return the tables of scores and of the open set, with mean ± standard deviation over the splits."""
        scores = Table(
            "Scores in percent",
            tuple(MEASURES.values()),
            tuple(
                Row(
                    name, tuple(tuple(100 * part.measures()[measure] for part in scores.splits) for measure in MEASURES)
                )
                for name, scores in self.scores.items()
            ),
            note=f"{self.protocol_line}; {TRAPEZOID}",
            best=tuple(range(len(MEASURES))),
        )
        if not self._first.open_sets:
            return [scores]
        parts = list(self.parts.values())
        open_sets = Table(
            "Identification rate in percent, by false-alarm rate",
            OPEN_SET_COLUMNS,
            tuple(
                Row(name, open_set_cells([part.open_sets[name] for part in parts])) for name in self._first.open_sets
            ),
            note=f"mean ± standard deviation over {len(parts)} splits; AUROC of detection; split "
            f"{next(iter(self.parts))}: {self._first.open_sets[self.headline].line()}",
        )
        return [scores, open_sets]

    def __str__(self) -> str:
        return self.to_text()

    def to_text(self) -> str:
        """Return tables and notes as plain text."""
        scores, *open_sets = self.tables()
        parts = ["\n".join([scores.to_text(), *(f"Note: {note}." for note in self.notes)])]
        return "\n\n".join([*parts, *(table.to_text() for table in open_sets)])

    def save(self, folder: Path) -> None:
        """Write scores.json, and a folder per split with the files of `Comparison.save`."""
        save_json(folder / "scores.json", self.to_json())
        for number, part in self.parts.items():
            part.save(folder / f"split-{number}")

    @property
    def _first(self) -> Comparison:
        return next(iter(self.parts.values()))

    def _open_set_json(self, name: str) -> dict[str, Any]:
        """Return conditions, means and deviations of the open-set searches of an aggregator."""
        searches = [part.open_sets[name] for part in self.parts.values()]
        rows = [search.measures() for search in searches]
        counts = {
            "mated_queries": sum(len(search.match) for search in searches),
            "impostor_queries": sum(len(search.impostors) for search in searches),
        }
        return searches[0].conditions_json() | counts | {"mean": _means(rows), "std": _deviations(rows)}


def _means(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def _deviations(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return sample standard deviations, with divisor n - 1."""
    return {name: float(np.std([row[name] for row in rows], ddof=1)) for name in rows[0]}
