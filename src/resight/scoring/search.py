"""The best k of a gallery without scoring all of it: exactly, by bounds, or nearly, by a shortlist.

Q query tracklets, G gallery tracklets, P chosen pairs of both.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from resight.compute import Compute
from resight.errors import RecipeError, ShapeError
from resight.features.types import ClipFeatures
from resight.models.aggregators import Aggregator, MeanFeature
from resight.progress import Progress
from resight.ranking import Ranking, best_first, check_finite
from resight.scoring.all_pairs import score_all_pairs, score_pairs
from resight.scoring.bounds import Effort, bound_similarities

SHORTLIST = 100
"""Gallery tracklets on the shortlist of each query, unless told otherwise.

Chosen from docs/images/shortlist.png: on the demo world, damaged, 100 by mean feature find 99.5 % of the exact best 10
and lose less than 0.1 points of mAP; 50 find 97 % and lose half a point, 20 find 90 % and lose two.
"""

NOT_SCORED = -3.0
"""Added to the scores of those that a ranking names below its shortlist: no similarity is below -1."""

ScorePairs = Callable[[NDArray[np.integer], NDArray[np.integer]], NDArray[np.float32]]
"""Query and gallery positions of P pairs, each (P,), to their similarities (P,)."""

_BATCH, _STEP = 256, 8
"""Score at least so many pairs at once, where fewer would leave the matrix unit waiting, and of each query."""

_BLOCK = 2**24
"""Pairs bounded, or scored, at once, which bounds the memory: 16 bytes each."""


def search_exactly(
    query: ClipFeatures,
    gallery: ClipFeatures,
    aggregator: Aggregator,
    k: int,
    *,
    compute: Compute = Compute(),
    progress: Progress | None = None,
) -> tuple[Ranking, Effort]:
    """The k best of the gallery for each query, scoring only tracklets that can be among them.

    The same as `rank_features` with `k`, for every aggregator: a tracklet is passed over only if a proven upper bound
    of its similarity is below k similarities that were computed. The scores of the two are equal up to rounding, as
    those of `score_all_pairs` with two memory budgets are; so two tracklets may change places, or one of them be left
    out for the other, only where their similarities differ by no more than that.

    Args:
        query: Q tracklets of M clips.
        gallery: G tracklets of N clips.
        aggregator: how to compare, used as in evaluation mode.
        k: how many answers, 1 or more.
        compute: See `score_all_pairs`.
        progress: called with (queries done, Q).

    Returns:
        Ranking of min(k, G) answers, and how many pairs were scored for it.

    Raises:
        RecipeError: if `k` is less than 1.
        ShapeError: if the features do not fit together, or one is not a number.
    """
    _check_count("k", k)
    Q, G = len(query), len(gallery)
    k = min(k, G)
    bounded = aggregator.bounded_by_cosines and k < G
    order, best = np.empty((Q, k), np.int32), np.empty((Q, k), np.float32)
    effort = Effort(0, 0)
    step = max(1, _BLOCK // max(G, 1))
    for start in range(0, Q, step):
        rows = slice(start, start + step)
        some = query.rows(np.arange(Q)[rows])
        scored = len(some) * G
        if bounded:
            upper = bound_similarities(some.values, gallery.values, compute=compute).upper
            order[rows], best[rows], scored = best_by_bounds(upper, pair_scorer(some, gallery, aggregator, compute), k)
        else:
            table = score_all_pairs(
                some.values, gallery.values, aggregator, compute=compute, progress=_by_query(progress, start, Q, G)
            )  # fmt: skip
            check_finite(table, some.ids, gallery.ids)
            order[rows], best[rows] = best_first(table, k)
        effort += Effort(scored, len(some) * G)
        if progress is not None and bounded:
            progress(min(start + step, Q), Q)
    return Ranking(query.ids, gallery.ids, order, best), effort


def search_shortlist(
    query: ClipFeatures,
    gallery: ClipFeatures,
    aggregator: Aggregator,
    k: int | None = None,
    *,
    size: int = SHORTLIST,
    by: Aggregator | None = None,
    whole: bool = False,
    compute: Compute = Compute(),
    progress: Progress | None = None,
) -> tuple[Ranking, Effort]:
    """The best of a shortlist for each query: what a cheap aggregator likes best, scored exactly by the real one.

    Not exact: who is not on the shortlist is not found. The ranking says so. It is cut at `size` (or `k`), so that
    `score_ranking` refuses it or gives lower bounds; or, if `whole`, the others follow in the shortlist's order, with
    scores of the cheap aggregator plus `NOT_SCORED`, which are below -2 and so below every similarity.

    Args:
        query: Q tracklets.
        gallery: G tracklets.
        aggregator: how to compare the shortlisted, used as in evaluation mode.
        k: keep the best k answers; None keeps the shortlist.
        size: gallery tracklets on the shortlist, 1 or more.
        by: makes the shortlist; None is `MeanFeature`. `TopShare(50)` finds more, and takes a product for each clip.
        whole: rank the whole gallery, then `k` must be None.
        compute: See `score_all_pairs`.
        progress: called with (queries done, Q).

    Returns:
        Ranking, and how many pairs were scored for it.

    Raises:
        RecipeError: if `size` or `k` is less than 1, or `k` is given with `whole`.
        ShapeError: if the features do not fit together, or a score is not a number.
    """
    _check_count("size", size)
    if k is not None:
        _check_count("k", k)
        if whole:
            raise RecipeError(f"expected either the best k = {k} or the whole gallery, found both: leave one out")
    cheap = score_all_pairs(query.values, gallery.values, by or MeanFeature(), compute=compute)
    check_finite(cheap, query.ids, gallery.ids)
    order, scores = best_first(cheap, None if whole else size)
    size = min(size, len(gallery))
    score = pair_scorer(query, gallery, aggregator, compute)
    scores += np.float32(NOT_SCORED)
    step = max(1, -(-len(query) // 20))  # in twenty parts, for the progress
    for start in range(0, len(query), step):
        rows = slice(start, start + step)
        found = order[rows, :size]
        exact = score(np.repeat(np.arange(start, start + len(found)), size), found.ravel()).reshape(found.shape)
        order[rows, :size], scores[rows, :size] = _sorted(found, exact)
        if progress is not None:
            progress(start + len(found), len(query))
    ranking = Ranking(query.ids, gallery.ids, order[:, :k], scores[:, :k])
    return ranking, Effort(len(query) * size, cheap.size)


def best_by_bounds(
    upper: NDArray[np.float32], score: ScorePairs, k: int
) -> tuple[NDArray[np.int32], NDArray[np.float32], int]:
    """The k best columns of each row of a matrix that is only computed where it must be.

    Each row is scored from its highest bound down, and is done when the next bound is below the k-th best score found:
    given the bounds, nothing that is sure to be right scores fewer, but for what is left of a batch. Rows advance
    together, so that each call of `score` has pairs of many rows.

    Args:
        upper: (Q, G), not below what `score` gives.
        score: computes chosen entries.
        k: 1 … G.

    Returns:
        Columns (Q, k), best first, equal scores in the order of columns; their scores (Q, k); number of pairs scored.
    """
    Q = len(upper)
    columns_QG, bounds_QG = best_first(upper)
    order, best = np.zeros((Q, k), np.int32), np.full((Q, k), -np.inf, np.float32)
    active = np.arange(Q)
    scored = done = 0
    while True:
        left = (bounds_QG[active, done:] >= best[active, -1:]).sum(1)
        active, left = active[left > 0], left[left > 0]
        if len(active) == 0:
            break
        # Only a part of what is left, because the scores found will rule out much of it.
        width = max(k if done == 0 else _STEP, -(-_BATCH // len(active)), int(left.mean()) // 6 if done else 0)
        places = slice(done, done + width)
        found = columns_QG[active, places]
        row, place = np.nonzero(bounds_QG[active, places] >= best[active, -1:])
        values = np.full(found.shape, -np.inf, np.float32)
        values[row, place] = score(active[row], found[row, place])
        so_far = _sorted(np.hstack([order[active], found]), np.hstack([best[active], values]))
        order[active], best[active] = (x[:, :k] for x in so_far)
        scored, done = scored + len(row), done + width
    return order, best, scored


def pair_scorer(
    query: ClipFeatures, gallery: ClipFeatures, aggregator: Aggregator, compute: Compute = Compute()
) -> ScorePairs:
    """`score_pairs` of these features, refusing a score that is not a number with a `ShapeError`."""

    def score(rows: NDArray[np.integer], columns: NDArray[np.integer]) -> NDArray[np.float32]:
        scores = score_pairs(query.values, gallery.values, rows, columns, aggregator, compute=compute)
        if not np.isfinite(scores).all():
            wrong = np.flatnonzero(~np.isfinite(scores))[0]
            raise ShapeError(
                f"the score of query {query.ids[rows[wrong]]} against {gallery.ids[columns[wrong]]} is "
                f"{scores[wrong]}, not a number; check the features of both and the weights of the aggregator"
            )
        return scores

    return score


def _sorted(order: NDArray[np.int32], scores: NDArray[np.float32]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Each row from the best score down, equal scores by gallery position."""
    first = np.lexsort((order, -scores), axis=1)
    return np.take_along_axis(order, first, axis=1), np.take_along_axis(scores, first, axis=1)


def _check_count(name: str, value: int) -> None:
    if value < 1:
        raise RecipeError(f"expected {name} to be 1 or more answers of a query, found {value}")


def _by_query(progress: Progress | None, start: int, queries: int, gallery: int) -> Progress | None:
    """Progress in queries, from that in the pairs of a block that begins with query `start`."""
    return progress and (lambda done, _: progress(start + done // gallery, queries))
