"""Time and memory of a stage-2 training step: plain autograd over all pairs of the batch, against hard pairs only.

At the paper's size every turn runs in its own process, so that peak memory can be measured:
``python -m benchmarks.stage2 WAY``.
"""

from __future__ import annotations

import copy
import json
import statistics
import subprocess
import sys
import time

import torch
from cyclopts import run
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.reading import peak_megabytes
from benchmarks.timing import MATRIX_FLOP, Row, Work, matrix_product, take_turns
from resight.losses import stage2_loss
from resight.models.aggregators import ImportanceWeighted, Learned
from resight.models.importance import FIRST_STEPS
from resight.studies.rivals.order_free import OrderFree

PERSONS, TRACKLETS, CLIPS = 12, 4, 8
PAPER, DEMO = (1024, 1024), (256, 64)
"""D and H."""
TURNS = 1
"""Largest number of turns at the paper's size, where the plain step alone takes half a minute."""
WAYS: dict[str, tuple[type[ImportanceWeighted], bool, bool]] = {
    "plain": (Learned, False, False),
    "ours": (Learned, True, False),
    "ours in bfloat16": (Learned, True, True),
    "order-free": (OrderFree, True, False),
}
"""Aggregator, whether it recomputes hard pairs, and whether products are in bfloat16."""


def bench(repeats: int) -> list[Row]:
    """Measure the sizes of the paper and of the demo."""
    turns = [{way: measured_apart(way) for way in WAYS} for _ in range(min(repeats, TURNS))]
    exact = gradient_difference()
    rows = []
    for way in WAYS:
        if way == "plain":
            continue
        dtype = "bfloat16" if WAYS[way][2] else "float32"
        peak = {name: max(turn[name]["megabytes"] for turn in turns) for name in ("plain", way)}
        rows.append(
            Row(
                group="stage 2",
                name=f"training step, {way}, 48 tracklets of 8 clips, D = H = {PAPER[0]}",
                unit="steps/s",
                plain=1 / statistics.median(turn["plain"]["seconds"] for turn in turns),
                ours=1 / statistics.median(turn[way]["seconds"] for turn in turns),
                ratio=statistics.median(turn["plain"]["seconds"] / turn[way]["seconds"] for turn in turns),
                limit=statistics.median(turn[way]["share"] for turn in turns),
                limit_name=f"{dtype} matrix rate",
                note=f"peak memory {peak[way]:,.0f} MB against {peak['plain']:,.0f} MB; plain: learned importance "
                f"in float32; gradient in double precision: relative difference {exact:.0e}",
                facts={"peak_mb": peak},
            )
        )
    return [*rows, demo_row(repeats)]


def demo_row(repeats: int) -> Row:
    """Measure the size of the demo."""
    features, persons, aggregator = problem(Learned, *DEMO)
    plain = copy.deepcopy(aggregator)
    plain.recompute = False
    ways: dict[str, Work] = {
        "plain": lambda: step(plain, features, persons),
        "ours": lambda: step(aggregator, features, persons),
    }
    turns = take_turns(ways, repeats)
    return Row(
        group="stage 2",
        name=f"training step of the demo, 48 tracklets of 8 clips, D = {DEMO[0]}, H = {DEMO[1]}",
        unit="steps/s",
        plain=1 / turns.median("plain"),
        ours=1 / turns.median("ours"),
        ratio=turns.ratio("plain", "ours"),
    )


def problem(
    kind: type[ImportanceWeighted], dim: int, hidden: int, clips: int = CLIPS, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor, ImportanceWeighted]:
    """Return a batch, its persons, and an aggregator past its first steps."""
    torch.manual_seed(0)
    persons = torch.arange(PERSONS).repeat_interleave(TRACKLETS)
    person_features = torch.randn(PERSONS, 1, dim, dtype=dtype).repeat_interleave(TRACKLETS, 0)
    features = person_features + torch.randn(len(persons), clips, dim, dtype=dtype)
    aggregator = kind(dim, hidden, 0.5).to(dtype).train()
    for norm in (aggregator.importance.first_norm, aggregator.importance.second_norm):
        norm.steps.fill_(FIRST_STEPS)
    return features, persons, aggregator


def step(aggregator: ImportanceWeighted, features: Tensor, persons: Tensor, *, half: bool = False) -> None:
    """Compute the gradients of a step, without the optimiser."""
    aggregator.zero_grad()
    with torch.autocast(features.device.type, dtype=torch.bfloat16, enabled=half):
        similarities = aggregator(features, features)
    stage2_loss(similarities, persons).loss.backward()  # type: ignore[no-untyped-call]


def measured_apart(way: str) -> dict[str, float]:
    """Run `measure` in a process of its own, and return what it prints."""
    command = [sys.executable, "-m", "benchmarks.stage2", way]
    measured: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return measured


def measure(way: str) -> None:
    """Print the seconds and megabytes of a step, and its share of the matrix rate.

    Args:
        way: One of `WAYS`.
    """
    kind, recompute, half = WAYS[way]
    features, persons, aggregator = problem(kind, *PAPER)
    aggregator.recompute = recompute
    product = matrix_product(torch.bfloat16 if half else torch.float32)
    product()
    before = peak_megabytes()
    flop = 0
    if recompute:  # the plain step is so long that a warm-up makes no difference
        with FlopCounterMode(display=False) as counter:
            step(aggregator, features, persons, half=half)
        flop = counter.get_total_flops()
    start = time.perf_counter()
    step(aggregator, features, persons, half=half)
    middle = time.perf_counter()
    product()
    seconds, matrix = middle - start, time.perf_counter() - middle
    share = flop / MATRIX_FLOP * matrix / seconds
    megabytes = max(0.0, peak_megabytes() - before)  # the kernel's count is off by a few pages
    print(json.dumps({"seconds": seconds, "megabytes": megabytes, "share": share}))


def gradient_difference() -> float:
    """Return the relative difference of gradients with and without recomputing, with dropout, in double precision."""
    features, persons, aggregator = problem(Learned, 32, 32, clips=3, dtype=torch.float64)
    gradients = []
    for recompute in (False, True):
        variant = copy.deepcopy(aggregator)
        variant.recompute = recompute
        torch.manual_seed(1)
        step(variant, features, persons)
        gradients.append(torch.cat([p.grad.flatten() for p in variant.parameters() if p.grad is not None]))
    return float((gradients[1] - gradients[0]).norm() / gradients[0].norm())


if __name__ == "__main__":
    run(measure)
