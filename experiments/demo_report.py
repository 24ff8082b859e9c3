"""The report of the demo."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import resight
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
from resight.shipped import DEFAULT
from resight.tables import Row, Table
from resight.tracklet import Dataset, Tracklet, by_person

LEARNED = "learned importance"
MEAN = "mean of pairs"


@dataclass(frozen=True, eq=False)
class DemoResult:
    """What the demo measured.

    Attributes:
        model: The model that comes with the package.
        dataset: The synthetic world.
        clean: Scores of all aggregators on undamaged clips.
        damaged: Scores on clips with the paper's corruption.
        max_corrupted: M_c^max of `damaged`.
        seconds: Time of each step.
    """

    model: resight.Model
    dataset: Dataset
    clean: Comparison
    damaged: Comparison
    max_corrupted: int
    seconds: Mapping[str, float]

    def best_top(self, comparison: Comparison) -> str:
        """Return the top-t % aggregator with the highest mAP, t chosen on the test set."""
        return max(
            (name for name in comparison.scores if name.startswith("top")), key=lambda n: comparison.scores[n].map
        )


def write_demo_report(path: Path, result: DemoResult) -> None:
    """Write the report as one HTML page."""
    clean, damaged = result.clean.scores, result.damaged.scores
    best_clean, best_damaged = result.best_top(result.clean), result.best_top(result.damaged)
    rate = result.max_corrupted
    lead = (
        f"The model {DEFAULT}, which was trained on other synthetic people, finds "
        f"{len(by_person(result.dataset.query))} synthetic persons.",
        f"With 0 to {rate} of the 8 clips of every tracklet corrupted, learned importance has "
        f"{100 * damaged[LEARNED].map:.1f} % mAP ({100 * clean[LEARNED].map:.1f} % on clean clips). The best top-t %, "
        f"t chosen on the test set, has {100 * damaged[best_damaged].map:.1f} % ({100 * clean[best_clean].map:.1f} %), "
        f"the mean of all clip pairs {100 * damaged[MEAN].map:.1f} % ({100 * clean[MEAN].map:.1f} %).",
    )
    sections = [
        Section("Results", (_scores_table(result), _curves(result), _top_share_table(result))),
        Section("Does low importance detect damage?", (_auroc_table(result),), "Chance is 0.5, perfect is 1."),
        Section("Answers", _answers(result), "Blue: query. Green: correct. Red: wrong."),
        Section("One match explained", _explained(result)),
        Section("The synthetic world", (_sheet(result.dataset),)),
        Section("Time and commands", _time_and_commands(result)),
    ]
    write_report(path, "Learned clip-pair importance on synthetic people", lead, sections, kicker="Resight demo")


def _cells(comparison: Comparison, name: str) -> tuple[float, float, float]:
    scores: Scores = comparison.scores[name]
    return 100 * scores.map, 100 * scores.rank(1), 100 * scores.minp


def _scores_table(result: DemoResult) -> Table:
    clean, damaged = result.clean, result.damaged
    rows = [Row(name, (*_cells(clean, name), *_cells(damaged, name))) for name in (MEAN, "mean feature, l2", LEARNED)]
    best = result.best_top(clean), result.best_top(damaged)
    rows.insert(2, Row("best top-t %", (*_cells(clean, best[0]), *_cells(damaged, best[1]))))
    return Table(
        "Scores in percent",
        ("mAP", "rank-1", "mINP", "mAP", "rank-1", "mINP"),
        tuple(rows),
        note=(
            f"{clean.protocol_line}. Best top-t %: t chosen on the test set, in the baseline's "
            f"favour ({best[0]} on clean clips, {best[1]} on corrupted ones)."
        ),
        groups=(("clean", 3), (f"M_c^max = {result.max_corrupted}", 3)),
        best=(0, 1, 2, 3, 4, 5),
    )


def _top_share_table(result: DemoResult) -> Table:
    names = [name for name in result.clean.scores if name.startswith("top")]
    rows = tuple(
        Row(name, (100 * result.clean.scores[name].map, 100 * result.damaged.scores[name].map)) for name in names
    )
    return Table("mAP of every top-t %, in percent", ("clean", f"M_c^max = {result.max_corrupted}"), rows)


def _curves(result: DemoResult) -> Curves:
    scores = result.damaged.scores
    shown = (MEAN, result.best_top(result.damaged), LEARNED)
    return Curves(
        f"CMC, M_c^max = {result.max_corrupted}",
        {name: scores[name].cmc[:20].tolist() for name in shown},
        note=result.damaged.protocol_line,
    )


def _auroc_table(result: DemoResult) -> Table:
    rows = []
    for fault in (CORRUPTED, *sorted({*result.clean.auroc} - {CORRUPTED})):
        figures = (result.damaged if fault == CORRUPTED else result.clean).auroc.get(fault)
        if figures is not None:
            rows.append(Row(fault.replace("_", " "), (figures.auroc, figures.damaged)))
    note = (
        "AUROC of low weight of a query clip, over the five best answers; faults other than corruption on clean clips."
    )
    return Table("", ("AUROC", "damaged clips"), tuple(rows), head="damage", note=note, digits=3)


def _answers(result: DemoResult) -> tuple[Block, ...]:
    """Two queries with a correct best answer and two with a wrong one."""
    dataset, ranking = result.dataset, result.damaged.rankings[LEARNED]
    queries, gallery = Labels.of(dataset.query), Labels.of(dataset.gallery)
    match, junk = judge_pairs(default_protocol(dataset.name), queries, gallery, np.zeros(len(gallery.ids), bool))
    blocks: list[Block] = []
    shown = {True: 0, False: 0}
    for q, tracklet in enumerate(dataset.query):
        best = [g for g in ranking.order[q].tolist() if not junk[q, g]][:4]
        correct = bool(match[q, best[0]])
        if not match[q].any() or shown[correct] == 2:
            continue
        shown[correct] += 1
        verdicts: list[Verdict] = ["right" if match[q, g] else "wrong" for g in best]
        score = dict(zip(ranking.order[q].tolist(), ranking.scores[q].tolist(), strict=True))
        ranked = [(dataset.gallery[g], score[g], verdict) for g, verdict in zip(best, verdicts, strict=True)]
        title = "The best answer is correct" if correct else "The best answer is wrong"
        blocks.append(Strips(title, (query_strip(tracklet), *ranked_strips(ranked))))
    return tuple(blocks)


def _explained(result: DemoResult) -> tuple[Block, ...]:
    evidence = clearest_match(result)
    if evidence is None:
        return (Text(("No correct answer had a corrupted clip.",)),)
    return Text(evidence.in_words()), *share_blocks(evidence), pair_blocks(evidence), *matrix_blocks(evidence)


def clearest_match(result: DemoResult, tries: int = 12) -> MatchEvidence | None:
    """Return the match with the widest range of importance among correct ones with corrupted clips on both sides."""
    ranking, by_id = result.damaged.rankings[LEARNED], {t.id: t for t in result.dataset.gallery}
    matches: list[MatchEvidence] = []
    for q, query in enumerate(result.dataset.query):
        candidates = [by_id[id_] for id_, _ in ranking.best(q, 20) if by_id[id_].camera != query.camera]
        if not candidates or candidates[0].person != query.person:
            continue
        features, damage = result.model.corrupted_features([query, candidates[0]], result.max_corrupted)
        if not 0 < damage[0].sum() < damage.shape[1] or not damage[1].any():
            continue
        matches.append(
            explain_match(
                query,
                candidates[0],
                features.rows([0]), features.rows([1]), result.model.checkpoint.aggregator,
                query_corrupted=damage[0], gallery_corrupted=damage[1],
            )
        )  # fmt: skip
        if len(matches) == tries:
            break
    return max(matches, key=lambda match: _range(match), default=None)


def _range(match: MatchEvidence) -> float:
    return float(match.scored.importance.max() / match.scored.importance.min())


def _sheet(dataset: Dataset) -> Block:
    persons = list(by_person(dataset.gallery).values())[:6]
    tracklets: list[Tracklet] = [tracklet for group in persons for tracklet in group[:2]]
    return contact_sheet("Six test persons under two cameras each", tracklets, "All people are synthetic.")


def _time_and_commands(result: DemoResult) -> tuple[Block, ...]:
    facts = Facts(tuple((f"{seconds:.0f} s", step) for step, seconds in result.seconds.items()))
    model, kinds = result.model.name, ", ".join(READERS)
    commands = (
        f"resight search path/to/frames folder:path/to/crops --model {model} --out answers.html",
        f"resight explain ID OTHER_ID folder:path/to/crops --model {model} --out why",
        f"resight evaluate mars:path/to/MARS --model {model} --max-corrupted 6",
    )
    return facts, Commands(f"Your own data (kinds: {kinds})", commands)
