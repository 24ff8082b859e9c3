"""The page that the demo ends with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from resight.checkpoints import load_checkpoint
from resight.data.readers import READERS
from resight.evaluation.compare import CORRUPTED, Comparison
from resight.evaluation.metrics import Scores
from resight.evaluation.protocols import Labels, default_protocol, judge_pairs
from resight.explanation.blocks import Block, Commands, Curves, Facts, Section, Text
from resight.explanation.evidence import MatchEvidence, explain_match
from resight.explanation.films import Strips, Verdict
from resight.explanation.report import write_report
from resight.explanation.sections import (
    contact_sheet,
    matrix_blocks,
    pair_blocks,
    query_strip,
    ranked_strips,
    share_blocks,
)
from resight.features.damaged import extract_damaged_features
from resight.ranking import Ranking
from resight.recipe import Recipe
from resight.shipped import DEFAULT
from resight.tables import Row, Table
from resight.tracklet import Dataset, Tracklet, by_person

LEARNED = "learned importance"
SHIPPED_MEAN = f"{DEFAULT} as it comes, mean of pairs"
SHIPPED = f"{DEFAULT} as it comes, {LEARNED}"


@dataclass(frozen=True)
class SeedResult:
    """One training and its evaluations.

    Attributes:
        recipe: with its seed.
        model_path: the trained model.
        clean: aggregators on undamaged clips.
        damaged: on clips with the paper's corruption.
        seconds: by step.
    """

    recipe: Recipe
    model_path: Path
    clean: Comparison
    damaged: Comparison
    seconds: Mapping[str, float]


def write_demo_report(
    path: Path, results: Sequence[SeedResult], split: Dataset, seconds: Mapping[str, float], max_corrupted: int
) -> None:
    """Tables over all seeds; pictures from the first seed."""
    first = results[0]
    clean = summary(results, lambda r: r.clean)
    damaged = summary(results, lambda r: r.damaged)
    map_clean, map_damaged = (_mean(rows[LEARNED], 0) for rows in (clean, damaged))
    best_top = max((n for n in damaged if n.startswith("top")), key=lambda n: _mean(damaged[n], 0))
    sections = [
        Section("Results", _result_tables(clean, damaged, first, len(results), max_corrupted)),
        Section("Does low importance point at damage?", (_auroc_table(results),), "Chance is 0.5, perfect is 1."),
        Section("Answers", _answers(first, split), "Blue: what was asked. Green: right. Red: wrong."),
        Section("One match explained", _explained(first, split, max_corrupted)),
        Section("The world", (_sheet(split),)),
        Section("Time and commands", _time_and_commands(results, seconds)),
    ]
    lead = (
        f"People that never lived were rendered, a model was trained on some of them, and it searched for others. With "
        f"0 to {max_corrupted} of the 8 clips of every tracklet destroyed, learned importance keeps "
        f"{map_damaged:.1f} % mAP of {map_clean:.1f} %; the best top-t % ({best_top}) keeps "
        f"{_mean(damaged[best_top], 0):.1f} %. The model {DEFAULT} that comes with the package, trained on "
        f"other people in other places, has {_mean(clean[SHIPPED], 0):.1f} % and "
        f"keeps {_mean(damaged[SHIPPED], 0):.1f} %.",
    )
    write_report(path, "Video person re-identification, from nothing", lead, sections, kicker="Resight demo")


def summary(results: Sequence[SeedResult], pick: Callable[[SeedResult], Comparison]) -> dict[str, list[list[float]]]:
    """Method to [mAP, rank-1, mINP], each a list over seeds, in percent."""
    columns: tuple[Callable[[Scores], float], ...] = (lambda s: s.map, lambda s: s.rank(1), lambda s: s.minp)
    return {
        name: [[100 * column(pick(r).scores[name]) for r in results] for column in columns]
        for name in pick(results[0]).scores
    }


def _mean(columns: Sequence[Sequence[float]], number: int) -> float:
    return float(np.mean(columns[number]))


def _result_tables(
    clean: Mapping[str, list[list[float]]],
    damaged: Mapping[str, list[list[float]]],
    first: SeedResult,
    n_seeds: int,
    max_corrupted: int,
) -> tuple[Block, ...]:
    def best(rows: Mapping[str, Sequence[Sequence[float]]], projected: bool) -> str:
        names = [n for n in rows if n.startswith("top") and n.endswith("no projection") != projected]
        return max(names, key=lambda n: _mean(rows[n], 0))

    names = [n for n in clean if not n.startswith("top")]
    rows = [_row(n, clean[n], damaged[n]) for n in names]
    chosen = [(best(clean, projected), best(damaged, projected)) for projected in (False, True)]
    for (on_clean, on_damaged), name in zip(chosen, ("same features", "own trained projection"), strict=True):
        top = _row(f"best top-t %, {name}", clean[on_clean], damaged[on_damaged])
        rows.insert([row.name for row in rows].index(LEARNED), top)
    spread = f"; mean ± standard deviation over {n_seeds} trainings" if n_seeds > 1 else "; one training"
    note = (
        f"{first.clean.scores[LEARNED].line()}; 8 clips of 4 frames; no re-ranking{spread}. Best top-t %: t chosen on "
        f"the test set, in the baseline's favour ({', '.join(f'{c} | {d}' for c, d in chosen)})."
    )
    headings = ("mAP", "rank-1", "mINP", "mAP", "rank-1", "mINP")
    groups = (("clean", 3), (f"M_c^max = {max_corrupted}", 3))
    title = "How well the right tracklets come first, in percent"
    table = Table(title, headings, tuple(rows), note=note, groups=groups, best=(0, 1, 2, 3, 4, 5))
    tops = [n for n in clean if n.startswith("top")]
    every = Table("Every top-t %", headings, tuple(_row(n, clean[n], damaged[n]) for n in tops), groups=groups)
    shown = ("colour histogram", "mean of pairs", chosen[1][1], LEARNED)
    curves = Curves(
        f"CMC, M_c^max = {max_corrupted}",
        {n: first.damaged.scores[n].cmc[:20].tolist() for n in shown},
        note=f"seed {first.recipe.seed}; {first.damaged.protocol_line}",
    )
    return table, curves, every


def _row(name: str, clean: Sequence[Sequence[float]], damaged: Sequence[Sequence[float]]) -> Row:
    return Row(name, tuple(tuple(seeds) for seeds in (*clean, *damaged)))


def _auroc_table(results: Sequence[SeedResult]) -> Table:
    faults = sorted({f for r in results for f in (*r.clean.auroc, *r.damaged.auroc)} - {CORRUPTED})
    rows = []
    for fault in (CORRUPTED, *faults):
        found = [(r.damaged if fault == CORRUPTED else r.clean).auroc.get(fault) for r in results]
        known = tuple(one.auroc for one in found if one is not None and one.auroc is not None)
        clips = sum(one.damaged for one in found if one is not None)
        rows.append(Row(fault.replace("_", " "), (known, clips)))
    note = "AUROC of low weight of a query clip, over the query's five best answers; faults of tracking on clean clips."
    return Table("AUROC by kind of damage", ("AUROC", "damaged clips"), tuple(rows), head="damage", note=note, digits=3)


def _answers(result: SeedResult, split: Dataset) -> tuple[Block, ...]:
    ranking = result.damaged.rankings[LEARNED]
    queries, gallery = Labels.of(split.query), Labels.of(split.gallery)
    match, junk = judge_pairs(default_protocol(split.name), queries, gallery, np.zeros(len(gallery.ids), bool))
    blocks: list[Block] = []
    shown = {True: 0, False: 0}
    for q, tracklet in enumerate(split.query):
        if not match[q].any():
            continue
        best = [g for g in ranking.order[q].tolist() if not junk[q, g]][:4]
        right = bool(match[q, best[0]])
        if shown[right] == 2:
            continue
        shown[right] += 1
        verdicts: list[Verdict] = ["right" if match[q, g] else "wrong" for g in best]
        score = dict(zip(ranking.order[q].tolist(), ranking.scores[q].tolist(), strict=True))
        ranked = [(split.gallery[g], score[g], v) for g, v in zip(best, verdicts, strict=True)]
        title = "The best answer is right" if right else "The best answer is wrong"
        blocks.append(Strips(title, (query_strip(tracklet), *ranked_strips(ranked))))
    return tuple(blocks)


def _explained(result: SeedResult, split: Dataset, max_corrupted: int) -> tuple[Block, ...]:
    """A right answer whose damaged clips were set aside most clearly."""
    evidence = most_telling_match(result, split, max_corrupted, result.damaged.rankings[LEARNED])
    if evidence is None:
        return (Text(("No right answer had a damaged clip.",)),)
    return Text(evidence.in_words()), *share_blocks(evidence), pair_blocks(evidence), *matrix_blocks(evidence)


def most_telling_match(
    result: SeedResult, split: Dataset, max_corrupted: int, ranking: Ranking, tries: int = 12
) -> MatchEvidence | None:
    """Of some right answers with damaged clips on both sides, the one whose importances differ most."""
    model = load_checkpoint(result.model_path)
    by_id = {t.id: t for t in split.gallery}
    found: list[tuple[float, MatchEvidence]] = []
    for q, query in enumerate(split.query):
        others = [by_id[id_] for id_, _ in ranking.best(q, 20) if by_id[id_].camera != query.camera]
        if not others or others[0].person != query.person:
            continue
        pair = [query, others[0]]
        features, damage = extract_damaged_features(
            model.encoder, pair, model.recipe.clips, max_corrupted, model.recipe.seed
        )
        if not 0 < damage[0].sum() < damage.shape[1] or not damage[1].any():
            continue
        evidence = explain_match(
            query, others[0], features.rows([0]), features.rows([1]), model.aggregator,
            query_corrupted=damage[0], gallery_corrupted=damage[1],
        )  # fmt: skip
        importance = evidence.scored.importance
        found.append((float(importance.max() / importance.min()), evidence))
        if len(found) == tries:
            break
    return max(found, key=lambda one: one[0])[1] if found else None


def _sheet(split: Dataset) -> Block:
    persons = list(by_person(split.gallery).values())[:6]
    tracklets: list[Tracklet] = [t for own in persons for t in own[:2]]
    return contact_sheet("Six persons of the test set, two cameras each", tracklets, "Nobody here has ever lived.")


def _time_and_commands(results: Sequence[SeedResult], seconds: Mapping[str, float]) -> tuple[Block, ...]:
    steps = {**seconds, **results[0].seconds}
    facts = Facts(tuple((f"{s:.0f} s", name) for name, s in steps.items()))
    kinds = ", ".join(READERS)
    model = results[0].model_path
    commands = (
        f"resight search path/to/frames folder:path/to/crops --model {model} --out answers.html",
        f"resight explain ID OTHER_ID folder:path/to/crops --model {model} --out why",
        f"resight evaluate mars:path/to/MARS --model {model} --max-corrupted 6",
    )
    return facts, Commands(f"Your own data (kinds: {kinds})", commands)
