"""Suggest pairs of tracklets that are likely to show one person, to be confirmed or rejected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from resight.compute import Compute
from resight.gallery.contract import GalleryStore
from resight.gallery.facts import one_camera, together
from resight.gallery.judge import Judge
from resight.gallery.labels import Groups
from resight.gallery.types import Entry, Filter
from resight.models.aggregators import Aggregator
from resight.scoring.all_pairs import score_pairs

NEIGHBOURS = 10
"""Tracklets with the most similar means that each tracklet is compared with."""

MOST_TRACKLETS = 2000
"""Most tracklets for which matches are sought: the ones that were added last."""

LEAST_PROBABILITY = 0.5
"""Least probability of a suggestion."""


@dataclass(frozen=True)
class Suggestion:
    """Two tracklets that are likely to show one person.

    Attributes:
        first: One tracklet.
        second: The other one.
        similarity: Their similarity.
        probability: Calibrated probability that they show one person; None if there is no calibration.
    """

    first: Entry
    second: Entry
    similarity: float
    probability: float | None

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "first": self.first.to_json(), "second": self.second.to_json(), "similarity": self.similarity,
            "probability": self.probability,
        }  # fmt: skip


def suggest(
    store: GalleryStore, groups: Groups, aggregator: Aggregator, judge: Judge | None, k: int,
    compute: Compute = Compute(),
) -> list[Suggestion]:  # fmt: skip
    """Return likely pairs, the most likely first.

    Each of the two tracklets is the best match of the other, and their probability is at least `LEAST_PROBABILITY`. No
    label says whether they are one person, and they were not seen at the same time by one camera.

    Args:
        store: The gallery.
        groups: Its labels.
        aggregator: Aggregator in evaluation mode.
        judge: For probabilities; None orders by similarity.
        k: Most pairs, 1 or more.
        compute: Device and precision.
    """
    last = store.page(limit=MOST_TRACKLETS, newest=True).entries
    ids, means = store.means(Filter(ids=frozenset(entry.id for entry in last)))
    if len(ids) < 2:
        return []
    near = store.nearest(means, NEIGHBOURS + 1, Filter(ids=frozenset(ids)))
    place = {id_: number for number, id_ in enumerate(ids)}
    pairs = {
        (min(row, place[other]), max(row, place[other]))
        for row, (others, _) in enumerate(near)
        for other in others
        if other in place and place[other] != row
    }
    entries = store.entries(ids)
    impossible = one_camera(entries) & together(entries)
    chosen = np.array(sorted(
        (i, j) for i, j in pairs
        if not (impossible[i, j] or groups.same(ids[i], ids[j]) or groups.different(ids[i], ids[j]))
    ))  # fmt: skip
    if not len(chosen):
        return []
    features = np.stack([t.features for block in _blocks(ids) for t in store.fetch(block)]).astype(np.float32)
    rows, columns = chosen.T
    similarity = score_pairs(features, features, rows, columns, aggregator, compute=compute).astype(np.float64)
    order, probability = similarity, None
    if judge is not None:
        adjusted = judge.adjust(similarity, means[rows], means[columns])
        probability = judge.probability(adjusted, [entries[i].camera == entries[j].camera != "" for i, j in chosen])
        order = probability
    best = np.full(len(ids), -np.inf)
    np.maximum.at(best, rows, order)
    np.maximum.at(best, columns, order)
    keep = (order >= best[rows]) & (order >= best[columns])
    if probability is not None:
        keep &= probability >= LEAST_PROBABILITY
    found = sorted(np.flatnonzero(keep).tolist(), key=lambda pair: (-order[pair], -similarity[pair]))[:k]
    return [
        Suggestion(
            entries[rows[pair]], entries[columns[pair]], float(similarity[pair]),
            None if probability is None else float(probability[pair]),
        )
        for pair in found
    ]  # fmt: skip


def _blocks(ids: list[str], size: int = 256) -> list[list[str]]:
    return [ids[first : first + size] for first in range(0, len(ids), size)]
