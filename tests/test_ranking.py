from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resight.errors import ShapeError
from resight.ranking import Ranking, best_first


@given(st.data())
def test_rows_are_sorted_stably_and_keep_the_best(data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from([np.float16, np.float32, np.float64]))
    Q, G = data.draw(st.integers(0, 3)), data.draw(st.integers(0, 6))
    k = data.draw(st.none() | st.integers(0, 8))
    # Few values, so that ties are common.
    rows = data.draw(st.lists(st.lists(st.integers(-2, 2), min_size=G, max_size=G), min_size=Q, max_size=Q))
    scores = (np.array(rows, np.float64).reshape(Q, G) / 2).astype(dtype)
    scores[scores == 0] *= np.where(np.arange((scores == 0).sum()) % 2, 1, -1)  # -0.0 ties with 0.0
    ranking = Ranking.from_scores(scores, [f"q{i}" for i in range(Q)], [f"g{i}" for i in range(G)], k)
    kept = G if k is None else min(k, G)
    assert ranking.order.shape == ranking.scores.shape == (Q, kept)
    assert [str(ranking.order.dtype), str(ranking.scores.dtype)] == ["int32", "float32"]
    for row, order, best in zip(scores.tolist(), ranking.order.tolist(), ranking.scores.tolist(), strict=True):
        assert order == sorted(range(G), key=lambda g: (-row[g], g))[:kept]
        assert best == [row[g] for g in order]


def test_best_names_the_answers() -> None:
    ranking = Ranking.from_scores(np.array([[0.25, 0.75], [0.5, -1.0]]), ["p", "q"], ["a", "b"])
    assert ranking.best(0, 2) == [("b", 0.75), ("a", 0.25)]
    assert ranking.best(1, 1) == [("a", 0.5)]
    assert len(ranking.best(0, 9)) == 2


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_order_is_that_of_a_stable_sort_over_all_magnitudes(
    dtype: type[np.floating], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resight.ranking._BLOCK", 12_000)  # several blocks, the last one short
    rng = np.random.default_rng(0)
    scores = (rng.standard_normal((7, 6000)) * 10.0 ** rng.integers(-44, 38, (7, 6000))).astype(dtype)
    scores[:, ::3] = scores[:, 1::3]
    stable = np.argsort(-scores, axis=1, kind="stable")
    for k in (None, 0, 1, 40, 6000):
        order, best = best_first(scores, k)
        np.testing.assert_array_equal(order, stable[:, :k])
        np.testing.assert_array_equal(best, np.take_along_axis(scores, stable[:, :k], axis=1).astype(np.float32))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_not_a_number_is_named(bad: float) -> None:
    scores = np.array([[0.0, 0.0], [0.0, bad]])
    with pytest.raises(ShapeError, match="query q against b"):
        Ranking.from_scores(scores, ["p", "q"], ["a", "b"])


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"scores have shape \(1, 2\), expected \(2, 1\)"):
        Ranking.from_scores(np.zeros((1, 2)), ["p", "q"], ["a"])
    with pytest.raises(ShapeError, match="must both have shape"):
        Ranking(("q",), ("a",), np.zeros((1, 1), np.int32), np.zeros((1, 2), np.float32))
    with pytest.raises(ShapeError, match="must both have shape"):
        Ranking(("q",), ("a",), np.zeros(1, np.int32), np.zeros(1, np.float32))
    with pytest.raises(ShapeError, match="2 rows for 1 queries"):
        Ranking(("q",), ("a",), np.zeros((2, 1), np.int32), np.zeros((2, 1), np.float32))


def test_a_saved_ranking_comes_back(tmp_path: Path) -> None:
    ranking = Ranking.from_scores(np.array([[0.1, 0.9, 0.5]]), ["anna/door/1"], ["a", "bé", "c"], 2)
    path = tmp_path / "new" / "ranking.npz"
    ranking.save(path)
    loaded = Ranking.load(path)
    assert (loaded.query_ids, loaded.gallery_ids) == (ranking.query_ids, ranking.gallery_ids)
    np.testing.assert_array_equal(loaded.order, ranking.order)
    np.testing.assert_array_equal(loaded.scores, ranking.scores)
    assert [p.name for p in path.parent.iterdir()] == ["ranking.npz"]


def test_saving_replaces_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "ranking.npz"
    for score in (0.25, 0.5):
        Ranking.from_scores(np.array([[score]]), ["q"], ["a"]).save(path)
    assert Ranking.load(path).best(0, 1) == [("a", 0.5)]
