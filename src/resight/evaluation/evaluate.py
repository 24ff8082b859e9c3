"""From clip features to a ranking and its scores."""

from __future__ import annotations

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
"""Best answers of a query over which the weight of its clips is averaged."""

EXPLAINED_AT_ONCE = 256
"""Tracklet pairs weighed at once: enough for the full rate of a product, few enough for the caches."""


def rank_features(
    query: ClipFeatures,
    gallery: ClipFeatures,
    aggregator: Aggregator,
    k: int | None = None,
    *,
    compute: Compute = Compute(),
    progress: Progress | None = None,
) -> Ranking:
    """Rank the gallery for each query by the aggregator's similarity; `k` keeps the best of each."""
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
    """Rank and score.

    Args:
        query: Q tracklets of M clips.
        gallery: what is searched.
        aggregator: how to compare.
        protocol: the rules.
        reranked: re-rank by `rerank_features` first.
        compute: Device and precision of scoring, see `score_all_pairs`.
        progress: see `score_all_pairs`.

    Raises:
        ProtocolError: if no query has a match.
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
    """Re-rank by k-reciprocal neighbours, see `rerank`: neighbours are sought exactly, among queries and gallery."""
    everyone = gallery.joined_with(query)
    neighbours, _ = search_exactly(everyone, everyone, aggregator, NEIGHBOURS, compute=compute, progress=progress)
    score = pair_scorer(everyone, everyone, aggregator, compute)
    return rerank(ranking, neighbours, score_pairs=score)


def evaluate_among(features: ClipFeatures, aggregator: Aggregator, compute: Compute = Compute()) -> float:
    """MAP of tracklets searched among themselves by the ``standard`` protocol: how a training run is judged."""
    return evaluate_features(features, features, aggregator, PROTOCOLS["standard"], compute=compute)[1].map


def labels_of(features: ClipFeatures) -> Labels:
    """The labels that a protocol looks at."""
    return Labels(features.ids, features.persons, features.cameras)


def clip_weights(
    query: ClipFeatures, gallery: ClipFeatures, ranking: Ranking, aggregator: Aggregator,
    passed_over: NDArray[np.bool_] | None = None,
) -> NDArray[np.float64]:  # fmt: skip
    """How much each query clip counts: its share of the weight, averaged over the query's best answers.

    A clip's share against one gallery tracklet is the sum of the weights of its pairs; 1/M each is no preference.
    Answers from the query's own camera and junk are passed over, as they are when a match is explained.

    Args:
        query: Q tracklets, the ranking's queries.
        gallery: G tracklets, the ranking's gallery.
        ranking: (Q, K).
        aggregator: whose weights.
        passed_over: (Q, G) answers that are passed over, too.

    Returns:
        (Q, M), rows sum to 1.
    """
    device = next(aggregator.parameters(), torch.zeros(())).device
    pairs = [(q, g) for q in range(len(query)) for g in _explained(query, gallery, ranking, q, passed_over)]
    asked, found = (torch.from_numpy(np.array(side)) for side in zip(*pairs, strict=True))

    def weight(q: Tensor, g: Tensor) -> Tensor:
        return aggregator.pair_weights(q, g).weight

    of_pairs = torch.vmap(weight, chunk_size=EXPLAINED_AT_ONCE, randomness="same")(
        torch.from_numpy(query.values)[asked].to(device), torch.from_numpy(gallery.values)[found].to(device)
    )
    share = of_pairs.double().sum(2).cpu()
    share = share / share.sum(1, keepdim=True)
    sums = torch.zeros(query.values.shape[:2], dtype=torch.float64).index_add_(0, asked, share)
    mean: NDArray[np.float64] = (sums / asked.bincount(minlength=len(query))[:, None]).numpy()
    return mean


def _explained(
    query: ClipFeatures, gallery: ClipFeatures, ranking: Ranking, q: int, passed_over: NDArray[np.bool_] | None
) -> NDArray[np.integer]:
    """The best answers of a query, those of its own camera and junk left out."""
    row = ranking.order[q]
    fit = (gallery.cameras[row] != query.cameras[q]) & (gallery.persons[row] != JUNK)
    if passed_over is not None:
        fit &= ~passed_over[q, row]
    others = row[fit]
    best: NDArray[np.integer] = (others if len(others) else row)[:EXPLAINED_MATCHES]
    return best
