from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from resight.errors import RecipeError, ShapeError
from resight.models.aggregators import Learned
from resight.scoring import gpu, gpu_steps
from resight.scoring.one_pair import score_one_pair

sizes = st.integers(1, 4)
First = Literal["constant", "pair"]


def learned(dim: int, hidden: int, first: First) -> Learned:
    """Return an aggregator whose importance varies from about 0.01 to 10."""
    made = Learned(dim, hidden, first=first).eval()
    for norm in (made.importance.first_norm, made.importance.second_norm):
        assert norm.running_mean is not None and norm.running_var is not None
        norm.running_mean.normal_(0, 0.3)
        norm.running_var.uniform_(0.05, 2)
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    for layer in (made.importance.first, made.importance.second, made.importance.last):
        nn.init.normal_(layer.weight, std=2 / layer.in_features**0.5)
    return made


def tile(query: torch.Tensor, gallery: torch.Tensor, aggregator: Learned, **options: Any) -> torch.Tensor:
    return gpu.score_tile(query, gallery, aggregator.importance.folded(), aggregator.first, **options)


@settings(max_examples=40, deadline=None)
@given(
    q=sizes, g=st.integers(1, 7), m=sizes, n=sizes, dim=st.integers(2, 9), hidden=st.integers(1, 9),
    pairs=st.integers(1, 20), first=st.sampled_from(["constant", "pair"]), seed=st.integers(0, 99),
)  # fmt: skip
def test_equals_score_one_pair(
    q: int, g: int, m: int, n: int, dim: int, hidden: int, pairs: int, first: First, seed: int
) -> None:
    """For any sizes of tracklets and blocks, both readings of the first pair, and any order."""
    torch.manual_seed(seed)
    aggregator = learned(dim, hidden, first)
    query, gallery = torch.randn(q, m, dim), torch.randn(g, n, dim)
    order = torch.randperm(m * n) if seed % 2 else None
    found = tile(query, gallery, aggregator, order=order, pairs=pairs, dtype=torch.float32)
    expected = [[score_one_pair(a, b, aggregator, order=order).score for b in gallery] for a in query]
    torch.testing.assert_close(found, torch.tensor(expected), rtol=1e-4, atol=5e-5)


@pytest.mark.parametrize(("dtype", "largest"), [(torch.float16, 2e-3), (torch.bfloat16, 2e-2)])
def test_half_precision_is_accurate(dtype: torch.dtype, largest: float) -> None:
    torch.manual_seed(0)
    aggregator = learned(32, 64, "constant")
    query, gallery = torch.randn(3, 4, 32), torch.randn(5, 3, 32)
    found = tile(query, gallery, aggregator, dtype=dtype)
    expected = torch.tensor([[score_one_pair(a, b, aggregator).score for b in gallery] for a in query])
    assert 0 < (found - expected).abs().max() < largest


def test_accepts_features_of_any_dtype_and_reports_progress() -> None:
    torch.manual_seed(0)
    aggregator = learned(4, 4, "pair")
    query, gallery = torch.randn(5, 2, 4), torch.randn(7, 2, 4)
    told: list[tuple[int, int]] = []
    found = tile(query.double(), gallery.half(), aggregator, pairs=6, progress=lambda *done: told.append(done))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, tile(query, gallery.half(), aggregator, dtype=torch.float32), rtol=0, atol=5e-3)
    assert told == sorted(told) and told[-1] == (35, 35) and len(told) > 2


@settings(max_examples=20, deadline=None)
@given(q=sizes, g=sizes, budget=st.integers(0, 20_000), seed=st.integers(0, 99))
def test_the_table_does_not_depend_on_the_memory_budget(q: int, g: int, budget: int, seed: int) -> None:
    torch.manual_seed(seed)
    aggregator = learned(5, 6, "constant").train()
    query, gallery, order = torch.randn(q, 2, 5), torch.randn(g, 3, 5), torch.randperm(6)
    told: list[tuple[int, int]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gpu, "MEMORY_BUDGET", budget)
        found = gpu.score_table(
            query.numpy(), gallery, aggregator.recurrence(), order=order, progress=lambda *done: told.append(done)
        )
    expected = tile(query, gallery, aggregator, order=order, dtype=torch.float32).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert told == sorted(told) and told[-1] == (q * g, q * g)
    assert aggregator.training


def test_rejects_invalid_arguments() -> None:
    aggregator = learned(3, 4, "constant")
    clips = torch.randn(2, 2, 3)
    with pytest.raises(RecipeError, match=r"torch\.float16, torch\.bfloat16, torch\.float32"):
        tile(clips, clips, aggregator, dtype=torch.int8)
    with pytest.raises(ShapeError, match="D = 3"):
        tile(clips[:, :, :2], clips[:, :, :2], aggregator)
    with pytest.raises(ShapeError, match="permutation"):
        tile(clips, clips, aggregator, order=torch.zeros(4, dtype=torch.int64))
    with pytest.raises(RecipeError, match="use float32"):
        nn.init.constant_(aggregator.importance.last.weight, torch.inf)
        tile(clips, clips, aggregator)


def test_no_tracklets_give_an_empty_table() -> None:
    aggregator = learned(3, 4, "constant")
    assert tile(torch.zeros(0, 2, 3), torch.ones(4, 2, 3), aggregator).shape == (0, 4)
    assert tile(torch.ones(4, 2, 3), torch.zeros(0, 2, 3), aggregator).shape == (4, 0)


def test_falls_back_to_pytorch_with_a_warning_if_the_kernel_cannot_be_used() -> None:
    """On a machine without a GPU, a CUDA device makes the kernel fail."""
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    gpu_steps.best_advance.cache_clear()
    with pytest.warns(RuntimeWarning, match=r"resight\.scoring\.kernels\.advance cannot be used on cuda"):
        assert gpu_steps.best_advance(torch.device("cuda"), 8, torch.float16) is gpu_steps.advance_in_torch
    assert gpu_steps.best_advance(torch.device("cpu"), 8, torch.float16) is gpu_steps.advance_in_torch


def test_a_cpu_is_not_available() -> None:
    assert not gpu.available("cpu")
    assert gpu.available("cuda") or not (torch.cuda.is_available() and torch.cuda.get_device_capability() >= (8, 0))


@pytest.mark.skipif(not gpu.available("cuda"), reason="this machine has no GPU")
@pytest.mark.parametrize("first", ["constant", "pair"])
def test_gpu_and_cpu_agree(first: First) -> None:
    torch.manual_seed(0)
    aggregator = learned(96, 80, first)
    query, gallery, order = torch.randn(5, 4, 96), torch.randn(37, 3, 96), torch.randperm(12)
    expected = tile(query, gallery, aggregator, order=order, dtype=torch.float32)
    for dtype, largest in ((torch.float32, 1e-4), (torch.float16, 1e-2)):
        found = tile(query.cuda(), gallery.cuda(), aggregator, order=order, dtype=dtype, pairs=20)
        torch.testing.assert_close(found.cpu(), expected, rtol=0, atol=largest)


class Recording:
    """A stand-in for a block on a GPU that counts its runs."""

    query = SimpleNamespace(is_cuda=True)
    runs = 0

    def run(self) -> None:
        self.runs += 1


@pytest.fixture
def pretended_gpu(monkeypatch: pytest.MonkeyPatch) -> Callable[[Exception | None], None]:
    def pretend(fails: Exception | None) -> None:
        @contextmanager
        def graph(*_: object, **__: object) -> Iterator[None]:
            yield
            if fails is not None:
                raise fails

        replayed = SimpleNamespace(replay=lambda: None)
        fakes: dict[str, Any] = {
            "graph": graph,
            "stream": lambda stream: nullcontext(),
            "CUDAGraph": lambda: replayed,
            **dict.fromkeys(("synchronize", "current_stream", "Stream"), lambda: None),
        }
        for name, fake in fakes.items():
            monkeypatch.setattr(torch.cuda, name, fake)

    return pretend


def test_steps_run_once_before_recording_and_are_then_replayed(pretended_gpu: Any) -> None:
    pretended_gpu(None)
    block: Any = Recording()
    replay = gpu_steps.recorded(block)
    replay()
    replay()
    assert block.runs == 2


def test_without_a_graph_steps_run_one_by_one(pretended_gpu: Any) -> None:
    pretended_gpu(RuntimeError("operation not permitted"))
    block: Any = Recording()
    with pytest.warns(UserWarning, match="cannot record a CUDA graph .operation not permitted"):
        run = gpu_steps.recorded(block)
    run()
    assert block.runs == 3


def test_out_of_memory_errors_are_not_hidden(pretended_gpu: Any) -> None:
    pretended_gpu(torch.OutOfMemoryError("full"))
    block: Any = Recording()
    with pytest.raises(torch.OutOfMemoryError):
        gpu_steps.recorded(block)
