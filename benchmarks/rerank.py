"""k-reciprocal re-ranking: 3,000 tracklets against the dense method, and the 12,180 tracklets of MARS alone.

``python -m benchmarks.rerank ours 12180`` re-ranks once and prints seconds and peak memory as JSON, because peak memory
can only be measured in a separate process.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.plain.rerank import rerank_dense
from benchmarks.reading import peak_megabytes
from benchmarks.timing import Row, take_turns
from resight.ranking import Ranking
from resight.scoring.rerank import find_neighbours, rerank

Features = NDArray[np.float32]
N_BOTH, N_MARS = 3000, 12_180
QUERIES = 1980 / 12_180
"""Share of the tracklets that are queries; queries are also in the gallery."""


def bench(repeats: int) -> list[Row]:
    """Measure both methods from features to a re-ranked ranking, and the full size with Resight only."""
    features = draw_features(N_BOTH)
    turns = take_turns(
        {
            "dense": lambda: dense(features),
            "ours": lambda: ours(features),
            "product": lambda: features @ features.T,
        },
        repeats,
    )
    once = {name: _apart(name, n) for name, n in (("dense", N_BOTH), ("ours", N_BOTH))}
    memory = ", ".join(f"{name} {measured['peak_mb']:.0f} MB" for name, measured in once.items())
    full = _apart("ours", N_MARS)
    Q = int(N_MARS * QUERIES)
    return [
        Row(
            group="evaluation",
            name=f"re-ranking, {int(N_BOTH * QUERIES)} x {N_BOTH:,}",
            unit="tracklets/s",
            plain=N_BOTH / turns.median("dense"),
            ours=N_BOTH / turns.median("ours"),
            ratio=turns.ratio("dense", "ours"),
            limit=1 / turns.ratio("ours", "product"),
            limit_name="the matrix product of the similarities",
            note=f"largest difference {agreement(features):.0e}; peak memory of the process: {memory}",
        ),
        Row(
            group="evaluation",
            name=f"re-ranking, {Q:,} x {N_MARS:,}",
            unit="tracklets/s",
            plain=None,
            ours=N_MARS / full["seconds"],
            ratio=None,
            note=f"{full['seconds']:.1f} s from features to ranking, {full['rerank_seconds']:.1f} s without the "
            f"search for neighbours; peak memory of the process {full['peak_mb']:.0f} MB, {full['start_mb']:.0f} MB "
            f"of it at the start; pairs scored in addition to the search: {full['pairs']:,} of {N_MARS**2:,}",
            facts=full,
        ),
    ]


def draw_features(N: int) -> Features:
    """Return random features (N, 256) of length 1, about 13 tracklets per person."""
    rng = np.random.default_rng(0)
    persons = rng.standard_normal((max(1, N // 13), 256), dtype=np.float32)
    features = persons[rng.integers(0, len(persons), N)] + 1.8 * rng.standard_normal((N, 256), dtype=np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    return features


def dense(features: Features) -> Ranking:
    """Re-rank by the dense method, from features."""
    N = len(features)
    Q, ids = int(N * QUERIES), _ids(N)
    return Ranking.from_scores(rerank_dense(features @ features.T, np.arange(Q), np.arange(N)), ids[:Q], ids)


def ours(features: Features, seen: dict[str, Any] | None = None) -> Ranking:
    """Re-rank by the sparse method, from features; write its seconds and the number of scored pairs to `seen`."""
    seen = {} if seen is None else seen
    Q, ids = int(len(features) * QUERIES), _ids(len(features))

    def score_pairs(query: NDArray[np.int64], gallery: NDArray[np.int64]) -> Features:
        seen["pairs"] = len(query)
        similarity: Features = np.einsum("pd,pd->p", features[query], features[gallery])
        return similarity

    neighbours, least = find_neighbours(ids, lambda rows: features[rows] @ features.T)
    start = time.perf_counter()
    ranking = Ranking.from_scores(features[:Q] @ features.T, ids[:Q], ids)
    reranked = rerank(ranking, neighbours, least=least, score_pairs=score_pairs)
    seen["rerank_seconds"] = time.perf_counter() - start
    return reranked


def agreement(features: Features) -> float:
    """Return the largest difference of the new similarities between both methods, given the same matrix."""
    N = len(features)
    Q, ids, similarity = int(N * QUERIES), _ids(N), features @ features.T
    neighbours, least = find_neighbours(ids, lambda rows: similarity[rows])
    reranked = rerank(
        Ranking.from_scores(similarity[:Q], ids[:Q], ids),
        neighbours,
        least=least,
        score_pairs=lambda query, gallery: similarity[query, gallery],
    )
    expected = rerank_dense(similarity, np.arange(Q), np.arange(N))
    return float(np.abs(np.take_along_axis(expected, reranked.order, axis=1) - reranked.scores).max())


def _ids(N: int) -> tuple[str, ...]:
    return tuple(f"{n:05d}" for n in range(N))


def _apart(way: str, N: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.rerank", way, str(N)]
    answer = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=True)
    measured: dict[str, Any] = json.loads(answer.stdout)
    return measured


def main() -> None:
    """Re-rank once, and print seconds and memory."""
    way, N = sys.argv[1], int(sys.argv[2])
    features, seen = draw_features(N), {"start_mb": peak_megabytes()}
    start = time.perf_counter()
    if way == "dense":
        dense(features)
    else:
        ours(features, seen)
    print(json.dumps({"seconds": time.perf_counter() - start, "peak_mb": peak_megabytes(), **seen}))


if __name__ == "__main__":
    main()
