"""Rankings and scores of clip features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from resight.compute import Compute
from resight.evaluation.metrics import Scores, score_ranking
from resight.evaluation.protocols import PROTOCOLS, Labels, Protocol
from resight.features.types import ClipFeatures
from resight.models.aggregators import Aggregator
from resight.progress import Progress
from resight.ranking import Ranking
from resight.scoring.all_pairs import score_all_pairs
from resight.scoring.rerank import NEIGHBOURS, RERANKING, rerank
from resight.scoring.search import pair_scorer, search_exactly
from resight.tracklet import JUNK

EXPLAINED_MATCHES = 5
"""Number of best candidates of a query over which the weight of its clips is averaged."""

EXPLAINED_AT_ONCE = 256
"""Tracklet pairs weighted at once: large enough for efficient products, small enough for the caches."""


def rank_features(
    query: ClipFeatures,
    gallery: ClipFeatures,
    aggregator: Aggregator,
    k: int | None = None,
    *,
    compute: Compute = Compute(),
    progress: Progress | None = None,
) -> Ranking:
    """Return the gallery ranked by similarity for each query.

    Args:
        query: Features of Q tracklets with M clips each.
        gallery: Features of G tracklets.
        aggregator: Aggregator that computes the similarities.
        k: Number of candidates to keep per query; None keeps all.
        compute: Device and precision of scoring.
        progress: See `score_all_pairs`.
    """
    scores = score_all_pairs(query.values, gallery.values, aggregator, compute=compute, progress=progress)
    return Ranking.from_scores(scores, query.ids, gallery.ids, k)


def evaluate_features(
    query: ClipFeatures,
    gallery: ClipFeatures,
    aggregator: Aggregator,
    protocol: Protocol,
    *,
    reranked: bool = False,
    compute: Compute = Compute(),
    progress: Progress | None = None,
) -> tuple[Ranking, Scores]:
    """Return the ranking of the gallery and its scores.

    Args:
        query: Features of Q tracklets with M clips each.
        gallery: Features of G tracklets.
        aggregator: Aggregator that computes the similarities.
        protocol: Rules for matches and junk.
        reranked: Whether to re-rank with `rerank_features` before scoring.
        compute: Device and precision of scoring.
        progress: See `score_all_pairs`.

    Raises:
        ProtocolError: If no query has a match.
    """
    ranking = rank_features(query, gallery, aggregator, compute=compute, progress=progress)
    if reranked:
        ranking = rerank_features(ranking, query, gallery, aggregator, compute=compute)
    scores = score_ranking(ranking, labels_of(query), labels_of(gallery), protocol)
    return ranking, replace(scores, frames=query.frames, reranking=RERANKING if reranked else "none")


def rerank_features(
    ranking: Ranking,
    query: ClipFeatures,
    gallery: ClipFeatures,
    aggregator: Aggregator,
    *,
    compute: Compute = Compute(),
    progress: Progress | None = None,
) -> Ranking:
    """Return the ranking re-ranked by k-reciprocal neighbours in queries and gallery, see `rerank`."""
    joined = gallery.joined_with(query)
    neighbours, _ = search_exactly(joined, joined, aggregator, NEIGHBOURS, compute=compute, progress=progress)
    score = pair_scorer(joined, joined, aggregator, compute)
    return rerank(ranking, neighbours, score_pairs=score)


def evaluate_among(features: ClipFeatures, aggregator: Aggregator, compute: Compute = Compute()) -> float:
    """Return the mAP of tracklets searched among each other by protocol ``standard``, as in validation."""
    return evaluate_features(features, features, aggregator, PROTOCOLS["standard"], compute=compute)[1].map


def evaluate_across(
    first: ClipFeatures, second: ClipFeatures, aggregator: Aggregator, compute: Compute = Compute()
) -> float:
    """Return the mAP of two sets of tracklets that search each other by protocol ``standard``.

    Every tracklet is a query once, and the other set is its gallery.

    Args:
        first: Features of some tracklets.
        second: Features of other tracklets of the same persons, with other donors of damage, see `Donors.halves`.
        aggregator: Aggregator that computes the similarities.
        compute: Device and precision of scoring.

    Raises:
        ProtocolError: If no tracklet of one of the sets has a match in the other.
    """
    both_ways = (
        evaluate_features(query, gallery, aggregator, PROTOCOLS["standard"], compute=compute)[1]
        for query, gallery in ((first, second), (second, first))
    )
    return float(np.nanmean(np.concatenate([scores.ap for scores in both_ways])))


def labels_of(features: ClipFeatures) -> Labels:
    """Return the labels of the tracklets of features."""
    return Labels(features.ids, features.persons, features.cameras)


def clip_weights(
    query: ClipFeatures, gallery: ClipFeatures, ranking: Ranking, aggregator: Aggregator
) -> NDArray[np.float64]:
    """Return the share of the weight of each query clip, averaged over the query's best candidates in the ranking.

    The share of a clip in one comparison is the sum of the weights of its clip pairs, 1/M if all clips are equal.
    Candidates from the query's own camera and junk are ignored.

    Args:
        query: Features of Q tracklets with M clips each, the queries of the ranking.
        gallery: Features of G tracklets, the gallery of the ranking.
        ranking: Ranking of K candidates per query.
        aggregator: Aggregator that computes the weights.

    Returns:
        (Q, M) shares; rows sum to 1.
    """
    best = best_candidates(labels_of(query), labels_of(gallery), ranking.order)
    return weights_in_pairs(query, gallery, best, aggregator)


def weights_in_pairs(
    query: ClipFeatures, gallery: ClipFeatures, candidates: Sequence[NDArray[np.integer]], aggregator: Aggregator
) -> NDArray[np.float64]:
    """Return the shares of `clip_weights` for given candidates: gallery positions of each of the Q queries."""
    device = next(aggregator.parameters(), torch.zeros(())).device
    pairs = [(q, g) for q, best in enumerate(candidates) for g in best]
    rows, columns = (torch.from_numpy(np.array(side)) for side in zip(*pairs, strict=True))

    def weight(q: Tensor, g: Tensor) -> Tensor:
        return aggregator.pair_weights(q, g).weight

    of_pairs = torch.vmap(weight, chunk_size=EXPLAINED_AT_ONCE, randomness="same")(
        torch.from_numpy(query.values)[rows].to(device), torch.from_numpy(gallery.values)[columns].to(device)
    )
    share = of_pairs.double().sum(2).cpu()
    share = share / share.sum(1, keepdim=True)
    sums = torch.zeros(query.values.shape[:2], dtype=torch.float64).index_add_(0, rows, share)
    mean: NDArray[np.float64] = (sums / rows.bincount(minlength=len(query))[:, None]).numpy()
    return mean


def best_candidates(query: Labels, gallery: Labels, order: NDArray[np.int32]) -> list[NDArray[np.integer]]:
    """Return the best candidates of each query, without its own camera and junk if anything else remains.

    Args:
        query: Labels of Q queries.
        gallery: Labels of G gallery tracklets.
        order: (Q, K) gallery positions, best first.
    """
    found = []
    for camera, row in zip(query.cameras, order, strict=True):
        kept = (gallery.cameras[row] != camera) & (gallery.persons[row] != JUNK)
        found.append((row[kept] if kept.any() else row)[:EXPLAINED_MATCHES])
    return found
