"""How sure a score is, and whether two runs differ: bootstrap intervals and a paired test, over queries.

Shapes: Q queries that count, U units that are drawn (queries, or persons), B samples, S measures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from resight.errors import ProtocolError, ShapeError
from resight.evaluation.metrics import Scores

MEASURES = ("map", "map_trapezoid", "minp", "rank-1")
"""What intervals are given for: means over queries of one number each."""

LEVEL = 0.95
"""Share of the intervals that cover the truth, unless told otherwise."""

SAMPLES = 2000
"""B: the ends of a 95 % interval move by about a fiftieth of its width from seed to seed."""

_BLOCK = 2**20
"""Draws at once, which bounds the memory: about 16 bytes each."""


class Interval(NamedTuple):
    """A number and how far it can be trusted.

    Attributes:
        value: as measured.
        low: lower end.
        high: upper end.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """A measure of one run minus that of another, on the same queries.

    Attributes:
        interval: of the difference of the means.
        p_value: how often a difference as large, in either direction, comes about if it is chance which run a query's
            result belongs to.
        better: queries that the first run does better.
        worse: queries that it does worse; the others come out the same.
    """

    interval: Interval
    p_value: float
    better: int
    worse: int


@dataclass(frozen=True)
class RunComparison:
    """Two runs on the same queries.

    Attributes:
        differences: first run minus second, by measure.
        level: share of the intervals that cover the truth.
        samples: B, drawings behind each interval and each p-value.
        unit: what was drawn: ``queries`` or ``groups of queries``.
        queries: that count.
        units: how many of what was drawn there are.
    """

    differences: Mapping[str, Difference]
    level: float
    samples: int
    unit: str
    queries: int
    units: int

    def in_words(self) -> tuple[str, ...]:
        """Whether a difference can be told, a sentence for the mAP and one for rank-1."""
        sentences = []
        for name, one in (("mAP", self.differences["map"]), ("rank-1", self.differences["rank-1"])):
            value, low, high = (100 * number for number in one.interval)
            told = one.p_value <= 1 - self.level
            which = "A is better" if value > 0 else "B is better"
            sentences.append(
                f"{name}: {which if told else 'no difference can be told'}. A minus B is {value:+.1f} points "
                f"({100 * self.level:g} % interval {low:+.1f} … {high:+.1f}), p = {one.p_value:.4f}, on {self.queries} "
                f"queries; A does better on {one.better} of them, B on {one.worse}."
            )
        return tuple(sentences)

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        rows = {
            name: {**one.interval._asdict(), "p_value": one.p_value, "better": one.better, "worse": one.worse}
            for name, one in self.differences.items()
        }
        return {
            "level": self.level,
            "samples": self.samples,
            "unit": self.unit,
            "queries": self.queries,
            "units": self.units,
            "differences": rows,
        }

    def to_text(self) -> str:
        """A table in plain text, in percentage points."""
        lines = [f"{'':16}{'difference':>10}{'interval':>18}{'p':>9}{'better':>8}{'worse':>7}"]
        for name, one in self.differences.items():
            value, low, high = (100 * number for number in one.interval)
            ends = f"{low:+.1f} … {high:+.1f}"
            lines.append(f"{name:16}{value:+10.1f}{ends:>18}{one.p_value:9.4f}{one.better:8}{one.worse:7}")
        lines.append(
            f"percentage points; {100 * self.level:g} % intervals, {self.samples} samples of {self.units} {self.unit}"
        )
        return "\n".join(lines)


def confidence_intervals(
    scores: Scores, *, groups: ArrayLike | None = None, level: float = LEVEL, samples: int = SAMPLES, seed: int = 0
) -> dict[str, Interval]:
    """Percentile bootstrap intervals (Efron, 1979) of the mean scores.

    The queries are the sample: the intervals tell how much other queries of the same kind would have changed the score,
    and nothing of another training. Queries of one person are alike, and intervals that take them for independent are
    too narrow: give their persons as groups, and whole persons are drawn.

    Args:
        scores: of some queries.
        groups: (Q,) what is drawn together, such as the persons of all queries asked; None draws queries.
        level: share of the intervals that cover the truth, 0 … 1.
        samples: B.
        seed: of the draws.

    Returns:
        An interval for each of `MEASURES`; NaN if no query counts.

    Raises:
        ShapeError: if there is not one group a query.
    """
    values = _per_query(scores)
    return _intervals(values, _units(scores, groups), level, samples, seed)


def compare_runs(
    first: Scores,
    second: Scores,
    *,
    groups: ArrayLike | None = None,
    level: float = LEVEL,
    samples: int = SAMPLES,
    seed: int = 0,
) -> RunComparison:
    """Whether one run is better than another on the same queries, each query being compared with itself.

    The interval is the bootstrap's; the p-value that of a sign-flip permutation test of the mean difference, two-sided,
    (1 + as large ones) / (1 + samples), so that it is never 0.

    Args:
        first: one run.
        second: the other, of the same queries by the same protocol.
        groups: as for `confidence_intervals`; their signs flip together.
        level: of the intervals.
        samples: B.
        seed: of the draws.

    Raises:
        ProtocolError: if the runs do not have the same queries, gallery size and protocol, or no query counts.
        ShapeError: if there is not one group a query.
    """
    for what in ("protocol", "without_match", "gallery", "cut_at", "query_ids"):
        ours, theirs = getattr(first, what), getattr(second, what)
        if ours != theirs:
            apart = f"{len(ours)} and {len(theirs)} of them" if what == "query_ids" else f"{ours} and {theirs}"
            raise ProtocolError(
                f"two runs can be compared query by query only if they were asked the same in the same way; {what} "
                f"differ: {apart}. Evaluate both on the same data by the same protocol"
            )
    if not np.array_equal(first.counted, second.counted) or not first.counted.any():
        raise ProtocolError("two runs can be compared only if the same queries, one at least, have a match in both")
    units = _units(first, groups)
    differences = _per_query(first) - _per_query(second)
    intervals = _intervals(differences, units, level, samples, seed)

    sums = _sums(differences, units)
    measured = np.abs(sums.sum(axis=0))
    rounding = 1e-12 * np.abs(sums).sum(axis=0)  # a sum in another order is the same difference
    rng = np.random.default_rng([seed, 1])
    larger = np.zeros(len(MEASURES), dtype=np.int64)
    for size in _block_sizes(samples, len(sums)):
        signs = rng.integers(0, 2, (size, len(sums)), dtype=np.int8) * 2.0 - 1.0
        larger += np.count_nonzero(np.abs(signs @ sums) >= measured - rounding, axis=0)
    return RunComparison(
        {
            name: Difference(
                intervals[name],
                float((1 + larger[column]) / (1 + samples)),
                int(np.count_nonzero(differences[:, column] > 0)),
                int(np.count_nonzero(differences[:, column] < 0)),
            )
            for column, name in enumerate(MEASURES)
        },
        level,
        samples,
        "queries" if groups is None else "groups of queries",
        len(differences),
        len(sums),
    )


def _per_query(scores: Scores) -> NDArray[np.float64]:
    """(Q, S): what each query that counts adds to the mean."""
    columns = (scores.ap, scores.ap_trapezoid, scores.inp, scores.first == 1)
    values: NDArray[np.float64] = np.nan_to_num(np.stack(columns, axis=1)[scores.counted])
    return values


def _units(scores: Scores, groups: ArrayLike | None) -> NDArray[np.int64]:
    """(Q,) unit of each query that counts, 0 … U - 1."""
    names = np.arange(scores.queries) if groups is None else np.asarray(groups)
    if names.shape != (scores.queries,):
        raise ShapeError(f"groups are {names.shape}, expected one for each of {scores.queries} queries")
    return np.unique(names[scores.counted], return_inverse=True)[1].astype(np.int64)


def _sums(values: NDArray[np.float64], units: NDArray[np.int64]) -> NDArray[np.float64]:
    """(U, S): sums of values (Q, S) over each unit."""
    U = int(units.max(initial=-1)) + 1
    return np.stack([np.bincount(units, column, U) for column in values.T], axis=1)


def _intervals(
    values: NDArray[np.float64], units: NDArray[np.int64], level: float, samples: int, seed: int
) -> dict[str, Interval]:
    if not 0 < level < 1 or samples < 1:
        raise ProtocolError(f"level is {level} and samples {samples}, expected 0 < level < 1 and at least one sample")
    if len(values) == 0:
        return dict.fromkeys(MEASURES, Interval(np.nan, np.nan, np.nan))
    sums, sizes = _sums(values, units), np.bincount(units).astype(np.float64)
    U = len(sizes)
    rng = np.random.default_rng([seed, 0])
    means = []
    for size in _block_sizes(samples, U):
        drawn = rng.integers(0, U, (size, U)) + U * np.arange(size)[:, None]
        times_BU = np.bincount(drawn.ravel(), minlength=size * U).reshape(size, U).astype(np.float64)
        means.append(times_BU @ sums / (times_BU @ sizes)[:, None])
    ends = np.quantile(np.concatenate(means), [(1 - level) / 2, (1 + level) / 2], axis=0)
    measured = values.mean(axis=0)
    return {name: Interval(float(measured[column]), *ends[:, column].tolist()) for column, name in enumerate(MEASURES)}


def _block_sizes(samples: int, U: int) -> Iterator[int]:
    step = max(1, _BLOCK // max(U, 1))
    return (min(step, samples - start) for start in range(0, samples, step))
