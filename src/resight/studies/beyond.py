"""Studies that the paper leaves out: other aggregators, the order of the pairs, accuracy over compute."""

from __future__ import annotations

import statistics
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.flop_counter import FlopCounterMode

from resight.evaluation.evaluate import labels_of
from resight.evaluation.metrics import Scores, score_similarities
from resight.features.types import ClipFeatures
from resight.models.aggregators import (
    AGGREGATORS,
    Aggregator,
    Learned,
    MaxPair,
    MeanFeature,
    MeanPair,
    Symmetric,
    TopShare,
)
from resight.models.encoders import inference_copy
from resight.scoring.all_pairs import score_all_pairs
from resight.studies.outcome import Cell, Claim, Outcome, Row, StudyTable, table_of_scores
from resight.studies.paper.published import OURS
from resight.studies.steps import Steps

NEW = {
    "learned importance, order-free": "order-free",
    "one weight per clip": "clip-quality",
    "softmax attention over pairs": "pair-attention",
}
"""Aggregators with parameters that no one has compared, by their names in `AGGREGATORS`."""


def aggregators(steps: Steps) -> Outcome:
    """Every way to aggregate, trained and judged on clean clips and at the setting's worst corruption but one."""
    setting = steps.setting
    rates = (0, setting.damaged_at)
    rows: dict[str, list[list[Scores]]] = {}
    for number, seed in enumerate(setting.seeds):
        for rate in rates:
            features = steps.damaged(seed, rate)
            for name, aggregator in _candidates(steps, seed, rate).items():
                seeds = rows.setdefault(name, [])
                if len(seeds) == number:
                    seeds.append([])
                with steps.timed(f"aggregators score {name}-c{rate}-seed{seed}"):
                    seeds[-1].append(steps.score(aggregator, features))
    table = table_of_scores(rows, rates)
    ours = table.row(OURS)
    claims = []
    for name in rows:
        if name in NEW or "symmetric" in name or "α" in name:
            gaps = [tuple(b - a for a, b in zip(ours.cells[c], table.row(name).cells[c], strict=True)) for c in (0, 3)]
            claims.append(
                Claim(f"{name} is at least as good as learned importance (mAP, mean over seeds)",
                      all(statistics.fmean(gap) >= 0 for gap in gaps),
                      "; ".join(f"M_c^max = {rate}: " + ", ".join(f"{one:+.1f}" for one in gap)
                                for rate, gap in zip(rates, gaps, strict=True)))
            )  # fmt: skip
    return Outcome("aggregators", "Ways to aggregate", (table,), tuple(claims), rows[OURS][0][0].line())


def _candidates(steps: Steps, seed: int, rate: int) -> dict[str, Aggregator]:
    stage = steps.setting.recipe.stage2
    top100 = steps.trained("top100", seed, rate, partial(TopShare, 100.0))
    made: dict[str, Aggregator] = {
        "mean feature, no ℓ2": MeanFeature(normalise=False),
        "mean feature, ℓ2": MeanFeature(),
        "mean of pairs": MeanPair(),
        "max of pairs": MaxPair(),
        "sliced Wasserstein": AGGREGATORS["sliced-wasserstein"](),
        "top 50 %, same features": TopShare(50),
    }
    for t in (50,):
        top = TopShare(t, dim=steps.encoder(seed).dim)
        top.load_state_dict(top100.state_dict())
        made[f"top {t} %-eval, projected"] = top.eval()
    for name, kind in NEW.items():
        make = partial(AGGREGATORS[kind], hidden=stage.hidden, dropout=stage.dropout)
        made[name] = steps.trained(kind, seed, rate, make)
    pair = partial(Learned, hidden=stage.hidden, dropout=stage.dropout, first="pair")
    made["learned importance, α₁ = g(−c₁)"] = steps.trained("learned-pair", seed, rate, pair)
    made[OURS] = steps.trained("learned", seed, rate)
    made["learned importance, symmetric"] = Symmetric(made[OURS])
    return made


def order(steps: Steps) -> Outcome:
    """How much the order of the clip pairs matters, and whether training with random orders mends it."""
    setting = steps.setting
    rate = setting.damaged_at
    rows: dict[str, list[list[float]]] = {}
    line = ""
    for seed in setting.seeds:
        features = steps.damaged(seed, rate)
        query, gallery = features.of(steps.split.query), features.of(steps.split.gallery)
        shuffled = steps.recipe(seed)
        shuffled = replace(shuffled, stage2=replace(shuffled.stage2, random_order=True))
        trained = {
            "trained in query-major order": steps.trained("learned", seed, rate),
            "trained in random orders": steps.trained("learned-random-order", seed, rate, recipe=shuffled),
        }
        for name, aggregator in trained.items():
            with steps.timed(f"order {name}-seed{seed}"):
                found, scores = _spread(steps, aggregator, query, gallery, setting.orders, seed)
            line = line or scores.line()
            for row, value in zip(rows.setdefault(name, [[] for _ in found]), found, strict=True):
                row.append(value)
    columns = (
        "mAP, query-major", "mAP, mean of orders", "std of mAP over orders",
        "std of a similarity over orders, × 1000", "the same, share of the spread between gallery tracklets (%)",
    )  # fmt: skip
    table = StudyTable("", "", columns, tuple(Row(n, tuple(tuple(c) for c in cells)) for n, cells in rows.items()), 2)
    by_order, shares = ([table.means(name)[column] for name in rows] for column in (2, 4))
    claims = (
        Claim("the order hardly matters: it moves the mAP by less than 0.5 (standard deviation)", max(by_order) < 0.5,
              " and ".join(f"{one:.2f}" for one in by_order)),
        Claim("training in random orders makes a similarity depend less on it", shares[1] < shares[0],
              f"{shares[0]:.1f} → {shares[1]:.1f} % of the spread between gallery tracklets"),
    )  # fmt: skip
    return Outcome("order", "The order of the clip pairs", (table,), claims, line,
                   notes=(f"M_c^max = {rate} in training and test; {setting.orders} random orders, the same for all "
                          "pairs of tracklets.",))  # fmt: skip


def _spread(
    steps: Steps, aggregator: Aggregator, query: ClipFeatures, gallery: ClipFeatures, orders: int, seed: int
) -> tuple[list[float], Scores]:
    def judged(similarity: NDArray[np.float32]) -> Scores:
        scores = score_similarities(similarity, labels_of(query), labels_of(gallery), steps.protocol)
        return replace(scores, frames=query.frames, reranking="none")

    generator = torch.Generator().manual_seed(seed)
    pairs = query.values.shape[1] * gallery.values.shape[1]
    straight = score_all_pairs(query.values, gallery.values, aggregator)
    straight = np.asarray(straight)
    found = np.stack([
        np.asarray(score_all_pairs(query.values, gallery.values, aggregator,
                                   order=torch.randperm(pairs, generator=generator)))
        for _ in range(orders)
    ])  # fmt: skip
    maps = [100 * judged(one).map for one in found]
    by_order = float(found.std(0, ddof=1).mean())
    between = float(straight.std(1, ddof=1).mean())
    scores = judged(straight)
    return [100 * scores.map, statistics.fmean(maps), statistics.stdev(maps), 1000 * by_order,
            100 * by_order / between], scores  # fmt: skip


def cost(steps: Steps) -> Outcome:
    """Accuracy per compute: the number of clips against what they cost to encode and to compare."""
    setting = steps.setting
    counts = tuple(count for count in setting.counts if count <= setting.recipe.clips.count)
    rate = setting.damaged_at
    rows: dict[str, list[list[float]]] = {}
    per_clip, line = 0.0, ""
    for seed in setting.seeds:
        encoder = steps.encoder(seed)
        per_clip = per_clip or clip_cost(steps)
        learned = steps.trained("learned", seed, rate)
        order_free = steps.trained("order-free", seed, rate,
                                   partial(AGGREGATORS["order-free"], hidden=setting.recipe.stage2.hidden,
                                           dropout=setting.recipe.stage2.dropout))  # fmt: skip
        made = {"mean feature, ℓ2": MeanFeature(), "top 50 %": TopShare(50), OURS: learned, "order-free": order_free}
        for count in counts:
            with steps.timed(f"cost features-M{count}-seed{seed}"):
                features = steps.features(encoder, replace(setting.recipe.clips, count=count))
            for name, aggregator in made.items():
                scores = steps.score(aggregator, features)
                line = line or replace(scores, frames=f"M clips of {steps.length} frames").line()
                cells = rows.setdefault(f"{name}, M = {count}", [[], [], [], []])
                values = 100 * scores.map, 100 * scores.rank(1), count * per_clip, _pair_cost(name, steps, count)
                for cell, value in zip(cells, values, strict=True):
                    cell.append(value)
    columns = ("mAP", "rank-1", "GMAC to encode a tracklet", "MMAC to compare two")
    table = StudyTable(
        "clean clips", "", columns,
        tuple(Row(n, (tuple(c[0]), tuple(c[1]), _one(c[2]), _one(c[3]))) for n, c in rows.items()), 2,
    )  # fmt: skip
    best = {count: max(table.means(f"{name}, M = {count}")[0] for name in ("mean feature, ℓ2", OURS))
            for count in counts}  # fmt: skip
    half, whole = counts[-2], counts[-1]
    claims = (
        Claim(f"{half} clips reach 95 % of the mAP of {whole} at half the cost", best[half] >= 0.95 * best[whole],
              f"{best[half]:.1f} of {best[whole]:.1f}"),
    )  # fmt: skip
    return Outcome(
        "cost",
        "Accuracy for a budget",
        (table,),
        claims,
        line,
        notes=(f"Importance trained at M = {whole} and M_c^max = {rate}; a multiply-accumulate is a MAC.",),
    )


def clip_cost(steps: Steps) -> float:
    """GMAC of one clip through the encoder that does not learn, of the setting's clip size."""
    spec = steps.setting.recipe.clips
    clip = torch.zeros(1, 3, spec.length, spec.height, spec.width, device=steps.device)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        inference_copy(steps.untrained(0))(clip)
    return float(counter.get_total_flops()) / 2e9


def _pair_cost(name: str, steps: Steps, count: int) -> float:
    dim = steps.untrained(0).dim
    hidden = steps.setting.recipe.stage2.hidden
    cosines = count**2 * dim
    network = count**2 * (dim * hidden + hidden * hidden + hidden) if name in (OURS, "order-free") else 0
    return (dim if name.startswith("mean") else cosines + network) / 1e6


def _one(values: list[float]) -> Cell:
    return (values[0],)
