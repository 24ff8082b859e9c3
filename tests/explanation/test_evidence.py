from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from resight.errors import ShapeError
from resight.explanation.evidence import MatchEvidence, explain_match
from resight.explanation.match_numbers import clip_numbers
from resight.features.types import ClipFeatures
from resight.models.aggregators import AGGREGATORS, MeanPair
from resight.tracklet import Tracklet


def features(tracklet: Tracklet, clips: int, seed: int) -> ClipFeatures:
    values = np.random.default_rng(seed).normal(size=(1, clips, 8)).astype(np.float32)
    numbers = np.arange(clips * 2).reshape(1, clips, 2) % len(tracklet)
    return ClipFeatures((tracklet.id,), np.array([tracklet.person]), np.array([tracklet.camera]), values, numbers)


def with_importance(evidence: MatchEvidence, importance: list[list[float]]) -> MatchEvidence:
    new = np.array(importance)
    return replace(evidence, scored=replace(evidence.scored, importance=new, weight=new / new.sum()))


def test_pairs_are_ordered_by_importance(evidence: MatchEvidence) -> None:
    assert evidence.strongest_pairs(2) == [(0, 0), (1, 1)]
    assert evidence.weakest_pairs(2) == [(1, 0), (0, 2)]
    assert len(evidence.strongest_pairs(100)) == 6
    assert evidence.strongest_pairs(6)[0] == evidence.weakest_pairs(6)[-1]


def test_shares_sum_to_one_even_if_weights_do_not(evidence: MatchEvidence) -> None:
    doubled = replace(evidence, scored=replace(evidence.scored, weight=evidence.scored.weight * 2))
    for one in (evidence, doubled):
        assert one.query_shares == pytest.approx(np.array([5.5, 2.51]) / 8.01)
        assert one.gallery_shares.sum() == pytest.approx(1)


def test_the_summary_names_the_clips_that_decided(evidence: MatchEvidence) -> None:
    words = " ".join(evidence.in_words())
    assert f"Similarity {evidence.scored.score:.2f}." in words
    assert "In the query, the model relied on clip 1 (69% of the weight)." in words
    assert "In the gallery tracklet, the model relied on clip 1 (50% of the weight)." in words
    assert "Corrupted on purpose: clip 2 of the query." in words
    assert "The unweighted mean over all clip pairs is 0.74." in words


def test_the_summary_describes_equal_and_ignored_clips(evidence: MatchEvidence) -> None:
    even = " ".join(with_importance(evidence, [[1, 1, 1], [1, 1, 1]]).in_words())
    assert "All 3 clips of the gallery tracklet have about the same weight." in even
    ignoring = " ".join(with_importance(evidence, [[1, 1, 0.01], [1, 1, 0.01]]).in_words())
    assert (
        "relied on clips 1 and 2 (over 99% of the weight) and nearly ignored clip 3 (under 1% of the weight)"
        in ignoring
    )


@pytest.mark.parametrize(
    ("clips", "words"), [([4], "clip 5"), ([0, 1], "clips 1 and 2"), ([6, 0, 1, 2], "clips 1–3 and 7")]
)
def test_clips_are_counted_from_one(clips: list[int], words: str) -> None:
    assert clip_numbers(clips) == words


def test_json_survives_a_round_trip_and_adds_up(evidence: MatchEvidence) -> None:
    plain = json.loads(json.dumps(evidence.to_json(), allow_nan=False))
    assert plain["similarity"] == pytest.approx(np.sum(plain["contribution"]))
    assert plain["query"]["id"] == evidence.query.id
    assert plain["query"]["corrupted"] == [1]
    assert plain["gallery"]["frames"] == [[0, 1, 2], [1, 2, 3], [2, 3, 4]]


@pytest.mark.parametrize("kind", ["learned", "mean-pair"])
def test_explaining_gives_the_similarity_of_the_aggregator(kind: str, query: Tracklet, gallery: Tracklet) -> None:
    torch.manual_seed(0)
    aggregator = MeanPair() if kind == "mean-pair" else AGGREGATORS[kind](dim=8, hidden=8)
    aggregator.eval()
    q, g = features(query, 3, 1), features(gallery, 2, 2)
    evidence = explain_match(query, gallery, q, g, aggregator, gallery_corrupted=np.array([True, False]))
    with torch.inference_mode():
        score = float(aggregator(torch.from_numpy(q.values), torch.from_numpy(g.values)))
    assert evidence.scored.score == pytest.approx(score, abs=1e-5)
    assert evidence.scored.importance.shape == (3, 2)
    assert AGGREGATORS[evidence.aggregator] is type(aggregator)
    assert evidence.gallery_corrupted.tolist() == [True, False]
    assert not evidence.query_corrupted.any()


def test_features_of_another_tracklet_are_refused(query: Tracklet, gallery: Tracklet) -> None:
    q, g = features(query, 2, 1), features(gallery, 2, 2)
    with pytest.raises(ShapeError, match="expected the features of 0001C1T0001 alone"):
        explain_match(query, gallery, g, g, MeanPair())
    with pytest.raises(ShapeError, match="corrupted is"):
        explain_match(query, gallery, q, g, MeanPair(), query_corrupted=np.zeros(3, bool))
