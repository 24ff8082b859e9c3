"""Validation without labels: do the two parts of a tracklet agree, and different persons not?

Legend: T tracklets, R resamples of the tracklets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resight.adaptation.unlabelled import Parts
from resight.evaluation.confidence import Interval
from resight.tables import Row, Table

REASSOCIATION, AUROC, BIAS = "re-association", "AUROC", "camera bias"
"""Measures, in percent, of the similarities of the first parts of tracklets to the last parts of all.

* Re-association: share of tracklets whose own last part is more similar to the first part than the last parts of all
  tracklets that show different persons.
* AUROC: probability that the two parts of a tracklet are more similar than parts of two different persons in a camera.
* Camera bias: probability that two different tracklets of one camera are more similar than two of different cameras.
  Without an influence of the camera it is about 50; the distance from 50 is reported.
"""

RESAMPLES = 500
"""R. The ends of a 95 % interval then vary by about 4 % of its width from seed to seed."""

_Array = NDArray[np.float64]


@dataclass(frozen=True)
class Change:
    """A measure before and after adaptation.

    Attributes:
        before: Value before, in percent.
        after: Value after.
        difference: After minus before, with a 95 % bootstrap interval over the tracklets.
    """

    before: float
    after: float
    difference: Interval

    @property
    def fell(self) -> bool:
        """Whether the measure is lower by more than chance explains."""
        return self.difference.high < 0

    @property
    def rose(self) -> bool:
        """Whether the measure is higher by more than chance explains."""
        return self.difference.low > 0


def compare_agreement(before: _Array, after: _Array, parts: Parts, seed: int = 0) -> dict[str, Change]:
    """Return each measure before and after adaptation.

    Args:
        before: (T, T) similarities of first parts, in rows, to last parts, before adaptation.
        after: The same after adaptation.
        parts: The tracklets.
        seed: Seed of the bootstrap.

    Returns:
        Changes by measure; the camera bias only if there are several cameras.
    """
    n = len(parts)
    weights = np.random.default_rng([seed, 11]).multinomial(n, np.full(n, 1 / n), RESAMPLES).astype(np.float64)
    weights = np.concatenate([np.ones((1, n)), weights])
    sides = [_measures(np.asarray(side, np.float64), parts, weights) for side in (before, after)]
    changes = {}
    for name in sides[0]:
        old, new = (side[name] for side in sides)
        low, high = np.percentile((new - old)[1:], [2.5, 97.5])
        changes[name] = Change(float(old[0]), float(new[0]), Interval(float(new[0] - old[0]), float(low), float(high)))
    return changes


def helped(changes: Mapping[str, Change]) -> bool:
    """Return whether adaptation helped.

    Neither re-association nor AUROC may fall by more than chance explains. Besides, one of them must rise by more than
    chance explains, or the camera bias must be smaller.
    """
    agreement = [changes[REASSOCIATION], changes[AUROC]]
    if any(change.fell for change in agreement):
        return False
    bias = changes.get(BIAS)
    if bias is not None and bias.rose:
        return False
    return any(change.rose for change in agreement) or (bias is not None and bias.difference.value < 0)


def bias_change(changes: Mapping[str, Change]) -> float:
    """Return the change of the camera bias; 0 if there is only one camera."""
    return changes[BIAS].difference.value if BIAS in changes else 0.0


def helped_across_cameras(changes: Mapping[str, Change]) -> bool:
    """Return whether adaptation helped, and the camera bias is smaller by more than chance explains.

    With a single camera, there is no camera bias, and this is `helped`.
    """
    return helped(changes) and (BIAS not in changes or changes[BIAS].fell)


def agreement_table(changes: Mapping[str, Change], title: str, note: str) -> Table:
    """Return the changes as a table."""
    rows = [
        Row(
            name if name != BIAS else f"{name}, distance from 50",
            (
                change.before,
                change.after,
                f"{change.difference.value:+.1f} ({change.difference.low:+.1f} to {change.difference.high:+.1f})",
            ),
        )
        for name, change in changes.items()
    ]
    return Table(title, ("before", "after", "difference (95 % interval)"), tuple(rows), note=note)


def _measures(similarity: _Array, parts: Parts, weights: _Array) -> dict[str, _Array]:
    """Return each measure for each row of `weights` (R, T) of the tracklets: (R,) in percent."""
    own: _Array = np.diagonal(similarity)
    others = np.where(parts.apart, similarity, -np.inf)
    judged = weights * parts.apart.any(1)
    tracklet = np.arange(len(parts))
    row, column = np.nonzero(parts.apart)
    values = {
        REASSOCIATION: 100 * (judged @ (own > others.max(1))) / judged.sum(1).clip(1e-9),
        AUROC: _weighted_auroc((own, tracklet, None), (similarity[row, column], row, column), weights),
    }
    elsewhere = np.nonzero(parts.elsewhere)
    if len(elsewhere[0]):
        same = similarity[row, column], row, column
        different = similarity[elsewhere], elsewhere[0], elsewhere[1]
        values[BIAS] = np.abs(_weighted_auroc(same, different, weights) - 50)
    return values


_Pairs = tuple[_Array, NDArray[np.int64], NDArray[np.int64] | None]
"""Similarities of pairs, with the tracklets that the weight of each pair is the product of."""


def _weighted_auroc(positive: _Pairs, negative: _Pairs, weights: _Array) -> _Array:
    """Return the AUROC of weighted pairs, in percent, for each row of weights; ties count one half."""
    values, group = np.unique(np.concatenate([positive[0], negative[0]]), return_inverse=True)
    count = len(positive[0])
    results = []
    for weight in weights:
        up = np.bincount(group[:count], _pair_weights(positive, weight), len(values))
        down = np.bincount(group[count:], _pair_weights(negative, weight), len(values))
        below = np.cumsum(down) - down / 2
        total = up.sum() * down.sum()
        results.append(100 * float(up @ below) / total if total else 50.0)
    return np.array(results)


def _pair_weights(pairs: _Pairs, weight: _Array) -> _Array:
    _, first, second = pairs
    return weight[first] if second is None else weight[first] * weight[second]


def cameras_text(cameras: Mapping[str, Mapping[str, float]]) -> tuple[str, ...]:
    """Return a line for each camera with its number of tracklets and the share of its own statistics."""
    return tuple(
        f"  {camera}: {values['tracklets']} tracklets, {values['share']:.0%} of its own statistics"
        for camera, values in cameras.items()
    )
