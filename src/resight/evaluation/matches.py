"""Ranks of the matches of each query, and the scores that follow from them: AP, trapezoid AP and INP.

Shapes: Q queries, G gallery tracklets, K ranks kept by a ranking (K = G unless it is cut off), H matches.

All scores follow from the ranks of the matches. The ranks are read off a `Ranking`, or counted in a matrix of
similarities without sorting it into a ranking. Both give the same ranks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from resight.errors import ShapeError
from resight.evaluation.protocols import Labels
from resight.ranking import Ranking, check_finite

MEMORY_BUDGET = 2**23
"""Approximate bytes of intermediate results. Results that fit in a core's cache are also the fastest."""

_PAIR_BYTES = 24
"""Maximum bytes of intermediate results per pair of tracklets."""


class Matches(NamedTuple):
    """H matches, ordered by query, then by rank.

    Attributes:
        row: (H,) index of the query, non-decreasing.
        rank: (H,) rank counted from 1 without junk, increasing for each query.
        column: (H,) index in the gallery.
    """

    row: NDArray[np.int64]
    rank: NDArray[np.float64]
    column: NDArray[np.int64]


class QueryScores(NamedTuple):
    """Scores of each query, (Q,) each.

    Attributes:
        ap: Mean precision at hits.
        ap_trapezoid: AP of the official MARS code.
        inp: Inverse negative penalty.
        first: Rank of the first match.
    """

    ap: NDArray[np.float64]
    ap_trapezoid: NDArray[np.float64]
    inp: NDArray[np.float64]
    first: NDArray[np.float64]


FindMatches = Callable[[slice, NDArray[np.bool_], NDArray[np.bool_]], Matches]
"""Return the matches of a slice of queries, given which gallery tracklets match and which are junk, (rows, G) each."""


def matches_of_ranking(ranking: Ranking, query: Labels, gallery: Labels) -> FindMatches:
    """Return a function that finds matches in a ranking.

    Args:
        ranking: Ranking of these tracklets.
        query: Labels of Q queries.
        gallery: Labels of G gallery tracklets.

    Raises:
        ShapeError: If the tracklets are not those of the ranking.
    """
    check_ranked(ranking, query, gallery)
    return lambda rows, match, junk: _matches_in_order(ranking.order[rows], match, junk)


def matches_of_similarity(similarity: NDArray[np.floating], query: Labels, gallery: Labels) -> FindMatches:
    """Return a function that finds matches in similarities, and checks that these are finite.

    Args:
        similarity: (Q, G), higher is better. Of equal similarities, the first in the gallery ranks first.
        query: Labels of Q queries.
        gallery: Labels of G gallery tracklets.

    Raises:
        ShapeError: If the shape is not (Q, G).
    """
    if similarity.shape != (len(query.ids), len(gallery.ids)):
        raise ShapeError(
            f"similarities are {similarity.shape}, expected ({len(query.ids)}, {len(gallery.ids)}): one row per query, "
            "one column per gallery tracklet"
        )

    def find(rows: slice, match: NDArray[np.bool_], junk: NDArray[np.bool_]) -> Matches:
        check_finite(similarity[rows], query.ids[rows], gallery.ids)
        return _matches_by_count(similarity[rows], match, junk)

    return find


def check_ranked(ranking: Ranking, query: Labels, gallery: Labels) -> None:
    """Check that a ranking is of these tracklets, in this order.

    Raises:
        ShapeError: If it is not.
    """
    _check_ids("query", ranking.query_ids, query.ids)
    _check_ids("gallery", ranking.gallery_ids, gallery.ids)


def blocks(Q: int, G: int) -> Iterator[slice]:
    """Return slices of queries, of at least one query each, whose intermediate results take about `MEMORY_BUDGET`."""
    step = max(1, MEMORY_BUDGET // (_PAIR_BYTES * max(G, 1)))
    return (slice(start, min(start + step, Q)) for start in range(0, Q, step))


def score_matches(row_H: NDArray[np.int64], rank_H: NDArray[np.float64], n: NDArray[np.int64]) -> QueryScores:
    """Return the scores of each query; 0, 0, 0 and infinity for a query without a match.

    Let r_1 < … < r_n be the ranks of a query's n matches, without junk. Then

    * AP, mean precision at hits: (1/n) Σ_i i / r_i.
    * AP of the official MARS code (``compute_AP.m``), the area under the precision-recall curve by trapezoids:
      (1/n) Σ_i (i / r_i + p_i) / 2, with p_i the precision one rank before, (i-1) / (r_i - 1), or 1 at r_i = 1.
    * INP: n / r_n (Ye et al., Deep Learning for Person Re-identification, 2021).
    * first: r_1.

    Args:
        row_H: Query index of each match, 0 … Q - 1, non-decreasing.
        rank_H: Rank of each match, counted from 1 without junk, increasing for each query.
        n: (Q,) number of matches of each query, including those that a cut ranking does not contain.
    """
    Q = len(n)
    hit_H = hit_numbers(row_H, Q)
    precision_H = hit_H / rank_H
    before_H = np.where(rank_H == 1, 1.0, (hit_H - 1) / np.maximum(rank_H - 1, 1))

    at_least_one = np.maximum(n, 1)
    ap = np.bincount(row_H, precision_H, Q) / at_least_one
    ap_trapezoid = np.bincount(row_H, (precision_H + before_H) / 2, Q) / at_least_one
    first = np.full(Q, np.inf)
    first[row_H[hit_H == 1]] = rank_H[hit_H == 1]
    inp = np.zeros(Q)
    last_H = hit_H == n[row_H]  # the hardest match; a cut ranking may not contain it
    inp[row_H[last_H]] = precision_H[last_H]
    return QueryScores(ap, ap_trapezoid, inp, first)


def hit_numbers(row_H: NDArray[np.int64], Q: int) -> NDArray[np.int64]:
    """Return the number of each match among those of its query, counted from 1; `row_H` (H,) is non-decreasing."""
    counts = np.bincount(row_H, minlength=Q)
    return np.arange(len(row_H)) - np.repeat(np.cumsum(counts) - counts, counts) + 1


def _matches_in_order(order: NDArray[np.int32], match: NDArray[np.bool_], junk: NDArray[np.bool_]) -> Matches:
    """Return the matches in the order of a ranking.

    Args:
        order: (Q, K) gallery indices, best first.
        match: (Q, G) by gallery index.
        junk: (Q, G) by gallery index.
    """
    Q, K = order.shape
    # Row by row, because np.take of one row is several times faster than np.take_along_axis.
    kind_QK = np.empty((Q, K), np.int8)
    for kind, flags, row in zip(kind_QK, match.view(np.int8) - junk.view(np.int8), order, strict=True):
        np.take(flags, row, out=kind, mode="clip")
    flat_H = np.flatnonzero(kind_QK == 1)
    row_H, place_H = np.divmod(flat_H, max(K, 1))
    junk_places = np.flatnonzero(kind_QK == -1)
    junk_before_H = np.searchsorted(junk_places, flat_H) - np.searchsorted(junk_places, row_H * K)
    return Matches(row_H, (place_H + 1 - junk_before_H).astype(np.float64), order.ravel()[flat_H].astype(np.int64))


def _matches_by_count(similarity: NDArray[np.floating], match: NDArray[np.bool_], junk: NDArray[np.bool_]) -> Matches:
    """Return the matches, ranked by the number of better candidates, which a sort of the values is enough for.

    Args:
        similarity: (Q, G), finite.
        match: (Q, G).
        junk: (Q, G).
    """
    G = similarity.shape[1]
    candidates = np.where(junk, -np.inf, similarity)
    key_QH = []  # rank and column in one number, so that one sort orders both
    for row, ascending, flags in zip(candidates, np.sort(candidates, axis=1), match, strict=True):
        column_H = np.flatnonzero(flags)
        value_H = row[column_H]
        better_H = G - np.searchsorted(ascending, value_H, side="right")
        equal_H = G - better_H - np.searchsorted(ascending, value_H, side="left")
        for tied in np.flatnonzero(equal_H > 1):
            better_H[tied] += np.count_nonzero(row[: column_H[tied]] == value_H[tied])
        key_QH.append(np.sort(better_H * G + column_H))
    row_H = np.repeat(np.arange(len(key_QH)), [len(key_H) for key_H in key_QH])
    better, column = np.divmod(np.concatenate(key_QH), G)
    return Matches(row_H, better + 1.0, column)


def _check_ids(role: str, ranked: Sequence[str], given: Sequence[str]) -> None:
    if len(ranked) != len(given):
        raise ShapeError(
            f"the ranking has {len(ranked)} {role} tracklets, but {len(given)} {role} tracklets were given"
        )
    for place, (expected, found) in enumerate(zip(ranked, given, strict=True)):
        if expected != found:
            raise ShapeError(
                f"{role} tracklet number {place} of the ranking is {expected!r}, but {found!r} was given; pass the "
                f"tracklets in the order of ranking.{role}_ids"
            )
