"""Accuracy and compute: mAP against the cost of encoding and comparing tracklets."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch.utils.flop_counter import FlopCounterMode

from resight.models.aggregators import MeanFeature, TopShare
from resight.models.encoders import inference_copy
from resight.studies.aggregators import trained_rival
from resight.studies.framework.outcome import Claim, Outcome, TableBuilder, values_of
from resight.studies.framework.steps import Steps
from resight.studies.paper.published import OURS


def cost(steps: Steps) -> Outcome:
    """Accuracy on clean clips against compute, for several numbers of clips."""
    setting = steps.setting
    counts = tuple(count for count in setting.counts if count <= setting.recipe.clips.count)
    rate = setting.damaged_at
    builder, conditions = TableBuilder(), ""
    per_clip = clip_cost(steps)
    for seed in setting.seeds:
        encoder = steps.encoder(seed)
        aggregators = {
            "mean feature, ℓ2": MeanFeature(),
            "top 50 %": TopShare(50),
            OURS: steps.trained("learned", seed, rate),
            "order-free": trained_rival(steps, "order-free", seed, rate),
        }
        for count in counts:
            with steps.timed(f"cost features-M{count}-seed{seed}"):
                features = steps.features(encoder, replace(setting.recipe.clips, count=count))
            for name, aggregator in aggregators.items():
                scores = steps.score(aggregator, features)
                conditions = conditions or replace(scores, frames=f"M clips of {steps.length} frames").line()
                builder.add(
                    f"{name}, M = {count}",
                    [100 * scores.map, 100 * scores.rank(1), count * per_clip, _pair_cost(name, steps, count)],
                )
    columns = ("mAP", "rank-1", "GMAC to encode a tracklet", "MMAC to compare two")
    table = builder.table("clean clips", columns, digits=2)
    # The cost is the same for each seed, so one value is enough.
    rows = tuple(
        replace(row, cells=(*row.cells[:2], *(values_of(cell)[:1] for cell in row.cells[2:]))) for row in table.rows
    )
    half, whole = counts[-2:]
    best_half, best_whole = (
        max(table.means(f"{name}, M = {count}")[0] for name in ("mean feature, ℓ2", OURS)) for count in (half, whole)
    )
    claim = Claim(f"{half} clips reach 95 % of the mAP of {whole} at half the cost", best_half >= 0.95 * best_whole,
                  f"{best_half:.1f} of {best_whole:.1f}")  # fmt: skip
    note = f"Importance trained with M = {whole} and M_c^max = {rate}. MAC: multiply-accumulate."
    return Outcome("cost", "Accuracy and compute", (replace(table, rows=rows),), (claim,), conditions, notes=(note,))


def clip_cost(steps: Steps) -> float:
    """Return the GMAC to encode one clip of the setting's size in inference."""
    spec = steps.setting.recipe.clips
    clip = torch.zeros(1, 3, spec.length, spec.height, spec.width, device=steps.device)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        inference_copy(steps.untrained(0))(clip)
    return float(counter.get_total_flops()) / 2e9


def _pair_cost(name: str, steps: Steps, count: int) -> float:
    """Return the MMAC to compare two tracklets of `count` clips."""
    dim = steps.untrained(0).dim
    hidden = steps.setting.recipe.stage2.hidden
    cosines = count**2 * dim
    network = count**2 * (dim * hidden + hidden * hidden + hidden) if name in (OURS, "order-free") else 0
    return (dim if name.startswith("mean") else cosines + network) / 1e6
