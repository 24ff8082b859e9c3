"""The damage benchmark: the paper's corruption and the faults of its Fig. 7, on query, gallery or both sides.

The paper trains and tests at one rate of one kind of damage. This benchmark combines each training rate with each test
rate, damages the query side, the gallery side or both with each kind, and trains on clean, matched or mixed damage.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from resight.data.damage import DAMAGES
from resight.evaluation.damage import DamageAuroc
from resight.evaluation.metrics import Scores
from resight.features.types import ClipFeatures
from resight.models.aggregators import Aggregator, MeanPair, TopShare
from resight.recipe import Damage, Recipe
from resight.studies.damage_benchmark import Side, damage_curve, score_damaged
from resight.studies.framework.outcome import MEASURES, Claim, Outcome, TableBuilder
from resight.studies.framework.steps import Steps
from resight.studies.paper.published import OURS
from resight.tables import Table

MIXED = "mixed"
SIDES: tuple[Side, ...] = ("query", "gallery", "both")
CLEAN_TRAINED = f"{OURS}, trained clean"
MATCHED_TRAINED = f"{OURS}, trained matched"
MIXED_TRAINED = f"{OURS}, trained {MIXED}"
TOP_MIXED = "top 50 %-traineval, trained mixed"

_Damaged = tuple[Scores, Mapping[str, DamageAuroc]]
_Features = tuple[ClipFeatures, ClipFeatures, Mapping[str, ClipFeatures], Mapping[str, ClipFeatures]]


def damage(steps: Steps) -> Outcome:
    """Damage benchmark: training rate × test rate; kind × side; clean, matched and mixed training."""
    kinds, conditions = _kinds(steps)
    tables = (*_rates(steps), *kinds)
    setting = steps.setting
    return Outcome("damage", "Damage benchmark", tables, _claims(tables), conditions, notes=(
        f"Kinds of damage: {', '.join(DAMAGES)}; mixed: each damaged clip has one of them, drawn at random. In the "
        f"tables of kinds, 0 to {setting.damaged_at} of the {setting.recipe.clips.count} clips of a tracklet are "
        "damaged.",
        "Damage by another person shows training persons: one for each tracklet, and others in queries than in the "
        "gallery.",
        "Area: mean mAP over the rates (trapezoid rule), in % of the mAP on clean clips.",
    ))  # fmt: skip


def _rates(steps: Steps) -> list[Table]:
    """Return mAP at each test rate for each training rate, for learned importance and for top 50 %."""
    rates = steps.setting.matrix_rates
    trained: dict[str, Callable[[int, int], Aggregator]] = {
        OURS: lambda seed, rate: steps.trained("learned", seed, rate),
        "top 50 %-traineval": lambda seed, rate: steps.trained("top50", seed, rate, partial(TopShare, 50.0)),
    }
    columns = (*(f"M_c^max = {rate}" for rate in rates), f"kept at {rates[-1]} (%)", "area (%)")
    tables = []
    for name, train in trained.items():
        builder = TableBuilder()
        for seed in steps.setting.seeds:
            sides = _sides(steps, seed, ("corrupted",))
            by_rate = {rate: train(seed, rate) for rate in rates}
            with steps.timed(f"damage score {name} by rate-seed{seed}"):
                for rate, aggregator in by_rate.items():
                    curve = damage_curve(
                        aggregator, *sides, steps.protocol, rates, seed=seed, compute=steps.compute
                    )  # fmt: skip
                    shares = 100 * (1 - curve.drop[-1]), 100 * curve.area / curve.map[0]
                    builder.add(f"trained at M_c^max = {rate}", [*(100 * value for value in curve.map), *shares])
        title = f"mAP, {name}, by training rate (rows) and test rate (columns)"
        tables.append(builder.table(title, columns, "training"))
    return tables


def _kinds(steps: Steps) -> tuple[list[Table], str]:
    """Return the scores of each method for each kind of damage, and the conditions of the scores."""
    rate, setting = steps.setting.damaged_at, steps.setting
    tests: dict[str, tuple[Damage, ...]] = {kind: (kind,) for kind in DAMAGES} | {MIXED: DAMAGES}
    by_method: Mapping[str, TableBuilder] = defaultdict(TableBuilder)
    by_side, auroc, conditions = TableBuilder(), TableBuilder(), ""
    for seed in setting.seeds:
        sides = _sides(steps, seed, DAMAGES)
        score = partial(score_damaged, seed=seed, compute=steps.compute)
        methods = _methods(steps, seed, rate)
        both: dict[str, dict[str, _Damaged]] = {}
        for name, trained_for in methods.items():
            aggregators = {test: trained_for(kinds) for test, kinds in tests.items()}
            with steps.timed(f"damage score {name}-seed{seed}"):
                clean, _ = score(trained_for(()), *sides, steps.protocol, 0, kinds=DAMAGES)
                both[name] = {
                    test: score(aggregators[test], *sides, steps.protocol, rate, kinds=kinds)
                    for test, kinds in tests.items()
                }
            scores = [clean, *(one for one, _ in both[name].values())]
            conditions = conditions or scores[-1].line()
            for measure, value in MEASURES.items():
                by_method[measure].add(name, [value(one) for one in scores])
            if name.startswith(OURS):
                auroc.add(name, [_pooled(one) for _, one in both[name].values()])
        mixed = methods[MIXED_TRAINED](DAMAGES)
        with steps.timed(f"damage score by side-seed{seed}"):
            for test, kinds in tests.items():
                one_side = [score(mixed, *sides, steps.protocol, rate, kinds=kinds, side=side) for side in SIDES[:2]]
                by_side.add(test, [100 * one.map for one, _ in (*one_side, both[MIXED_TRAINED][test])])
    tables = [
        builder.table(f"{measure}, damage on both sides, M_c^max = {rate}", ("clean", *tests))
        for measure, builder in by_method.items()
    ]
    tables.append(by_side.table(f"mAP, {OURS} trained mixed, by damaged side", SIDES, "damage"))
    tables.append(auroc.table("AUROC of low importance against damaged query clips", tuple(tests), digits=2))
    return tables, conditions


def _sides(steps: Steps, seed: int, kinds: tuple[Damage, ...]) -> _Features:
    """Return the clean features of queries and gallery, then both by kind of damage on every clip."""
    query, gallery = steps.damaged_sides(seed, kinds)
    return query.clean, gallery.clean, query.damaged, gallery.damaged


def _pooled(auroc: Mapping[str, DamageAuroc]) -> float:
    """Return the mean AUROC over the kinds of damage, weighted by the number of clips."""
    known = [(one.auroc, one.damaged) for one in auroc.values() if one.auroc is not None]
    return sum(value * clips for value, clips in known) / sum(clips for _, clips in known)


def _methods(steps: Steps, seed: int, rate: int) -> Mapping[str, Callable[[tuple[Damage, ...]], Aggregator]]:
    """Return the rows of the tables of kinds: name to a function from kinds of damage in the test to an aggregator."""

    def learned(kinds: tuple[Damage, ...], rate: int = rate) -> Aggregator:
        return steps.trained(_name("learned", kinds), seed, rate, recipe=_recipe(steps, seed, kinds))

    clean = learned(("corrupted",), 0)
    mixed = learned(DAMAGES)
    make = partial(TopShare, 50.0)
    top = steps.trained(_name("top50", DAMAGES), seed, rate, make, recipe=_recipe(steps, seed, DAMAGES))
    return {
        "mean of pairs": lambda _: MeanPair(),
        "top 50 %, no projection": lambda _: TopShare(50),
        TOP_MIXED: lambda _: top,
        CLEAN_TRAINED: lambda _: clean,
        MATCHED_TRAINED: lambda kinds: learned(kinds) if kinds else clean,
        MIXED_TRAINED: lambda _: mixed,
    }


def _name(base: str, kinds: tuple[Damage, ...]) -> str:
    """Return the name of a training run; with the paper's corruption, the run of Table 2 is used."""
    if kinds == ("corrupted",):
        return base
    return f"{base}-{MIXED}" if len(kinds) > 1 else f"{base}-{kinds[0]}"


def _recipe(steps: Steps, seed: int, kinds: tuple[Damage, ...]) -> Recipe:
    recipe = steps.recipe(seed)
    return replace(recipe, stage2=replace(recipe.stage2, damages=kinds))


def _claims(tables: Sequence[Table]) -> tuple[Claim, ...]:
    ours, _, maps, *_, auroc = tables
    matrix = [ours.means(row.name)[: len(ours.rows)] for row in ours.rows]
    behind = [max(column) - column[place] for place, column in enumerate(zip(*matrix, strict=True))]
    mixed, *others = (
        maps.means(name)[1:] for name in (MIXED_TRAINED, CLEAN_TRAINED, MATCHED_TRAINED, TOP_MIXED)
    )  # fmt: skip
    over_clean, over_matched, over_top = ([a - b for a, b in zip(mixed, one, strict=True)] for one in others)
    aurocs = auroc.means(MIXED_TRAINED)

    def listed(gaps: Sequence[float]) -> str:
        return ", ".join(f"{gap:+.1f}" for gap in gaps) + " mAP"

    return (
        Claim("training at the test rate is best, or within 1 mAP of the best", max(behind) < 1,
              ", ".join(f"{gap:.1f}" for gap in behind) + " mAP behind the best"),
        Claim("mixed training is better than clean training for each kind of damage", min(over_clean) > 0,
              listed(over_clean)),
        Claim("mixed training is less than 1 mAP behind matched training for each kind of damage",
              min(over_matched) > -1, listed(over_matched)),
        Claim("learned importance is better than top 50 % for each kind of damage, both with mixed training",
              min(over_top) > 0, listed(over_top)),
        Claim("with mixed training, low importance detects each kind of damage (AUROC above 0.7)", min(aurocs) > 0.7,
              ", ".join(f"{value:.2f}" for value in aurocs)),
    )  # fmt: skip
