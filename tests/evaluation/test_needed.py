"""Scores from few similarities are the scores from all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from resight.errors import ProtocolError, ShapeError
from resight.evaluation import needed
from resight.evaluation.evaluate import evaluate_features
from resight.evaluation.metrics import Scores, score_similarities
from resight.evaluation.needed import evaluate_needed, fill_needed
from resight.evaluation.protocols import PROTOCOLS, Labels, Protocol, judge_pairs
from resight.features import ClipFeatures
from resight.models.aggregators import Aggregator, Learned, MeanFeature, TopShare
from resight.scoring.bounds import Bounds
from resight.tracklet import JUNK

PROTOCOLS_AND_ZERO = [*PROTOCOLS.values(), replace(PROTOCOLS["mars"], name="zero", without_match="zero")]


def learned(dim: int) -> Learned:
    """With random weights, large enough for importances that differ a lot."""
    torch.manual_seed(0)
    made = Learned(dim, hidden=8)
    with torch.no_grad():
        made.importance.first.weight.mul_(20)
        made.importance.last.weight.mul_(5)
    return made.eval()


def labels(rng: np.random.Generator, names: list[str]) -> Labels:
    """Persons of all kinds, junk and distractors included."""
    return Labels(tuple(names), rng.integers(JUNK, 4, len(names)), rng.integers(1, 4, len(names)))


def assert_same(found: Scores, expected: Scores) -> None:
    assert found.to_json() == expected.to_json()
    np.testing.assert_array_equal(found.ap, expected.ap)


@settings(max_examples=200, deadline=None)
@given(
    Q=st.integers(1, 6), G=st.integers(1, 40), levels=st.integers(1, 9), slack=st.sampled_from([0.0, 0.2, 1.0, 100.0]),
    protocol=st.sampled_from(PROTOCOLS_AND_ZERO), seed=st.integers(0, 99999),
)  # fmt: skip
def test_filled_similarities_have_the_same_scores(
    Q: int, G: int, levels: int, slack: float, protocol: Protocol, seed: int
) -> None:
    """Exactly, whatever the ties, the labels and the slack of the bounds."""
    rng = np.random.default_rng(seed)
    scores = (rng.integers(-levels, levels + 1, (Q, G)) / levels).astype(np.float32)  # many ties
    lower, upper = ((scores + sign * slack * rng.integers(0, 3, (Q, G)) / 2).astype(np.float32) for sign in (-1, 1))
    gallery = labels(rng, [f"t{i}" for i in range(G)])
    query = labels(rng, [f"t{i}" for i in rng.permutation(G + Q)[:Q]])  # some are in the gallery
    match, junk = judge_pairs(protocol, query, gallery, np.isin(gallery.ids, query.ids))
    asked = np.zeros((Q, G), int)

    def score(rows: NDArray[np.integer], columns: NDArray[np.integer]) -> NDArray[np.float32]:
        np.add.at(asked, (rows, columns), 1)
        chosen: NDArray[np.float32] = scores[rows, columns]
        return chosen

    filled, scored = fill_needed(Bounds(lower, upper), match, junk, score)
    assert scored == asked.sum()
    assert asked.max() <= 1
    assert not asked[junk].any()
    assert not asked[~match.any(1)].any()
    if slack == 0 and levels == 9:
        at_a_match = np.array([np.isin(row, row[hit]) for row, hit in zip(scores, match, strict=True)])
        np.testing.assert_array_equal(asked == 1, at_a_match & ~junk)
    if not match.any():
        with pytest.raises(ProtocolError):
            score_similarities(filled, query, gallery, protocol)
        return
    assert_same(
        score_similarities(filled, query, gallery, protocol), score_similarities(scores, query, gallery, protocol)
    )


def world(persons: int, each: int, dim: int, seed: int) -> ClipFeatures:
    """Tracklets of persons under three cameras, some junk, some distractors."""
    rng = np.random.default_rng(seed)
    person = np.repeat(np.arange(JUNK, persons + 1), each)
    values = rng.normal(size=(persons + 2, 1, dim))[person] + 0.7 * rng.normal(size=(len(person), 3, dim))
    ids = tuple(f"t{i}" for i in range(len(person)))
    frames = np.zeros((len(person), 3, 1), np.int64)
    return ClipFeatures(ids, person, rng.integers(1, 4, len(person)), values.astype(np.float32), frames)


MAKE: dict[str, Callable[[int], Aggregator]] = {
    "learned": learned,
    "mean feature": lambda dim: MeanFeature(),
    "top share": lambda dim: TopShare(30, dim),
}


@pytest.mark.parametrize("name", MAKE)
@pytest.mark.parametrize("protocol", PROTOCOLS_AND_ZERO, ids=lambda p: p.name)
def test_evaluation_gives_the_scores_of_brute_force(name: str, protocol: Protocol) -> None:
    aggregator = MAKE[name](12)
    for seed, block in ((0, 2**24), (1, 100)):
        gallery = world(6, 4, 12, seed)
        query = gallery.rows(np.random.default_rng(seed).permutation(len(gallery))[:12])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(needed, "_BLOCK", block)
            found, effort = evaluate_needed(query, gallery, aggregator, protocol, max_rank=9)
        scores = evaluate_features(query, gallery, aggregator, protocol)[1]
        assert_same(found, replace(scores, cmc=scores.cmc[:9]))
        assert effort.pairs == len(query) * len(gallery)
        assert effort.scored < effort.pairs if name == "learned" else effort.share == 1


def test_persons_far_apart_cost_little_more_than_their_matches() -> None:
    gallery = world(20, 4, 64, 0)
    query = gallery.rows(np.arange(8, 88, 4))
    seen: list[tuple[int, int]] = []
    scores, effort = evaluate_needed(
        query, gallery, learned(64), PROTOCOLS["mars"], progress=lambda *done: seen.append(done)
    )
    assert scores.map > 0.9
    assert effort.share < 0.1
    assert seen[-1] == (20, 20)


def test_what_cannot_be_evaluated_is_refused() -> None:
    gallery = world(3, 2, 6, 0)
    alone = gallery.rows([0, 1])  # junk, which nobody matches
    with pytest.raises(ProtocolError, match="none of 2 queries has a match"):
        evaluate_needed(alone, gallery, learned(6), PROTOCOLS["mars"])
    gallery.values[3, 0, 0] = np.inf
    with pytest.raises(ShapeError, match="not a number"):
        evaluate_needed(gallery, gallery, learned(6), PROTOCOLS["mars"])
