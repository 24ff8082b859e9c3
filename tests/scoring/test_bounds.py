"""Bounds are compared with similarities and with plain loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from resight.errors import ShapeError
from resight.models.aggregators import Aggregator, Learned, MaxPair, MeanFeature, MeanPair, TopShare
from resight.scoring import bounds
from resight.scoring.bounds import Effort, bound_similarities, rounding_margin
from resight.scoring.one_pair import score_one_pair


def learned(dim: int, seed: int) -> Learned:
    """Return an aggregator with large random weights, so that importance varies widely."""
    torch.manual_seed(seed)
    made = Learned(dim, hidden=8)
    with torch.no_grad():
        made.importance.first.weight.mul_(30)
        made.importance.last.weight.mul_(10)
    return made.eval()


@settings(max_examples=60, deadline=None)
@given(
    q=st.integers(1, 4), g=st.integers(1, 7), m=st.integers(1, 4), n=st.integers(1, 4), dim=st.integers(1, 24),
    alike=st.sampled_from([0.0, 0.01, 1.0]), block=st.sampled_from([1, 3, 1024]), product=st.sampled_from([1, 2**21]),
    seed=st.integers(0, 999),
)  # fmt: skip
def test_bounds_contain_every_weighted_mean(
    q: int, g: int, m: int, n: int, dim: int, alike: float, block: int, product: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    query = (rng.normal(size=(q, 1, dim)) + alike * rng.normal(size=(q, m, dim))).astype(np.float32)
    gallery = (rng.normal(size=(g, 1, dim)) + alike * rng.normal(size=(g, n, dim))).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bounds, "_GALLERY_BLOCK", block)
        patch.setattr(bounds, "_PRODUCT", product)
        found = bound_similarities(query, gallery)

    unit_q, unit_g = (x / np.linalg.norm(x.astype(np.float64), axis=2, keepdims=True) for x in (query, gallery))
    margin = rounding_margin(dim, m * n)
    aggregators: list[Aggregator] = [MeanPair(), MaxPair(), TopShare(40), learned(dim, seed)]
    scores = [a(torch.from_numpy(query), torch.from_numpy(gallery)).detach().numpy() for a in aggregators]
    for i in range(q):
        for j in range(g):
            cosines = unit_q[i] @ unit_g[j].T
            np.testing.assert_allclose(found.lower[i, j], cosines.min() - margin, atol=margin)
            np.testing.assert_allclose(found.upper[i, j], cosines.max() + margin, atol=margin)
            in_double = score_one_pair(query[i], gallery[j], aggregators[-1]).score
            for score in (in_double, *(one[i, j] for one in scores)):
                assert found.lower[i, j] <= score <= found.upper[i, j]


def test_only_learned_importance_is_bounded() -> None:
    assert Learned(4, 4).bounded_by_cosines
    others = MeanFeature(), MeanPair(), MaxPair(), TopShare(50, dim=4)
    assert not any(aggregator.bounded_by_cosines for aggregator in others)


def test_margin_covers_single_precision_and_is_small() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 64, 1, 1024)).astype(np.float32)
    found = bound_similarities(x, y)
    exact = np.einsum("qmd,gnd->qg", x.astype(np.float64), y.astype(np.float64))
    exact /= np.outer(*(np.linalg.norm(z[:, 0].astype(np.float64), axis=1) for z in (x, y)))
    assert (found.lower < exact).all() and (exact < found.upper).all()
    assert rounding_margin(1024, 64) < 3e-4


def test_margin_includes_rounding_of_product_inputs() -> None:
    exact = rounding_margin(256, 64)
    torch.set_float32_matmul_precision("medium")
    try:
        assert rounding_margin(256, 64) > exact + 2**-8
    finally:
        torch.set_float32_matmul_precision("highest")


def test_features_of_length_zero_have_cosine_zero() -> None:
    found = bound_similarities(np.zeros((1, 2, 3), np.float32), np.ones((2, 2, 3), np.float32))
    assert np.abs(found.lower).max() < 1e-5 and np.abs(found.upper).max() < 1e-5


def test_accepts_tensors_and_read_only_arrays() -> None:
    x = np.random.default_rng(0).normal(size=(3, 2, 5)).astype(np.float32)
    x.setflags(write=False)
    np.testing.assert_array_equal(bound_similarities(x, x).upper, bound_similarities(torch.tensor(x), x).upper)


def test_rejects_shapes_that_do_not_fit_and_features_that_are_not_finite() -> None:
    x = np.ones((2, 3, 4), np.float32)
    with pytest.raises(ShapeError, match=r"expected query \(Q, M, D\)"):
        bound_similarities(x, x[:, :, :3])
    broken = x.copy()
    broken[1, 2, 0] = np.nan
    with pytest.raises(ShapeError, match="cosine of query 0 and gallery tracklet 1"):
        bound_similarities(x, broken)


def test_effort_adds_up() -> None:
    total = Effort(1, 4) + Effort(2, 4)
    assert (total.scored, total.pairs, total.share) == (3, 8, 3 / 8)
    assert Effort(0, 0).share == 0
