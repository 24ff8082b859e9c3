"""Searching for somebody who may not be there: false alarms, identification, and a threshold between them.

Shapes: Q queries, G gallery tracklets; K queries whose person is in the gallery, S queries of strangers, who are not.

The words are those of ISO/IEC 19795-1 and of Phillips, Grother and Micheals (Evaluation Methods in Face Recognition,
2011): an answer is an *alarm* if its similarity reaches the threshold. The false-alarm rate (FPIR) is the share of
strangers' queries with an alarm; the detection and identification rate (DIR) at rank r is the share of the other
queries whose match reaches the threshold and stands at rank r or better.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resight.errors import ProtocolError
from resight.evaluation.auroc import auroc
from resight.evaluation.evaluate import labels_of
from resight.evaluation.matches import MEMORY_BUDGET, blocks, match_finder
from resight.evaluation.metrics import conditions
from resight.evaluation.protocols import PROTOCOLS, Labels, Protocol, judge_pairs
from resight.evaluation.threshold import Threshold
from resight.features.types import ClipFeatures
from resight.models.aggregators import Aggregator
from resight.scoring.all_pairs import score_all_pairs
from resight.tracklet import DISTRACTOR, JUNK, Tracklet

RATES = (0.01, 0.1)
"""False-alarm rates at which the curve is quoted."""

NOBODY = -(2.0**100)
"""Stands for the similarity of an answer that does not exist: lower than any other, the same in 32 and 64 bits."""

VALIDATION = "persons kept back from training, each taken out of the gallery in turn"


@dataclass(frozen=True, eq=False)
class OpenSet:
    """What a search gives for those who are there, and for those who are not.

    Attributes:
        protocol: name of the protocol.
        own: (K,) similarity of a query's best match.
        rank: (K,) rank of it, from 1, junk and strangers taken out.
        best: (K,) similarity of the best answer, match or not.
        strangers: (S,) similarity of the best answer to a stranger, `NOBODY` where there is none.
        gallery: tracklets searched, at most, strangers taken out, junk included.
        frames: what was looked at of each tracklet, as in `Scores`.
        reranking: ``none``, or how similarities were re-ranked, as in `Scores`.
    """

    protocol: str
    own: NDArray[np.float64]
    rank: NDArray[np.float64]
    best: NDArray[np.float64]
    strangers: NDArray[np.float64]
    gallery: int
    frames: str | None = None
    reranking: str | None = None

    def false_alarm_rate(self, threshold: float) -> float:
        """Share of strangers' queries with an answer as similar as the threshold or more (FPIR)."""
        return float((self.strangers >= threshold).mean())

    def detection_rate(self, threshold: float) -> float:
        """Share of the other queries with any answer as similar as the threshold or more, right or wrong."""
        return float((self.best >= threshold).mean())

    def identification_rate(self, threshold: float, rank: int = 1) -> float:
        """Share of the other queries whose match is as similar as that, and at that rank or better (DIR)."""
        return float(((self.own >= threshold) & (self.rank <= rank)).mean())

    def threshold_at(self, rate: float) -> float:
        """The lowest threshold whose false-alarm rate is not above `rate`.

        Raises:
            ProtocolError: unless 0 ≤ rate < 1.
        """
        if not 0 <= rate < 1:
            raise ProtocolError(f"a false-alarm rate of {rate} was asked for, expected at least 0 and less than 1")
        falling = np.sort(self.strangers)[::-1]
        highest_refused = falling[int(np.floor(rate * len(falling) + 1e-9))]
        return float(np.nextafter(highest_refused, np.inf))

    def curve(self, rank: int = 1) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The open-set ROC: identification over false alarms, at every threshold that makes a difference.

        Returns:
            False-alarm rate, rising from 0 to 1, and the highest DIR at `rank` that goes with it, both (points,).
        """
        refused = np.append(np.unique(self.strangers)[::-1], -np.inf)  # thresholds lie just above these
        reached = np.where(self.rank <= rank, self.own, -np.inf)
        rates = 1 - np.searchsorted(np.sort(self.strangers), refused, side="right") / len(self.strangers)
        found = 1 - np.searchsorted(np.sort(reached), refused, side="right") / len(reached)
        return rates, found

    def measures(self) -> dict[str, float]:
        """Identified at `RATES` of false alarms and without a threshold, and the area under the detection ROC."""
        found = {f"identified at {r:g}": self.identification_rate(self.threshold_at(r)) for r in RATES}
        return found | {"rank-1": self.identification_rate(-np.inf), "auroc": self.detection_auroc()}

    def to_json(self, threshold: Threshold | None = None) -> dict[str, Any]:
        """Rates as plain values; at `threshold` too if there is one."""
        rates = [0.0, *RATES]
        values: dict[str, Any] = {
            "protocol": self.protocol,
            "known_queries": len(self.own),
            "strangers": len(self.strangers),
            "gallery": self.gallery,
            "frames": self.frames,
            "reranking": self.reranking,
            "rank-1": self.identification_rate(-np.inf),
            "auroc": self.detection_auroc(),
            "auc_identification": self.identification_auc(),
            "identification_at_false_alarm_rate": {
                f"{r:g}": self.identification_rate(self.threshold_at(r)) for r in rates
            },
        }
        if threshold is not None:
            at = threshold.similarity
            values["threshold"] = threshold.to_json()
            values["at_threshold"] = {
                "promised_false_alarm_rate": threshold.false_alarm_rate,
                "false_alarm_rate": self.false_alarm_rate(at),
                "detection_rate": self.detection_rate(at),
                "identification_rate": self.identification_rate(at),
            }
        return values

    def detection_auroc(self) -> float:
        """The chance that the best answer to somebody known is more similar than that to a stranger."""
        positive = np.repeat([True, False], [len(self.best), len(self.strangers)])
        return auroc(np.concatenate([self.best, self.strangers]), positive) or 0.0

    def identification_auc(self, rank: int = 1) -> float:
        """Mean of DIR over all false-alarm rates: the area under `curve`; at most the share at that rank."""
        reached = np.where(self.rank <= rank, self.own, 2 * NOBODY)  # below every stranger
        positive = np.repeat([True, False], [len(reached), len(self.strangers)])
        return auroc(np.concatenate([reached, self.strangers]), positive) or 0.0

    def to_text(self, threshold: Threshold | None = None) -> str:
        """The rates as a table in plain text, and what they are worth."""
        lines = [f"{'false alarms':>14}{'identified':>12}{'detected':>10}{'threshold':>11}"]
        chosen = [(f"{100 * rate:.0f} %", self.threshold_at(rate)) for rate in RATES]
        if threshold is not None:
            rate = self.false_alarm_rate(threshold.similarity)
            chosen.append((f"{100 * rate:.1f} % (*)", threshold.similarity))
        for name, at in chosen:
            found, detected = self.identification_rate(at), self.detection_rate(at)
            lines.append(f"{name:>14}{100 * found:12.1f}{100 * detected:10.1f}{at:11.4f}")
        lines.append(
            f"rank-1 without a threshold {100 * self.identification_rate(-np.inf):.1f}; area under the ROC "
            f"{self.detection_auroc():.3f} (detection), {self.identification_auc():.3f} (identification at rank 1)"
        )
        lines.append(self.line())
        if threshold is not None:
            lines.append(f"* {threshold.line()}")
        return "\n".join(lines)

    def line(self) -> str:
        """What the rates are worth, in one line."""
        return (
            f"open set; protocol {self.protocol}; {len(self.own)} queries of persons in the gallery, "
            f"{len(self.strangers)} of strangers; gallery of {self.gallery} tracklets; "
            f"{conditions(self.frames, self.reranking)}"
        )


def draw_strangers(query: Labels, share: float = 0.5, seed: int = 0) -> NDArray[np.int64]:
    """Persons to take out of the gallery, drawn from those asked for.

    Args:
        query: Q labels.
        share: of the persons, 0 … 1; at least one is drawn and one stays.
        seed: another seed, other persons.

    Returns:
        Persons, rising.

    Raises:
        ProtocolError: if fewer than two persons are asked for.
    """
    persons = np.unique(query.persons[query.persons > DISTRACTOR])
    if len(persons) < 2:
        raise ProtocolError(f"an open set needs queries of two persons at least, found {len(persons)}")
    number = min(max(1, round(share * len(persons))), len(persons) - 1)
    return np.sort(np.random.default_rng([seed, 4]).permutation(persons)[:number])


def search_open_set(
    similarity: NDArray[np.floating],
    query: Sequence[Tracklet] | Labels,
    gallery: Sequence[Tracklet] | Labels,
    protocol: Protocol,
    strangers: NDArray[np.int64] | None = None,
    *,
    memory_budget: int = MEMORY_BUDGET,
) -> OpenSet:
    """Search with some persons taken out of the gallery, or with each in turn.

    A query whose person is taken out, or that no tracklet matches by the protocol, is a stranger's. Junk is left out of
    the answers as in any other evaluation; a query of person -1 is not asked, because nobody knows who it is.

    Args:
        similarity: (Q, G), higher is better, all finite.
        query: Q tracklets or labels.
        gallery: G tracklets or labels.
        protocol: what matches, and what is junk.
        strangers: persons whose tracklets are taken out, see `draw_strangers`. None takes each in turn: every query is
            asked once with its person in the gallery and once without, which makes the most of few persons.
        memory_budget: bytes that intermediate results may take, about.

    Raises:
        ShapeError: if the shapes do not fit or a similarity is not a number.
        ProtocolError: if nobody is left who is known, or no stranger.
    """
    query = query if isinstance(query, Labels) else Labels.of(query)
    gallery = gallery if isinstance(gallery, Labels) else Labels.of(gallery)
    find = match_finder(similarity, query, gallery)
    Q, G = len(query.ids), len(gallery.ids)
    is_query = gallery.among(query)
    absent = np.zeros(G, dtype=bool) if strangers is None else np.isin(gallery.persons, strangers)
    own, best_wrong = np.full(Q, NOBODY), np.full(Q, NOBODY)
    rank = np.full(Q, np.inf)
    known = np.zeros(Q, dtype=bool)
    for rows in blocks(Q, G, memory_budget):
        match, junk = judge_pairs(protocol, query.rows(rows), gallery, is_query)
        junk |= absent
        match &= ~absent
        row_H, rank_H, column_H = find(rows, match, junk)
        first_H = np.unique(row_H, return_index=True)[1]
        known[rows][row_H[first_H]] = True
        rank[rows][row_H[first_H]] = rank_H[first_H]
        values = similarity[rows]
        own[rows][row_H[first_H]] = values[row_H[first_H], column_H[first_H]]
        best_wrong[rows] = np.where(match | junk, NOBODY, values).max(axis=1, initial=NOBODY)
    judged = query.persons != JUNK
    known &= judged
    stranger = judged if strangers is None else judged & ~known
    if not known.any() or not stranger.any():
        raise ProtocolError(
            f"an open set needs queries of persons in the gallery and of strangers, found {known.sum()} and "
            f"{stranger.sum()} of {Q} by protocol {protocol.name}; take fewer, or more, persons out of the gallery"
        )
    best = np.maximum(own, best_wrong)[known]
    searched = G - int(np.count_nonzero(absent))
    return OpenSet(protocol.name, own[known], rank[known], best, best_wrong[stranger], searched)


def calibrate_threshold(
    features: ClipFeatures,
    aggregator: Aggregator,
    false_alarm_rate: float = 0.05,
    gallery: int | None = None,
    source: str = VALIDATION,
) -> Threshold:
    """A threshold from validation persons, searched among themselves by the ``standard`` protocol, each taken out once.

    Args:
        features: of all tracklets of persons kept back, see `resight.data.batches.hold_out_persons`.
        aggregator: in evaluation mode.
        false_alarm_rate: the share of strangers who may be answered.
        gallery: tracklets of the gallery that will be searched; None means as many as here. `Threshold.for_gallery`
            changes it later.
        source: which persons these are, in words.

    Raises:
        ProtocolError: if no person is seen by two cameras, or the rate is impossible.
    """
    similarity, labels = score_all_pairs(features.values, features.values, aggregator), labels_of(features)
    open_set = search_open_set(similarity, labels, labels, PROTOCOLS["standard"])
    others = (labels.persons[:, None] != labels.persons).sum(axis=1)
    return Threshold.fitted(
        open_set.strangers[open_set.strangers > NOBODY],
        float(others.mean()),
        len(np.unique(labels.persons)),
        source,
        false_alarm_rate,
        gallery or len(features),
    )
