from __future__ import annotations

import numpy as np
import pytest
import torch

from resight.evaluation.evaluate import (
    EXPLAINED_MATCHES,
    clip_weights,
    evaluate_across,
    evaluate_features,
    rank_features,
)
from resight.evaluation.protocols import PROTOCOLS
from resight.features.types import ClipFeatures
from resight.models.aggregators import AGGREGATORS, Aggregator, Learned, MeanPair
from resight.scoring.all_pairs import score_all_pairs
from resight.scoring.rerank import find_neighbours, rerank
from resight.studies.rivals import RIVALS
from resight.studies.rivals.symmetric import Symmetric


def made(count: int, camera: int, seed: int) -> ClipFeatures:
    """Return features of tracklets of ten persons, two clips of four frames each."""
    rng = np.random.default_rng(seed)
    persons = np.arange(count) % 10 + 1
    centres = np.random.default_rng(0).normal(size=(11, 16))
    values = (centres[persons][:, None] + rng.normal(size=(count, 2, 16))).astype(np.float32)
    ids = tuple(f"{camera}-{number}" for number in range(count))
    return ClipFeatures(ids, persons, np.full(count, camera), values, np.zeros((count, 2, 4), np.int64))


def test_reranking_equals_that_of_the_whole_matrix_and_is_reported() -> None:
    query, gallery = made(6, 1, seed=1), made(40, 2, seed=2)
    aggregator = MeanPair()
    ranking, scores = evaluate_features(query, gallery, aggregator, PROTOCOLS["standard"], reranked=True)
    everyone = gallery.joined_with(query)
    table = score_all_pairs(everyone.values, everyone.values, aggregator)
    neighbours, _ = find_neighbours(everyone.ids, lambda rows: table[rows])
    plain = rank_features(query, gallery, aggregator)
    expected = rerank(plain, neighbours, score_pairs=lambda rows, columns: table[rows, columns])
    assert np.array_equal(ranking.order, expected.order)
    assert not np.array_equal(ranking.order, plain.order)
    assert "k-reciprocal" in scores.line() and "2 clips of 4 frames" in scores.line()


def test_scores_without_reranking_are_reported_as_such() -> None:
    _, scores = evaluate_features(made(6, 1, seed=1), made(40, 2, seed=2), MeanPair(), PROTOCOLS["standard"])
    assert "no re-ranking" in scores.line()


def test_two_sides_search_each_other() -> None:
    first, second = made(12, 1, seed=1), made(25, 2, seed=2)
    _, there = evaluate_features(first, second, MeanPair(), PROTOCOLS["standard"])
    _, back = evaluate_features(second, first, MeanPair(), PROTOCOLS["standard"])
    expected = (12 * there.map + 25 * back.map) / 37
    assert evaluate_across(first, second, MeanPair()) == pytest.approx(expected) and there.map != back.map


def test_joined_features_contain_each_tracklet_once() -> None:
    first, second = made(5, 1, seed=1), made(3, 2, seed=2)
    joined = first.joined_with(second.joined_with(first))
    assert joined.ids == first.ids + second.ids
    assert np.array_equal(joined.values, np.concatenate([first.values, second.values]))


def aggregator_by(name: str) -> Aggregator:
    torch.manual_seed(0)
    if name == "symmetric":
        return Symmetric(Learned(16, 8))
    sized = {"learned", "order-free", "clip-agreement", "clip-quality", "pair-attention"}
    return (AGGREGATORS | RIVALS)[name](*((16, 8) if name in sized else ()))


@pytest.mark.parametrize("name", [*AGGREGATORS, *RIVALS, "symmetric"])
def test_the_weight_of_a_clip_is_its_mean_share_in_the_best_answers(name: str) -> None:
    query, gallery, aggregator = made(6, 1, seed=1), made(20, 2, seed=2), aggregator_by(name)
    gallery.cameras[::3] = 1
    gallery.persons[4] = -1
    ranking = rank_features(query, gallery, aggregator)
    found = clip_weights(query, gallery, ranking, aggregator)
    for q in range(6):
        best = [g for g in ranking.order[q] if gallery.cameras[g] != 1 and gallery.persons[g] != -1]
        shares = []
        for g in best[:EXPLAINED_MATCHES]:
            pair = torch.from_numpy(query.values[q]), torch.from_numpy(gallery.values[g])
            weight = aggregator.pair_weights(*pair).weight.double().sum(1)
            shares.append((weight / weight.sum()).numpy())
        np.testing.assert_allclose(found[q], np.mean(shares, axis=0), rtol=1e-5, atol=1e-7)


def test_answers_of_the_own_camera_are_used_if_there_are_no_others() -> None:
    query, gallery = made(3, 1, seed=1), made(7, 1, seed=2)
    found = clip_weights(query, gallery, rank_features(query, gallery, MeanPair()), MeanPair())
    np.testing.assert_allclose(found, 0.5)
