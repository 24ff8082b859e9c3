"""What an evaluation computes for one aggregator: its ranking, and all scores that follow from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from resight.compute import Compute
from resight.evaluation.camera_pairs import CameraPairs, score_camera_pairs
from resight.evaluation.evaluate import clip_weights, evaluate_features, labels_of
from resight.evaluation.metrics import Scores
from resight.evaluation.open_set import OpenSet, search_open_set
from resight.evaluation.protocols import Protocol
from resight.features.types import ClipFeatures
from resight.models.aggregators import Aggregator
from resight.ranking import Ranking


@dataclass(frozen=True)
class Wanted:
    """What to evaluate, by which rules.

    Attributes:
        query: Features of Q tracklets with M clips each.
        gallery: Features of G tracklets.
        protocol: Rules for matches and junk.
        reranked: Whether to re-rank by k-reciprocal neighbours.
        impostors: Persons to remove from the gallery for the open set; None for no open set.
        weights: Whether to compute the weights of query clips, if the aggregator learns importance.
        camera_pairs: Whether to score pairs of cameras, for the headline.
        compute: Device and precision of scoring.
    """

    query: ClipFeatures
    gallery: ClipFeatures
    protocol: Protocol
    reranked: bool = False
    impostors: NDArray[np.int64] | None = None
    weights: bool = False
    camera_pairs: bool = False
    compute: Compute = Compute()


@dataclass(frozen=True, eq=False)
class Judged:
    """The results of one aggregator.

    Attributes:
        ranking: The best K of the gallery for each query; with a cluster, K = 0 unless this is the headline.
        scores: Scores by the protocol.
        open_set: Open-set search; None if not wanted.
        weights: (Q, M) weight of each query clip, see `clip_weights`; None if not wanted.
        camera_pairs: Scores by pair of cameras; None if not wanted, or this is not the headline.
    """

    ranking: Ranking
    scores: Scores
    open_set: OpenSet | None
    weights: NDArray[np.float64] | None
    camera_pairs: CameraPairs | None


Judge = Callable[[Wanted, Aggregator, bool], Judged]
"""Called with what is wanted, an aggregator, and whether this is the headline, of which more is wanted."""


def judge_here(wanted: Wanted, aggregator: Aggregator, headline: bool) -> Judged:
    """Return the results of one aggregator, computed in this process.

    Args:
        wanted: What to evaluate.
        aggregator: Aggregator that computes the similarities.
        headline: Whether to score pairs of cameras, too, if they are wanted.

    Raises:
        ProtocolError: If no query has a match.
    """
    query, gallery, protocol = wanted.query, wanted.gallery, wanted.protocol
    ranking, scores = evaluate_features(
        query, gallery, aggregator, protocol, reranked=wanted.reranked, compute=wanted.compute
    )
    labels = labels_of(query), labels_of(gallery)
    open_set = pairs = weights = None
    if wanted.impostors is not None:
        open_set = search_open_set(ranking, *labels, protocol, wanted.impostors)
    if wanted.weights and aggregator.learns_importance:
        weights = clip_weights(query, gallery, ranking, aggregator)
    if headline and wanted.camera_pairs:
        pairs = score_camera_pairs(ranking, *labels)
    return labelled(Judged(ranking, scores, open_set, weights, pairs))


def labelled(judged: Judged) -> Judged:
    """Return the results with frames and re-ranking, which `Judged.scores` names, in all of them."""
    frames, reranking = judged.scores.frames, judged.scores.reranking
    open_set, pairs = judged.open_set, judged.camera_pairs
    return replace(
        judged,
        open_set=open_set and replace(open_set, frames=frames, reranking=reranking),
        camera_pairs=pairs and replace(pairs, frames=frames, reranking=reranking),
    )
