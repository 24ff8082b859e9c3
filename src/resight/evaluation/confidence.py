"""Confidence intervals of scores and comparison of two runs, by resampling queries.

Shapes: Q valid queries, U resampled units (queries or persons), B samples, S measures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from resight.errors import ProtocolError, ShapeError
from resight.evaluation.metrics import Scores
from resight.tables import Row, Table

MEASURES = ("map", "map_trapezoid", "minp", "rank-1")
"""Measures with intervals: means over queries of one number per query."""

LEVEL = 0.95
"""Default confidence level."""

SAMPLES = 2000
"""B. With this number, the ends of a 95 % interval vary by about 2 % of its width from seed to seed."""

_BLOCK = 2**20
"""Number of draws at once. It bounds the memory, at about 16 bytes per draw."""


class Interval(NamedTuple):
    """A measured value with its confidence interval.

    Attributes:
        value: Measured value.
        low: Lower end of the interval.
        high: Upper end of the interval.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """Difference of a measure between two runs on the same queries.

    Attributes:
        interval: Difference of the means, first run minus second, with its interval.
        p_value: Probability of a difference at least as large in either direction if the runs are exchangeable.
        better: Number of queries on which the first run is better.
        worse: Number of queries on which it is worse. The others are equal.
    """

    interval: Interval
    p_value: float
    better: int
    worse: int


@dataclass(frozen=True)
class RunComparison:
    """Comparison of two runs on the same queries.

    Attributes:
        differences: Measure to the difference, first run minus second.
        level: Confidence level of the intervals.
        samples: B, number of samples for each interval and p-value.
        unit: Resampled unit: ``queries`` or ``groups of queries``.
        queries: Number of valid queries.
        units: Number of resampled units.
    """

    differences: Mapping[str, Difference]
    level: float
    samples: int
    unit: str
    queries: int
    units: int

    def in_words(self) -> tuple[str, ...]:
        """Return one sentence each on the mAP and on rank-1, with the first run called A and the second B."""
        sentences = []
        for name, difference in (("mAP", self.differences["map"]), ("rank-1", self.differences["rank-1"])):
            value, low, high = (100 * number for number in difference.interval)
            better = "A is better" if value > 0 else "B is better"
            verdict = better if difference.p_value <= 1 - self.level else "no significant difference"
            sentences.append(
                f"{name}: {verdict}. A minus B is {value:+.1f} percentage points ({100 * self.level:g} % interval "
                f"{low:+.1f} … {high:+.1f}, p = {difference.p_value:.4f}), on {self.queries} queries. A is better on "
                f"{difference.better} of them and B on {difference.worse}."
            )
        return tuple(sentences)

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as plain values."""
        rows = {
            name: {**row.interval._asdict(), "p_value": row.p_value, "better": row.better, "worse": row.worse}
            for name, row in self.differences.items()
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
        """Return a table of the differences in percentage points as plain text."""
        rows = []
        for name, difference in self.differences.items():
            value, low, high = (100 * number for number in difference.interval)
            interval = f"{low:+.1f} … {high:+.1f}"
            cells = (f"{value:+.1f}", interval, f"{difference.p_value:.4f}", difference.better, difference.worse)
            rows.append(Row(name, cells))
        level = f"{100 * self.level:g} %"
        note = f"percentage points; {level} intervals, {self.samples} samples of {self.units} {self.unit}"
        return Table("", ("A - B", f"{level} interval", "p", "A better", "B better"), tuple(rows), note=note).to_text()


def confidence_intervals(
    scores: Scores, *, groups: ArrayLike | None = None, level: float = LEVEL, samples: int = SAMPLES, seed: int = 0
) -> dict[str, Interval]:
    """Return percentile bootstrap intervals (Efron, 1979) of the mean scores.

    The intervals describe the variation over queries, and not over training runs. Queries of one person are
    correlated, and intervals that resample single queries are too narrow: pass the persons as groups to resample whole
    persons.

    Args:
        scores: Scores of Q queries.
        groups: (Q,) groups that are resampled together, such as the persons; None resamples queries.
        level: Confidence level, between 0 and 1.
        samples: B, number of samples.
        seed: Seed of the samples.

    Returns:
        An interval for each of `MEASURES`; NaN if there is no valid query.

    Raises:
        ShapeError: If there is not one group per query.
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
    """Compare two runs on the same queries, query by query.

    The intervals are bootstrap intervals. The p-values are those of a two-sided sign-flip permutation test of the mean
    difference, (1 + number of samples at least as large) / (1 + samples), which is never 0.

    Args:
        first: Scores of one run.
        second: Scores of the other run, for the same queries and protocol.
        groups: As for `confidence_intervals`; the signs of a group are flipped together.
        level: Confidence level of the intervals.
        samples: B, number of samples.
        seed: Seed of the samples.

    Raises:
        ProtocolError: If the runs differ in queries, gallery size or protocol, or there is no valid query.
        ShapeError: If there is not one group per query.
    """
    for what in ("protocol", "without_match", "gallery", "cut_at", "query_ids"):
        a, b = getattr(first, what), getattr(second, what)
        if a != b:
            values = f"{len(a)} and {len(b)} of them" if what == "query_ids" else f"{a} and {b}"
            raise ProtocolError(
                f"two runs can only be compared if they have the same queries, gallery and protocol; {what} differ: "
                f"{values}. Evaluate both on the same data by the same protocol"
            )
    if not np.array_equal(first.counted, second.counted) or not first.counted.any():
        raise ProtocolError(
            "two runs can only be compared if the same queries have a match in both, and at least one query has one"
        )
    units = _units(first, groups)
    differences = _per_query(first) - _per_query(second)
    intervals = _intervals(differences, units, level, samples, seed)

    sums = _sums(differences, units)
    measured = np.abs(sums.sum(axis=0))
    rounding = 1e-12 * np.abs(sums).sum(axis=0)  # sums in another order differ by rounding only
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
    """Return the measures of each valid query, (Q, S)."""
    columns = (scores.ap, scores.ap_trapezoid, scores.inp, scores.first == 1)
    values: NDArray[np.float64] = np.nan_to_num(np.stack(columns, axis=1)[scores.counted])
    return values


def _units(scores: Scores, groups: ArrayLike | None) -> NDArray[np.int64]:
    """Return the unit of each valid query, (Q,) in 0 … U - 1."""
    names = np.arange(scores.queries) if groups is None else np.asarray(groups)
    if names.shape != (scores.queries,):
        raise ShapeError(f"groups are {names.shape}, expected one for each of {scores.queries} queries")
    return np.unique(names[scores.counted], return_inverse=True)[1].astype(np.int64)


def _sums(values: NDArray[np.float64], units: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the sums of values, (Q, S), over each unit, (U, S)."""
    U = int(units.max(initial=-1)) + 1
    return np.stack([np.bincount(units, column, U) for column in values.T], axis=1)


def _intervals(
    values: NDArray[np.float64], units: NDArray[np.int64], level: float, samples: int, seed: int
) -> dict[str, Interval]:
    if not 0 < level < 1 or samples < 1:
        raise ProtocolError(
            f"level is {level} and samples is {samples}, expected 0 < level < 1 and at least one sample"
        )
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
