"""The same scores from fewer similarities: only those are computed that can change a score.

Q query tracklets, G gallery tracklets.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from resight.evaluation.evaluate import labels_of
from resight.evaluation.metrics import Scores, score_similarities
from resight.evaluation.protocols import Protocol, judge_pairs
from resight.features import ClipFeatures
from resight.models.aggregators import Aggregator
from resight.progress import Progress
from resight.scoring.all_pairs import ProductPrecision, score_all_pairs
from resight.scoring.bounds import Bounds, Effort, bound_similarities, worth_bounding
from resight.scoring.search import ScorePairs, device_of, pair_scorer

_BLOCK = 2**24
"""Pairs bounded at once, which bounds the memory: about 16 bytes each."""


def evaluate_needed(
    query: ClipFeatures,
    gallery: ClipFeatures,
    aggregator: Aggregator,
    protocol: Protocol,
    *,
    max_rank: int = 50,
    precision: ProductPrecision = "float32",
    memory_budget: int = 2**30,
    progress: Progress | None = None,
) -> tuple[Scores, Effort]:
    """Score an aggregator by a protocol, without a ranking: the same CMC, mAP, mINP as `evaluate_features`.

    All scores of a query follow from how many wrong answers stand above each of its matches. So its matches are scored
    first, and then only wrong answers whose bounds leave open on which side of a match they are. Junk is never scored,
    and a query without matches not at all. Similarities are those of `evaluate_features` up to rounding; scores differ
    from it only where a match and a wrong answer are so close that rounding decides.

    Args:
        query: Q tracklets of M clips.
        gallery: G tracklets of N clips.
        aggregator: how to compare, used as in evaluation mode.
        protocol: the rules.
        max_rank: R, the last rank of the CMC.
        precision: of the products, see `score_all_pairs`.
        memory_budget: bytes that scoring may take, about.
        progress: called with (queries done, Q).

    Returns:
        The scores, and how many pairs were scored for them.

    Raises:
        ProtocolError: if no query has a match.
        ShapeError: if the features do not fit together, or one is not a number.
    """
    Q, G = len(query), len(gallery)
    asked, searched = labels_of(query), labels_of(gallery)
    if not worth_bounding(aggregator):
        similarity = score_all_pairs(
            query.values, gallery.values, aggregator, precision=precision, memory_budget=memory_budget
        )
        scores = score_similarities(similarity, asked, searched, protocol, max_rank=max_rank)
        return replace(scores, frames=query.frames, reranking="none"), Effort(Q * G, Q * G)
    is_query = np.isin(gallery.ids, query.ids)
    similarity, effort = np.empty((Q, G), np.float32), Effort(0, 0)
    step = max(1, _BLOCK // max(G, 1))
    for start in range(0, Q, step):
        rows = slice(start, start + step)
        some = query.rows(np.arange(Q)[rows])
        match, junk = judge_pairs(protocol, asked.rows(rows), searched, is_query)
        bounds = bound_similarities(some.values, gallery.values, device=device_of(aggregator))
        score = pair_scorer(some, gallery, aggregator, precision, memory_budget)
        similarity[rows], scored = fill_needed(bounds, match, junk, score)
        effort += Effort(scored, match.size)
        if progress is not None:
            progress(min(start + step, Q), Q)
    scores = score_similarities(similarity, asked, searched, protocol, max_rank=max_rank)
    return replace(scores, frames=query.frames, reranking="none"), effort


def fill_needed(
    bounds: Bounds, match: NDArray[np.bool_], junk: NDArray[np.bool_], score: ScorePairs
) -> tuple[NDArray[np.float32], int]:
    """Similarities that are as good as all of them for `score_similarities`, and how many of them were computed.

    Where no match of the query has a similarity within the bounds of a wrong answer, any number within them puts that
    answer on the right side of every match. The middle of them it is.

    Args:
        bounds: (Q, G), of what `score` gives.
        match: (Q, G), from `judge_pairs`, like `junk`.
        junk: (Q, G).
        score: computes chosen similarities.

    Returns:
        (Q, G) float32 and the number computed.
    """
    similarity: NDArray[np.float32] = (bounds.lower + bounds.upper) * np.float32(0.5)
    similarity[match] = score(*np.nonzero(match))
    open_ = np.zeros_like(match)
    for q in np.flatnonzero(match.any(1)):
        of_matches = np.sort(similarity[q, match[q]])
        below_lower = np.searchsorted(of_matches, bounds.lower[q], side="left")
        up_to_upper = np.searchsorted(of_matches, bounds.upper[q], side="right")
        open_[q] = below_lower != up_to_upper
    open_ &= ~(match | junk)
    similarity[open_] = score(*np.nonzero(open_))
    return similarity, int(np.count_nonzero(match) + np.count_nonzero(open_))
