"""Time each engine beside the plain way, in one run: ``python -m benchmarks.run``.

Prints medians, their ratio, and how far the engine is from the matrix rate that this machine reaches in the same run.
"""

from __future__ import annotations

import io
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from cyclopts import run
from PIL import Image
from torch import Tensor, nn

from benchmarks.plain.all_pairs import plain_similarity
from benchmarks.plain.encoder import PlainI3D
from resight.data.frames import read_frame
from resight.models.aggregators import Learned
from resight.models.i3d import I3D
from resight.scoring.all_pairs import score_all_pairs


def median_seconds(work: Callable[[], object], repeats: int) -> float:
    """Median of `repeats` timed calls, after one that is not counted."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def matrix_rate(repeats: int) -> float:
    """Float32 operations a second of a product of two 2048 x 2048 matrices."""
    a = torch.randn(2048, 2048)
    return float(2 * 2048**3 / median_seconds(lambda: a @ a, repeats))


def bench_encoder(repeats: int, rate: float) -> None:
    """I3D of the paper, L = 4, 256 x 128, inference and training step, against the plain port."""
    clips = torch.rand(4, 3, 4, 256, 128) * 2 - 1
    ours = I3D()
    plain = PlainI3D(ours)

    def infer(module: nn.Module) -> Callable[[], Tensor]:
        def work() -> Tensor:
            with torch.inference_mode():
                result: Tensor = module.eval()(clips)
            return result

        return work

    def train(module: nn.Module) -> Callable[[], None]:
        def work() -> None:
            module.train()(clips).square().sum().backward()

        return work

    with torch.inference_mode():
        reference = plain.eval()(clips)
        difference = float((ours.eval()(clips) - reference).norm() / reference.norm())
    for name, make, passes in (("inference", infer, 1), ("training step", train, 3)):
        slow, fast = (median_seconds(make(module), repeats) for module in (plain, ours))
        share = passes * len(clips) * 2 * 2.83e9 / fast / rate
        show(f"encoder, {name}, clips/s", len(clips) / slow, len(clips) / fast, f"{share:.0%} of the matrix rate")
    print(f"  relative difference {difference:.1e}")


def bench_all_pairs(repeats: int, rate: float) -> None:
    """Learned importance, D = hidden = 1024, M = 8, against a plain batched loop of Eq. 1 and 2."""
    torch.manual_seed(0)
    query, gallery = torch.randn(16, 8, 1024), torch.randn(32, 8, 1024)
    aggregator = Learned().eval()
    slow = median_seconds(lambda: plain_similarity(query, gallery, aggregator), repeats)
    fast = median_seconds(lambda: score_all_pairs(query, gallery, aggregator), repeats)
    pairs = len(query) * len(gallery)
    share = pairs * 64 * 2 * 2 * 1024**2 / fast / rate
    difference = np.abs(
        score_all_pairs(query, gallery, aggregator) - plain_similarity(query, gallery, aggregator).numpy()
    )
    show("all pairs, tracklet pairs/s", pairs / slow, pairs / fast, f"{share:.0%} of the matrix rate")
    print(f"  largest difference {difference.max():.1e}")


def bench_frames(repeats: int) -> None:
    """Decoding 256 x 128 JPEG files, against Pillow."""
    noise = np.random.default_rng(0).integers(0, 256, (32, 16, 3), np.uint8)
    content = io.BytesIO()
    Image.fromarray(noise).resize((128, 256)).save(content, "JPEG", quality=85)
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{n}.jpg" for n in range(200)]
        for path in paths:
            path.write_bytes(content.getvalue())
        slow = median_seconds(lambda: [np.asarray(Image.open(path).convert("RGB")) for path in paths], repeats)
        fast = median_seconds(lambda: [read_frame(path) for path in paths], repeats)
    show("reading frames, frames/s", len(paths) / slow, len(paths) / fast, "one process")


def show(name: str, plain: float, ours: float, note: str) -> None:
    """One line of the table."""
    print(f"{name:34}{plain:10.1f}{ours:10.1f}{ours / plain:8.2f} x  {note}", flush=True)


def benchmarks(*, repeats: int = 5) -> None:
    """Run all benchmarks.

    Args:
        repeats: Timed calls of each; the median is printed.
    """
    rate = matrix_rate(repeats)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {os.cpu_count()} cores")
    print(f"float32 matrix rate {rate / 1e9:.0f} GFLOP/s\n{'':34}{'plain':>10}{'resight':>10}{'ratio':>8}")
    bench_encoder(repeats, rate)
    bench_all_pairs(repeats, rate)
    bench_frames(repeats)


if __name__ == "__main__":
    run(benchmarks)
