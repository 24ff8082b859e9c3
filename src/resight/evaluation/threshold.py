"""From which similarity on an answer is believed, in a gallery of any size.

The best answer to a stranger is the greatest of many similarities. The more there are, the greater it gets: if F is the
distribution of the best among n tracklets, that among G is F^(G/n), as if tracklets resembled a stranger independently.
Its upper end is what a threshold is about, and a few persons kept back do not show it. So F is taken to be the
distribution that maxima tend to (Gumbel, 1958), F(s) = exp(-exp(-(s - location) / scale)), fitted by mean and standard
deviation. Then the threshold for a false-alarm rate r among G tracklets, the similarity at which F^(G/n) = 1 - r, is

    location + scale · (ln(G / n) - ln(-ln(1 - r))).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from resight.errors import ProtocolError

FEW_PERSONS = 30
"""A threshold from fewer persons says that it is a rough one: see docs/protocols.md for how rough."""


@dataclass(frozen=True)
class Threshold:
    """From which similarity on an answer is believed; plain numbers, to be kept with a model.

    Attributes:
        location: of the distribution of the best similarity of a stranger, among `searched` tracklets.
        scale: of the same, 0 or more.
        searched: n, tracklets that each stranger was searched among, on average.
        strangers: queries of strangers that this was learned from.
        persons: how many persons they show.
        source: which persons these are, in words.
        false_alarm_rate: r, what is promised: the share of strangers who are answered, 0 … 1, both excluded.
        gallery: G, tracklets of the gallery that it is promised for.
    """

    location: float
    scale: float
    searched: float
    strangers: int
    persons: int
    source: str
    false_alarm_rate: float
    gallery: int

    def __post_init__(self) -> None:
        if not 0 < self.false_alarm_rate < 1 or self.gallery < 1:
            raise ProtocolError(
                f"a false-alarm rate of {self.false_alarm_rate} among {self.gallery} tracklets was asked for, expected "
                "a rate between 0 and 1 and one tracklet at least"
            )

    @classmethod
    def fitted(
        cls, best: ArrayLike, searched: float, persons: int, source: str, false_alarm_rate: float, gallery: int
    ) -> Threshold:
        """A threshold from the best similarity of each stranger, (S,), two at least; for the rest see the class.

        Raises:
            ProtocolError: if there are fewer than two, or the rate is impossible.
        """
        values = np.asarray(best, dtype=np.float64)
        if len(values) < 2:
            raise ProtocolError(f"a threshold needs the best answers to two strangers at least, found {len(values)}")
        scale = float(np.sqrt(6) / np.pi * values.std(ddof=1))
        location = float(values.mean() - np.euler_gamma * scale)
        return cls(location, scale, searched, len(values), persons, source, false_alarm_rate, gallery)

    @property
    def similarity(self) -> float:
        """An answer as similar as this, or more, is an alarm. Above 1, no answer in such a gallery can be believed."""
        rarity = -np.log(-np.log1p(-self.false_alarm_rate))
        return float(self.location + self.scale * (np.log(self.gallery / self.searched) + rarity))

    def for_gallery(self, gallery: int) -> Threshold:
        """The threshold that promises the same in a gallery of that many tracklets."""
        return replace(self, gallery=gallery)

    def believes(self, similarity: float) -> bool:
        """Whether an answer of that similarity is an alarm; if the best one is not, it may well be a stranger's."""
        return similarity >= self.similarity

    def judge(self, best: float) -> str:
        """Whether the person is in the gallery, by the best similarity found, and what that is worth, in words."""
        if self.believes(best):
            verdict = f"in the gallery: the best similarity, {best:.3f}, reaches {self.similarity:.3f}"
        else:
            verdict = f"perhaps not in the gallery: the best similarity, {best:.3f}, is below {self.similarity:.3f}"
        return f"{verdict}. Promised, for cameras like those it was learned under: {self.promise()}"

    def expected_rate(self, gallery: int) -> float:
        """The rate to expect of this very similarity in a gallery of another size: 1 - (1 - r)^(other / G)."""
        return float(1 - (1 - self.false_alarm_rate) ** (gallery / self.gallery))

    def to_json(self) -> dict[str, Any]:
        """As plain values, the similarity among them."""
        return asdict(self) | {"similarity": self.similarity}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Threshold:
        """What `to_json` gave.

        Raises:
            ProtocolError: if it is something else.
        """
        try:
            return cls(**{name: value for name, value in values.items() if name != "similarity"})
        except TypeError as error:
            raise ProtocolError(f"not a threshold of this version ({error}); train again, stage 2 is enough") from error

    def promise(self) -> str:
        """What is promised, and how far it can be trusted, in one sentence."""
        few = f"; {self.persons} persons are few, so this is rough" if self.persons < FEW_PERSONS else ""
        return (
            f"{100 * self.false_alarm_rate:g} % of the persons who are not in a gallery of {self.gallery} tracklets "
            f"would be answered wrongly (learned from {self.strangers} searches of {self.persons} persons among "
            f"{self.searched:.0f} tracklets{few})"
        )

    def line(self) -> str:
        """How it was made, in one line."""
        return f"threshold {self.similarity:.4f}, promised: {self.promise()}; {self.source}"
