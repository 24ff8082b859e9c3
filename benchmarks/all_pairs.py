"""The learned similarity of all pairs of tracklets against a batched loop over Eq. 1 and 2, and how time grows."""

from __future__ import annotations

import copy
import math

import numpy as np
import torch
from torch import Tensor

from benchmarks.plain.all_pairs import plain_similarity
from benchmarks.timing import MATRIX_FLOP, Row, Work, matrix_product, take_turns
from resight.compute import Compute
from resight.models.aggregators import Learned
from resight.scoring.all_pairs import score_all_pairs

Q, G, M, D = 4, 1024, 8, 1024
SMALL = {"Q": 8, "G": 512, "M": 4, "D": 256}
AIMS = {"float32": 0.90, "bfloat16": 0.75}
"""Aimed share of the matrix rate, by type of the products."""

COMPUTE = {"float32": Compute(), "bfloat16": Compute(precision="half")}


def bench(repeats: int) -> list[Row]:
    """Measure the paper's sizes in both precisions, and how time grows."""
    query, gallery, learned = problem(Q, G, M, D)
    ways: dict[str, Work] = {"plain": lambda: plain_similarity(query, gallery, learned)}
    for name in AIMS:
        ways[f"{name} matrix"] = matrix_product(getattr(torch, name))
        ways[name] = lambda name=name: score_all_pairs(query, gallery, learned, compute=COMPUTE[name])  # type: ignore[misc]
    turns = take_turns(ways, repeats)
    part, doubled = gallery[:64], copy.deepcopy(learned).double()
    expected = plain_similarity(query.double(), part.double(), doubled).numpy()
    rows = []
    for name, aim in AIMS.items():
        scores = score_all_pairs(query, part, learned, compute=COMPUTE[name])
        products = Q * G * M * M * 2 * 2 * D * D / MATRIX_FLOP
        rows.append(
            Row(
                group="all pairs",
                name=f"learned similarity in {name}, M = {M}, D = {D}",
                unit="tracklet pairs/s",
                plain=Q * G / turns.median("plain"),
                ours=Q * G / turns.median(name),
                ratio=turns.ratio("plain", name),
                limit=turns.ratio(f"{name} matrix", name) * products,
                limit_name=f"{name} matrix rate, {MATRIX_FLOP / turns.median(f'{name} matrix') / 1e9:.0f} GFLOP/s",
                note=f"target: {aim:.0%} of the limit; largest difference from float64 "
                f"{abs(scores - expected).max():.0e}, range of similarities {np.ptp(expected):.2f}; plain in float32",
            )
        )
    return [*rows, growth(repeats)]


def growth(repeats: int) -> Row:
    """Return the exponents of time, measured by doubling one size at a time."""
    ways = {"base": scoring(**SMALL)} | {name: scoring(**SMALL | {name: 2 * size}) for name, size in SMALL.items()}
    turns = take_turns(ways, repeats)
    exponents = {name: round(math.log2(turns.ratio(name, "base")), 2) for name in SMALL}
    return Row(
        group="all pairs",
        name="growth of time, " + ", ".join(f"{name} = {size}" for name, size in SMALL.items()),
        unit="tracklet pairs/s",
        plain=None,
        ours=SMALL["Q"] * SMALL["G"] / turns.median("base"),
        ratio=None,
        note="time ~ " + " ".join(f"{name}^{exponent:.1f}" for name, exponent in exponents.items()),
        facts={"exponents": exponents},
    )


def scoring(**sizes: int) -> Work:
    """Return the work of scoring one problem size: Q, G, M, D."""
    query, gallery, learned = problem(*sizes.values())
    return lambda: score_all_pairs(query, gallery, learned)


def problem(q: int, g: int, m: int, dim: int) -> tuple[Tensor, Tensor, Learned]:
    """Return random features, and an aggregator whose running statistics fit them, so that importance varies."""
    torch.manual_seed(0)
    query, gallery, learned = torch.randn(q, m, dim), torch.randn(g, m, dim), Learned(dim, dim)
    with torch.no_grad():
        for _ in range(4):
            learned(query[:2], gallery[:4])
    return query, gallery, learned.eval()
