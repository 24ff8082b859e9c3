"""What a user would pick: k-reciprocal re-ranking on whole N x N arrays, one tracklet after another."""

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
    """New similarities of queries to gallery: Zhong et al. 2017, Eq. 3 to 12, with whole arrays.

    Args:
        similarity: (N, N) cosines, row as the query.
        query: (Q,) numbers of the queries among the N.
        gallery: (G,) numbers of the gallery tracklets among the N.
        k1: neighbours that are compared.
        k2: neighbours that share their encoding.
        original_share: lambda.

    Returns:
        (Q, G), 1 less the final distance.
    """
    distance = 2 - 2 * similarity
    distance = distance / distance.max(axis=1, keepdims=True)
    order = np.argsort(-similarity, axis=1, kind="stable")  # not of distances, whose rounding makes ties
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

    found = np.zeros((len(query), len(distance)), np.float32)
    holders = [np.flatnonzero(encoding[:, column]) for column in range(len(distance))]
    for i, own in enumerate(query):
        minima = np.zeros(len(distance), np.float32)
        for column in np.flatnonzero(encoding[own]):
            minima[holders[column]] += np.minimum(encoding[own, column], encoding[holders[column], column])
        jaccard_distance = 1 - minima / (2 - minima)
        found[i] = 1 - (jaccard_distance * (1 - original_share) + distance[own] * original_share)
    return found[:, gallery]


def reciprocal(order: NDArray[np.int64], i: int, k: int) -> NDArray[np.int64]:
    """Those of the first k + 1 of row i that have i among their own first k + 1."""
    forward = order[i, : k + 1]
    back = order[forward, : k + 1]
    return forward[np.any(back == i, axis=1)]
