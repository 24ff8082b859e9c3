"""Comparison of aggregators, and the effect of the order of the clip pairs."""

from __future__ import annotations

import statistics
from collections import defaultdict
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from resight.evaluation.evaluate import labels_of
from resight.evaluation.metrics import Scores, score_similarities
from resight.features.types import ClipFeatures
from resight.models.aggregators import Aggregator, Learned, MaxPair, MeanFeature, MeanPair, TopShare
from resight.scoring.all_pairs import score_all_pairs
from resight.studies.framework.outcome import Claim, Outcome, TableBuilder, table_of_scores, values_of
from resight.studies.framework.steps import Steps
from resight.studies.paper.published import OURS
from resight.studies.rivals import RIVALS
from resight.studies.rivals.sliced_wasserstein import SlicedWasserstein
from resight.studies.rivals.symmetric import Symmetric

TRAINED_RIVALS = {
    "learned importance, order-free": "order-free",
    "one weight per clip": "clip-quality",
    "softmax attention over pairs": "pair-attention",
}
"""Row names of the rivals with parameters → their names in `RIVALS`."""
FIRST_BY_PAIR = "learned importance, α₁ = g(−c₁)"
SYMMETRIC = "learned importance, symmetric"


def aggregators(steps: Steps) -> Outcome:
    """All aggregators, trained and evaluated on clean clips and at one corruption rate."""
    setting = steps.setting
    rates = (0, setting.damaged_at)
    scores: dict[str, list[list[Scores]]] = defaultdict(list)
    for seed in setting.seeds:
        by_rate: dict[str, list[Scores]] = defaultdict(list)
        for rate in rates:
            features = steps.damaged(seed, rate)
            for name, aggregator in _compared(steps, seed, rate).items():
                with steps.timed(f"aggregators score {name}-c{rate}-seed{seed}"):
                    by_rate[name].append(steps.score(aggregator, features))
        for name, row in by_rate.items():
            scores[name].append(row)
    table = table_of_scores(scores, rates)
    ours = [values_of(cell) for cell in table.row(OURS).cells]
    claims = []
    for name in (*TRAINED_RIVALS, FIRST_BY_PAIR, SYMMETRIC):
        cells = [values_of(cell) for cell in table.row(name).cells]
        gaps = [[b - a for a, b in zip(ours[column], cells[column], strict=True)] for column in (0, 3)]
        claims.append(
            Claim(f"{name}: at least as good as learned importance (mean mAP, clean and damaged)",
                  all(statistics.fmean(gap) >= 0 for gap in gaps),
                  "; ".join(f"M_c^max = {rate}: " + ", ".join(f"{value:+.1f}" for value in gap)
                            for rate, gap in zip(rates, gaps, strict=True)))
        )  # fmt: skip
    return Outcome("aggregators", "Aggregators", (table,), tuple(claims), scores[OURS][0][0].line())


def trained_rival(steps: Steps, name: str, seed: int, rate: int) -> Aggregator:
    """Return a rival of `RIVALS`, trained at a corruption rate with the sizes of the setting's recipe."""
    stage = steps.setting.recipe.stage2
    return steps.trained(name, seed, rate, lambda dim: RIVALS[name].from_recipe(dim, stage))


def _compared(steps: Steps, seed: int, rate: int) -> dict[str, Aggregator]:
    stage = steps.setting.recipe.stage2
    projected = TopShare(50, dim=steps.encoder(seed).dim)
    projected.load_state_dict(steps.trained("top100", seed, rate, partial(TopShare, 100.0)).state_dict())
    compared: dict[str, Aggregator] = {
        "mean feature, no ℓ2": MeanFeature(normalise=False),
        "mean feature, ℓ2": MeanFeature(),
        "mean of pairs": MeanPair(),
        "max of pairs": MaxPair(),
        "sliced Wasserstein": SlicedWasserstein(),
        "top 50 %, no projection": TopShare(50),
        "top 50 %-eval, projected": projected.eval(),
    }
    compared |= {row: trained_rival(steps, name, seed, rate) for row, name in TRAINED_RIVALS.items()}
    by_pair = partial(Learned, hidden=stage.hidden, dropout=stage.dropout, first="pair")
    compared[FIRST_BY_PAIR] = steps.trained("learned-pair", seed, rate, by_pair)
    compared[OURS] = steps.trained("learned", seed, rate)
    return compared | {SYMMETRIC: Symmetric(compared[OURS])}


def order(steps: Steps) -> Outcome:
    """Effect of the order of the clip pairs, after training in query-major order and in random orders."""
    setting = steps.setting
    rate = setting.damaged_at
    builder, conditions = TableBuilder(), ""
    for seed in setting.seeds:
        features = steps.damaged(seed, rate)
        query, gallery = features.of(steps.dataset.query), features.of(steps.dataset.gallery)
        shuffled = steps.recipe(seed)
        shuffled = replace(shuffled, stage2=replace(shuffled.stage2, random_order=True))
        trained = {
            "trained in query-major order": steps.trained("learned", seed, rate),
            "trained in random orders": steps.trained("learned-random-order", seed, rate, recipe=shuffled),
        }
        for name, aggregator in trained.items():
            with steps.timed(f"order {name}-seed{seed}"):
                values, scores = _spread(steps, aggregator, query, gallery, setting.orders, seed)
            conditions = conditions or scores.line()
            builder.add(name, values)
    columns = (
        "mAP, query-major order", "mAP, mean of random orders", "standard deviation of mAP over orders",
        "standard deviation of similarity over orders × 1000",
        "the same in % of the spread between gallery tracklets",
    )  # fmt: skip
    table = builder.table("", columns, digits=2)
    deviations, shares = ([table.means(row.name)[column] for row in table.rows] for column in (2, 4))
    claims = (
        Claim("the order changes mAP by less than 0.5 (standard deviation)", max(deviations) < 0.5,
              " and ".join(f"{value:.2f}" for value in deviations)),
        Claim("training in random orders makes similarities depend less on the order", shares[1] < shares[0],
              f"{shares[0]:.1f} → {shares[1]:.1f} % of the spread between gallery tracklets"),
    )  # fmt: skip
    return Outcome("order", "Order of the clip pairs", (table,), claims, conditions,
                   notes=(f"M_c^max = {rate} in training and test; {setting.orders} random orders, the same for all "
                          "tracklet pairs.",))  # fmt: skip


def _spread(
    steps: Steps, aggregator: Aggregator, query: ClipFeatures, gallery: ClipFeatures, orders: int, seed: int
) -> tuple[list[float], Scores]:
    """Return the table row of one seed, and the scores in query-major order."""

    def scored(similarity: NDArray[np.float32]) -> Scores:
        scores = score_similarities(similarity, labels_of(query), labels_of(gallery), steps.protocol)
        return replace(scores, frames=query.frames, reranking="none")

    generator = torch.Generator().manual_seed(seed)
    pairs = query.values.shape[1] * gallery.values.shape[1]
    query_major = np.asarray(score_all_pairs(query.values, gallery.values, aggregator, compute=steps.compute))
    shuffled = np.stack([
        np.asarray(score_all_pairs(query.values, gallery.values, aggregator, compute=steps.compute,
                                   order=torch.randperm(pairs, generator=generator)))
        for _ in range(orders)
    ])  # fmt: skip
    maps = [100 * scored(similarity).map for similarity in shuffled]
    by_order = float(shuffled.std(0, ddof=1).mean())
    between = float(query_major.std(1, ddof=1).mean())
    scores = scored(query_major)
    return [100 * scores.map, statistics.fmean(maps), statistics.stdev(maps), 1000 * by_order,
            100 * by_order / between], scores  # fmt: skip
