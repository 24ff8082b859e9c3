"""From which similarity on an answer is believed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Threshold:
    """From which similarity on an answer is believed; plain numbers, to be kept with a model.

    Attributes:
        similarity: an answer as similar as this, or more, is an alarm.
        false_alarm_rate: what was asked for: the share of strangers who may be answered, in a gallery of that size.
        gallery: tracklets in the gallery that it is meant for.
        strangers: queries of strangers that it was chosen by.
        searched: tracklets that they were searched among.
        source: which persons it was chosen by, in words.
    """

    similarity: float
    false_alarm_rate: float
    gallery: int
    strangers: int
    searched: int
    source: str

    def believes(self, similarity: float) -> bool:
        """Whether an answer of that similarity is an alarm; if the best one is not, nobody like this is there."""
        return similarity >= self.similarity

    def expected_rate(self, gallery: int) -> float:
        """The false-alarm rate to expect in a gallery of another size, see `rate_among`."""
        return rate_among(self.false_alarm_rate, self.gallery, gallery)

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Threshold:
        """What `to_json` gave."""
        return cls(**values)

    def line(self) -> str:
        """How it was made, in one line."""
        return (
            f"threshold {self.similarity:.4f} for {100 * self.false_alarm_rate:g} % false alarms among {self.gallery} "
            f"tracklets, chosen by {self.strangers} queries among {self.searched}: {self.source}"
        )


def rate_among(rate: float, gallery: int, other: int) -> float:
    """A false-alarm rate in a gallery of one size, as one in a gallery of another size.

    As if tracklets gave alarms independently: 1 - (1 - rate)^(other / gallery). Alarms come in bunches, so that the
    rate grows somewhat more slowly than this.

    Args:
        rate: 0 … 1, among `gallery` tracklets.
        gallery: at least 1.
        other: tracklets.

    >>> rate_among(0.5, 100, 200)
    0.75
    """
    return float(1 - (1 - rate) ** (other / max(gallery, 1)))
