"""Run all GPU benchmarks in a few minutes: ``python -m benchmarks.gpu`` (`make bench-gpu`).

First the scores are checked against `score_one_pair` in double precision, then the speed is measured. The parts are
independent: if one fails, the others are still measured and written. ``--tiny --device cpu`` runs everything without a
GPU, to check that it runs.
"""

from __future__ import annotations

import copy
import json
import platform
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from cyclopts import run
from torch import Tensor

from benchmarks import gpu_encoder
from benchmarks.gpu_sizes import FULL, TINY, Sizes
from benchmarks.page import RESULTS, line
from benchmarks.plain.all_pairs import plain_similarity
from benchmarks.timing import Row, Turns, Work, take_turns
from resight.models.aggregators import Learned
from resight.outputs import replace_file
from resight.scoring.gpu import score_tile
from resight.scoring.gpu_steps import Advance, advance_in_torch, best_advance
from resight.scoring.one_pair import score_one_pair

TOLERANCE = {"float32": 1e-4, "float16": 1e-2, "bfloat16": 6e-2}
"""Largest allowed error of a similarity, for importance that varies by a factor of 1,000."""

LONGEST = 120.0
"""If scoring all pairs is estimated to take more seconds than this, they are not all scored."""


def benchmarks(*, out: Path = RESULTS["gpu"], device: str = "cuda", tiny: bool = False) -> None:
    """Check and measure everything, print it, and write it as JSON.

    Args:
        out: File to write, for docs/benchmarks.md.
        device: Device to compute on.
        tiny: Use small sizes, to check that everything runs; their figures are meaningless.
    """
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise SystemExit(
            "no CUDA device found: run this on a machine with a GPU and a CUDA build of torch, or use "
            "--tiny --device cpu --out FILE to check that it runs"
        )
    where, sizes, rows = torch.device(device), TINY if tiny else FULL, list[Row]()
    started, failed = time.perf_counter(), list[str]()
    command = "python -m benchmarks.gpu" + " --tiny" * tiny + f" --device {device}" * (device != "cuda")
    for name, part in PARTS.items():
        try:
            measured = part(sizes, where)
        except Exception:  # the other parts are still worth measuring
            traceback.print_exc()
            failed.append(name)
            continue
        for row in measured:
            print(line(row), flush=True)
        rows += measured
        seconds = time.perf_counter() - started
        results = {"machine": machine(where), "command": command, "seconds": seconds}
        out.parent.mkdir(parents=True, exist_ok=True)
        with replace_file(out) as temporary:
            temporary.write_text(json.dumps({**results, "rows": [r.to_json() for r in rows]}, indent=1), "utf-8")
        print(f"{name}: done after {seconds:.0f} s, wrote {out}", flush=True)
    if failed:
        raise SystemExit(f"these parts failed, see the errors above: {'; '.join(failed)}")


def machine(device: torch.device) -> dict[str, Any]:
    """Return a description of the machine."""
    facts: dict[str, Any] = {"device": platform.machine(), "python": platform.python_version()}
    facts["torch"] = torch.__version__
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        facts["device"] = properties.name
        facts["memory"] = f"{properties.total_memory / 2**30:.0f} GiB"
        facts["cuda"] = torch.version.cuda
    return facts


def check(sizes: Sizes, device: torch.device) -> list[Row]:
    """Check that the engine returns the scores of `score_one_pair`, and return the largest difference.

    Checked are both readings of the first clip pair, a random order, all types of products, and the kernel as well as
    PyTorch's operations.

    Raises:
        AssertionError: If a difference exceeds its tolerance.
    """
    largest = dict.fromkeys(TOLERANCE, 0.0)
    advances: list[Advance | None] = [None, advance_in_torch]
    readings: list[Literal["constant", "pair"]] = ["constant", "pair"]
    for seed, first in enumerate(readings):
        torch.manual_seed(seed)
        aggregator = decisive(sizes, first)
        query, gallery = clips(2, sizes, torch.device("cpu")), clips(3, sizes, torch.device("cpu"))
        order = torch.randperm(sizes.clips**2)
        truth = torch.tensor([[score_one_pair(q, g, aggregator, order=order).score for g in gallery] for q in query])
        weights, both = aggregator.importance.folded(), (query.to(device), gallery.to(device))
        for name in TOLERANCE:
            for advance in advances:
                dtype = getattr(torch, name)
                scores = score_tile(*both, weights, first, order=order, dtype=dtype, pairs=4, advance=advance).cpu()
                largest[name] = max(largest[name], float((scores - truth).abs().max()))
    note = ", ".join(f"{name} {difference:.1e}" for name, difference in largest.items())
    print(f"largest difference from score_one_pair: {note}", flush=True)
    assert all(largest[name] < limit for name, limit in TOLERANCE.items()), f"expected less than {TOLERANCE}"
    title = "largest difference from double precision, for importance that varies by a factor of 1,000"
    return [Row("all pairs", title, "similarity, 0 ... 1", None, largest["float16"], None, note=note)]


def all_pairs(sizes: Sizes, device: torch.device) -> list[Row]:
    """Measure scoring all of MARS exactly, against a plain batched loop on a part of it."""
    torch.manual_seed(0)
    aggregator = decisive(sizes).to(device)
    weights, first = aggregator.importance.folded(), aggregator.first
    query, gallery = clips(sizes.queries, sizes, device), clips(sizes.gallery, sizes, device)

    def ours(queries: int, dtype: torch.dtype, pairs: int, advance: Advance | None = None) -> Work:
        return lambda: score_tile(query[:queries], gallery, weights, first, dtype=dtype, pairs=pairs, advance=advance)

    def plain(dtype: torch.dtype) -> Work:
        module = copy.deepcopy(aggregator).to(dtype)
        q, g = (x[:n].to(dtype) for x, n in zip((query, gallery), sizes.plain, strict=True))
        return lambda: plain_similarity(q, g, module)

    tried = turns_on(device, {str(pairs): ours(sizes.part, torch.float16, pairs) for pairs in sizes.blocks}, 2)
    pairs = min(sizes.blocks, key=lambda pairs: tried.median(str(pairs)))
    print("seconds by block size:", {name: round(tried.median(name), 3) for name in tried.seconds}, flush=True)

    ways: dict[str, Work] = {
        "plain float32": plain(torch.float32),
        "torch": ours(sizes.part, torch.float16, pairs, advance_in_torch),
    }
    for precision in ("float16", "bfloat16"):
        dtype = getattr(torch, precision)
        ways[f"plain {precision}"] = plain(dtype)
        ways[precision] = ours(sizes.part, dtype, pairs)
        ways[f"product {precision}"] = product(sizes.matrix, dtype, device)
    turns = turns_on(device, ways, sizes.repeats)
    n_ours, n_plain = sizes.part * sizes.gallery, sizes.plain[0] * sizes.plain[1]
    flop = 4 * sizes.clips**2 * sizes.dim**2  # of a tracklet pair
    rows = []
    for precision in ("float16", "bfloat16"):
        rate = 2 * sizes.matrix**3 / turns.median(f"product {precision}")
        rows.append(
            Row(
                "all pairs",
                f"{precision}, {sizes.part:,} x {sizes.gallery:,}, M = N = {sizes.clips}, D = H = {sizes.dim:,}; plain "
                f"loop in {precision}, {sizes.plain[0]:,} x {sizes.plain[1]:,}",
                "tracklet pairs/s",
                plain=n_plain / turns.median(f"plain {precision}"),
                ours=n_ours / turns.median(precision),
                ratio=turns.ratio(f"plain {precision}", precision) * n_ours / n_plain,
                limit=turns.ratio(f"product {precision}", precision) * n_ours * flop / (2 * sizes.matrix**3),
                limit_name=f"{precision} matrix rate, {rate / 1e12:.3g} TFLOP/s",
                note=f"blocks of {pairs:,} pairs; {turns.ratio('plain float32', precision) * n_ours / n_plain:.1f} "
                f"times the plain loop in float32, {turns.ratio('torch', precision):.2f} times Resight without Triton",
                facts={name: tried.median(name) for name in tried.seconds},
            )
        )
    print(parts_of_a_step(sizes, device, pairs), flush=True)
    estimate = turns.median("float16") * sizes.queries / sizes.part
    if estimate < LONGEST:
        once = turns_on(device, {"all": ours(sizes.queries, torch.float16, pairs)}, 1, warm_up=False).median("all")
        rate = sizes.queries * sizes.gallery / once
        limit = 2 * sizes.matrix**3 / turns.median("product bfloat16")
        rows.append(
            Row(
                "all pairs",
                f"all of MARS exactly, {sizes.queries:,} x {sizes.gallery:,}, float16",
                "tracklet pairs/s",
                plain=n_plain / turns.median("plain float16"),
                ours=rate,
                ratio=rate / n_plain * turns.median("plain float16"),
                limit=rate * flop / limit,
                limit_name=f"bfloat16 matrix rate, {limit / 1e12:.3g} TFLOP/s",
                note=f"**{once:.1f} s**, target 20 s; {parts_of_a_step(sizes, device, pairs)}",
            )
        )
    return rows


def parts_of_a_step(sizes: Sizes, device: torch.device, pairs: int) -> str:
    """Measure products and pass of a step separately, for blocks of `pairs` tracklet pairs; return a sentence."""
    p, h, times = min(pairs, sizes.gallery), sizes.dim, 20
    y, z, before, now = torch.randn(4, p, h, device=device).to(torch.float16)
    hidden, (old, new), cosine = torch.randn(p, h, device=device), torch.rand(2, 2, p, device=device), y[:, 0].float()
    bias, matrix = torch.randn(h, device=device), torch.randn(h, h, device=device).to(torch.float16)
    advance = best_advance(device, h, torch.float16)

    def again(work: Work) -> Work:
        return lambda: [work() for _ in range(times)]

    operands = (y, bias, bias, bias[0], cosine, old, new, hidden, before, now, bias, z, False)
    ways = {"product": again(lambda: torch.mm(z, matrix.t(), out=y)), "pass": again(lambda: advance(*operands))}
    turns = turns_on(device, ways, sizes.repeats)
    product_, pass_ = turns.median("product") / times, turns.median("pass") / times
    moved = 16 * p * h
    return (
        f"in a step of {p:,} pairs a product takes {product_ * 1e6:.0f} us ({2 * p * h * h / product_ / 1e12:.0f} "
        f"TFLOP/s) and the pass {pass_ * 1e6:.0f} us ({moved / pass_ / 1e12:.2f} TB/s)"
    )


def clips(n: int, sizes: Sizes, device: torch.device) -> Tensor:
    """Return clip features (n, M, D) of n persons, with cosines from about 0.5 to 0.9 and clips of varying quality."""
    person = torch.randn(n, 1, sizes.dim, device=device).relu() * 0.3
    alike = torch.randn(sizes.dim, generator=torch.Generator().manual_seed(0)).relu().to(device)
    worse = torch.rand(n, sizes.clips, 1, device=device) * 1.5
    return (alike + person + torch.randn(n, sizes.clips, sizes.dim, device=device) * worse).relu_()


def decisive(sizes: Sizes, first: Literal["constant", "pair"] = "constant") -> Learned:
    """Return an aggregator whose importance varies at least as much as after training."""
    made = Learned(sizes.dim, sizes.dim, dropout=0, first=first).train()
    features = clips(5, sizes, torch.device("cpu"))
    with torch.no_grad():
        for _ in range(3):  # fit the running statistics to such clips
            made(features, features)
        made.importance.last.weight.normal_(0, 2 / sizes.dim**0.5)
    return made.eval()


def product(n: int, dtype: torch.dtype, device: torch.device) -> Work:
    """Return the product of two n x n matrices, which measures the matrix rate: 2 n^3 operations."""
    a = torch.randn(n, n, device=device).to(dtype)
    out = torch.empty_like(a)
    return lambda: torch.mm(a, a, out=out)


def turns_on(device: torch.device, ways: dict[str, Work], repeats: int, *, warm_up: bool = True) -> Turns:
    """As `take_turns`, but each call waits until the device has finished."""
    ending = {name: gpu_encoder.finished(work, device) for name, work in ways.items()}
    return take_turns(ending, repeats, warm_up=warm_up)


PARTS: dict[str, Callable[[Sizes, torch.device], list[Row]]] = {
    "correctness": check,
    "all pairs": all_pairs,
    "extraction": gpu_encoder.extraction,
    "stage 1": gpu_encoder.stage1,
    "stage 2": partial(gpu_encoder.stage2, precision="float32"),
    "stage 2, half precision": partial(gpu_encoder.stage2, precision="half"),
}
"""Parts of the benchmark by name, in the order in which they are run."""

if __name__ == "__main__":
    run(benchmarks)
