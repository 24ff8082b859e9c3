from collections.abc import Callable
from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from resight.errors import RecipeError, ShapeError
from resight.models.aggregators import Aggregator, Learned, MaxPair, MeanFeature, MeanPair, TopShare
from resight.scoring.all_pairs import score_all_pairs, score_pairs
from resight.scoring.one_pair import score_one_pair


def learned(dim: int, first: Literal["constant", "pair"]) -> Learned:
    made = Learned(dim, 7, first=first)
    for norm in (made.importance.first_norm, made.importance.second_norm):
        assert norm.running_mean is not None and norm.running_var is not None
        norm.running_mean.normal_(0, 0.3)
        norm.running_var.uniform_(0.05, 2)
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    return made


def projected(dim: int) -> TopShare:
    made = TopShare(40, dim)
    nn.init.normal_(made.projection.get_parameter("weight"))
    return made


MAKE: dict[str, Callable[[int], Aggregator]] = {
    "mean feature": lambda dim: MeanFeature(),
    "mean feature, lengths kept": lambda dim: MeanFeature(normalise=False),
    "mean pair": lambda dim: MeanPair(),
    "max pair": lambda dim: MaxPair(),
    "top share": projected,
    "learned, constant first": lambda dim: learned(dim, "constant"),
    "learned, pair first": lambda dim: learned(dim, "pair"),
}
sizes = st.integers(1, 5)


@pytest.mark.parametrize("name", MAKE)
@settings(max_examples=20, deadline=None)
@given(q=sizes, g=sizes, m=sizes, n=sizes, dim=st.integers(2, 9), pairs=st.integers(0, 30), seed=st.integers(0, 99))
def test_equals_the_slow_truth(name: str, q: int, g: int, m: int, n: int, dim: int, pairs: int, seed: int) -> None:
    """For any sizes, and tiles of any number of tracklet pairs."""
    torch.manual_seed(seed)
    aggregator = MAKE[name](dim)
    query, gallery = torch.randn(q, m, dim), torch.randn(g, n, dim)
    order = torch.randperm(m * n) if isinstance(aggregator, Learned) and seed % 2 else None
    budget = pairs * 4 * aggregator.floats_per_pair(m, n)
    found = score_all_pairs(query, gallery, aggregator, order=order, memory_budget=budget)
    expected = [[score_one_pair(a, b, aggregator, order=order).score for b in gallery] for a in query]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=2e-5)


def test_features_that_cancel_out_resemble_nothing() -> None:
    query, gallery = np.array([[[1.0, 2.0], [-1.0, -2.0]]]), np.ones((1, 2, 2))
    assert score_all_pairs(query, gallery, MeanFeature()).item() == 0
    assert score_one_pair(query[0], gallery[0], MeanFeature()).score == 0


def test_takes_arrays_of_half_precision_and_leaves_the_module_as_it_was() -> None:
    torch.manual_seed(0)
    aggregator = learned(6, "constant").train()
    before = {name: value.clone() for name, value in aggregator.state_dict().items()}
    query, gallery = torch.randn(3, 2, 6).half(), torch.randn(4, 2, 6).half()
    found = score_all_pairs(query.numpy(), gallery.numpy(), aggregator)
    np.testing.assert_allclose(found, score_all_pairs(query.float(), gallery.float(), aggregator), atol=1e-6)
    assert all(module.training for module in aggregator.modules())
    assert all(torch.equal(before[name], value) for name, value in aggregator.state_dict().items())


def test_takes_read_only_arrays() -> None:
    clips = np.ones((2, 3, 4), np.float32)
    clips.flags.writeable = False
    assert score_all_pairs(clips, clips, MeanPair()) == pytest.approx(1)
    assert score_one_pair(clips[0], clips[1], MeanPair()).score == pytest.approx(1)


@pytest.mark.parametrize("aggregator", [MeanPair(), learned(2, "constant")], ids=lambda a: type(a).__name__)
def test_reports_progress_in_tracklet_pairs(aggregator: Aggregator) -> None:
    told: list[tuple[int, int]] = []
    query, gallery = torch.randn(3, 1, 2), torch.randn(5, 1, 2)
    score_all_pairs(
        query, gallery, aggregator, memory_budget=100, progress=lambda done, total: told.append((done, total))
    )
    assert len(told) > 2 and told[-1] == (15, 15)
    assert told == sorted(told)


def test_nothing_to_compare_is_an_empty_table() -> None:
    assert score_all_pairs(torch.zeros(0, 2, 3), torch.randn(4, 2, 3), MeanPair()).shape == (0, 4)
    assert score_all_pairs(torch.randn(4, 2, 3), torch.zeros(0, 2, 3), learned(3, "pair")).shape == (4, 0)


def test_refuses_what_does_not_fit() -> None:
    with pytest.raises(ShapeError, match=r"\(G, N, D\)"):
        score_all_pairs(torch.zeros(2, 2, 3), torch.zeros(2, 2, 4), MeanPair())
    with pytest.raises(RecipeError, match="MaxPair"):
        score_all_pairs(torch.ones(2, 2, 3), torch.ones(2, 2, 3), MaxPair(), order=torch.arange(4))


@pytest.mark.parametrize("name", MAKE)
def test_chosen_pairs_are_cells_of_the_table(name: str) -> None:
    torch.manual_seed(0)
    aggregator = MAKE[name](6)
    query, gallery = torch.randn(4, 2, 6), torch.randn(5, 3, 6)
    order = torch.randperm(6) if isinstance(aggregator, Learned) else None
    table = score_all_pairs(query, gallery, aggregator, order=order)
    rows, columns = np.array([3, 3, 0, 1, 1, 1, 3]), np.array([0, 4, 4, 2, 2, 1, 1])
    for budget in (0, 3000, 2**30):
        found = score_pairs(query, gallery, rows, columns, aggregator, order=order, memory_budget=budget)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, table[rows, columns], rtol=1e-5, atol=1e-6)
    assert score_pairs(query, gallery, rows[:0], columns[:0], aggregator).shape == (0,)
    with pytest.raises(ShapeError, match="rows"):
        score_pairs(query, gallery, rows, columns[1:], aggregator)
