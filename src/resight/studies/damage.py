"""The damage benchmark: the paper's corruption and the faults of its Fig. 7, on query, gallery or both sides.

The paper trains and tests at one rate of one damage. Here every rate of training meets every rate of the test, every
kind of damage hits the query, the gallery or both, and training is clean, matched or mixed.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from matplotlib.figure import Figure

from resight.data.damage import DAMAGES, Donors, persons_brought_in
from resight.evaluation.damage import DamageAuroc
from resight.evaluation.metrics import Scores
from resight.features.types import ClipFeatures
from resight.models.aggregators import Aggregator, MeanPair, TopShare
from resight.recipe import Damage, Recipe
from resight.studies.damage_benchmark import Side, Strangers, damage_curve, score_damaged
from resight.studies.figures import LINES, quiet
from resight.studies.outcome import Cell, Claim, Outcome, Row, StudyTable
from resight.studies.paper.published import OURS
from resight.studies.steps import Steps
from resight.training.stage2_importance import DamagedFeatures

MIXED = "mixed"
SIDES: tuple[Side, ...] = ("query", "gallery", "both")
_Table = dict[str, list[list[float]]]
"""Row → column → one value for each seed."""


def damage(steps: Steps) -> Outcome:
    """Our benchmark of damage: training rate × test rate, kinds × sides, clean, matched and mixed training."""
    tables = _rates(steps)
    kinds, line = _kinds(steps)
    tables += kinds
    return Outcome("damage", "The damage benchmark", tuple(tables), _claims(tables), line, notes=(
        "Kinds: " + ", ".join(DAMAGES) + "; mixed: each damaged clip draws one of them. 0 to "
        f"{steps.setting.damaged_at} of {steps.setting.recipe.clips.count} clips of a tracklet are damaged in the "
        "tables of kinds.",
        "Where damage brings in somebody else, a gallery tracklet that shows somebody whom the query shows is neither "
        "right nor wrong, unless it is of the query's person.",
        "Area: mean mAP over the rates (trapezoids), as a share of the mAP on clean clips.",
    ))  # fmt: skip


def _rates(steps: Steps) -> list[StudyTable]:
    rates = steps.setting.matrix_rates
    trained: dict[str, Callable[[int, int], Aggregator]] = {
        OURS: lambda seed, rate: steps.trained("learned", seed, rate),
        "top 50 %-traineval": lambda seed, rate: steps.trained("top50", seed, rate, partial(TopShare, 50.0)),
    }
    columns = (*(f"M_c^max = {rate}" for rate in rates), "kept at the last (%)", "area (%)")
    tables = []
    for name, make in trained.items():
        rows: _Table = {}
        for seed in steps.setting.seeds:
            features = steps.damages(seed, ("corrupted",))
            by_rate = {rate: make(seed, rate) for rate in rates}
            with steps.timed(f"damage score {name} by rate-seed{seed}"):
                for rate, aggregator in by_rate.items():
                    curve = damage_curve(aggregator, *_sides(steps, features), steps.protocol, rates, seed=seed)
                    shares = 100 * (1 - curve.drop[-1]), 100 * curve.area / curve.map[0]
                    _add(rows, f"trained at M_c^max = {rate}", [*(100 * one for one in curve.map), *shares])
        tables.append(_study_table(f"mAP, {name}, by rate in training (row) and test", "training", columns, rows))
    return tables


def _kinds(steps: Steps) -> tuple[list[StudyTable], str]:
    rate, setting = steps.setting.damaged_at, steps.setting
    tests: dict[str, tuple[Damage, ...]] = {kind: (kind,) for kind in DAMAGES} | {MIXED: DAMAGES}
    by_method: dict[str, _Table] = {measure: {} for measure in ("mAP", "rank-1", "mINP")}
    by_side: _Table = {}
    auroc: _Table = {}
    line = ""
    for seed in setting.seeds:
        sides, strangers = _sides(steps, steps.damages(seed)), _strangers(steps, seed)
        score = partial(score_damaged, seed=seed, strangers=strangers)
        methods = _methods(steps, seed, rate)
        both: dict[str, dict[str, _Damaged]] = {}
        for name, pick in methods.items():
            met = {test: pick(kinds) for test, kinds in tests.items()}
            with steps.timed(f"damage score {name}-seed{seed}"):
                clean, _ = score(pick(()), *sides, steps.protocol, 0, kinds=DAMAGES)
                found = both[name] = {
                    test: score(met[test], *sides, steps.protocol, rate, kinds=kinds) for test, kinds in tests.items()
                }
            scores = [clean, *(one for one, _ in found.values())]
            line = line or scores[-1].line()
            _add(by_method["mAP"], name, [100 * one.map for one in scores])
            _add(by_method["rank-1"], name, [100 * one.rank(1) for one in scores])
            _add(by_method["mINP"], name, [100 * one.minp for one in scores])
            if name.startswith(OURS):
                _add(auroc, name, [_pooled(one) for _, one in found.values()])
        name = f"{OURS}, trained {MIXED}"
        mixed = methods[name](DAMAGES)
        with steps.timed(f"damage score by side-seed{seed}"):
            for test, kinds in tests.items():
                one_side = [score(mixed, *sides, steps.protocol, rate, kinds=kinds, side=side) for side in SIDES[:2]]
                _add(by_side, test, [100 * scores.map for scores, _ in (*one_side, both[name][test])])
    columns = ("clean", *tests)
    tables = [
        _study_table(f"{measure}, damage on both sides, M_c^max = {rate}", "", columns, rows)
        for measure, rows in by_method.items()
    ]
    tables.append(_study_table(f"mAP, {OURS} trained mixed, by the side that is damaged", "damage", SIDES, by_side))
    tables.append(
        replace(_study_table("AUROC of low importance against damaged query clips", "", tuple(tests), auroc), digits=2)
    )
    return tables, line


_Damaged = tuple[Scores, Mapping[str, DamageAuroc]]
_Features = tuple[ClipFeatures, ClipFeatures, Mapping[str, ClipFeatures], Mapping[str, ClipFeatures]]


def _sides(steps: Steps, features: DamagedFeatures) -> _Features:
    """Of queries and gallery: sound, then with every clip damaged, by the kind of damage."""
    query, gallery = steps.split.query, steps.split.gallery
    asked, searched = ({str(kind): one.of(side) for kind, one in features.damaged.items()} for side in (query, gallery))
    return features.clean.of(query), features.clean.of(gallery), asked, searched


def _strangers(steps: Steps, seed: int) -> Strangers:
    """Whom each kind of damage brings into the clips of queries and gallery."""
    donors, clips = Donors(steps.split.gallery), steps.setting.recipe.clips.count
    return {kind: {t.id: persons_brought_in(t, clips, kind, seed, donors) for t in steps.everyone} for kind in DAMAGES}


def _pooled(auroc: Mapping[str, DamageAuroc]) -> float:
    """Over the kinds of damage, by the number of clips."""
    found = [(one.auroc, one.damaged) for one in auroc.values() if one.auroc is not None]
    return sum(value * clips for value, clips in found) / sum(clips for _, clips in found)


def _methods(steps: Steps, seed: int, rate: int) -> Mapping[str, Callable[[tuple[Damage, ...]], Aggregator]]:
    """Name → from the kinds of damage in the test to the aggregator that meets them."""

    def on(kinds: tuple[Damage, ...], rate: int = rate) -> Aggregator:
        return steps.trained(_name("learned", kinds), seed, rate, recipe=_recipe(steps, seed, kinds))

    clean = on(("corrupted",), 0)
    every = on(DAMAGES)
    make = partial(TopShare, 50.0)
    top = steps.trained(_name("top50", DAMAGES), seed, rate, make, recipe=_recipe(steps, seed, DAMAGES))
    mean = MeanPair()
    return {
        "mean of pairs": lambda _: mean,
        "top 50 %, same features": lambda _: TopShare(50),
        "top 50 %-traineval, trained mixed": lambda _: top,
        f"{OURS}, trained clean": lambda _: clean,
        f"{OURS}, trained matched": lambda kinds: on(kinds) if kinds else clean,
        f"{OURS}, trained {MIXED}": lambda _: every,
    }


def _name(base: str, kinds: tuple[Damage, ...]) -> str:
    if kinds == ("corrupted",):  # what Table 2 trains
        return base
    return f"{base}-{MIXED}" if len(kinds) > 1 else f"{base}-{kinds[0]}"


def _recipe(steps: Steps, seed: int, kinds: tuple[Damage, ...]) -> Recipe:
    recipe = steps.recipe(seed)
    return replace(recipe, stage2=replace(recipe.stage2, damages=kinds))


def _claims(tables: Sequence[StudyTable]) -> tuple[Claim, ...]:
    ours, _, maps, *_, auroc = tables
    names = [row.name for row in ours.rows]
    diagonal = [ours.means(name)[place] for place, name in enumerate(names)]
    best = [max(ours.means(name)[place] for name in names) for place in range(len(names))]
    mixed, clean = maps.means(f"{OURS}, trained {MIXED}"), maps.means(f"{OURS}, trained clean")
    matched, top = maps.means(f"{OURS}, trained matched"), maps.means("top 50 %-traineval, trained mixed")
    return (
        Claim("training at the rate of the test is best, or within 1 mAP of it",
              all(b - d < 1 for b, d in zip(best, diagonal, strict=True)),
              ", ".join(f"{b - d:.1f}" for b, d in zip(best, diagonal, strict=True)) + " mAP behind the best"),
        Claim("mixed training beats clean training under every kind of damage",
              all(a > b for a, b in zip(mixed[1:], clean[1:], strict=True)),
              ", ".join(f"{a - b:+.1f}" for a, b in zip(mixed[1:], clean[1:], strict=True)) + " mAP"),
        Claim("mixed training costs less than 1 mAP against matched training, whatever the damage",
              all(b - a < 1 for a, b in zip(mixed[1:], matched[1:], strict=True)),
              ", ".join(f"{a - b:+.1f}" for a, b in zip(mixed[1:], matched[1:], strict=True)) + " mAP"),
        Claim("learned importance beats top 50 %, both trained mixed, under every kind of damage",
              all(a > b for a, b in zip(mixed[1:], top[1:], strict=True)),
              ", ".join(f"{a - b:+.1f}" for a, b in zip(mixed[1:], top[1:], strict=True)) + " mAP"),
        Claim("trained mixed, low importance points at every kind of damage (AUROC above 0.7)",
              min(auroc.means(f"{OURS}, trained {MIXED}")) > 0.7,
              ", ".join(f"{one:.2f}" for one in auroc.means(f"{OURS}, trained {MIXED}"))),
    )  # fmt: skip


def draw(outcome: Outcome) -> Figure:
    """The benchmark in one figure: both matrices, mAP by kind of damage, AUROC by kind."""
    ours, top, maps, *_, auroc = outcome.tables
    figure = Figure(figsize=(11.5, 8.2), layout="constrained")
    panels = figure.subplots(2, 2)
    number = len(ours.rows)
    both = [[list(t.means(row.name))[:number] for row in t.rows] for t in (ours, top)]
    low, high = np.min(both), np.max(both)
    for axes, table, values in zip(panels[0], (ours, top), both, strict=True):
        axes.imshow(values, cmap="Blues", vmin=low - (high - low) / 3, vmax=high, aspect="auto")
        for (row, column), value in np.ndenumerate(np.array(values)):
            axes.text(column, row, f"{value:.1f}", ha="center", va="center",
                      color="white" if value > low + 0.6 * (high - low) else "#1c2126")  # fmt: skip
        rates = [column.rpartition("= ")[2] for column in table.columns[:number]]
        axes.set_xticks(range(number), rates)
        axes.set_yticks(range(number), rates)
        axes.set(xlabel="M_c^max in the test", ylabel="M_c^max in training", frame_on=False)
        axes.xaxis.label.set_parse_math(False)
        axes.yaxis.label.set_parse_math(False)
        axes.tick_params(length=0)
        axes.set_title(table.title.split(", by")[0], fontsize=11)
    for axes, table, least in ((panels[1][0], maps, None), (panels[1][1], auroc, 0.5)):
        width = 0.8 / len(table.rows)
        for place, row in enumerate(table.rows):
            colour = LINES[place % len(LINES)][0] if table is maps else LINES[place + 3][0]
            at = [column + (place - (len(table.rows) - 1) / 2) * width for column in range(len(table.columns))]
            axes.bar(at, [statistics.fmean(cell) for cell in row.cells], width, color=colour, label=row.name)
        axes.set_xticks(range(len(table.columns)), [column.replace("-", "\n") for column in table.columns])
        axes.set_title(table.title, fontsize=11, parse_math=False)
        axes.set_ylim(least, None)
        quiet(axes, "y")
        axes.legend(frameon=False, fontsize=8, loc="upper right")
        bottom, top = axes.get_ylim()
        ticks = [tick for tick in axes.get_yticks() if tick <= top]
        axes.set_ylim(bottom, bottom + 1.35 * (top - bottom))  # room for the legend
        axes.set_yticks(ticks)
    return figure


def _add(table: _Table, row: str, values: Sequence[float]) -> None:
    for cell, value in zip(table.setdefault(row, [[] for _ in values]), values, strict=True):
        cell.append(float(value))


def _study_table(title: str, head: str, columns: tuple[str, ...], rows: _Table) -> StudyTable:
    cells: Callable[[list[list[float]]], tuple[Cell, ...]] = lambda row: tuple(tuple(one) for one in row)  # noqa: E731
    return StudyTable(title, head, columns, tuple(Row(name, cells(row)) for name, row in rows.items()))
