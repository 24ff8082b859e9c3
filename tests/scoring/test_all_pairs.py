import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from resight.compute import Compute
from resight.errors import RecipeError, ShapeError
from resight.models.aggregators import Aggregator, Learned, MaxPair, MeanFeature, MeanPair, TopShare
from resight.scoring import all_pairs
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


@contextmanager
def threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    yield
    torch.set_num_threads(before)


@contextmanager
def memory_budget(size: int) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(all_pairs, "MEMORY_BUDGET", size)
        yield


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
def test_equals_score_one_pair(name: str, q: int, g: int, m: int, n: int, dim: int, pairs: int, seed: int) -> None:
    """For any sizes, any number of tracklet pairs per tile, and any number of tiles at once."""
    torch.manual_seed(seed)
    aggregator = MAKE[name](dim)
    query, gallery = torch.randn(q, m, dim), torch.randn(g, n, dim)
    order = torch.randperm(m * n) if aggregator.depends_on_order and seed % 2 else None
    with threads(1 + seed % 3), memory_budget(pairs * 2000):
        found = score_all_pairs(query, gallery, aggregator, order=order)
    expected = [[score_one_pair(a, b, aggregator, order=order).score for b in gallery] for a in query]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=2e-5)


def test_mean_features_of_length_zero_have_similarity_zero() -> None:
    query, gallery = np.array([[[1.0, 2.0], [-1.0, -2.0]]]), np.ones((1, 2, 2))
    assert score_all_pairs(query, gallery, MeanFeature()).item() == 0
    assert score_one_pair(query[0], gallery[0], MeanFeature()).score == 0


def test_accepts_half_precision_arrays_and_does_not_change_the_module() -> None:
    torch.manual_seed(0)
    aggregator = learned(6, "constant").train()
    before = {name: value.clone() for name, value in aggregator.state_dict().items()}
    query, gallery = torch.randn(3, 2, 6).half(), torch.randn(4, 2, 6).half()
    found = score_all_pairs(query.numpy(), gallery.numpy(), aggregator)
    np.testing.assert_allclose(found, score_all_pairs(query.float(), gallery.float(), aggregator), atol=1e-6)
    assert all(module.training for module in aggregator.modules())
    assert all(torch.equal(before[name], value) for name, value in aggregator.state_dict().items())


def test_accepts_read_only_arrays() -> None:
    clips = np.ones((2, 3, 4), np.float32)
    clips.flags.writeable = False
    assert score_all_pairs(clips, clips, MeanPair()) == pytest.approx(1)
    assert score_one_pair(clips[0], clips[1], MeanPair()).score == pytest.approx(1)


@pytest.mark.parametrize("aggregator", [MeanPair(), learned(2, "constant")], ids=lambda a: type(a).__name__)
def test_reports_progress_in_tracklet_pairs(aggregator: Aggregator) -> None:
    told: list[tuple[int, int]] = []
    query, gallery = torch.randn(3, 1, 2), torch.randn(5, 1, 2)
    with memory_budget(100):
        score_all_pairs(query, gallery, aggregator, progress=lambda done, total: told.append((done, total)))
    assert len(told) > 2 and told[-1] == (15, 15)
    assert told == sorted(told)


def test_no_tracklets_give_an_empty_table() -> None:
    assert score_all_pairs(torch.zeros(0, 2, 3), torch.randn(4, 2, 3), MeanPair()).shape == (0, 4)
    assert score_all_pairs(torch.randn(4, 2, 3), torch.zeros(0, 2, 3), learned(3, "pair")).shape == (4, 0)


def test_rejects_features_that_do_not_fit_and_an_order_without_effect() -> None:
    with pytest.raises(ShapeError, match=r"\(G, N, D\)"):
        score_all_pairs(torch.zeros(2, 2, 3), torch.zeros(2, 2, 4), MeanPair())
    with pytest.raises(RecipeError, match="MaxPair"):
        score_all_pairs(torch.ones(2, 2, 3), torch.ones(2, 2, 3), MaxPair(), order=torch.arange(4))


@pytest.mark.parametrize("name", MAKE)
def test_chosen_pairs_are_cells_of_the_table(name: str) -> None:
    torch.manual_seed(0)
    aggregator = MAKE[name](6)
    query, gallery = torch.randn(4, 2, 6), torch.randn(5, 3, 6)
    order = torch.randperm(6) if aggregator.depends_on_order else None
    table = score_all_pairs(query, gallery, aggregator, order=order)
    rows, columns = np.array([3, 3, 0, 1, 1, 1, 3]), np.array([0, 4, 4, 2, 2, 1, 1])
    for budget in (0, 3000, 2**30):
        with memory_budget(budget):
            found = score_pairs(query, gallery, rows, columns, aggregator, order=order)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, table[rows, columns], rtol=1e-5, atol=1e-6)
    assert score_pairs(query, gallery, rows[:0], columns[:0], aggregator).shape == (0,)
    with pytest.raises(ShapeError, match="rows"):
        score_pairs(query, gallery, rows, columns[1:], aggregator)


def persons(spread: float, damage: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Return positive clip features that are similar for one person, partly damaged, and the persons."""
    torch.manual_seed(1)
    labels = torch.arange(28) % 7
    clips = torch.randn(7, 1, 256).relu()[labels] + spread * torch.randn(28, 4, 256).relu()
    damaged = torch.rand(28, 4) < damage
    clips[damaged] = torch.randn(256).relu() + spread * torch.randn(int(damaged.sum()), 256).relu()
    return clips, labels


def trained(clips: torch.Tensor, first: Literal["constant", "pair"]) -> Learned:
    """Return an aggregator with the statistics of the clips, so that importance varies."""
    aggregator = Learned(clips.shape[2], 64, dropout=0.0, first=first)
    with torch.no_grad():
        for _ in range(4):
            aggregator(clips[:16], clips[:16])
    return aggregator.eval()


def mean_average_precision(scores: np.ndarray, labels: np.ndarray) -> float:
    ranked = (labels[np.argsort(-scores, axis=1)] == labels[:, None])[:, 1:]  # the first is the query itself
    precision = ranked.cumsum(1) / np.arange(1, ranked.shape[1] + 1)
    return float(((precision * ranked).sum(1) / ranked.sum(1)).mean())


@pytest.mark.parametrize("first", ["constant", "pair"])
@pytest.mark.parametrize(("spread", "damage"), [(0.05, 0), (0.5, 0), (9, 0), (0.05, 0.3), (0.5, 0.3)])
def test_bfloat16_is_accurate_and_ranks_equally_well(
    spread: float, damage: float, first: Literal["constant", "pair"]
) -> None:
    """From tight clusters to nearly random features; damage makes the cosines of a tracklet pair vary most."""
    clips, labels = persons(spread, damage)
    aggregator = trained(clips, first)
    importance = aggregator.pair_weights(clips[0], clips[1]).importance
    assert importance.max() > 1.5 * importance.min(), "importance must vary for this test"
    found = score_all_pairs(clips, clips, aggregator, compute=Compute(precision="half"))
    assert (found != score_all_pairs(clips, clips, aggregator)).any()
    with torch.inference_mode():
        expected = aggregator.double()(clips.double(), clips.double()).numpy()
    difference = abs(found - expected)
    assert difference.max() < (4e-3 if damage else 1e-3) and difference.mean() < 3e-4
    maps = [mean_average_precision(scores, labels.numpy()) for scores in (found, expected)]
    assert maps[0] == pytest.approx(maps[1], abs=5e-3)


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_memory_stays_within_the_budget() -> None:
    """Without a budget each aggregator would need several times as much."""
    code = r"""
        import re, torch
        from pathlib import Path
        from resight.models.aggregators import *
        from resight.scoring import all_pairs

        all_pairs.MEMORY_BUDGET = 16 * 2**20

        def resident(which):
            return int(re.search(which + r":\s+(\d+)", Path("/proc/self/status").read_text())[1]) * 1024

        query, gallery = torch.randn(6, 4, 32), torch.randn(50_000, 4, 32)
        for aggregator in Learned(32, 8), MeanPair(), MeanFeature(), TopShare(50, 32):
            all_pairs.score_all_pairs(query[:2], gallery[:2000], aggregator)
            before = resident("VmRSS")
            Path("/proc/self/clear_refs").write_text("5")  # reset the peak
            scores = all_pairs.score_all_pairs(query, gallery, aggregator)
            print(resident("VmHWM") - before - scores.nbytes)
    """
    out = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    taken = [int(line) / 2**20 for line in out.stdout.split()]
    assert len(taken) == 4 and max(taken) < 20, f"MiB, of 16 and what allocators round up: {taken}"


def test_rejects_features_of_another_dimension() -> None:
    for aggregator in (learned(3, "pair"), projected(3)):
        with pytest.raises(ShapeError, match="D = 3"):
            score_all_pairs(torch.ones(2, 2, 4), torch.ones(2, 2, 4), aggregator)
