"""Searches that score few pairs are compared with a search that scores all pairs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from resight.errors import RecipeError, ShapeError
from resight.features.types import ClipFeatures
from resight.models.aggregators import Aggregator, Learned, MaxPair, MeanFeature, MeanPair, TopShare
from resight.ranking import Ranking
from resight.scoring import search
from resight.scoring.all_pairs import score_all_pairs
from resight.scoring.search import best_by_bounds, search_exactly, search_shortlist

NOISE = 4e-6
"""Scores of the same pair in two different batches differ by less than this."""


def learned(dim: int, seed: int = 0) -> Learned:
    """Return an aggregator with large random weights, so that importance varies widely."""
    torch.manual_seed(seed)
    made = Learned(dim, hidden=8)
    with torch.no_grad():
        made.importance.first.weight.mul_(20)
        made.importance.last.weight.mul_(5)
    return made.eval()


MAKE: dict[str, Callable[[int], Aggregator]] = {
    "learned": learned,
    "mean feature": lambda dim: MeanFeature(),
    "mean pair": lambda dim: MeanPair(),
    "max pair": lambda dim: MaxPair(),
    "top share": lambda dim: TopShare(30, dim),
}


def features(name: str, values: NDArray[np.floating]) -> ClipFeatures:
    number = np.arange(len(values))
    ids = tuple(f"{name}{i}" for i in number)
    return ClipFeatures(ids, number, number % 3, values.astype(np.float32), np.zeros((*values.shape[:2], 1), np.int64))


def clustered(name: str, count: int, clips: int, dim: int, seed: int) -> ClipFeatures:
    """Return tracklets of persons that differ more than the clips of one person."""
    rng = np.random.default_rng(seed)
    persons = np.random.default_rng(7).normal(size=(5, 1, dim))
    return features(name, persons[rng.integers(5, size=count)] + 0.6 * rng.normal(size=(count, clips, dim)))


def brute_force(query: ClipFeatures, gallery: ClipFeatures, aggregator: Aggregator) -> NDArray[np.float32]:
    return score_all_pairs(query.values, gallery.values, aggregator)


class Table:
    """Known scores, which record the pairs that were requested."""

    def __init__(self, scores: NDArray[np.float32]) -> None:
        self.scores = scores
        self.asked = np.zeros(scores.shape, int)

    def __call__(self, rows: NDArray[np.integer], columns: NDArray[np.integer]) -> NDArray[np.float32]:
        np.add.at(self.asked, (rows, columns), 1)
        found: NDArray[np.float32] = self.scores[rows, columns]
        return found


tables = st.tuples(st.integers(1, 6), st.integers(1, 40), st.integers(1, 6), st.integers(0, 9999))


@settings(max_examples=200, deadline=None)
@given(
    size=tables, k=st.integers(1, 40), slack=st.sampled_from([0.0, 0.3, 100.0]),
    batch=st.sampled_from([1, 7, 256]), step=st.sampled_from([1, 8]),
)  # fmt: skip
def test_best_by_bounds_is_the_ranking_of_all_scores(
    size: tuple[int, int, int, int], k: int, slack: float, batch: int, step: int
) -> None:
    Q, G, levels, seed = size
    k = min(k, G)
    rng = np.random.default_rng(seed)
    scores = (rng.integers(-levels, levels + 1, (Q, G)) / levels).astype(np.float32)  # many ties
    upper = (scores + np.round(slack * rng.random((Q, G)), 1)).astype(np.float32)
    table = Table(scores)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "_BATCH", batch)
        patch.setattr(search, "_STEP", step)
        order, best, scored = best_by_bounds(upper, table, k)

    expected = Ranking.from_scores(scores, [""] * Q, [""] * G, k)
    np.testing.assert_array_equal(order, expected.order)
    np.testing.assert_array_equal(best, expected.scores)
    assert table.asked.max() == 1
    assert scored == table.asked.sum()
    must = upper >= best[:, -1:]
    assert (table.asked[must] == 1).all()
    if batch == step == 1 and k == 1:
        np.testing.assert_array_equal(table.asked == 1, must)


@pytest.mark.parametrize("name", MAKE)
@settings(max_examples=15, deadline=None)
@given(
    q=st.integers(1, 4), g=st.integers(1, 30), clips=st.integers(1, 4), k=st.integers(1, 12), seed=st.integers(0, 999),
    block=st.sampled_from([1, 2**24]), batch=st.sampled_from([4, 256]),
)  # fmt: skip
def test_exact_search_equals_brute_force(
    name: str, q: int, g: int, clips: int, k: int, seed: int, block: int, batch: int
) -> None:
    query, gallery = clustered("q", q, clips, 6, seed), clustered("g", g, clips, 6, seed + 1)
    aggregator = MAKE[name](6)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "_BLOCK", block)
        patch.setattr(search, "_BATCH", batch)
        found, effort = search_exactly(query, gallery, aggregator, k)
    scores = brute_force(query, gallery, aggregator)
    expected = Ranking.from_scores(scores, query.ids, gallery.ids, k)
    assert (found.query_ids, found.gallery_ids) == (query.ids, gallery.ids)
    assert effort.pairs == q * g >= effort.scored >= q * min(k, g)
    np.testing.assert_allclose(found.scores, expected.scores, atol=NOISE)
    # The answers are the same, except for pairs whose scores differ only by rounding.
    np.testing.assert_allclose(np.take_along_axis(scores, found.order, axis=1), expected.scores, atol=NOISE)
    assert all(len(set(row)) == len(row) for row in found.order.tolist())


def test_exact_search_scores_only_possible_answers() -> None:
    query, gallery = clustered("q", 3, 3, 16, 0), clustered("g", 400, 3, 16, 1)
    _, effort = search_exactly(query, gallery, learned(16), 3)
    assert 0 < effort.share < 0.6


def test_progress_ends_at_the_number_of_queries() -> None:
    query, gallery = clustered("q", 5, 2, 4, 0), clustered("g", 9, 2, 4, 1)
    seen: list[tuple[int, int]] = []
    for aggregator in (learned(4), MeanPair()):
        search_exactly(query, gallery, aggregator, 2, progress=lambda *done: seen.append(done))
        assert seen[-1] == (5, 5)
    search_shortlist(query, gallery, learned(4), size=3, progress=lambda *done: seen.append(done))
    assert [done for done, _ in seen[-5:]] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("by", [None, TopShare(50)])
def test_a_shortlist_of_the_whole_gallery_is_the_exact_ranking(by: Aggregator | None) -> None:
    query, gallery = clustered("q", 3, 2, 6, 0), clustered("g", 20, 2, 6, 1)
    expected = Ranking.from_scores(brute_force(query, gallery, learned(6)), query.ids, gallery.ids)
    for size, whole in ((20, False), (99, False), (20, True)):
        found, effort = search_shortlist(query, gallery, learned(6), size=size, by=by, whole=whole)
        np.testing.assert_array_equal(found.order, expected.order)
        np.testing.assert_allclose(found.scores, expected.scores, atol=NOISE)
        assert effort.share == 1


def test_a_shortlist_is_the_best_of_the_cheap_aggregator() -> None:
    query, gallery = clustered("q", 4, 3, 6, 0), clustered("g", 30, 3, 6, 1)
    exact, cheap = (brute_force(query, gallery, a) for a in (learned(6), MeanFeature()))
    whole, effort = search_shortlist(query, gallery, learned(6), size=7, whole=True)
    cut, _ = search_shortlist(query, gallery, learned(6), size=7)
    best, _ = search_shortlist(query, gallery, learned(6), 2, size=7)
    assert (effort.scored, effort.pairs) == (28, 120)
    assert cut.order.shape == (4, 7) and best.order.shape == (4, 2) and whole.order.shape == (4, 30)
    np.testing.assert_array_equal(whole.order[:, :7], cut.order)
    np.testing.assert_array_equal(cut.order[:, :2], best.order)
    for q in range(4):
        by_cheap = np.argsort(-cheap[q], kind="stable")
        listed = sorted(by_cheap[:7], key=lambda g: -exact[q, g])
        assert cut.order[q].tolist() == listed
        assert whole.order[q].tolist() == [*listed, *by_cheap[7:]]
    # Scores below the shortlist are below all similarities, and scores never increase.
    assert whole.scores[:, :7].min() > -1.001 and whole.scores[:, 7:].max() < -1.9
    assert (np.diff(whole.scores, axis=1) <= 0).all()


def test_rejects_invalid_arguments() -> None:
    query, gallery = clustered("q", 1, 2, 4, 0), clustered("g", 3, 2, 4, 1)
    with pytest.raises(RecipeError, match="expected k to be 1 or more"):
        search_exactly(query, gallery, learned(4), 0)
    with pytest.raises(RecipeError, match="expected size to be 1 or more"):
        search_shortlist(query, gallery, learned(4), size=0)
    with pytest.raises(RecipeError, match="either the best k = 2 or the whole gallery"):
        search_shortlist(query, gallery, learned(4), 2, whole=True)


def test_rejects_scores_that_are_not_finite() -> None:
    query, gallery = clustered("q", 1, 2, 4, 0), clustered("g", 3, 2, 4, 1)
    broken = learned(4)
    with torch.no_grad():
        broken.importance.last.bias.fill_(torch.nan)
    with pytest.raises(ShapeError, match=r"the score of query q0 against g\d is nan"):
        search_exactly(query, gallery, broken, 2)
    gallery.values[2, 1, 0] = np.nan
    with pytest.raises(ShapeError, match="not finite"):
        search_exactly(query, gallery, learned(4), 2)
    with pytest.raises(ShapeError, match="the score of query q0 against g2 is nan"):
        search_shortlist(query, gallery, learned(4), size=2)
