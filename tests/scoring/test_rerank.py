"""Sparse re-ranking is compared with the dense method on small random sets."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from benchmarks.plain.rerank import rerank_dense
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from resight.errors import RecipeError, ShapeError
from resight.features.types import ClipFeatures
from resight.models.aggregators import Learned
from resight.ranking import Ranking
from resight.scoring import rerank as reranking
from resight.scoring.all_pairs import score_all_pairs
from resight.scoring.rerank import find_neighbours, rerank
from resight.scoring.search import pair_scorer, search_exactly

Matrix = NDArray[np.float32]


def ids(N: int) -> tuple[str, ...]:
    return tuple(f"t{n}" for n in range(N))


def cosines(N: int, seed: int, persons: int = 4, noise: float = 0.7) -> Matrix:
    """Return cosines of N tracklets of a few persons, (N, N)."""
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((persons, 6))[rng.integers(0, persons, N)] + noise * rng.standard_normal((N, 6))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    return (features @ features.T).astype(np.float32)


def rank(similarity: Matrix, query: NDArray[np.int64], gallery: NDArray[np.int64], k: int | None = None) -> Ranking:
    names = ids(len(similarity))
    chosen = similarity[np.ix_(query, gallery)]
    return Ranking.from_scores(chosen, [names[q] for q in query], [names[g] for g in gallery], k)


def by_column(ranking: Ranking) -> Matrix:
    scores = np.empty_like(ranking.scores)
    np.put_along_axis(scores, ranking.order.astype(np.int64), ranking.scores, axis=1)
    return scores


def of_matrix(similarity: Matrix, k: int) -> tuple[Ranking, Matrix]:
    return find_neighbours(ids(len(similarity)), lambda rows: similarity[rows], k)


@contextmanager
def budgets(size: int) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reranking, "ROWS_BUDGET", size)
        patch.setattr(reranking, "JACCARD_BUDGET", size)
        yield


@settings(max_examples=150, deadline=None)
@given(
    N=st.integers(1, 40),
    seed=st.integers(0, 2**32 - 1),
    parameters=st.tuples(st.integers(1, 12), st.integers(1, 8), st.sampled_from([0.0, 0.3, 1.0])),
    kind=st.sampled_from(["cosines", "one-sided", "ties"]),
    more=st.integers(0, 40),
    disjoint=st.booleans(),
    budget=st.sampled_from([1, 20_000, 2**26]),
)
def test_equals_the_dense_method(
    N: int, seed: int, parameters: tuple[int, int, float], kind: str, more: int, disjoint: bool, budget: int
) -> None:
    k1, k2, share = parameters
    rng = np.random.default_rng(seed)
    similarity = cosines(N, seed)
    if kind == "one-sided":  # not symmetric, and self-similarities are not exactly 1
        similarity = (similarity * rng.uniform(0.9, 0.99, (N, N))).astype(np.float32)
        similarity[0, 0] = 0.995  # at least one tracklet must be its own neighbour
    if kind == "ties":
        similarity = similarity.round(1)
        similarity[0, 0] = 1
    similarity[similarity.min(axis=1) > 0.9, -1] = 0.5  # the dense method divides by the largest distance of a row
    gallery = rng.permutation(N)
    query = rng.permutation(N)[: rng.integers(1, N + 1)]
    if disjoint:  # otherwise queries are also in the gallery
        gallery = np.setdiff1d(gallery, query)
    K = max(k1 + 1, k2) + more
    how: dict[str, Any] = {"k1": k1, "k2": k2, "original_share": share}
    with budgets(budget):
        neighbours, least = of_matrix(similarity, K)
        found = rerank(
            rank(similarity, query, gallery), neighbours, least=least,
            score_pairs=lambda q, g: similarity[q, g], **how,
        )  # fmt: skip
    expected = rerank_dense(similarity, query, gallery, **how)
    assert found.order.shape == (len(query), len(gallery))
    assert (np.diff(found.scores, axis=1) <= 0).all()
    np.testing.assert_allclose(by_column(found), expected, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(N=st.integers(30, 60), seed=st.integers(0, 2**32 - 1), more=st.integers(0, 10))
def test_without_score_pairs_equals_the_dense_method_with_low_similarities_raised(N: int, seed: int, more: int) -> None:
    similarity, everyone = cosines(N, seed, noise=2), np.arange(N)
    neighbours, _ = of_matrix(similarity, 9 + more)
    raised = np.maximum(similarity, neighbours.scores[:, -1:])
    ranking, least = rank(similarity, everyone, everyone), raised.min(axis=1)
    found = rerank(ranking, neighbours, least=least, k1=7, original_share=0)
    expected = rerank_dense(raised, everyone, everyone, k1=7, original_share=0)
    np.testing.assert_allclose(by_column(found), expected, atol=1e-5)


def test_the_learned_similarity_by_top_k_search() -> None:
    """Only the expected result scores all 2,500 pairs."""
    torch.manual_seed(0)
    rng, N = np.random.default_rng(0), 50
    values = rng.standard_normal((8, 1, 6))[rng.integers(0, 8, N)] + 0.8 * rng.standard_normal((N, 3, 6))
    everyone = ClipFeatures(
        ids(N), np.zeros(N, np.int64), np.zeros(N, np.int64), values.astype(np.float32), np.zeros((N, 3, 1), np.int64)
    )
    learned = Learned(6, 5).eval()
    similarity = score_all_pairs(everyone.values, everyone.values, learned)
    assert (similarity != similarity.T).any()
    neighbours, effort = search_exactly(everyone, everyone, learned, 7)
    query = everyone.rows(np.arange(20))
    found = rerank(
        Ranking.from_scores(score_all_pairs(query.values, everyone.values, learned), query.ids, everyone.ids),
        neighbours, least=similarity.min(axis=1), k1=6, k2=3,
        score_pairs=pair_scorer(everyone, everyone, learned),
    )  # fmt: skip
    assert effort.scored < N * N
    expected = rerank_dense(similarity, np.arange(20), np.arange(N), k1=6, k2=3)
    np.testing.assert_allclose(by_column(found), expected, atol=1e-5)


def test_a_cut_ranking_keeps_its_answers_in_a_new_order() -> None:
    similarity, all_of_them = cosines(60, 3, noise=1.5), np.arange(60)
    neighbours, least = of_matrix(similarity, 21)
    whole = by_column(rerank(rank(similarity, all_of_them, all_of_them), neighbours, least=least))
    cut = rank(similarity, all_of_them, all_of_them, 12)
    found = rerank(cut, neighbours, least=least)
    np.testing.assert_array_equal(np.sort(found.order, axis=1), np.sort(cut.order, axis=1))
    assert (found.order != cut.order).any()
    np.testing.assert_array_equal(found.scores, np.take_along_axis(whole, found.order, axis=1))
    with pytest.raises(ShapeError, match="keeps 12 of 60 gallery tracklets, expected all"):
        rerank(cut, neighbours)


def test_least_is_taken_from_the_ranking_by_default() -> None:
    similarity, everyone = cosines(40, 2), np.arange(40)
    neighbours, least = of_matrix(similarity, 21)
    for query in (everyone, everyone[:10]):
        ranking = rank(similarity, query, everyone)
        known = np.where(everyone < len(query), least, least[query].mean()).astype(np.float32)
        found, expected = rerank(ranking, neighbours), rerank(ranking, neighbours, least=known)
        np.testing.assert_allclose(found.scores, expected.scores, atol=1e-6)
    with pytest.raises(ShapeError, match=r"least has shape \(3,\), expected \(40,\)"):
        rerank(ranking, neighbours, least=np.zeros(3))


def test_original_share_1_changes_nothing_and_ties_keep_their_order() -> None:
    similarity, some = cosines(30, 5), np.arange(30)
    ranking = rank(similarity.round(1), some, some)
    neighbours, _ = of_matrix(similarity.round(1), 21)
    np.testing.assert_array_equal(rerank(ranking, neighbours, original_share=1).order, ranking.order)
    apart = np.eye(30, dtype=np.float32)  # no shared neighbours: all other tracklets are tied
    tied = rerank(rank(apart, some, some), of_matrix(apart, 2)[0], k1=1, k2=1, original_share=0)
    np.testing.assert_array_equal(tied.order, rank(apart, some, some).order)


def test_common_neighbours_improve_the_rank_of_a_match() -> None:
    """Tracklet 0 is slightly more similar to 9 than to 3, but shares neighbours with 3."""
    similarity = np.full((10, 10), 0.1, np.float32)
    similarity[:4, :4] = similarity[5:, 5:] = 0.8
    similarity[0, 3] = similarity[3, 0] = 0.5
    similarity[0, 9] = similarity[9, 0] = 0.55
    np.fill_diagonal(similarity, 1)
    before = rank(similarity, np.array([0]), np.array([9, 3]))
    after = rerank(before, of_matrix(similarity, 4)[0], k1=3, k2=2)
    assert [before.best(0, 1)[0][0], after.best(0, 1)[0][0]] == ["t9", "t3"]


def test_memory_is_bounded_even_if_all_tracklets_are_neighbours() -> None:
    similarity, everyone = cosines(400, 0, persons=1), np.arange(400)
    ranking, (neighbours, least) = rank(similarity, everyone, everyone), of_matrix(similarity, 21)
    peaks = []
    for budget in (2**20, 2**30):
        tracemalloc.start()
        with budgets(budget):
            rerank(ranking, neighbours, least=least)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[0] < 10 * 2**20 < 40 * 2**20 < peaks[1]


def test_score_pairs_is_called_only_for_pairs_that_are_not_listed() -> None:
    similarity, some = cosines(40, 1, noise=2), np.arange(40)
    asked: list[tuple[int, int]] = []

    def score_pairs(query: NDArray[np.int64], gallery: NDArray[np.int64]) -> Matrix:
        asked.extend(zip(query.tolist(), gallery.tolist(), strict=True))
        return similarity[query, gallery]

    neighbours, _ = of_matrix(similarity, 7)
    rerank(rank(similarity, some, some), neighbours, k1=6, score_pairs=score_pairs)
    assert asked
    assert len(set(asked)) == len(asked)
    assert not any(g in neighbours.order[q] for q, g in asked)


def test_rejects_invalid_arguments() -> None:
    similarity, some = cosines(30, 0), np.arange(30)
    ranking, (neighbours, _) = rank(similarity, some, some), of_matrix(similarity, 21)
    wrong: dict[str, Any]
    for wrong in ({"k1": 0}, {"k2": 0}, {"original_share": 1.5}):
        with pytest.raises(RecipeError, match="expected k1 and k2 of at least 1"):
            rerank(ranking, neighbours, **wrong)
    with pytest.raises(ShapeError, match="21 neighbours of each tracklet are listed, expected at least 26"):
        rerank(ranking, neighbours, k1=25)
    with pytest.raises(ShapeError, match=r"20 of 30 query tracklets .* the first is 't10'"):
        rerank(ranking, of_matrix(similarity[:10, :10], 21)[0])
    neighbours, _ = of_matrix(similarity, 7)
    with pytest.raises(ShapeError, match=r"score_pairs returned \(3,\)"):
        rerank(ranking, neighbours, k1=6, score_pairs=lambda q, g: np.zeros(3))
    with pytest.raises(ShapeError, match="one finite similarity per pair"):
        rerank(ranking, neighbours, k1=6, score_pairs=lambda q, g: np.full(len(q), np.nan))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"query_ids": ("a", "b", "d")}, "3 tracklets against 3 different ones, expected the same"),
        ({"query_ids": ("a", "b", "a"), "gallery_ids": ("a", "b", "a")}, "3 tracklets, but only 2 different"),
        ({"order": np.array([[1, 2], [2, 0], [0, 1]], np.int32)}, "no tracklet is among its own neighbours"),
        ({"scores": np.full((3, 2), 7, np.float32)}, "largest similarity of neighbours is 7.0"),
        ({"scores": np.full((3, 2), np.nan, np.float32)}, "largest similarity of neighbours is nan"),
    ],
)
def test_rejects_invalid_neighbours(change: dict[str, Any], message: str) -> None:
    names, order = ("a", "b", "c"), np.array([[0, 1], [1, 2], [2, 0]], np.int32)
    good = Ranking(names, names, order, np.ones((3, 2), np.float32))
    rerank(good, good, k1=1, k2=2, least=np.zeros(3))
    with pytest.raises(ShapeError, match=message):
        rerank(good, replace(good, **change), k1=1, k2=2, least=np.zeros(3))


def test_blocks_of_rows_must_be_complete_and_finite() -> None:
    with pytest.raises(ShapeError, match=r"rows 0 to 3 are \(3, 2\), expected \(rows, 3\)"):
        find_neighbours(ids(3), lambda rows: np.zeros((3, 2)))
    with pytest.raises(ShapeError, match="query t0 against t1 is nan"):
        find_neighbours(ids(2), lambda rows: np.array([[1.0, np.nan], [0.0, 1.0]]))
    blocks: list[slice] = []

    def score_rows(rows: slice) -> Matrix:
        blocks.append(rows)
        return similarity[rows]

    similarity = cosines(10, 0)
    with budgets(8 * 10 * 3):
        found, least = find_neighbours(ids(10), score_rows, 4)
    assert blocks == [slice(0, 3), slice(3, 6), slice(6, 9), slice(9, 10)]
    np.testing.assert_array_equal(found.order, np.argsort(-similarity, axis=1, kind="stable")[:, :4])
    np.testing.assert_array_equal(least, similarity.min(axis=1))
