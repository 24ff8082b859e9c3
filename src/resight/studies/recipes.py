"""The recipe of a setting beside recipes of today, and what random erasing costs under damage."""

from __future__ import annotations

from dataclasses import replace

from resight.evaluation.metrics import Scores
from resight.models.aggregators import MeanPair
from resight.studies.outcome import Claim, Outcome, StudyTable, table_of_scores
from resight.studies.paper.published import OURS
from resight.studies.steps import Steps


def recipes(steps: Steps) -> Outcome:
    """Encoders of several recipes, each with plain mean and learned importance, clean and damaged; one seed."""
    setting = steps.setting
    seed, rates = setting.seeds[0], (0, setting.damaged_at)
    rows: dict[str, list[Scores]] = {}
    for rival in setting.rivals:  # first what no other study does: one beside this may be training the setting's own
        steps.under(rival).trained("learned", seed, rates[1])
    for recipe in (setting.recipe, *setting.rivals):
        own = steps if recipe is setting.recipe else steps.under(recipe)
        learned = own.trained("learned", seed, rates[1])
        for name, aggregator in (("mean of pairs", MeanPair()), (OURS, learned)):
            rows[f"{recipe.name}, {name}"] = [own.score(aggregator, own.damaged(seed, rate)) for rate in rates]
    table = table_of_scores({name: [scores] for name, scores in rows.items()}, rates)
    return Outcome(
        "recipes", "Recipes", (table,), _claims(steps, table), rows[f"{setting.recipe.name}, {OURS}"][0].line(),
        notes=(f"Seed {seed}; importance trained at M_c^max = {rates[1]}. " + "; ".join(
            f"{one.name}: {one.stage1.optimisation.epochs} epochs, clips of {one.clips.length} frames by "
            f"{one.clips.sampler!r} at stride {one.clips.stride}, erasing {one.stage1.erasing:g}"
            for one in (setting.recipe, *setting.rivals)
        ) + ".",),
    )  # fmt: skip


def _claims(steps: Steps, table: StudyTable) -> tuple[Claim, ...]:
    setting, rate = steps.setting, steps.setting.damaged_at
    usual = table.means(f"{setting.recipe.name}, {OURS}")
    claims = []
    for one in setting.rivals:
        found = table.means(f"{one.name}, {OURS}")
        gaps = found[0] - usual[0], found[3] - usual[3]
        measured = f"{gaps[0]:+.1f} clean, {gaps[1]:+.1f} at M_c^max = {rate}"
        claims.append(Claim(f"{one.name} is better than {setting.recipe.name} (mAP, {OURS})", min(gaps) > 0, measured))
    for one in setting.rivals:
        plain = [other for other in setting.rivals if other == replace(one, name=other.name, stage1=other.stage1)
                 and other.stage1 == replace(one.stage1, erasing=0.0) != one.stage1]  # fmt: skip
        if plain:
            found, before = (table.means(f"{recipe.name}, {OURS}") for recipe in (one, plain[0]))
            clean, damaged = found[0] - before[0], found[3] - before[3]
            claims.append(
                Claim(f"erasing costs robustness: it gives {plain[0].name} less under damage than on clean clips",
                      damaged < clean, f"{clean:+.1f} mAP clean, {damaged:+.1f} at M_c^max = {rate}")
            )  # fmt: skip
    return tuple(claims)
