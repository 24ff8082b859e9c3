"""Search a gallery: candidates by mean feature, similarities by the engine; or all of it, exactly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resight.compute import Compute
from resight.features.types import ClipFeatures
from resight.gallery.contract import GalleryStore
from resight.gallery.describe import unit_mean
from resight.gallery.types import Filter, StoredTracklet
from resight.models.aggregators import Aggregator
from resight.scoring.bounds import bound_similarities
from resight.scoring.search import search_exactly

_BLOCK = 512
"""Tracklets that an exact search reads at once."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A stored tracklet with its similarity to a query."""

    tracklet: StoredTracklet
    similarity: float


@dataclass(frozen=True, eq=False)
class Candidates:
    """The result of a search.

    Attributes:
        best: The best, best first.
        scored: Number of tracklets that were compared by their clip pairs.
        searched: Number of tracklets that meet the conditions; None if they were not counted.
        shards: Number of shards that answered, and of all shards; None if the gallery is not divided.
    """

    best: tuple[Candidate, ...]
    scored: int
    searched: int | None = None
    shards: tuple[int, int] | None = None


class Floor:
    """The k-th best similarity so far: what is less similar cannot be among the k best.

    Args:
        k: Number of answers.
    """

    def __init__(self, k: int) -> None:
        self._k = k
        self._best: dict[str, float] = {}

    def raise_by(self, found: Mapping[str, float]) -> float:
        """Take further similarities into account, and return the floor; minus infinity if there are less than k.

        Args:
            found: Similarities by id. A tracklet counts once, however often it is found.
        """
        best = sorted((self._best | dict(found)).items(), key=lambda item: -item[1])[: self._k]
        self._best = dict(best)
        return best[-1][1] if len(best) == self._k else -np.inf


def pooled(references: Sequence[StoredTracklet]) -> NDArray[np.float32]:
    """Return the clips of all references of one person as the clips of one query, (M, D).

    The similarity to it is the mean over all clip pairs, weighted by importance, as for one tracklet: a clip counts as
    much as the model trusts it, whichever reference it is from, and the similarity has the same range and meaning.
    """
    return np.concatenate([reference.features for reference in references]).astype(np.float32)


def search_store(
    store: GalleryStore,
    query: NDArray[np.float32],
    aggregator: Aggregator,
    k: int,
    *,
    where: Filter,
    shortlist: int | None,
    compute: Compute = Compute(),
) -> Candidates:
    """Return the k stored tracklets that are most similar to a query.

    Args:
        store: The gallery.
        query: (M, D) clip features.
        aggregator: Aggregator that computes the similarities.
        k: Number of answers, 1 or more.
        where: Conditions that an answer must meet.
        shortlist: Compare only this many tracklets by their clip pairs, those with the most similar means; None
            compares all, and skips those that cannot be among the best by a proven bound.
        compute: Device and precision.
    """
    if shortlist is None:
        return search_all(store, query, aggregator, k, where, compute, Floor(k))
    ids, _ = store.nearest(unit_mean(query)[None], max(shortlist, k), where)[0]
    return search_listed(store, query, ids, aggregator, k, compute)


def search_listed(
    store: GalleryStore, query: NDArray[np.float32], ids: Sequence[str], aggregator: Aggregator, k: int,
    compute: Compute,
) -> Candidates:  # fmt: skip
    """Return the k most similar of some stored tracklets, see `search_store`."""
    # Unlike fetch, this leaves out what is damaged, or was removed a moment ago.
    listed = [tracklet for block in store.scan(Filter(ids=frozenset(ids))) for tracklet in block]
    return score_tracklets(query, listed, aggregator, k, compute)


def search_all(
    store: GalleryStore, query: NDArray[np.float32], aggregator: Aggregator, k: int, where: Filter, compute: Compute,
    floor: Floor,
) -> Candidates:  # fmt: skip
    """Return the k most similar of all stored tracklets, see `search_store`.

    Args:
        floor: It is told all similarities that can be among the best, and rules out tracklets whose bound is below it.
    """
    best, lowest = Candidates((), 0), -np.inf
    for block in store.scan(where, _BLOCK):
        found = score_tracklets(query, _not_below(lowest, query, block, aggregator, compute), aggregator, k, compute)
        lowest = floor.raise_by({candidate.tracklet.id: candidate.similarity for candidate in found.best})
        both = sorted((*best.best, *found.best), key=lambda candidate: -candidate.similarity)  # stable: oldest first
        best = Candidates(tuple(both[:k]), best.scored + found.scored)
    return best


def _not_below(
    lowest: float, query: NDArray[np.float32], tracklets: Sequence[StoredTracklet], aggregator: Aggregator,
    compute: Compute,
) -> Sequence[StoredTracklet]:  # fmt: skip
    """Return the tracklets whose similarity can be `lowest` or more."""
    if lowest == -np.inf or not aggregator.bounded_by_cosines or not tracklets:
        return tracklets
    gallery = as_features([item.features for item in tracklets], [item.id for item in tracklets])
    upper = bound_similarities(query[None].astype(np.float32), gallery.values, compute=compute).upper[0]
    return [tracklets[place] for place in np.flatnonzero(upper >= lowest).tolist()]


def score_tracklets(
    query: NDArray[np.float32],
    tracklets: Sequence[StoredTracklet],
    aggregator: Aggregator,
    k: int,
    compute: Compute = Compute(),
) -> Candidates:
    """Return the k most similar of some tracklets, best first."""
    if not tracklets:
        return Candidates((), 0)
    ranking, effort = search_exactly(
        as_features([query], ["query"]),
        as_features([tracklet.features for tracklet in tracklets], [tracklet.id for tracklet in tracklets]),
        aggregator, k, compute=compute,
    )  # fmt: skip
    best = zip(ranking.order[0].tolist(), ranking.scores[0].tolist(), strict=True)
    return Candidates(tuple(Candidate(tracklets[place], score) for place, score in best), effort.scored)


def as_features(values: Sequence[NDArray[np.floating]], ids: Sequence[str]) -> ClipFeatures:
    """Return features (M, D) of several tracklets as the engine takes them."""
    stacked = np.stack(values).astype(np.float32)
    nobody = np.full(len(stacked), -1, np.int64)
    return ClipFeatures(tuple(ids), nobody, nobody, stacked, np.zeros((*stacked.shape[:2], 1), np.int64))
