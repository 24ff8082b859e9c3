"""What a similarity means in one gallery: the probability of a match, and the threshold for a false-alarm rate.

Nearly all pairs of tracklets from two cameras show different persons. Their similarities therefore give location and
scale of those of different persons, `Calibration.different` and `Calibration.scale`. In these units the similarities of
synthetic worlds of any style are distributed alike, see docs/gallery.md: the model's similarities move and stretch, and
keep their shape. The shapes below are those of the world on which the model `open` was validated.

* Different persons: normal up to `TAIL_START` scales, above which there are 5 %. The tail ends at the similarity 1, the
  highest possible one: P(similarity > t) = 0.05 · ((1 - t) / (1 - start)) ** shape. The highest of G such similarities
  therefore grows more and more slowly with G, and a threshold for any gallery is below 1. The shape is estimated by
  maximum likelihood (Hill, 1975) from pairs that are known to be different, because they were seen at the same time in
  one camera. Few of them are in the tail. The share above a similarity is therefore the mean over the shapes that are
  possible: with x = ln((1 - start) / (1 - t)), (1 + x shape / weight) ** -weight instead of exp(-x shape), which is its
  limit for many pairs. Otherwise, thresholds would have a higher false-alarm rate than they promise.
* The same person: normal, `SAME` scales higher.

The share of pairs that show one person follows from the similarities themselves, by expectation maximisation: what the
different persons do not explain. Labels correct the log-odds by a line, fitted to the labelled pairs (Platt, 2000).
Such a correction is valid although mainly answers of searches are labelled, because it compares pairs with the same
similarity.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

from resight.errors import GalleryError
from resight.evaluation.threshold import Threshold
from resight.words import counted

TAIL_SHARE = 0.06
"""Share of the pairs of different persons that are in the tail."""

TAIL_START = 1.85
"""Start of the tail, in scales above the location."""

TAIL_SHAPE = 5.5
"""Shape of the tail."""

SAME = 2.8
"""Mean similarity of one person in two cameras, in scales above the location of different persons."""

SAME_SCALE = 1.1
"""Standard deviation of these, in the same unit."""

CERTAIN = 1e6
"""`Calibration.tail_weight` of a shape that is taken as known."""

TYPICAL_SCALE, SHIPPED_SAME, SHIPPED_SAME_SCALE = 0.12, 3.7, 1.2
"""Scale of the similarities of different persons in two cameras, `SAME` and `SAME_SCALE`, if nothing was estimated.
Those of the present weights (0.15, 2.8, 1.1) would give no answer more than 25 %, because the tail that follows from a
threshold is longer than that of most galleries."""

LEAST_PAIRS = 1000
"""Fewest pairs from two cameras from which location and scale are estimated. They come from about 50 tracklets."""

LEAST_LABELS = 20
"""Fewest labelled pairs that correct the probability."""

TAIL_PRIOR = 10
"""Pairs that `TAIL_SHARE` and `TAIL_SHAPE` weigh as much as."""

SAME_PRIOR = 50
"""Pairs that `SAME` and `SAME_SCALE` weigh as much as."""

LABEL_PRIOR = 10.0
"""How firmly the corrected log-odds are held to the uncorrected ones: the inverse variance of offset and slope."""

_ROUNDS = 30
_LOWER = 0.1587
"""Share of a normal distribution below its mean minus its scale. The scale is that of the lower half, where pairs of
one person are rare."""
_KNOWN = ("across", "within", "different", "halves", "labelled")

_Number = TypeVar("_Number", float, NDArray[np.float64])
_Array = NDArray[np.float64]


@dataclass(frozen=True)
class Similarities:
    """Similarities of pairs of a gallery's tracklets, with what is known of them.

    Attributes:
        across: Pairs from two cameras, nearly all of different persons.
        within: Pairs from one camera at different times.
        different: Pairs from one camera at the same time, which are different persons.
        halves: The first and the last clips of a tracklet, which are the same person.
        labelled: Pairs that were labelled, (L, 2): the similarity, and 1 for the same person, 0 for different ones.
        tracklets: Number of tracklets that the pairs are from.
        gallery: Number of tracklets in the gallery.
    """

    across: _Array
    within: _Array
    different: _Array
    halves: _Array
    labelled: _Array
    tracklets: int
    gallery: int


@dataclass(frozen=True)
class Calibration:
    """Distributions of the similarities in a gallery, as plain numbers that are stored with it.

    Attributes:
        different: Location of the similarities of different persons in two cameras.
        scale: Their scale, above 0.
        tail_share: Share of them in the tail.
        tail_shape: Shape of the tail.
        same: Mean similarity of one person in two cameras.
        same_scale: Its standard deviation.
        within: What is added to all similarities if both tracklets are from one camera.
        matches: Mean number of other tracklets of a tracklet's person in the gallery.
        offset: Added to the log-odds, from labels.
        slope: Factor of the log-odds, from labels.
        source: What it was estimated from, for people.
        pairs: Number of pairs by what is known of them, such as ``different``.
        tail_weight: Number of pairs in the tail that `tail_shape` comes from, with `TAIL_PRIOR`.
    """

    different: float
    scale: float
    tail_share: float
    tail_shape: float
    same: float
    same_scale: float
    within: float
    matches: float
    offset: float
    slope: float
    source: str
    pairs: Mapping[str, int]
    tail_weight: float = CERTAIN

    @property
    def tail_start(self) -> float:
        """Similarity above which the tail of different persons begins."""
        return min(self.different + TAIL_START * self.scale, 0.99)

    def exceeding(self, similarity: ArrayLike, *, one_camera: bool = False) -> _Array:
        """Return the share of the pairs of different persons whose similarity is at least this."""
        values = np.asarray(similarity, np.float64) - self.within * one_camera
        body = 1 - (1 - self.tail_share) * ndtr((values - self.different) / self.scale) / self._below
        return np.where(values < self.tail_start, body, self.tail_share * self._above(values))

    def false_alarm_rate(self, threshold: float, gallery: int) -> float:
        """Return the probability that a person who is not in the gallery has an answer at or above the threshold.

        Args:
            threshold: A similarity.
            gallery: Number of tracklets searched, 1 or more; they are assumed to be from other cameras.
        """
        return float(-np.expm1(gallery * np.log1p(-np.minimum(self.exceeding(threshold), 1 - 1e-12))))

    def threshold(self, rate: float, gallery: int) -> float:
        """Return the lowest similarity that is reported as a match.

        Args:
            rate: False-alarm rate, between 0 and 1.
            gallery: Number of tracklets searched, 1 or more.

        Raises:
            GalleryError: If the rate or the number is not in this range.
        """
        if not 0 < rate < 1 or gallery < 1:
            raise GalleryError(
                f"a threshold needs a false-alarm rate between 0 and 1 and at least one tracklet, found {rate} and "
                f"{gallery}"
            )
        each = -math.expm1(math.log1p(-rate) / gallery)  # share of the pairs that may exceed it
        if each <= self.tail_share:
            above = self.tail_weight * math.expm1(-math.log(each / self.tail_share) / self.tail_weight)
            return 1 - (1 - self.tail_start) * math.exp(-above / self.tail_shape)
        return self.different + self.scale * float(ndtri((1 - each) * self._below / (1 - self.tail_share)))

    def probability(self, similarity: ArrayLike, gallery: int, *, one_camera: ArrayLike = False) -> _Array:
        """Return the probability that two tracklets show one person.

        Args:
            similarity: Similarities of any shape.
            gallery: Number of tracklets in the gallery. A match in a larger gallery is less likely, because more
                tracklets are similar by chance.
            one_camera: Whether both tracklets are from one camera, for each similarity.

        Returns:
            Probabilities in the shape of `similarity`, non-decreasing with it.
        """
        values = np.asarray(similarity, np.float64) - self.within * np.asarray(one_camera, np.float64)
        grid = np.linspace(min(self.different, 0.9), 1, 401)
        odds = np.maximum.accumulate(self.log_odds(grid, gallery))  # the ratio of two densities need not increase
        corrected = self.offset + self.slope * np.interp(values, grid, odds)
        return 1 / (1 + np.exp(-np.clip(corrected, -50, 50)))

    def log_odds(self, similarity: _Array, gallery: int) -> _Array:
        """Return the log-odds of a match from two cameras, without the correction by labels."""
        share = min(self.matches / max(gallery - 1, 1), 0.5)
        same = _normal_density(similarity, self.same, self.same_scale) + 1e-12
        return np.log(same) - np.log(self.density_different(similarity) + 1e-12) + math.log(share / (1 - share))

    def density_different(self, similarity: _Array) -> _Array:
        """Return the probability density of the similarities of different persons in two cameras."""
        body = (1 - self.tail_share) / self._below * _normal_density(similarity, self.different, self.scale)
        rest = np.clip(1 - similarity, 1e-9, None)
        falling = 1 + self._beyond(similarity) * self.tail_shape / self.tail_weight
        tail = self.tail_share * self.tail_shape / rest * self._above(similarity) / falling
        return np.where(similarity < self.tail_start, body, tail)

    def _beyond(self, similarity: _Array) -> _Array:
        """Return the logarithm x of how much nearer to 1 similarities are than the start of the tail."""
        result: _Array = np.log((1 - self.tail_start) / np.clip(1 - similarity, 1e-9, None)).clip(0)
        return result

    def _above(self, similarity: _Array) -> _Array:
        """Return the share of the tail above similarities."""
        beyond = self._beyond(similarity) * self.tail_shape / self.tail_weight
        result: _Array = np.exp(-self.tail_weight * np.log1p(beyond)) * (similarity < 1)
        return result

    @property
    def _below(self) -> float:
        return float(ndtr((self.tail_start - self.different) / self.scale))

    def line(self) -> str:
        """Return in one sentence what the calibration was estimated from."""
        return f"calibrated on {self.source}"

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self) | {"pairs": dict(self.pairs)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Calibration:
        """Return the calibration that `to_json` described.

        Raises:
            GalleryError: If the values are not those of a calibration.
        """
        try:
            return cls(**values)
        except TypeError as error:
            raise GalleryError(f"the calibration of the gallery is damaged ({error}): calibrate it again") from error


def shipped(threshold: Threshold) -> Calibration:
    """Return the calibration that follows from a model's threshold, for a gallery that cannot be calibrated.

    Both have a tail that ends at the similarity 1, so its shape is the inverse of the threshold's scale. Its start is
    such that the median of the best of `threshold.searched` similarities is the same. One match per search is assumed.
    """
    number = max(1, round(threshold.searched))
    median = replace(threshold, false_alarm_rate=0.5, gallery=number).similarity
    shape = 1 / max(threshold.scale, 0.02)
    share = -math.expm1(math.log(0.5) / number) / TAIL_SHARE  # of the tail, above the median
    start = 1 - (1 - median) / share ** (1 / shape)
    calibration = _reference(start - TAIL_START * TYPICAL_SCALE, TYPICAL_SCALE)
    return replace(
        calibration, tail_shape=shape, same=calibration.different + SHIPPED_SAME * TYPICAL_SCALE,
        same_scale=SHIPPED_SAME_SCALE * TYPICAL_SCALE, source=f"{threshold.persons} {threshold.source}",
    )  # fmt: skip


def _reference(different: float, scale: float) -> Calibration:
    return Calibration(
        different=different, scale=scale, tail_share=TAIL_SHARE, tail_shape=TAIL_SHAPE,
        same=different + SAME * scale, same_scale=SAME_SCALE * scale, within=0.0, matches=1.0, offset=0.0, slope=1.0,
        source="", pairs={},
    )  # fmt: skip


def fit(similarities: Similarities) -> Calibration | None:
    """Return the calibration of a gallery, or None if there are too few pairs, see `LEAST_PAIRS`.

    Args:
        similarities: Similarities of pairs.
    """
    across = np.asarray(similarities.across, np.float64)
    if len(across) < LEAST_PAIRS:
        return None
    middle, low = np.quantile(across, [0.5, _LOWER])
    base = _reference(float(middle), float(max(middle - low, 1e-3)))
    within = float(np.median(similarities.within) - middle) if len(similarities.within) >= LEAST_PAIRS / 10 else 0.0
    tail = _with_tail(base, np.asarray(similarities.different, np.float64) - within)
    share = tail.tail_share
    above = across[across > base.tail_start]
    same, mean, spread = _matches(above, max(len(above) - share * len(across), 1.0), tail)
    pairs = {name: len(getattr(similarities, name)) for name in _KNOWN}
    calibration = replace(
        tail, same=mean, same_scale=spread, within=within, source=_source(similarities), pairs=pairs,
        matches=same / float(ndtr((mean - base.tail_start) / spread)) / len(across) * max(similarities.gallery - 1, 1),
    )  # fmt: skip
    return correct(calibration, similarities)


def _matches(above: _Array, expected: float, tail: Calibration) -> tuple[float, float, float]:
    """Return how many similarities in the tail are of one person, and mean and scale of those of one person.

    By expectation maximisation, with the shipped mean and scale as `SAME_PRIOR` further pairs.

    Args:
        above: Similarities above the start of the tail, of different persons and of one person.
        expected: First guess of the number.
        tail: Distributions to start from.
    """
    number = min(expected, 0.9 * len(above))
    top = np.sort(above)[len(above) - max(int(number), 1) :]  # the start: the highest ones are of one person
    mean, spread = max(tail.same, float(np.median(top))), max(tail.same_scale, float(top.std()))
    different = tail.density_different(above) / tail.tail_share
    for _ in range(_ROUNDS):
        reached = max(float(ndtr((mean - tail.tail_start) / spread)), 0.1)  # share of one person's pairs in the tail
        density = _normal_density(above, mean, spread) / reached
        same = number * density / (number * density + (len(above) - number) * different + 1e-12)
        number = float(np.clip(same.sum(), 1e-3, 0.95 * len(above)))
        mean = float((same @ above + SAME_PRIOR * tail.same) / (number + SAME_PRIOR))
        variance = same @ (above - mean) ** 2 + SAME_PRIOR * tail.same_scale**2
        spread = float(np.sqrt(variance / (number + SAME_PRIOR)))
    return number, mean, spread


def correct(calibration: Calibration, similarities: Similarities) -> Calibration:
    """Return a calibration whose log-odds are corrected by the labelled pairs, if there are enough."""
    if len(similarities.labelled) < LEAST_LABELS:
        return calibration
    values, labels = similarities.labelled.T
    plain = np.clip(calibration.log_odds(values, similarities.gallery), -20, 20)
    parameters = np.array([0.0, 1.0])
    design = np.stack([np.ones(len(plain)), plain], 1)
    for _ in range(50):  # Newton's method
        p = 1 / (1 + np.exp(-np.clip(design @ parameters, -50, 50)))
        gradient = design.T @ (p - labels) + LABEL_PRIOR * (parameters - [0.0, 1.0])
        curvature = (design * (p * (1 - p))[:, None]).T @ design + LABEL_PRIOR * np.eye(2)
        parameters = parameters - np.linalg.solve(curvature, gradient)
    offset, slope = parameters.tolist()
    return replace(calibration, offset=offset, slope=max(slope, 0.05))


def _with_tail(calibration: Calibration, different: _Array) -> Calibration:
    """Return a calibration whose tail is estimated from pairs of different persons and the shipped values."""
    start = calibration.tail_start
    above = different[different > start]
    number = len(above) + TAIL_PRIOR
    share = number / (len(different) + TAIL_PRIOR / TAIL_SHARE)
    logs = np.log((1 - start) / np.clip(1 - above, 1e-3, None))
    shape = number / (logs.sum() + TAIL_PRIOR / TAIL_SHAPE)
    return replace(calibration, tail_share=float(share), tail_shape=float(shape), tail_weight=float(number))


def _source(similarities: Similarities) -> str:
    known = counted(len(similarities.different), "pairs")
    text = (
        f"{counted(len(similarities.across), 'pairs')} of {counted(similarities.tracklets, 'tracklets')} of this "
        f"gallery, of which {known} were seen at the same time in one camera"
    )
    labelled = len(similarities.labelled)
    return f"{text}, and {labelled:,} labelled pairs" if labelled >= LEAST_LABELS else text


def _normal_density(values: _Array, mean: float, scale: float) -> _Array:
    result: _Array = np.exp(-0.5 * ((values - mean) / scale) ** 2) / (scale * math.sqrt(2 * math.pi))
    return result
