"""Re-ranking by k-reciprocal neighbours, sparse: only pairs of tracklets that share a neighbour are ever looked at.

Zhong et al., Re-ranking Person Re-identification with k-reciprocal Encoding, CVPR 2017. The paper that Resight
implements adds it to its own similarity in Tables 3 and 4 and names no parameters; the defaults here are Zhong's.

Shapes: N tracklets in all, queries and gallery together, K nearest kept of each; Q queries, G gallery tracklets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from resight.errors import RecipeError, ShapeError
from resight.ranking import Ranking, best_first, check_finite

K1, K2, ORIGINAL_SHARE = 20, 6, 0.3
"""Neighbours compared, neighbours whose V is shared, and λ: what Zhong et al. use for Market-1501."""

NEIGHBOURS = max(K1 + 1, K2)
"""What must be listed of each tracklet for these; with k1 the tracklet itself does not count."""

ROWS_BUDGET, JACCARD_BUDGET = 2**27, 2**26
"""Bytes of a block of similarities in `find_neighbours`, and of a block of the comparison of V in `rerank`, roughly.

Each block has at least one row.
"""

RERANKING = f"k-reciprocal re-ranking (k1 {K1}, k2 {K2}, λ {ORIGINAL_SHARE:g})"
"""What scores are labelled with that were re-ranked so."""

ScoreRows = Callable[[slice], NDArray[np.floating]]
"""Similarities of some of the N tracklets, as queries, to all of them: (rows, N)."""

ScorePairs = Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.floating]]
"""Similarities of pairs: numbers of the query sides (P,), of the gallery sides (P,), to (P,)."""

_Scalar = TypeVar("_Scalar", bound=np.generic)

_ROUNDING = 1e-4
"""By how much a cosine may exceed 1."""

_NARROWEST = 1e-6
"""Least difference between 1 and the least similarity of a row, so that distances stay finite."""


def find_neighbours(
    ids: tuple[str, ...], score_rows: ScoreRows, k: int = NEIGHBOURS
) -> tuple[Ranking, NDArray[np.float32]]:
    """The neighbours of N tracklets by scoring all pairs in blocks of rows; N × N similarities never exist at once.

    An exact search of all tracklets among themselves, such as `search_exactly`, gives the same ranking for less.

    Args:
        ids: N tracklet ids.
        score_rows: gives similarities of some tracklets, as queries, to all N, (rows, N), finite; called for
            slices that follow one another. ``lambda rows: similarity[rows]`` for a matrix at hand.
        k: K, how many to keep: at least k1 + 1 and k2 of `rerank`.

    Returns:
        The best K = min(k, N) of each, equal ones in the order of `ids`; and (N,) the least similarity of each row.

    Raises:
        ShapeError: if a block has another shape or a similarity that is not a number.
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
    """Rank anew by how many near neighbours a query and a gallery tracklet have in common.

    The distance of tracklet i, as the query, to j is d_ij = (1 - s_ij) / (1 - least_i), with least_i the similarity of
    the least similar. For cosines this is the squared Euclidean distance of features of length 1, 2 - 2 s_ij, divided
    by the greatest of its row, which is what the authors' code uses. A similarity that depends on the order of the two
    is used as given, query side first. Then

    * i and j are k-reciprocal if each is among the first k + 1 of the other, itself included: R(i, k).
    * R*(i) is R(i, k1) and every R(c, k1 / 2), c in R(i, k1), of which more than two thirds are in R(i, k1).
    * V_ij is exp(-d_ij) for j in R*(i), otherwise 0, each row divided by its sum; then each row is replaced by the mean
      of the rows of its k2 nearest.
    * the Jaccard similarity of i and j is J = Σ_n min(V_in, V_jn) / Σ_n max(V_in, V_jn).
    * the new distance is (1 - λ)(1 - J) + λ d_ij, the new similarity 1 less that.

    Of a pair in R* that is not among the K best of its row, lists alone do not tell s. With `score_pairs` it is asked
    for, a few for each tracklet, and the result is that of the dense method on all N × N similarities. Without, it is
    taken to be the last one listed, which it cannot exceed, and the result is that of the dense method on a matrix in
    which for V, all lower similarities of a row are raised to the K-th best; a greater K comes closer.

    Args:
        ranking: Q rankings of G gallery tracklets; one that is cut off keeps the same answers in a new order.
        neighbours: the K best of each of N tracklets among the same N, those of the ranking and any others. A tracklet
            counts among its own neighbours, usually as the first.
        least: (N,) least similarity of each row. None takes what the ranking knows: the last of a query's row, and for
            the others the mean of these.
        k1: neighbours that are compared, without the tracklet itself.
        k2: neighbours, with the tracklet itself, that share their V; 1 for none.
        original_share: λ, 0 … 1.
        score_pairs: similarities of pairs that lists lack.

    Returns:
        As `ranking`, its scores the new similarities; equal ones keep the order that they had.

    Raises:
        RecipeError: if a parameter is out of range.
        ShapeError: if `neighbours` are not of the same tracklets as queries and gallery, lack one of the ranking, or
            are too few; if a similarity is above 1; if `least` or what `score_pairs` gives has another shape; if
            `least` is not given and the ranking is cut off.
    """
    _check_neighbours(neighbours)
    N, K = neighbours.order.shape
    if k1 < 1 or k2 < 1 or not 0 <= original_share <= 1:
        raise RecipeError(
            f"expected k1 and k2 of at least 1 and original_share in 0 … 1, found {k1}, {k2}, {original_share}"
        )
    if min(N, max(k1 + 1, k2)) > K:
        raise ShapeError(f"{K} neighbours of each tracklet are listed, expected {max(k1 + 1, k2)}; search for more")
    number = {tracklet_id: n for n, tracklet_id in enumerate(neighbours.query_ids)}
    query, gallery = (_numbers(number, role, getattr(ranking, f"{role}_ids")) for role in ("query", "gallery"))

    if least is None:
        least = _least(ranking, query, N)
    if least.shape != (N,):
        raise ShapeError(f"least is {least.shape}, expected ({N},): one similarity for each tracklet of neighbours")
    span_N = np.maximum(1 - least, _NARROWEST).astype(np.float32)

    V = _encode(_expanded(neighbours.order, k1), neighbours, span_N, score_pairs)
    if k2 > 1:
        V = _membership(neighbours.order[:, :k2]) @ V / min(k2, N)
    order, scores = np.empty_like(ranking.order), np.empty_like(ranking.scores)
    for rows, jaccard in _jaccard(V[query], V[gallery]):
        new = _along(jaccard, ranking.order[rows])
        new *= 1 - original_share
        new += original_share * (1 - (1 - ranking.scores[rows]) / span_N[query[rows], None])
        places, scores[rows] = best_first(new)
        order[rows] = _along(ranking.order[rows], places)
    return Ranking(ranking.query_ids, ranking.gallery_ids, order, scores)


def _along(values: NDArray[_Scalar], places: NDArray[np.int32]) -> NDArray[_Scalar]:
    """``take_along_axis`` for rows, which numpy does several times faster one by one."""
    return np.stack([np.take(*pair, mode="clip") for pair in zip(values, places, strict=True)])


def _check_neighbours(neighbours: Ranking) -> None:
    ids, order = neighbours.query_ids, neighbours.order
    if ids != neighbours.gallery_ids:
        raise ShapeError(
            f"neighbours are of {len(ids)} tracklets among {len(neighbours.gallery_ids)} others, expected the same "
            "tracklets in the same order; search all tracklets, queries and gallery, among themselves"
        )
    if len(set(ids)) != len(ids):
        raise ShapeError(f"neighbours are of {len(ids)} tracklets, {len(set(ids))} different; give each one once")
    if not (order == np.arange(len(ids))[:, None]).any():
        raise ShapeError(
            "no tracklet is among its own neighbours, expected it to be, usually as the first; search with the "
            "tracklet itself in the gallery"
        )
    if not neighbours.scores.max() <= 1 + _ROUNDING:
        raise ShapeError(
            f"the greatest similarity of neighbours is {neighbours.scores.max()}, expected at most 1; re-ranking needs "
            "cosines or means of cosines"
        )


def _least(ranking: Ranking, query: NDArray[np.int64], N: int) -> NDArray[np.float32]:
    """The least similarities as far as a whole ranking knows them."""
    if ranking.order.shape[1] < max(1, len(ranking.gallery_ids)):
        raise ShapeError(
            f"the ranking keeps {ranking.order.shape[1]} of {len(ranking.gallery_ids)} gallery tracklets, expected all "
            "of them, as least is not given; rank with k=None, or give the least similarities"
        )
    least = np.full(N, ranking.scores[:, -1].mean(), np.float32)
    least[query] = ranking.scores[:, -1]
    return least


def _numbers(number: dict[str, int], role: str, ids: tuple[str, ...]) -> NDArray[np.int64]:
    missing = [tracklet_id for tracklet_id in ids if tracklet_id not in number]
    if missing:
        raise ShapeError(
            f"{len(missing)} of {len(ids)} {role} tracklets of the ranking have no neighbours listed, the first is "
            f"{missing[0]!r}; search for the neighbours of queries and gallery together"
        )
    return np.array([number[tracklet_id] for tracklet_id in ids], dtype=np.int64)


def _membership(order: NDArray[np.int32]) -> csr_array:
    """(N, N), 1 where the column is listed in the row."""
    N, K = order.shape
    return csr_array((np.ones(N * K, np.float32), order.ravel(), np.arange(N + 1) * K), shape=(N, N))


def _reciprocal(order: NDArray[np.int32]) -> csr_array:
    """(N, N), 1 where row and column list each other; so it is its own transpose."""
    listed = _membership(order)
    return csr_array(listed.multiply(listed.T))


def _expanded(order: NDArray[np.int32], k1: int) -> csr_array:
    """R*: (N, N), above 0 where the column belongs to the row's expanded set."""
    near, half = _reciprocal(order[:, : k1 + 1]), _reciprocal(order[:, : round(k1 / 2) + 1])
    # How much of a candidate's own half-sized set lies in the row's set, for the row's neighbours only.
    accepted = csr_array((near @ half).multiply(near))
    accepted.data = (3 * accepted.data > 2 * half.sum(axis=1)[accepted.indices]).astype(np.float32)
    accepted.eliminate_zeros()
    return csr_array(near + accepted @ half)


def _encode(
    sets: csr_array, neighbours: Ranking, span_N: NDArray[np.float32], score_pairs: ScorePairs | None
) -> csr_array:
    """V before its rows are mixed: (N, N) float32, exp(-d) on the sets, rows of sum 1."""
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
                f"score_pairs gave {scored.shape} for {np.count_nonzero(unlisted)} pairs, expected one finite "
                "similarity a pair"
            )
        similarity[unlisted] = scored
    weight = np.exp((similarity - 1) / span_N[row])
    weight /= np.bincount(row, weight, N)[row]
    return csr_array((weight.astype(np.float32), sets.indices, sets.indptr), shape=(N, N))


def _jaccard(query: csr_array, gallery: csr_array) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Jaccard similarities (rows, G) of some queries after others, V of both given; each row of V sums to 1 or 0.

    The sum of minima is gathered from the gallery's columns: for every entry of a query's row, the gallery rows that
    have an entry in the same column. The sum of maxima is 2 less that, as the rows sum to 1.
    """
    G = gallery.shape[0]
    by_column = gallery.tocsc()
    count_N = np.diff(by_column.indptr)
    shared = np.concatenate([[0], np.cumsum(count_N[query.indices], dtype=np.int64)])[query.indptr]
    # Bytes, about: 48 for an entry in common, 32 for a result.
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
