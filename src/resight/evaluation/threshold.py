"""Similarity threshold of a search, for a gallery of any size.

The best similarity s of an impostor is the maximum over the gallery, so it grows with the gallery. If F is its
distribution in a gallery of n tracklets, its distribution in G tracklets is F^(G/n), assuming that the similarities to
the tracklets are independent. A threshold for a low false-alarm rate depends on the upper tail of F, which a few
validation persons do not show. F is therefore modelled by the limiting distribution of maxima of numbers that have an
upper limit, here 1 (Weibull, 1939): x = -ln(1 - s) has the distribution exp(-exp(-(x - location) / scale)), fitted by
mean and standard deviation. The threshold for a false-alarm rate r in G tracklets is the similarity with
F^(G/n) = 1 - r:

    1 - exp(-(location + scale · (ln(G / n) - ln(-ln(1 - r))))).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from resight.errors import ProtocolError

FEW_PERSONS = 30
"""A threshold calibrated on fewer persons is reported as a rough estimate, see docs/protocols.md."""

VALIDATION = "validation persons of the training data"
"""Source of the thresholds that a training run calibrates."""


@dataclass(frozen=True)
class Threshold:
    """A calibrated similarity threshold, as plain numbers that are stored with a model.

    Attributes:
        location: Location of the distribution of x = -ln(1 - s), for an impostor's best similarity s among `searched`
            tracklets.
        scale: Scale of this distribution, at least 0.
        searched: n, mean number of tracklets searched for each impostor.
        impostor_searches: Number of searches for impostors used for calibration.
        persons: Number of different persons in these searches.
        source: Which persons these are, such as `VALIDATION`.
        false_alarm_rate: r, share of impostor searches with a match above the threshold, between 0 and 1.
        gallery: G, number of gallery tracklets for which the threshold holds.

    Raises:
        ProtocolError: If the false-alarm rate is not between 0 and 1, or the gallery is empty.
    """

    location: float
    scale: float
    searched: float
    impostor_searches: int
    persons: int
    source: str
    false_alarm_rate: float
    gallery: int

    def __post_init__(self) -> None:
        if not 0 < self.false_alarm_rate < 1 or self.gallery < 1:
            raise ProtocolError(
                f"a threshold needs a false-alarm rate between 0 and 1 and at least one gallery tracklet, found "
                f"{self.false_alarm_rate} and {self.gallery}"
            )

    @classmethod
    def fitted(
        cls, best: ArrayLike, searched: float, persons: int, source: str, false_alarm_rate: float, gallery: int
    ) -> Threshold:
        """Return a threshold fitted to the best similarity of each impostor search.

        Args:
            best: (S,) best similarities, at least two. For the other arguments see the attributes of the class.
            searched: Mean number of tracklets searched.
            persons: Number of different persons.
            source: Which persons these are.
            false_alarm_rate: Desired false-alarm rate.
            gallery: Number of gallery tracklets.

        Raises:
            ProtocolError: If there are fewer than two similarities, or the rate is not between 0 and 1.
        """
        values = _unbounded(np.asarray(best, dtype=np.float64))
        if len(values) < 2:
            raise ProtocolError(f"a threshold needs at least two impostor searches, found {len(values)}")
        location, scale = _gumbel(float(values.mean()), float(values.std(ddof=1)))
        return cls(location, scale, searched, len(values), persons, source, false_alarm_rate, gallery)

    @property
    def similarity(self) -> float:
        """The threshold, below 1."""
        rarity = -np.log(-np.log1p(-self.false_alarm_rate))
        return float(-np.expm1(-(self.location + self.scale * (np.log(self.gallery / self.searched) + rarity))))

    def for_gallery(self, gallery: int) -> Threshold:
        """Return the threshold with the same false-alarm rate for a gallery of this many tracklets."""
        return replace(self, gallery=gallery)

    def accepts(self, similarity: float) -> bool:
        """Return whether a similarity is at or above the threshold."""
        return similarity >= self.similarity

    def judge(self, best: float) -> str:
        """Return a sentence that compares the best similarity of a search with the threshold."""
        threshold = f"the threshold {self.similarity:.3f} ({self._calibration()})"
        if self.accepts(best):
            return f"The best match, {best:.3f}, is above {threshold}."
        return f"No match is above {threshold}. The similarity of the best candidate is {best:.3f}."

    def line(self) -> str:
        """Return threshold, gallery size and calibration in one line."""
        return (
            f"threshold {self.similarity:.4f} for a gallery of {self.gallery} tracklets: {self._calibration()}, with "
            f"{self.impostor_searches} impostor searches in {self.searched:.0f} tracklets"
        )

    def _calibration(self) -> str:
        few = ", which is a rough estimate" if self.persons < FEW_PERSONS else ""
        return f"false-alarm rate {100 * self.false_alarm_rate:g} %, calibrated on {self.persons} {self.source}{few}"

    def to_json(self) -> dict[str, Any]:
        """Return plain values, including the similarity."""
        return asdict(self) | {"distribution": _DISTRIBUTION, "similarity": self.similarity}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Threshold:
        """Return the threshold that `to_json` described.

        Raises:
            ProtocolError: If the values are not those of a threshold.
        """
        attributes = {name: value for name, value in values.items() if name not in ("similarity", "distribution")}
        if "strangers" in attributes:  # model files of version 0.1, such as the shipped ones
            attributes |= {"impostor_searches": attributes.pop("strangers"), "source": VALIDATION}
        try:
            stored = cls(**attributes)
            return stored if "distribution" in values else stored._of_bounded()
        except TypeError as error:
            raise ProtocolError(
                f"the model file has no valid threshold ({error}); train its second stage again"
            ) from error

    def _of_bounded(self) -> Threshold:
        """Return the threshold of a model file of version 0.1, whose distribution is that of the similarity itself."""
        mean, deviation = self.location + np.euler_gamma * self.scale, self.scale * np.pi / np.sqrt(6)
        mean = min(mean, _HIGHEST)
        location, scale = _gumbel(float(-np.log1p(-mean)), float(deviation / (1 - mean)))
        return replace(self, location=location, scale=scale)


_DISTRIBUTION = "-ln(1 - similarity)"
"""What has the stored location and scale."""

_HIGHEST = 1 - 1e-6
"""Higher similarities count as this one, so that x is finite."""


def _unbounded(similarities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return x = -ln(1 - s)."""
    return np.asarray(-np.log1p(-np.minimum(similarities, _HIGHEST)))


def _gumbel(mean: float, deviation: float) -> tuple[float, float]:
    """Return location and scale of the Gumbel distribution with this mean and standard deviation."""
    scale = float(np.sqrt(6) / np.pi * deviation)
    return mean - float(np.euler_gamma) * scale, scale
