"""Scores over several splits: each one kept, their mean and standard deviation beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from resight.errors import ProtocolError
from resight.evaluation.compare import Comparison, save_json
from resight.evaluation.metrics import AP_KIND, Scores
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
        return _means(self._rows())

    def std(self) -> dict[str, float]:
        """Sample standard deviation over the splits (n - 1 below), of what `Scores.measures` gives."""
        return _spreads(self._rows())

    def to_json(self) -> dict[str, Any]:
        """Mean, standard deviation and every split, as plain values, and what they are worth."""
        first = self.splits[0]
        return {
            "protocol": first.protocol,
            "ap_kind": AP_KIND,
            "queries": sum(one.queries for one in self.splits),
            "valid_queries": sum(one.valid_queries for one in self.splits),
            "frames": first.frames,
            "reranking": first.reranking,
            "mean": self.mean(),
            "std": self.std(),
            "splits": [one.to_json() for one in self.splits],
        }

    def line(self) -> str:
        """What the scores are worth, in one line."""
        first = self.splits[0]
        queries, valid = (sum(getattr(one, name) for one in self.splits) for name in ("queries", "valid_queries"))
        line = replace(first, queries=queries, valid_queries=valid).line()
        official = PROTOCOLS[first.protocol].splits if first.protocol in PROTOCOLS else len(self.splits)
        missing = f" of {official}" if official > len(self.splits) else ""
        return f"{line}; mean ± standard deviation over {len(self.splits)}{missing} splits"

    def _rows(self) -> list[dict[str, float]]:
        return [one.measures() for one in self.splits]


@dataclass(frozen=True)
class SplitComparison:
    """The same aggregators on several splits.

    Attributes:
        parts: number of the split, to what was found on it; two at least.
    """

    parts: Mapping[int, Comparison]

    @property
    def headline(self) -> str:
        """Name of the last aggregator: the trained one, where there is one."""
        return next(iter(self.parts.values())).headline

    @property
    def scores(self) -> dict[str, SplitScores]:
        """By name of the aggregator."""
        parts = list(self.parts.values())
        return {name: SplitScores(tuple(part.scores[name] for part in parts)) for name in parts[0].scores}

    @property
    def protocol_line(self) -> str:
        """What the numbers are worth, in one line."""
        return next(iter(self.scores.values())).line()

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the scores must know, each sentence once."""
        return tuple(dict.fromkeys(note for part in self.parts.values() for note in part.notes))

    def open_sets(self) -> dict[str, tuple[dict[str, float], dict[str, float]]]:
        """By name of the aggregator, mean and standard deviation of `OpenSet.measures`; empty if not asked for."""
        parts = list(self.parts.values())
        rows = {name: [part.open_sets[name].measures() for part in parts] for name in parts[0].open_sets}
        return {name: (_means(row), _spreads(row)) for name, row in rows.items()}

    def to_json(self) -> dict[str, Any]:
        """Means, deviations, and everything of every split but the rankings, as plain values."""
        return {
            "headline": self.headline,
            "conditions": self.protocol_line,
            "scores": {name: one.to_json() for name, one in self.scores.items()},
            "open_set": {
                name: self._open_set_conditions() | {"mean": mean, "std": std}
                for name, (mean, std) in self.open_sets().items()
            },
            "splits": {number: part.to_json() for number, part in self.parts.items()},
            "notes": list(self.notes),
        }

    def to_text(self) -> str:
        """Tables in plain text: percent, mean ± standard deviation, and the protocol below them."""
        names = ("mAP", "rank-1", "rank-5", "mINP", "mAP*")
        lines = [f"{'':24}" + "".join(f"{name:>14}" for name in names)]
        for name, scores in self.scores.items():
            mean, std = scores.mean(), scores.std()
            chosen = ("map", "rank-1", "rank-5", "minp", "map_trapezoid")
            lines.append(f"{name:24}" + "".join(f"{_written(mean[one], std[one]):>14}" for one in chosen))
        lines.append(f"{self.protocol_line}; * AP of the official MARS code")
        lines += [f"note: {note}" for note in self.notes]
        if open_sets := self.open_sets():
            lines.append(f"\n{'open set: identified at':24}{'1 % false alarms':>18}{'10 %':>14}{'without':>14}")
            for name, (mean, std) in open_sets.items():
                at_1, at_10, without, _ = (_written(mean[one], std[one]) for one in mean)
                lines.append(f"{name:24}{at_1:>18}{at_10:>14}{without:>14}")
            lines.append(self.open_set_line)
        return "\n".join(lines)

    def save(self, folder: Path) -> None:
        """Write scores.json, and for each split a folder with what `Comparison.save` writes."""
        save_json(folder / "scores.json", self.to_json())
        for number, part in self.parts.items():
            part.save(folder / f"split-{number}")

    def _open_set_conditions(self) -> dict[str, Any]:
        """What holds for every mean of the open set, as plain values."""
        searches = [part.open_sets[self.headline] for part in self.parts.values()]
        return {
            "protocol": searches[0].protocol,
            "known_queries": sum(len(one.own) for one in searches),
            "strangers": sum(len(one.strangers) for one in searches),
            "frames": searches[0].frames,
            "reranking": searches[0].reranking,
        }

    @property
    def open_set_line(self) -> str:
        """What the means of the open set are worth, in one line."""
        number, first = next(iter(self.parts.items()))
        lines = f"mean ± standard deviation over {len(self.parts)} splits; of split {number}: "
        return lines + first.open_sets[first.headline].line()


def _means(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def _spreads(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Sample standard deviations, n - 1 below."""
    return {name: float(np.std([row[name] for row in rows], ddof=1)) for name in rows[0]}


def _written(mean: float, std: float) -> str:
    return f"{100 * mean:.1f} ± {100 * std:.1f}"
