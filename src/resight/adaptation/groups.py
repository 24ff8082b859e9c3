"""Group unlabelled tracklets that probably show the same person.

Legend: T tracklets, D features.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from resight.ranking import Ranking
from resight.scoring.rerank import find_neighbours, rerank

NEIGHBOURS, AVERAGED = 10, 3
"""k1 and k2 of the re-ranked distances. A person has fewer tracklets here than in the benchmarks of re-ranking."""

DISTANCE = 0.5
"""Largest mean distance of two groups that are joined, from 0 (the same neighbours) to 1 (no common neighbour)."""

_NEVER = 1e4
"""Distance of tracklets of different persons: the mean of two groups with such a pair stays above `DISTANCE`."""


def group_tracklets(features: NDArray[np.floating], apart: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the group of each tracklet: (T,), numbers from 0.

    Groups are joined by their mean distance (average linkage). The distance of two tracklets is the share of neighbours
    that they do not have in common (`rerank`). DBSCAN on the same distances, which most publications use, chains
    different persons together more often.

    Args:
        features: (T, D), one vector of length 1 for each tracklet.
        apart: (T, T), whether two tracklets show different persons, so that they are not joined.
    """
    if len(features) < 2:
        return np.zeros(len(features), np.int64)
    distance = _distances(features)
    distance[apart] = _NEVER
    tree = linkage(squareform(distance, checks=False), "average")
    numbers = fcluster(tree, DISTANCE, "distance")
    return np.unique(numbers, return_inverse=True)[1].astype(np.int64)


def _distances(features: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return 1 minus the Jaccard similarities of the neighbours, (T, T) and symmetric."""
    similarity = np.clip(features @ features.T, -1, 1).astype(np.float32)
    ids = tuple(str(number) for number in range(len(features)))
    k1 = min(NEIGHBOURS, max(2, len(ids) // 6))
    k2 = min(AVERAGED, k1)
    neighbours, least = find_neighbours(ids, lambda rows: similarity[rows], k1 + 1)
    ranking = rerank(
        Ranking.from_scores(similarity, ids, ids), neighbours, least=least, k1=k1, k2=k2, original_share=0.0,
        score_pairs=lambda query, gallery: similarity[query, gallery],
    )  # fmt: skip
    distance = np.empty_like(similarity)
    np.put_along_axis(distance, ranking.order.astype(np.int64), 1 - ranking.scores, axis=1)
    distance = np.maximum((distance + distance.T) / 2, 0)
    np.fill_diagonal(distance, 0)
    return distance
