"""The Triton kernel without a GPU: interpreted in a separate process, and compiled for several GPU types."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from resight.models.aggregators import Learned
from resight.scoring import gpu, gpu_steps, kernels


def operands(p: int, h: int, dtype: torch.dtype) -> list[torch.Tensor]:
    """Return the tensors of `advance`, with importance over the whole range of float32."""
    y, before, now, z = torch.randn(4, p, h).to(dtype)
    bias1, bias2, weight3 = torch.randn(3, h)
    bias3 = torch.randn(()) * 15
    old, cosine = torch.rand(2, p), torch.randn(p)
    if torch.rand(()) < 0.3:
        old[0] = 0
    return [y, bias2, weight3, bias3, cosine, old, torch.rand(2, p), torch.randn(p, h), before, now, bias1, z]


@settings(max_examples=20, deadline=None, derandomize=True, database=None)
@given(
    p=st.integers(1, 7), h=st.integers(1, 40), dtype=st.sampled_from([torch.float32, torch.float16, torch.bfloat16]),
    last=st.booleans(), seed=st.integers(0, 99),
)  # fmt: skip
def kernel_equals_torch(p: int, h: int, dtype: torch.dtype, last: bool, seed: int) -> None:
    torch.manual_seed(seed)
    expected = operands(p, h, dtype)
    found = [x.clone() for x in expected]
    ways: list[gpu_steps.Advance] = [gpu_steps.advance_in_torch, kernels.advance]
    for advance, tensors in zip(ways, (expected, found), strict=True):
        advance(*tensors, last)
    torch.testing.assert_close(found[6][0], expected[6][0], rtol=1e-4, atol=0)  # even the smallest importance
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=2e-5 if a.dtype == torch.float32 else 1e-2, atol=2e-5)


def engine_equals_itself() -> None:
    torch.manual_seed(0)
    query, gallery, order = torch.randn(3, 2, 9), torch.randn(5, 3, 9), torch.randperm(6)
    weights = Learned(9, 7).eval().importance.folded()
    for first in ("constant", "pair"):
        with_torch, with_triton = (
            gpu.score_tile(query, gallery, weights, first, order=order, pairs=4, advance=advance, dtype=torch.float32)
            for advance in (gpu_steps.advance_in_torch, kernels.advance)
        )
        torch.testing.assert_close(with_triton, with_torch)


def test_interpreted_kernel_equals_torch() -> None:
    pytest.importorskip("triton", reason="Triton is not installed")
    answer = subprocess.run(
        [sys.executable, __file__],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.split() == ["kernel", "engine"]


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("capability", [80, 90])
def test_compiles_without_a_gpu_and_moves_16_bytes_at_once(
    capability: int, last: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    triton = pytest.importorskip("triton", reason="Triton is not installed")
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    names = ["y", "bias2", "weight3", "bias3", "cosine", "old", "new", "hidden", "before", "now", "bias1", "z"]
    half = ("y", "before", "now", "z")
    constants = {"H": 1024, "BLOCK": 1024, "ROWS": kernels.ROWS, "LAST": last, "SERIES": 0.03}
    types = {name: "*fp16" if name in half else "*fp32" for name in names}
    source = ASTSource(
        triton.jit(kernels._advance),
        {**types, "n_pairs": "i32", **dict.fromkeys(constants, "constexpr")},
        constants,
        {(i,): [["tt.divisibility", 16]] for i in range(len(names))},
    )
    options = {"num_warps": 4, "enable_fp_fusion": True}
    compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
    ptx = compiled.asm["ptx"]
    assert compiled.asm["cubin"]
    assert ptx.count("ld.global.v4.b32") >= (3 if last else 10)
    assert ptx.count("st.global.v4.b32") >= (0 if last else 3)


if __name__ == "__main__":
    kernel_equals_torch()
    print("kernel")
    engine_equals_itself()
    print("engine")
