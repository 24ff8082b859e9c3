"""Plain k-reciprocal re-ranking on whole N x N arrays, one tracklet at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def rerank_dense(
    similarity: NDArray[np.float32],
    query: NDArray[np.int64],
    gallery: NDArray[np.int64],
    *,
    k1: int = 20,
    k2: int = 6,
    original_share: float = 0.3,
) -> NDArray[np.float32]:
    """Return new similarities of queries to gallery: Zhong et al. 2017, Eq. 3 to 12, with whole arrays.

    Args:
        similarity: (N, N) cosines, rows as queries.
        query: (Q,) positions of the queries among the N tracklets.
        gallery: (G,) positions of the gallery tracklets among the N tracklets.
        k1: Number of neighbours to compare.
        k2: Number of neighbours whose encodings are averaged.
        original_share: λ, the share of the original distance.

    Returns:
        (Q, G), 1 minus the final distance.
    """
    distance = 2 - 2 * similarity
    distance = distance / distance.max(axis=1, keepdims=True)
    order = np.argsort(-similarity, axis=1, kind="stable")  # rounding of distances would create ties
    encoding = np.zeros_like(distance)
    for i in range(len(distance)):
        near = reciprocal(order, i, k1)
        expanded = near
        for candidate in near:
            other = reciprocal(order, int(candidate), round(k1 / 2))
            if len(np.intersect1d(other, near)) > 2 / 3 * len(other):
                expanded = np.append(expanded, other)
        expanded = np.unique(expanded)
        weight = np.exp(-distance[i, expanded])
        encoding[i, expanded] = weight / weight.sum()
    if k2 > 1:
        encoding = np.stack([encoding[row[:k2]].mean(axis=0) for row in order])

    scores = np.zeros((len(query), len(distance)), np.float32)
    holders = [np.flatnonzero(encoding[:, column]) for column in range(len(distance))]
    for i, row in enumerate(query):
        minima = np.zeros(len(distance), np.float32)
        for column in np.flatnonzero(encoding[row]):
            minima[holders[column]] += np.minimum(encoding[row, column], encoding[holders[column], column])
        jaccard_distance = 1 - minima / (2 - minima)
        scores[i] = 1 - (jaccard_distance * (1 - original_share) + distance[row] * original_share)
    return scores[:, gallery]


def reciprocal(order: NDArray[np.int64], i: int, k: int) -> NDArray[np.int64]:
    """Return those of the first k + 1 of row i that have i among their own first k + 1."""
    forward = order[i, : k + 1]
    back = order[forward, : k + 1]
    return forward[np.any(back == i, axis=1)]
