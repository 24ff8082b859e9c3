"""Ranks of the matches of each query, and what follows from them: the one home of AP, trapezoid AP and INP.

Shapes: Q queries, G gallery tracklets, K ranks kept by a ranking (K = G unless it was cut off), H matches found.

All scores follow from the ranks of the matches. They are read off a `Ranking`, or counted in the similarities
themselves; from there on both are the same.
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
"""Bytes for intermediate results: what stays in a core's cache is also the fastest."""

_PAIR_BYTES = 24
"""What intermediate results take for one pair of tracklets, at most."""


class Matches(NamedTuple):
    """H matches found, by query, then by rank.

    Attributes:
        row: (H,) number of the query, never falling.
        rank: (H,) counted from 1 without junk, rising for each query.
        column: (H,) position in the gallery.
    """

    row: NDArray[np.int64]
    rank: NDArray[np.float64]
    column: NDArray[np.int64]


class QueryScores(NamedTuple):
    """What the ranks of a query's matches say, (Q,) each.

    Attributes:
        ap: mean precision at hits.
        ap_trapezoid: AP of the official MARS code.
        inp: inverse negative penalty.
        first: rank of the first match.
    """

    ap: NDArray[np.float64]
    ap_trapezoid: NDArray[np.float64]
    inp: NDArray[np.float64]
    first: NDArray[np.float64]


FindMatches = Callable[[slice, NDArray[np.bool_], NDArray[np.bool_]], Matches]
"""Finds the matches of some queries, given which gallery tracklets match and which are junk, (rows, G) each."""


def match_finder(answers: Ranking | NDArray[np.floating], query: Labels, gallery: Labels) -> FindMatches:
    """How to find the matches in a ranking, or in similarities.

    Args:
        answers: a ranking of these tracklets, or (Q, G) similarities, higher is better; of equal ones the first in the
            gallery ranks first. They are checked to be numbers when they are looked at.
        query: Q labels.
        gallery: G labels.

    Raises:
        ShapeError: if the answers are not those of the tracklets.
    """
    if isinstance(answers, Ranking):
        order = answers.order
        _check_ids("query", answers.query_ids, query.ids)
        _check_ids("gallery", answers.gallery_ids, gallery.ids)
        return lambda rows, match, junk: _matches_in_order(order[rows], match, junk)
    similarity = answers
    if similarity.shape != (len(query.ids), len(gallery.ids)):
        raise ShapeError(
            f"similarities are {similarity.shape}, expected ({len(query.ids)}, {len(gallery.ids)}): one row a query, "
            "one column a gallery tracklet"
        )

    def find(rows: slice, match: NDArray[np.bool_], junk: NDArray[np.bool_]) -> Matches:
        check_finite(similarity[rows], query.ids[rows], gallery.ids)
        return _matches_by_count(similarity[rows], match, junk)

    return find


def blocks(Q: int, G: int, memory_budget: int) -> Iterator[slice]:
    """Queries that are looked at together, so that intermediate results take about so many bytes; one at least."""
    step = max(1, memory_budget // (_PAIR_BYTES * max(G, 1)))
    return (slice(start, min(start + step, Q)) for start in range(0, Q, step))


def score_matches(row_H: NDArray[np.int64], rank_H: NDArray[np.float64], n: NDArray[np.int64]) -> QueryScores:
    """Scores of each query; 0, 0, 0 and infinity where no match is found.

    With junk taken out, let a query's n matches have ranks r_1 < … < r_n. Then

    * AP, mean precision at hits: (1/n) Σ_i i / r_i.
    * AP of the official MARS code (``compute_AP.m``), the area under the precision-recall curve by trapezoids:
      (1/n) Σ_i (i / r_i + p_i) / 2, with p_i the precision one rank before, (i-1) / (r_i - 1), or 1 at r_i = 1.
    * INP: n / r_n (Ye et al., Deep Learning for Person Re-identification, 2021).
    * first: r_1.

    Args:
        row_H: query number of each match found, 0 … Q - 1, never falling.
        rank_H: its rank, counted from 1 without junk, rising for each query.
        n: (Q,) matches of each query, found or not.
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
    last_H = hit_H == n[row_H]  # the hardest match; a cut ranking may not reach it
    inp[row_H[last_H]] = precision_H[last_H]
    return QueryScores(ap, ap_trapezoid, inp, first)


def hit_numbers(row_H: NDArray[np.int64], Q: int) -> NDArray[np.int64]:
    """Which match of its query each one is, counted from 1; `row_H` (H,) is in 0 … Q - 1 and never falls."""
    found = np.bincount(row_H, minlength=Q)
    return np.arange(len(row_H)) - np.repeat(np.cumsum(found) - found, found) + 1


def _matches_in_order(order: NDArray[np.int32], match: NDArray[np.bool_], junk: NDArray[np.bool_]) -> Matches:
    """Matches of rankings.

    Args:
        order: (Q, K) gallery positions, best first.
        match: (Q, G) by gallery position.
        junk: (Q, G) by gallery position.
    """
    Q, K = order.shape
    # Row by row: numpy takes from one row several times faster than along an axis of many.
    kind_QK = np.empty((Q, K), np.int8)
    for kind, own, row in zip(kind_QK, match.view(np.int8) - junk.view(np.int8), order, strict=True):
        np.take(own, row, out=kind, mode="clip")
    flat_H = np.flatnonzero(kind_QK == 1)
    row_H, place_H = np.divmod(flat_H, max(K, 1))
    junk_places = np.flatnonzero(kind_QK == -1)
    junk_before_H = np.searchsorted(junk_places, flat_H) - np.searchsorted(junk_places, row_H * K)
    return Matches(row_H, (place_H + 1 - junk_before_H).astype(np.float64), order.ravel()[flat_H].astype(np.int64))


def _matches_by_count(similarity: NDArray[np.floating], match: NDArray[np.bool_], junk: NDArray[np.bool_]) -> Matches:
    """Matches by the number of better answers, which a sort of the values tells; no order is made.

    Args:
        similarity: (Q, G), finite.
        match: (Q, G).
        junk: (Q, G).
    """
    G = similarity.shape[1]
    answers = np.where(junk, -np.inf, similarity)
    key_QH = []  # place and column in one number, so that one sort does for both
    for row, rising, own in zip(answers, np.sort(answers, axis=1), match, strict=True):
        column_H = np.flatnonzero(own)
        value_H = row[column_H]
        better_H = G - np.searchsorted(rising, value_H, side="right")
        equal_H = G - better_H - np.searchsorted(rising, value_H, side="left")
        for tied in np.flatnonzero(equal_H > 1):
            better_H[tied] += np.count_nonzero(row[: column_H[tied]] == value_H[tied])
        key_QH.append(np.sort(better_H * G + column_H))
    row_H = np.repeat(np.arange(len(key_QH)), [len(key_H) for key_H in key_QH])
    better, column = np.divmod(np.concatenate(key_QH), G)
    return Matches(row_H, better + 1.0, column)


def _check_ids(role: str, ranked: Sequence[str], given: Sequence[str]) -> None:
    if len(ranked) != len(given):
        raise ShapeError(
            f"the ranking has {len(ranked)} {role} tracklets, but {len(given)} were given to score it with"
        )
    for place, (expected, found) in enumerate(zip(ranked, given, strict=True)):
        if expected != found:
            raise ShapeError(
                f"{role} tracklet number {place} of the ranking is {expected!r}, but {found!r} was given; give the "
                f"tracklets in the order of ranking.{role}_ids"
            )
