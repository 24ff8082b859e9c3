from __future__ import annotations

import pytest
import torch

from resight.compute import Compute, keep_freed_memory
from resight.errors import RecipeError


@pytest.fixture(params=[0, 2])
def gpus(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    count: int = request.param
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    return count


def test_auto_uses_a_gpu_if_there_is_one(gpus: int) -> None:
    assert Compute.resolve() == Compute("cuda" if gpus else "cpu")
    assert Compute.resolve("AUTO", "half") == Compute("cuda" if gpus else "cpu", "half")


def test_names_of_devices(gpus: int) -> None:
    assert Compute.resolve("CPU").device == "cpu"
    for name, device in {
        "gpu": "cuda",
        "cuda": "cuda",
        "1": "cuda:1",
        "cuda:1": "cuda:1",
        " Cuda:0 ": "cuda:0",
    }.items():
        if gpus:
            assert Compute.resolve(name).device == device
        else:
            with pytest.raises(RecipeError, match="no GPU"):
                Compute.resolve(name)


@pytest.mark.parametrize("name", ["mps", "tpu", "", "cuda:", "cuda:x", "cpu:1", "-1", "cuda:-1", "cuda:7"])
def test_an_unknown_device_is_refused(gpus: int, name: str) -> None:
    with pytest.raises(RecipeError, match="device is"):
        Compute.resolve(name)


def test_precisions() -> None:
    assert Compute().encoder_dtype == Compute().product_dtype == torch.float32
    half = Compute("cpu", "half")
    assert half.encoder_dtype == half.product_dtype == torch.bfloat16
    assert Compute("cuda:1", "half").product_dtype == torch.float16
    assert Compute("cuda:1").torch_device == torch.device("cuda", 1)
    with pytest.raises(RecipeError, match="float64"):
        Compute("cpu", "float64")  # type: ignore[arg-type]


def test_memory_is_kept_on_linux_only(monkeypatch: pytest.MonkeyPatch) -> None:
    keep_freed_memory.cache_clear()
    assert keep_freed_memory() in (True, False)
    monkeypatch.setattr("resight.compute.sys.platform", "darwin")
    keep_freed_memory.cache_clear()
    assert keep_freed_memory() is False
    keep_freed_memory.cache_clear()
