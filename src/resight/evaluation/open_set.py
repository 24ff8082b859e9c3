"""Open-set search: false-alarm and identification rates when some queries have no match in the gallery.

Shapes: Q queries, G gallery tracklets; K mated queries, whose person is in the gallery; S impostor queries (non-mated
searches), whose person is not.

The terms are those of ISO/IEC 19795-1 and of Phillips, Grother and Micheals (Evaluation Methods in Face Recognition,
2011). The false-alarm rate (FPIR) is the share of impostor queries whose best similarity reaches the threshold. The
detection and identification rate (DIR) at rank r is the share of mated queries whose match reaches the threshold and
has rank r or better.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from resight.errors import ProtocolError
from resight.evaluation.auroc import auroc
from resight.evaluation.evaluate import labels_of, rank_features
from resight.evaluation.matches import blocks, check_ranked
from resight.evaluation.metrics import conditions
from resight.evaluation.protocols import PROTOCOLS, Labels, Protocol, judge_pairs
from resight.evaluation.threshold import VALIDATION, Threshold
from resight.features.types import ClipFeatures
from resight.models.aggregators import Aggregator
from resight.ranking import Ranking
from resight.tables import Row, Table
from resight.tracklet import DISTRACTOR, JUNK, Tracklet

RATES = (0.01, 0.1)
"""False-alarm rates at which the identification rate is reported."""

NOBODY = -(2.0**100)
"""Similarity of a candidate that does not exist: lower than any other, and the same in 32 and 64 bits."""


@dataclass(frozen=True, eq=False)
class OpenSet:
    """Similarities of mated and impostor queries in an open-set search.

    Attributes:
        protocol: Name of the protocol.
        match: (K,) similarity of the best match of each mated query.
        rank: (K,) rank of this match, counted from 1 without junk and impostors' tracklets.
        best: (K,) similarity of the best candidate of each mated query, match or not.
        impostors: (S,) similarity of the best candidate of each impostor query; `NOBODY` where there is none.
        gallery: Number of gallery tracklets without those of impostors, junk included.
        frames: Frames used of each tracklet, as in `Scores`.
        reranking: ``none``, or the method of re-ranking, as in `Scores`.
    """

    protocol: str
    match: NDArray[np.float64]
    rank: NDArray[np.float64]
    best: NDArray[np.float64]
    impostors: NDArray[np.float64]
    gallery: int
    frames: str | None = None
    reranking: str | None = None

    def false_alarm_rate(self, threshold: float) -> float:
        """Return the share of impostor queries whose best similarity reaches the threshold (FPIR)."""
        return float((self.impostors >= threshold).mean())

    def detection_rate(self, threshold: float) -> float:
        """Return the share of mated queries whose best similarity reaches the threshold, match or not."""
        return float((self.best >= threshold).mean())

    def identification_rate(self, threshold: float, rank: int = 1) -> float:
        """Return the share of mated queries whose match reaches the threshold at this rank or better (DIR)."""
        return float(((self.match >= threshold) & (self.rank <= rank)).mean())

    def threshold_at(self, rate: float) -> float:
        """Return the lowest threshold whose false-alarm rate is at most `rate`.

        Raises:
            ProtocolError: Unless 0 ≤ rate < 1.
        """
        if not 0 <= rate < 1:
            raise ProtocolError(f"expected a false-alarm rate of at least 0 and less than 1, found {rate}")
        descending = np.sort(self.impostors)[::-1]
        highest_rejected = descending[int(np.floor(rate * len(descending) + 1e-9))]
        return float(np.nextafter(highest_rejected, np.inf))

    def curve(self, rank: int = 1) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the open-set ROC curve, with one point per threshold that changes a rate.

        Returns:
            False-alarm rates, increasing from 0 to 1, and the highest DIR at `rank` for each, (points,) both.
        """
        rejected = np.append(np.unique(self.impostors)[::-1], -np.inf)  # thresholds are just above these
        reached = np.where(self.rank <= rank, self.match, -np.inf)
        rates = 1 - np.searchsorted(np.sort(self.impostors), rejected, side="right") / len(self.impostors)
        identified = 1 - np.searchsorted(np.sort(reached), rejected, side="right") / len(reached)
        return rates, identified

    def measures(self) -> dict[str, float]:
        """Return the identification rates at `RATES` and without a threshold, and the AUROC of detection."""
        identified = {f"identified at {r:g}": self.identification_rate(self.threshold_at(r)) for r in RATES}
        return identified | {"rank-1": self.identification_rate(-np.inf), "auroc": self.detection_auroc()}

    def detection_auroc(self) -> float:
        """Return the probability that the best similarity of a mated query is higher than that of an impostor."""
        positive = np.repeat([True, False], [len(self.best), len(self.impostors)])
        return auroc(np.concatenate([self.best, self.impostors]), positive) or 0.0

    def identification_auc(self, rank: int = 1) -> float:
        """Return the mean DIR over all false-alarm rates, the area under `curve`."""
        reached = np.where(self.rank <= rank, self.match, 2 * NOBODY)  # below every impostor
        positive = np.repeat([True, False], [len(reached), len(self.impostors)])
        return auroc(np.concatenate([reached, self.impostors]), positive) or 0.0

    def to_json(self, threshold: Threshold | None = None) -> dict[str, Any]:
        """Return the rates as plain values, including those at `threshold` if it is given."""
        rates = [0.0, *RATES]
        values: dict[str, Any] = {
            **self.conditions_json(),
            "gallery": self.gallery,
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
                "calibrated_false_alarm_rate": threshold.false_alarm_rate,
                "false_alarm_rate": self.false_alarm_rate(at),
                "detection_rate": self.detection_rate(at),
                "identification_rate": self.identification_rate(at),
            }
        return values

    def conditions_json(self) -> dict[str, Any]:
        """Return protocol, number of queries, frames and re-ranking as plain values."""
        return {
            "protocol": self.protocol,
            "mated_queries": len(self.match),
            "impostor_queries": len(self.impostors),
            "frames": self.frames,
            "reranking": self.reranking,
        }

    def table(self, threshold: Threshold | None = None) -> Table:
        """Return the rates in percent at `RATES`, and at `threshold` if it is given, with the conditions as a note."""
        chosen = [(f"{100 * rate:.0f} %", self.threshold_at(rate)) for rate in RATES]
        if threshold is not None:
            chosen.append((f"{100 * self.false_alarm_rate(threshold.similarity):.1f} % *", threshold.similarity))
        rows = tuple(
            Row(name, (100 * self.identification_rate(at), 100 * self.detection_rate(at), f"{at:.4f}"))
            for name, at in chosen
        )
        note = (
            f"rank-1 without a threshold {100 * self.identification_rate(-np.inf):.1f}; area under the ROC curve "
            f"{self.detection_auroc():.3f} (detection), {self.identification_auc():.3f} (identification at rank 1)\n"
            f"{self.line()}"
        )
        return Table(
            "",
            ("identified", "detected", "threshold"),
            rows,
            head="false alarms",
            note=note if threshold is None else f"{note}\n* {threshold.line()}",
        )

    def line(self) -> str:
        """Return the conditions of the rates in one line."""
        return (
            f"open set; protocol {self.protocol}; {len(self.match)} mated queries, {len(self.impostors)} impostor "
            f"queries; gallery of {self.gallery} tracklets; {conditions(self.frames, self.reranking)}"
        )


class OpenSetRows(NamedTuple):
    """What an open-set search finds for each of Q queries.

    Attributes:
        match: (Q,) similarity of the best match; `NOBODY` where there is none.
        wrong: (Q,) similarity of the best other candidate; `NOBODY` where there is none.
        rank: (Q,) rank of the best match; infinity where there is none.
    """

    match: NDArray[np.float64]
    wrong: NDArray[np.float64]
    rank: NDArray[np.float64]


def draw_impostors(query: Labels, share: float = 0.5, seed: int = 0) -> NDArray[np.int64]:
    """Draw persons to remove from the gallery, among the persons of the queries.

    Args:
        query: Labels of Q queries.
        share: Share of the persons to draw, 0 … 1; at least one is drawn and at least one is not.
        seed: Seed of the draw.

    Returns:
        Person numbers in ascending order.

    Raises:
        ProtocolError: If the queries show fewer than two persons.
    """
    persons = np.unique(query.persons[query.persons > DISTRACTOR])
    if len(persons) < 2:
        raise ProtocolError(f"an open set needs queries of at least two persons, found {len(persons)}")
    number = min(max(1, round(share * len(persons))), len(persons) - 1)
    return np.sort(np.random.default_rng([seed, 4]).permutation(persons)[:number])


def search_open_set(
    ranking: Ranking,
    query: Sequence[Tracklet] | Labels,
    gallery: Sequence[Tracklet] | Labels,
    protocol: Protocol,
    impostors: NDArray[np.int64] | None = None,
) -> OpenSet:
    """Read an open-set search off a ranking: remove some persons from the gallery, or each person in turn.

    A query is an impostor query if its person is removed, or if no tracklet matches it by the protocol. Junk is
    removed as in any other evaluation. Queries of person -1 are skipped, because their person is unknown.

    Args:
        ranking: Rankings of all G gallery tracklets for Q queries.
        query: Q tracklets or their labels, in the order of the ranking.
        gallery: G tracklets or their labels, in the order of the ranking.
        protocol: Rules for matches and junk.
        impostors: Persons whose tracklets are removed, see `draw_impostors`. None removes each person in turn: every
            query is then both a mated query and an impostor query, which makes the most of few persons.

    Raises:
        ShapeError: If the tracklets are not those of the ranking.
        ProtocolError: If the ranking is cut off, or there is no mated query or no impostor query.
    """
    query, gallery = Labels.of(query), Labels.of(gallery)
    check_ranked(ranking, query, gallery)
    G = len(gallery.ids)
    if ranking.order.shape[1] < G:
        raise ProtocolError(
            f"the ranking keeps {ranking.order.shape[1]} of {G} gallery tracklets, and an open set needs all of them; "
            "rank with k=None"
        )
    found = open_set_rows(ranking, query, gallery, gallery.among(query), protocol, impostors)
    return open_set_of(found, query, gallery, protocol, impostors)


def open_set_rows(
    ranking: Ranking,
    query: Labels,
    gallery: Labels,
    is_query: NDArray[np.bool_],
    protocol: Protocol,
    impostors: NDArray[np.int64] | None,
) -> OpenSetRows:
    """Return what an open-set search finds for each query of a complete ranking, see `search_open_set`.

    Args:
        ranking: Rankings of all G gallery tracklets for Q queries, all or some of them.
        query: Labels of the Q queries.
        gallery: Labels of the gallery tracklets.
        is_query: (G,) True for gallery tracklets that are also queries, of all queries.
        protocol: Rules for matches and junk.
        impostors: Persons whose tracklets are removed; None removes none.
    """
    Q, G = len(query.ids), len(gallery.ids)
    removed = np.zeros(G, dtype=bool) if impostors is None else np.isin(gallery.persons, impostors)
    found = OpenSetRows(np.full(Q, NOBODY), np.full(Q, NOBODY), np.full(Q, np.inf))
    for rows in blocks(Q, G):
        match, junk = judge_pairs(protocol, query.rows(rows), gallery, is_query)
        junk |= removed
        order, scores = ranking.order[rows], ranking.scores[rows]
        is_candidate = np.take_along_axis(~junk, order, axis=1)
        is_match = np.take_along_axis(match & ~junk, order, axis=1)
        row, first = _first_true(is_match)
        found.match[rows][row] = scores[row, first]
        found.rank[rows][row] = np.cumsum(is_candidate, axis=1)[row, first]
        row, first = _first_true(is_candidate & ~is_match)
        found.wrong[rows][row] = scores[row, first]
    return found


def open_set_of(
    found: OpenSetRows, query: Labels, gallery: Labels, protocol: Protocol, impostors: NDArray[np.int64] | None
) -> OpenSet:
    """Return the open-set search of Q queries, from what was found for each of them.

    Raises:
        ProtocolError: If there is no mated query or no impostor query.
    """
    Q, G = len(query.ids), len(gallery.ids)
    match_score, wrong_score, rank = found
    labelled = query.persons != JUNK
    mated = labelled & np.isfinite(rank)
    is_impostor = labelled if impostors is None else labelled & ~mated
    if not mated.any() or not is_impostor.any():
        raise ProtocolError(
            f"an open set needs mated and impostor queries, found {mated.sum()} and {is_impostor.sum()} among {Q} "
            f"queries by protocol {protocol.name}; remove fewer, or more, persons from the gallery"
        )
    best = np.maximum(match_score, wrong_score)[mated]
    size = G if impostors is None else G - int(np.count_nonzero(np.isin(gallery.persons, impostors)))
    return OpenSet(protocol.name, match_score[mated], rank[mated], best, wrong_score[is_impostor], size)


def calibrate_threshold(
    features: ClipFeatures,
    aggregator: Aggregator,
    false_alarm_rate: float = 0.05,
    gallery: int | None = None,
    source: str = VALIDATION,
) -> Threshold:
    """Calibrate a threshold on persons who are searched for among each other, each removed from the gallery once.

    Args:
        features: Features of all tracklets of the validation persons; they are searched by protocol ``standard``.
        aggregator: Aggregator in evaluation mode.
        false_alarm_rate: Desired false-alarm rate.
        gallery: Number of gallery tracklets that will be searched; None: as many as in `features`. It can be changed
            later with `Threshold.for_gallery`.
        source: Which persons these are.

    Raises:
        ProtocolError: If no person is seen by two cameras, or the rate is not between 0 and 1.
    """
    labels = labels_of(features)
    ranking = rank_features(features, features, aggregator)
    open_set = search_open_set(ranking, labels, labels, PROTOCOLS["standard"])
    of_other_persons = (labels.persons[:, None] != labels.persons).sum(axis=1)
    return Threshold.fitted(
        open_set.impostors[open_set.impostors > NOBODY],
        float(of_other_persons.mean()),
        len(np.unique(labels.persons)),
        source,
        false_alarm_rate,
        gallery or len(features),
    )


def _first_true(flags: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows of (rows, G) flags that have a True, and the column of the first True in each."""
    row = np.flatnonzero(flags.any(axis=1))
    return row, flags[row].argmax(axis=1)
