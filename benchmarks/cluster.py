"""Evaluation in blocks with one worker on each core of this machine, against evaluation in one process."""

from __future__ import annotations

import time
from importlib.util import find_spec

import numpy as np

from benchmarks.timing import Row, take_turns
from resight.api.model import load_model
from resight.cluster import LOCAL, connected
from resight.evaluation.judge import Wanted, judge_here
from resight.evaluation.on_cluster import ClusterJudge
from resight.evaluation.protocols import PROTOCOLS
from resight.features.types import ClipFeatures

QUERIES, GALLERY = 48, 384


def bench(repeats: int) -> list[Row]:
    """Measure the start of Ray and of its workers, and the rate of scoring with the default model."""
    if find_spec("ray") is None:
        return []
    model = load_model(keep_features=False)
    aggregator, dim = model.checkpoint.aggregator, model.dim
    wanted = Wanted(random_features("q", QUERIES, dim), random_features("g", GALLERY, dim), PROTOCOLS["standard"])
    small = Wanted(wanted.query.rows(range(2)), wanted.gallery.rows(range(16)), wanted.protocol)
    begun = time.perf_counter()
    with connected(LOCAL) as (ray, workers):
        started = time.perf_counter() - begun
        judge = ClusterJudge(ray, workers)
        judge(small, aggregator, True)
        ready = time.perf_counter() - begun
        judge(wanted, aggregator, True)  # starts the workers of this gallery
        turns = take_turns(
            {"one": lambda: judge_here(wanted, aggregator, True), "blocks": lambda: judge(wanted, aggregator, True)},
            repeats,
        )
        difference = np.abs(
            judge(wanted, aggregator, True).scores.ap - judge_here(wanted, aggregator, True).scores.ap
        ).max()
    pairs = QUERIES * GALLERY
    return [
        Row("cluster", "start of Ray", "s", None, started, None),
        Row("cluster", "start of Ray to the first result of a worker", "s", None, ready, None),
        Row(
            "cluster", f"learned similarity, {QUERIES} x {GALLERY}", "tracklet pairs/s", pairs / turns.median("one"),
            pairs / turns.median("blocks"), turns.ratio("one", "blocks"),
            note=f"plain: one process; {workers} workers; largest difference of an AP {difference:.0e}",
        ),
    ]  # fmt: skip


def random_features(name: str, count: int, dim: int) -> ClipFeatures:
    """Return features of tracklets of eight persons, 8 clips each, on two cameras."""
    rng = np.random.default_rng(len(name) + count)
    persons = np.arange(count) % 8 + 1
    centres = np.random.default_rng(0).normal(size=(9, dim))
    values = (centres[persons][:, None] + rng.normal(size=(count, 8, dim))).astype(np.float32)
    ids = tuple(f"{name}{number}" for number in range(count))
    return ClipFeatures(ids, persons, np.arange(count) // 8 % 2, values, np.zeros((count, 8, 4), np.int64))
