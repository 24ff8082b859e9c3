"""The best k of a gallery without scoring all of it: exactly by bounds, or approximately by a shortlist.

Legend: Q query tracklets, G gallery tracklets, P chosen tracklet pairs.
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
"""Default number of gallery tracklets on the shortlist of each query.

Chosen from docs/images/shortlist.png: on the demo world with damage, 100 tracklets by mean feature contain 99.5 % of
the exact best 10 and lose less than 0.1 points of mAP; 50 contain 97 % and lose half a point, 20 contain 90 % and lose
two.
"""

NOT_SCORED = -3.0
"""Added to the scores of tracklets ranked below the shortlist, so that they are below all similarities (>= -1)."""

ScorePairs = Callable[[NDArray[np.integer], NDArray[np.integer]], NDArray[np.float32]]
"""Query positions (P,) and gallery positions (P,) to similarities (P,)."""

_BATCH, _STEP = 256, 8
"""Least number of pairs to score at once, so that matrix products are efficient: in total, and per query."""

_BLOCK = 2**24
"""Number of pairs to bound or score at once, which limits the memory to 16 bytes each."""


def search_exactly(
    query: ClipFeatures,
    gallery: ClipFeatures,
    aggregator: Aggregator,
    k: int,
    *,
    compute: Compute = Compute(),
    progress: Progress | None = None,
) -> tuple[Ranking, Effort]:
    """Return the k best gallery tracklets of each query, scoring only those that can be among them.

    The result equals that of `rank_features` with `k`, for every aggregator: a tracklet is skipped only if a proven
    upper bound of its similarity is below k computed similarities. Scores are equal up to rounding, so tracklets can be
    swapped only if their similarities differ by no more than rounding.

    Args:
        query: Features of Q tracklets with M clips.
        gallery: Features of G tracklets with N clips.
        aggregator: Aggregator on any device; used as in evaluation mode.
        k: Number of answers, 1 or more.
        compute: See `score_all_pairs`.
        progress: Called with (queries done, Q).

    Returns:
        Ranking of min(k, G) answers, and the number of scored pairs.

    Raises:
        RecipeError: If `k` is less than 1.
        ShapeError: If the features do not fit together, or a value is not finite.
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
        part = query.rows(np.arange(Q)[rows])
        scored = len(part) * G
        if bounded:
            upper = bound_similarities(part.values, gallery.values, compute=compute).upper
            order[rows], best[rows], scored = best_by_bounds(upper, pair_scorer(part, gallery, aggregator, compute), k)
        else:
            table = score_all_pairs(
                part.values, gallery.values, aggregator, compute=compute, progress=_by_query(progress, start, Q, G)
            )  # fmt: skip
            check_finite(table, part.ids, gallery.ids)
            order[rows], best[rows] = best_first(table, k)
        effort += Effort(scored, len(part) * G)
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
    """Return the best of a shortlist for each query: selected by a cheap aggregator, scored by the actual one.

    The result is approximate, because a tracklet that is not on the shortlist is not found. The ranking is cut at
    `size` (or `k`), so `score_ranking` rejects it or returns lower bounds. With `whole`, the other tracklets follow in
    the order of the cheap aggregator, with its scores plus `NOT_SCORED`, which are below -2 and so below all
    similarities.

    Args:
        query: Features of Q tracklets.
        gallery: Features of G tracklets.
        aggregator: Aggregator that scores the shortlist, on any device; used as in evaluation mode.
        k: Number of answers to keep; None keeps the shortlist.
        size: Gallery tracklets on the shortlist, 1 or more.
        by: Aggregator that makes the shortlist; None is `MeanFeature`. `TopShare(50)` has a higher recall, but needs a
            product for each clip.
        whole: Rank the whole gallery; `k` must then be None.
        compute: See `score_all_pairs`.
        progress: Called with (queries done, Q).

    Returns:
        Ranking, and the number of scored pairs.

    Raises:
        RecipeError: If `size` or `k` is less than 1, or `k` is given with `whole`.
        ShapeError: If the features do not fit together, or a score is not finite.
    """
    _check_count("size", size)
    if k is not None:
        _check_count("k", k)
        if whole:
            raise RecipeError(f"expected either the best k = {k} or the whole gallery, found both: omit one of them")
    cheap = score_all_pairs(query.values, gallery.values, by or MeanFeature(), compute=compute)
    check_finite(cheap, query.ids, gallery.ids)
    order, scores = best_first(cheap, None if whole else size)
    size = min(size, len(gallery))
    score = pair_scorer(query, gallery, aggregator, compute)
    scores += np.float32(NOT_SCORED)
    step = max(1, -(-len(query) // 20))  # twenty parts, to report progress
    for start in range(0, len(query), step):
        rows = slice(start, start + step)
        listed = order[rows, :size]
        exact = score(np.repeat(np.arange(start, start + len(listed)), size), listed.ravel()).reshape(listed.shape)
        order[rows, :size], scores[rows, :size] = _sorted(listed, exact)
        if progress is not None:
            progress(start + len(listed), len(query))
    ranking = Ranking(query.ids, gallery.ids, order[:, :k], scores[:, :k])
    return ranking, Effort(len(query) * size, cheap.size)


def best_by_bounds(
    upper: NDArray[np.float32], score: ScorePairs, k: int
) -> tuple[NDArray[np.int32], NDArray[np.float32], int]:
    """Return the k best columns of each row of a matrix, computing only the entries that are needed.

    The entries of a row are computed from the highest bound downwards, until the next bound is below the k-th best
    score. Except for the rest of a batch, no correct method can compute fewer entries with these bounds. Rows are
    processed together, so that each call of `score` has pairs of many rows.

    Args:
        upper: (Q, G), upper bounds of the entries.
        score: Computes chosen entries.
        k: Number of columns, 1 … G.

    Returns:
        Columns (Q, k), best first, equal scores in the order of columns; their scores (Q, k); number of scored pairs.
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
        # Only a part of the rest, because the new scores will rule out much of it.
        width = max(k if done == 0 else _STEP, -(-_BATCH // len(active)), int(left.mean()) // 6 if done else 0)
        batch = slice(done, done + width)
        candidates = columns_QG[active, batch]
        row, column = np.nonzero(bounds_QG[active, batch] >= best[active, -1:])
        values = np.full(candidates.shape, -np.inf, np.float32)
        values[row, column] = score(active[row], candidates[row, column])
        merged = _sorted(np.hstack([order[active], candidates]), np.hstack([best[active], values]))
        order[active], best[active] = (x[:, :k] for x in merged)
        scored, done = scored + len(row), done + width
    return order, best, scored


def pair_scorer(
    query: ClipFeatures, gallery: ClipFeatures, aggregator: Aggregator, compute: Compute = Compute()
) -> ScorePairs:
    """Return `score_pairs` for these features, with a `ShapeError` if a score is not finite."""

    def score(rows: NDArray[np.integer], columns: NDArray[np.integer]) -> NDArray[np.float32]:
        scores = score_pairs(query.values, gallery.values, rows, columns, aggregator, compute=compute)
        if not np.isfinite(scores).all():
            wrong = np.flatnonzero(~np.isfinite(scores))[0]
            raise ShapeError(
                f"the score of query {query.ids[rows[wrong]]} against {gallery.ids[columns[wrong]]} is "
                f"{scores[wrong]}, expected a finite number: check both features and the weights of the aggregator"
            )
        return scores

    return score


def _sorted(order: NDArray[np.int32], scores: NDArray[np.float32]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Each row sorted from the best score down, equal scores by gallery position."""
    first = np.lexsort((order, -scores), axis=1)
    return np.take_along_axis(order, first, axis=1), np.take_along_axis(scores, first, axis=1)


def _check_count(name: str, value: int) -> None:
    if value < 1:
        raise RecipeError(f"expected {name} to be 1 or more, found {value}")


def _by_query(progress: Progress | None, start: int, queries: int, gallery: int) -> Progress | None:
    """Progress in queries, given progress in tracklet pairs of a block that begins with query `start`."""
    return progress and (lambda done, _: progress(start + done // gallery, queries))
