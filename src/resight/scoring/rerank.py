"""Sparse re-ranking by k-reciprocal neighbours: only pairs of tracklets that share a neighbour are compared.

Source: Zhong et al., Re-ranking Person Re-identification with k-reciprocal Encoding, CVPR 2017. The paper that Resight
implements applies it to its own similarity in Tables 3 and 4 without stating parameters; the defaults are those of
Zhong et al.

Legend: N tracklets, queries and gallery together, with K neighbours each; Q queries, G gallery tracklets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array

from resight.errors import RecipeError, ShapeError
from resight.ranking import Ranking, best_first, check_finite

K1, K2, ORIGINAL_SHARE = 20, 6, 0.3
"""Defaults of k1, k2 and λ: the values of Zhong et al. for Market-1501."""

NEIGHBOURS = max(K1 + 1, K2)
"""Number of neighbours per tracklet that the defaults need; k1 does not count the tracklet itself."""

ROWS_BUDGET, JACCARD_BUDGET = 2**27, 2**26
"""Bytes of a block of similarities in `find_neighbours`, and of a block of the comparison of V in `rerank`, roughly.

Each block has at least one row.
"""

RERANKING = f"k-reciprocal re-ranking (k1 {K1}, k2 {K2}, λ {ORIGINAL_SHARE:g})"
"""Label of scores that were re-ranked with the defaults."""

ScoreRows = Callable[[slice], NDArray[np.floating]]
"""Returns similarities of a slice of the N tracklets, as queries, to all of them: (rows, N)."""

ScorePairs = Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.floating]]
"""Returns similarities (P,) of pairs, given positions of their query sides (P,) and gallery sides (P,)."""

_Scalar = TypeVar("_Scalar", bound=np.generic)

_ROUNDING = 1e-4
"""Largest amount by which a rounded cosine may exceed 1."""

_NARROWEST = 1e-6
"""Smallest difference between 1 and the smallest similarity of a row, so that distances are finite."""


def find_neighbours(
    ids: tuple[str, ...], score_rows: ScoreRows, k: int = NEIGHBOURS
) -> tuple[Ranking, NDArray[np.float32]]:
    """Return the neighbours of N tracklets by scoring all pairs in blocks of rows, without an N × N matrix.

    A search of all tracklets among themselves, such as `search_exactly`, gives the same ranking in less time.

    Args:
        ids: N tracklet ids.
        score_rows: Returns finite similarities of a slice of the tracklets, as queries, to all N, (rows, N); called for
            consecutive slices. Use ``lambda rows: similarity[rows]`` for a given matrix.
        k: Number of neighbours to keep, K: at least k1 + 1 and k2 of `rerank`.

    Returns:
        The best K = min(k, N) of each, equal ones in the order of `ids`; and the smallest similarity of each row, (N,).

    Raises:
        ShapeError: If a block has another shape, or a similarity is not finite.
    """
    N = len(ids)
    order, scores = np.empty((N, min(k, N)), np.int32), np.empty((N, min(k, N)), np.float32)
    least = np.empty(N, np.float32)
    step = max(1, ROWS_BUDGET // (8 * max(N, 1)))
    for start in range(0, N, step):
        rows = slice(start, min(start + step, N))
        block = score_rows(rows)
        if block.shape != (rows.stop - start, N):
            raise ShapeError(f"similarities of rows {start} to {rows.stop} are {block.shape}, expected (rows, {N})")
        check_finite(block, ids[rows], ids)
        order[rows], scores[rows] = best_first(block, k)
        least[rows] = block.min(axis=1)
    return Ranking(ids, ids, order, scores), least


def rerank(
    ranking: Ranking,
    neighbours: Ranking,
    *,
    least: NDArray[np.floating] | None = None,
    k1: int = K1,
    k2: int = K2,
    original_share: float = ORIGINAL_SHARE,
    score_pairs: ScorePairs | None = None,
) -> Ranking:
    """Return a new ranking by how many near neighbours a query and a gallery tracklet share.

    The distance of tracklet i, as the query, to j is d_ij = (1 - s_ij) / (1 - least_i), where least_i is the smallest
    similarity of row i. For cosines this is the squared Euclidean distance of features of length 1, 2 - 2 s_ij, divided
    by the largest of its row, as in the authors' code. A similarity that depends on the order of the two tracklets is
    used as given, query side first. Then

    * i and j are k-reciprocal if each is among the first k + 1 of the other, itself included: R(i, k).
    * R*(i) is R(i, k1) and every R(c, k1 / 2), c in R(i, k1), of which more than two thirds are in R(i, k1).
    * V_ij is exp(-d_ij) for j in R*(i), otherwise 0, with each row divided by its sum; then each row is replaced by the
      mean of the rows of its k2 nearest neighbours.
    * the Jaccard similarity of i and j is J = Σ_n min(V_in, V_jn) / Σ_n max(V_in, V_jn).
    * the new distance is (1 - λ)(1 - J) + λ d_ij, and the new similarity is 1 minus the new distance.

    The similarity of a pair in R* that is not among the K best of its row is not in the lists. With `score_pairs` it is
    computed, for a few pairs per tracklet, and the result equals that of the dense method on all N × N similarities.
    Without, it is replaced by the last listed similarity, its upper bound, and the result equals that of the dense
    method with all similarities below the K-th best of a row raised to it when computing V. A larger K is closer to the
    dense method.

    Args:
        ranking: Rankings of G gallery tracklets for Q queries; a ranking that is cut off keeps its answers in a new
            order.
        neighbours: The K best of each of N tracklets among the same N tracklets, which include those of the ranking. A
            tracklet is among its own neighbours, usually as the first.
        least: (N,), smallest similarity of each row. None takes it from the ranking: the last similarity of a query,
            and for other tracklets their mean.
        k1: Number of neighbours to compare, without the tracklet itself.
        k2: Number of neighbours, with the tracklet itself, whose V are averaged; 1 for no averaging.
        original_share: λ, 0 … 1.
        score_pairs: Returns the similarities of pairs that are not listed.

    Returns:
        The ranking with new similarities as scores; equal ones keep their order.

    Raises:
        RecipeError: If a parameter is out of range.
        ShapeError: If `neighbours` do not list the same tracklets as queries and gallery, lack a tracklet of the
            ranking, or are too few; if a similarity is above 1; if `least` or the result of `score_pairs` has another
            shape; or if `least` is not given and the ranking is cut off.
    """
    _check_neighbours(neighbours)
    if k1 < 1 or k2 < 1 or not 0 <= original_share <= 1:
        raise RecipeError(
            f"expected k1 and k2 of at least 1 and original_share in 0 … 1, found {k1}, {k2}, {original_share}"
        )
    N = len(neighbours.query_ids)
    number = {tracklet_id: n for n, tracklet_id in enumerate(neighbours.query_ids)}
    query, gallery = (_numbers(number, role, getattr(ranking, f"{role}_ids")) for role in ("query", "gallery"))
    if least is None:
        least = _least(ranking, query, N)
    V, span_N = encode_neighbours(neighbours, least, k1, k2, score_pairs)
    order, scores = rerank_rows(ranking.order, ranking.scores, V[query], V[gallery], span_N[query], original_share)
    return Ranking(ranking.query_ids, ranking.gallery_ids, order, scores)


def encode_neighbours(
    neighbours: Ranking,
    least: NDArray[np.floating],
    k1: int = K1,
    k2: int = K2,
    score_pairs: ScorePairs | None = None,
) -> tuple[csr_array, NDArray[np.float32]]:
    """Return V of `rerank`, (N, N), and the span 1 - least of each row, (N,).

    Args:
        neighbours: As in `rerank`, and so are the other arguments.
        least: (N,), smallest similarity of each row.
        k1: See there.
        k2: See there.
        score_pairs: See there.

    Raises:
        ShapeError: If there are too few neighbours, or `least` or the result of `score_pairs` has another shape.
    """
    N, K = neighbours.order.shape
    if min(N, max(k1 + 1, k2)) > K:
        raise ShapeError(
            f"{K} neighbours of each tracklet are listed, expected at least {max(k1 + 1, k2)}: search for more"
        )
    if least.shape != (N,):
        raise ShapeError(
            f"least has shape {least.shape}, expected ({N},): one similarity for each tracklet in neighbours"
        )
    span_N = np.maximum(1 - least, _NARROWEST).astype(np.float32)
    V = _encode(_expanded(neighbours.order, k1), neighbours, span_N, score_pairs)
    if k2 > 1:
        V = _membership(neighbours.order[:, :k2]) @ V / min(k2, N)
    return V, span_N


def rerank_rows(
    order: NDArray[np.int32],
    scores: NDArray[np.float32],
    query: csr_array,
    gallery: csr_array | csc_array,
    span: NDArray[np.float32],
    original_share: float = ORIGINAL_SHARE,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return order and similarities of some queries after re-ranking, given V.

    Args:
        order: (Q, K) gallery positions of each query, best first.
        scores: (Q, K) their similarities.
        query: (Q, N) rows of V of the queries.
        gallery: (G, N) rows of V of the gallery.
        span: (Q,) spans of the queries.
        original_share: λ, 0 … 1.
    """
    new_order, new_scores = np.empty_like(order), np.empty_like(scores)
    for rows, jaccard in _jaccard(query, gallery):
        similarity = _take_along(jaccard, order[rows])
        similarity *= 1 - original_share
        similarity += original_share * (1 - (1 - scores[rows]) / span[rows, None])
        positions, new_scores[rows] = best_first(similarity)
        new_order[rows] = _take_along(order[rows], positions)
    return new_order, new_scores


def _take_along(values: NDArray[_Scalar], positions: NDArray[np.int32]) -> NDArray[_Scalar]:
    """As ``take_along_axis`` for rows, but row by row, which is several times as fast in NumPy."""
    return np.stack([np.take(*pair, mode="clip") for pair in zip(values, positions, strict=True)])


def _check_neighbours(neighbours: Ranking) -> None:
    ids, order = neighbours.query_ids, neighbours.order
    if ids != neighbours.gallery_ids:
        raise ShapeError(
            f"neighbours rank {len(ids)} tracklets against {len(neighbours.gallery_ids)} different ones, expected the "
            "same tracklets in the same order: search all tracklets, queries and gallery, among themselves"
        )
    if len(set(ids)) != len(ids):
        raise ShapeError(
            f"neighbours list {len(ids)} tracklets, but only {len(set(ids))} different ones: list each tracklet once"
        )
    if not (order == np.arange(len(ids))[:, None]).any():
        raise ShapeError(
            "no tracklet is among its own neighbours, expected each one, usually as the first: include queries in the "
            "gallery when searching for neighbours"
        )
    if not neighbours.scores.max() <= 1 + _ROUNDING:
        raise ShapeError(
            f"the largest similarity of neighbours is {neighbours.scores.max()}, expected at most 1: re-ranking needs "
            "cosines or means of cosines"
        )


def _least(ranking: Ranking, query: NDArray[np.int64], N: int) -> NDArray[np.float32]:
    """Smallest similarity of each row, estimated from a ranking of the whole gallery."""
    if ranking.order.shape[1] < max(1, len(ranking.gallery_ids)):
        raise ShapeError(
            f"the ranking keeps {ranking.order.shape[1]} of {len(ranking.gallery_ids)} gallery tracklets, expected all "
            "of them because least is not given: rank with k=None, or give least"
        )
    least = np.full(N, ranking.scores[:, -1].mean(), np.float32)
    least[query] = ranking.scores[:, -1]
    return least


def _numbers(number: dict[str, int], role: str, ids: tuple[str, ...]) -> NDArray[np.int64]:
    missing = [tracklet_id for tracklet_id in ids if tracklet_id not in number]
    if missing:
        raise ShapeError(
            f"{len(missing)} of {len(ids)} {role} tracklets of the ranking are not in neighbours, the first is "
            f"{missing[0]!r}: search for the neighbours of queries and gallery together"
        )
    return np.array([number[tracklet_id] for tracklet_id in ids], dtype=np.int64)


def _membership(order: NDArray[np.int32]) -> csr_array:
    """Matrix (N, N), 1 where the column is listed in the row."""
    N, K = order.shape
    return csr_array((np.ones(N * K, np.float32), order.ravel(), np.arange(N + 1) * K), shape=(N, N))


def _reciprocal(order: NDArray[np.int32]) -> csr_array:
    """Symmetric matrix (N, N), 1 where row and column list each other."""
    listed = _membership(order)
    return csr_array(listed.multiply(listed.T))


def _expanded(order: NDArray[np.int32], k1: int) -> csr_array:
    """R* as a matrix (N, N), above 0 where the column belongs to the row's expanded set."""
    near, half = _reciprocal(order[:, : k1 + 1]), _reciprocal(order[:, : round(k1 / 2) + 1])
    # Number of members of a candidate's half-sized set that are in the row's set, for the row's neighbours only.
    accepted = csr_array((near @ half).multiply(near))
    accepted.data = (3 * accepted.data > 2 * half.sum(axis=1)[accepted.indices]).astype(np.float32)
    accepted.eliminate_zeros()
    return csr_array(near + accepted @ half)


def _encode(
    sets: csr_array, neighbours: Ranking, span_N: NDArray[np.float32], score_pairs: ScorePairs | None
) -> csr_array:
    """V before rows are averaged: (N, N) float32, exp(-d) on the sets, with rows of sum 1."""
    N, K = neighbours.order.shape
    row = np.repeat(np.arange(N), np.diff(sets.indptr))
    column = sets.indices.astype(np.int64)
    wanted = row * N + column
    listed = (np.arange(N)[:, None] * N + neighbours.order).ravel()
    by_pair = np.argsort(listed)
    at = by_pair[np.minimum(np.searchsorted(listed, wanted, sorter=by_pair), N * K - 1)]
    similarity = neighbours.scores.ravel()[at]
    unlisted = listed[at] != wanted
    if score_pairs is None:
        similarity[unlisted] = neighbours.scores[row[unlisted], -1]
    elif unlisted.any():
        scored = score_pairs(row[unlisted], column[unlisted])
        if scored.shape != (np.count_nonzero(unlisted),) or not np.isfinite(scored).all():
            raise ShapeError(
                f"score_pairs returned {scored.shape} for {np.count_nonzero(unlisted)} pairs, expected one finite "
                "similarity per pair"
            )
        similarity[unlisted] = scored
    weight = np.exp((similarity - 1) / span_N[row])
    weight /= np.bincount(row, weight, N)[row]
    return csr_array((weight.astype(np.float32), sets.indices, sets.indptr), shape=(N, N))


def _jaccard(query: csr_array, gallery: csr_array | csc_array) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Jaccard similarities (rows, G) of consecutive slices of queries, given V of both, whose rows sum to 1 or 0.

    The sum of minima is collected from the gallery's columns: for every entry of a query's row, the gallery rows that
    have an entry in the same column. The sum of maxima is 2 minus that, because the rows sum to 1.
    """
    G = gallery.shape[0]
    by_column = gallery.tocsc()
    count_N = np.diff(by_column.indptr)
    shared = np.concatenate([[0], np.cumsum(count_N[query.indices], dtype=np.int64)])[query.indptr]
    # Bytes, roughly: 48 per common entry, 32 per result.
    cost = 48 * shared + 32 * G * np.arange(len(shared))
    start = 0
    while start < query.shape[0]:
        stop = max(start + 1, int(np.searchsorted(cost, cost[start] + JACCARD_BUDGET, side="right")) - 1)
        inside = slice(query.indptr[start], query.indptr[stop])
        column, value = query.indices[inside], query.data[inside]
        count = count_N[column]
        first = np.cumsum(count) - count
        at = np.arange(count.sum()) + np.repeat(by_column.indptr[column] - first, count)
        row = np.repeat(np.arange(stop - start), np.diff(query.indptr[start : stop + 1]))
        target = np.repeat(row * G, count) + by_column.indices[at]
        smaller = np.minimum(by_column.data[at], np.repeat(value, count))
        minima = np.bincount(target, smaller, (stop - start) * G).reshape(stop - start, G)
        yield slice(start, stop), (minima / (2 - minima)).astype(np.float32)
        start = stop
