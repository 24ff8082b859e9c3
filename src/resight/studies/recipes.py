"""Comparison of the recipe of a setting with modern recipes, and the effect of random erasing on damaged clips."""

from __future__ import annotations

from dataclasses import replace

from resight.evaluation.metrics import Scores
from resight.models.aggregators import MeanPair
from resight.studies.framework.outcome import Claim, Outcome, table_of_scores
from resight.studies.framework.steps import Steps
from resight.studies.paper.published import OURS
from resight.tables import Table


def recipes(steps: Steps) -> Outcome:
    """Encoders of several recipes, with the mean of pairs and learned importance, clean and damaged; one seed."""
    setting = steps.setting
    seed, rates = setting.seeds[0], (0, setting.damaged_at)
    # Start with the rivals: another process may be training the encoder of the setting's own recipe.
    for rival in setting.rivals:
        steps.under(rival).trained("learned", seed, rates[1])
    rows: dict[str, list[Scores]] = {}
    for recipe in (setting.recipe, *setting.rivals):
        under = steps if recipe is setting.recipe else steps.under(recipe)
        learned = under.trained("learned", seed, rates[1])
        for name, aggregator in (("mean of pairs", MeanPair()), (OURS, learned)):
            rows[f"{recipe.name}, {name}"] = [under.score(aggregator, under.damaged(seed, rate)) for rate in rates]
    table = table_of_scores({name: [scores] for name, scores in rows.items()}, rates)
    settings = "; ".join(
        f"{recipe.name}: {recipe.stage1.optimisation.epochs} epochs, clips of {recipe.clips.length} frames, sampler "
        f"{recipe.clips.sampler!r} at stride {recipe.clips.stride}, erasing {recipe.stage1.erasing:g}"
        for recipe in (setting.recipe, *setting.rivals)
    )
    return Outcome(
        "recipes", "Recipes", (table,), _claims(steps, table), rows[f"{setting.recipe.name}, {OURS}"][0].line(),
        notes=(f"Seed {seed}; importance trained at M_c^max = {rates[1]}. {settings}.",),
    )  # fmt: skip


def _claims(steps: Steps, table: Table) -> tuple[Claim, ...]:
    setting, rate = steps.setting, steps.setting.damaged_at
    base = table.means(f"{setting.recipe.name}, {OURS}")
    claims = []
    for rival in setting.rivals:
        means = table.means(f"{rival.name}, {OURS}")
        clean, damaged = means[0] - base[0], means[3] - base[3]
        claims.append(
            Claim(f"{rival.name} is better than {setting.recipe.name} (mAP, {OURS})", min(clean, damaged) > 0,
                  f"{clean:+.1f} clean, {damaged:+.1f} at M_c^max = {rate}")
        )  # fmt: skip
    for rival in setting.rivals:
        without = [other for other in setting.rivals if other == replace(rival, name=other.name, stage1=other.stage1)
                   and other.stage1 == replace(rival.stage1, erasing=0.0) != rival.stage1]  # fmt: skip
        if without:
            means, before = (table.means(f"{recipe.name}, {OURS}") for recipe in (rival, without[0]))
            clean, damaged = means[0] - before[0], means[3] - before[3]
            claims.append(
                Claim(f"erasing reduces robustness: {without[0].name} loses more on damaged than on clean clips",
                      damaged < clean, f"{clean:+.1f} mAP clean, {damaged:+.1f} at M_c^max = {rate}")
            )  # fmt: skip
    return tuple(claims)
