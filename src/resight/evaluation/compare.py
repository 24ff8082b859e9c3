"""Comparison of aggregators on the same clip features."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resight.compute import Compute
from resight.errors import ProtocolError
from resight.evaluation.camera_pairs import CameraPairs, all_cameras
from resight.evaluation.confidence import LEVEL, SAMPLES, Interval, confidence_intervals
from resight.evaluation.damage import DamageAuroc, auroc_by_fault, clip_fault
from resight.evaluation.evaluate import labels_of
from resight.evaluation.judge import Judge, Wanted, judge_here
from resight.evaluation.metrics import Scores
from resight.evaluation.open_set import RATES, OpenSet
from resight.evaluation.protocols import Protocol
from resight.evaluation.slices import slice_scores
from resight.evaluation.threshold import Threshold
from resight.features.types import ClipFeatures
from resight.models.aggregators import Aggregator, MaxPair, MeanFeature, MeanPair, TopShare
from resight.outputs import replace_file
from resight.progress import Progress
from resight.ranking import Ranking
from resight.tables import Row, Table
from resight.tracklet import Tracklet

TOP_SHARES = (10, 20, 30, 40, 50, 60, 70, 80, 90)
"""t of the top-t % aggregators in percent; 100 is the mean of all pairs."""

CORRUPTED = "corrupted"
"""Name of the paper's damage among the faults."""

MEASURES = {"map": "mAP", "rank-1": "rank-1", "rank-5": "rank-5", "minp": "mINP", "map_trapezoid": "mAP*"}
"""Measures in tables, as named by `Scores.measures`, to their headings."""

TRAPEZOID = "* AP of the official MARS code"
"""Explanation of the heading mAP*."""

OPEN_SET_COLUMNS = (*(f"at {100 * rate:g} %" for rate in RATES), "no threshold", "AUROC")
"""Headings of `OpenSet.measures` in tables."""


@dataclass(frozen=True)
class Comparison:
    """Scores of several aggregators, with details of the last one, the headline.

    Attributes:
        scores: Name of the aggregator to its scores, in the order given.
        rankings: Name of the aggregator to its ranking; of the headline, and of others if comparisons were joined.
        auroc: Fault to the AUROC of low weight of a query clip; empty if no fault is known or no importance is learned.
        slices: What the headline's queries are grouped by, to group, to the scores of its queries.
        camera_pairs: Scores of the headline by pair of cameras; None if not requested or there is only one camera.
        open_sets: Name of the aggregator to its open-set search; empty if not requested.
        threshold: Threshold of the headline in the open set; None if the model has none.
        notes: Remarks on the scores, one sentence each.
    """

    scores: Mapping[str, Scores]
    rankings: Mapping[str, Ranking]
    auroc: Mapping[str, DamageAuroc]
    slices: Mapping[str, Mapping[str, Scores]] = field(default_factory=dict)
    camera_pairs: CameraPairs | None = None
    open_sets: Mapping[str, OpenSet] = field(default_factory=dict)
    threshold: Threshold | None = None
    notes: tuple[str, ...] = ()

    @property
    def headline(self) -> str:
        """Name of the last aggregator, which is the trained one if there is one."""
        return list(self.scores)[-1]

    @property
    def protocol_line(self) -> str:
        """Conditions of the scores in one line."""
        return next(iter(self.scores.values())).line()

    @property
    def interval_line(self) -> str:
        """How the intervals were computed, as text."""
        scores = self.scores[self.headline]
        units = "queries" if scores.persons is None else f"{len(np.unique(scores.persons[scores.counted]))} persons"
        return f"interval of the mAP from {SAMPLES:,} samples of {units}"

    @cached_property
    def intervals(self) -> dict[str, dict[str, Interval]]:
        """Aggregator to measure to its 95 % interval over persons, see `confidence_intervals`."""
        return {name: confidence_intervals(scores, groups=scores.persons) for name, scores in self.scores.items()}

    def to_json(self) -> dict[str, Any]:
        """Return everything except the rankings as plain values."""
        unit = "queries" if self.scores[self.headline].persons is None else "persons"
        about = {"level": LEVEL, "samples": SAMPLES, "drawn": unit}
        return {
            "headline": self.headline,
            "conditions": self.protocol_line,
            "scores": {
                name: scores.to_json()
                | {"intervals": about | {measure: [i.low, i.high] for measure, i in self.intervals[name].items()}}
                for name, scores in self.scores.items()
            },
            "auroc_of_low_importance": {
                fault: {"auroc": figures.auroc, "damaged_clips": figures.damaged, "clean_clips": figures.clean}
                for fault, figures in self.auroc.items()
            },
            "slices": {
                by: {group: scores.to_json() for group, scores in groups.items()} for by, groups in self.slices.items()
            },
            "camera_pairs": self.camera_pairs and self.camera_pairs.to_json(),
            "open_set": {
                name: open_set.to_json(self.threshold if name == self.headline else None)
                for name, open_set in self.open_sets.items()
            },
            "notes": list(self.notes),
        }

    def tables(self) -> list[Table]:
        """Return the tables of scores, of low importance against damage, and of the open set, as far as known."""
        tables = [self._scores_table()]
        if self.auroc:
            tables.append(self._auroc_table())
        if self.open_sets:
            tables.append(self._open_set_table())
        return tables

    def __str__(self) -> str:
        return self.to_text()

    def to_text(self) -> str:
        """Return tables and notes as plain text."""
        parts = [self._scores_table().to_text(), *(f"Note: {note}." for note in self.notes)]
        parts = ["\n".join(parts), *(table.to_text() for table in self.tables()[1:])]
        if self.open_sets:
            parts.append(f"{self.headline}\n{self.open_sets[self.headline].table(self.threshold).to_text()}")
        return "\n\n".join(parts)

    def _scores_table(self) -> Table:
        rows = []
        for name, scores in self.scores.items():
            values, interval = scores.measures(), self.intervals[name]["map"]
            first, *remaining = (100 * values[measure] for measure in MEASURES)
            rows.append(Row(name, (first, f"{100 * interval.low:.1f} … {100 * interval.high:.1f}", *remaining)))
        first_heading, *headings = MEASURES.values()
        return Table(
            "Scores in percent",
            (first_heading, "95 % interval", *headings),
            tuple(rows),
            note=f"{self.protocol_line}; {TRAPEZOID}; {self.interval_line}",
            best=(0, 2, 3, 4, 5),
        )

    def _auroc_table(self) -> Table:
        return Table(
            "Low importance as an indicator of damaged query clips",
            ("AUROC", "damaged clips", "clean clips"),
            tuple(
                Row(fault.replace("_", " "), (figures.auroc, figures.damaged, figures.clean))
                for fault, figures in self.auroc.items()
            ),
            head="fault",
            note="AUROC: probability that a damaged clip has lower importance than a clean clip; 0.5 is chance",
            digits=3,
        )

    def _open_set_table(self) -> Table:
        return Table(
            "Identification rate in percent, by false-alarm rate",
            OPEN_SET_COLUMNS,
            tuple(Row(name, open_set_cells([open_set])) for name, open_set in self.open_sets.items()),
            note=f"{self.open_sets[self.headline].line()}; AUROC of detection",
            best=tuple(range(len(OPEN_SET_COLUMNS))),
        )

    def save(self, folder: Path) -> None:
        """Write scores.json, the scores of each query (queries-<name>.json), rankings and camera pairs."""
        save_json(folder / "scores.json", self.to_json())
        for name, scores in self.scores.items():
            scores.save(folder / f"queries-{file_name(name)}.json")
        for name, ranking in self.rankings.items():
            ranking.save(folder / f"ranking-{file_name(name)}.npz")
        if self.camera_pairs is not None:
            save_json(folder / "camera-pairs.json", self.camera_pairs.to_json())


def open_set_cells(open_sets: Sequence[OpenSet]) -> tuple[tuple[float, ...], ...]:
    """Return the measures of open-set searches in percent, one cell per column of `OPEN_SET_COLUMNS`."""
    rows = [open_set.measures().values() for open_set in open_sets]
    return tuple(tuple(100 * value for value in column) for column in zip(*rows, strict=True))


def file_name(method: str) -> str:
    """Return the name of an aggregator as part of a file name."""
    return method.replace(" %", "percent").replace(",", "").replace(" ", "-")


def save_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write plain values as JSON, replacing an existing file in one step."""
    with replace_file(path) as temporary:
        temporary.write_text(json.dumps(values, indent=1), encoding="utf-8")


def load_run(path: Path, method: str | None = None) -> Scores:
    """Return the scores of a saved evaluation.

    Args:
        path: Folder written by `Comparison.save`, or file written by `Scores.save`.
        method: Name of the aggregator in a folder; None is the headline.

    Raises:
        ProtocolError: If there is no evaluation, it has several splits, or it does not contain the aggregator.
    """
    if not path.is_dir():
        return Scores.load(path)
    try:
        saved = json.loads((path / "scores.json").read_text(encoding="utf-8"))
        names, headline, splits = list(saved["scores"]), str(saved["headline"]), saved.get("splits", ())
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ProtocolError(
            f"{path} is not a saved evaluation ({type(error).__name__}: {error}); pass a folder written by "
            "`resight evaluate --out`, or a file queries-….json in one"
        ) from error
    if splits:
        raise ProtocolError(f"{path} contains {len(splits)} splits; pass one of them, such as {path / 'split-1'}")
    if method is not None and method not in names:
        raise ProtocolError(f"{path} has no method {method!r}; its methods are {', '.join(names)}")
    return Scores.load(path / f"queries-{file_name(method or headline)}.json")


def usual_aggregators(trained: Aggregator) -> dict[str, Aggregator]:
    """Return the aggregators that the paper compares, and last the trained one of a model."""
    usual: list[Aggregator] = [MeanFeature(normalise=False), MeanFeature(normalise=True), MaxPair()]
    usual += [TopShare(share) for share in TOP_SHARES]
    usual.append(MeanPair())  # the headline of a model that has only stage 1
    by_label = {aggregator.label: aggregator for aggregator in usual}
    by_label.pop(trained.label, None)  # so that the trained aggregator comes last
    return by_label | {trained.label: trained}


def compare_aggregators(
    aggregators: Mapping[str, Aggregator],
    query: ClipFeatures,
    gallery: ClipFeatures,
    protocol: Protocol,
    *,
    faults: NDArray[np.str_] | None = None,
    reranked: bool = False,
    compute: Compute = Compute(),
    groups: Mapping[str, NDArray[np.str_]] | None = None,
    camera_pairs: bool = False,
    impostors: NDArray[np.int64] | None = None,
    threshold: Threshold | None = None,
    notes: tuple[str, ...] = (),
    judge: Judge = judge_here,
    progress: Progress | None = None,
) -> Comparison:
    """Score several aggregators on the same features.

    Args:
        aggregators: Name to aggregator, the headline last.
        query: Features of Q tracklets with M clips each.
        gallery: Features of G tracklets.
        protocol: Rules for matches and junk.
        faults: (Q, M) from `clip_faults`, to measure how well low importance indicates damage.
        reranked: Whether to re-rank all rankings by k-reciprocal neighbours.
        compute: Device and precision of scoring.
        groups: What queries are grouped by, to (Q,) names of groups, see `resight.evaluation.slices`.
        camera_pairs: Whether to compute scores by pair of cameras, if there are at least two cameras.
        impostors: Persons to remove from the gallery for the open set, see `draw_impostors`; None for no open set.
        threshold: Threshold of the headline, adapted to the gallery of the open set. It is not used with re-ranking,
            whose similarities have another scale.
        notes: Remarks on the scores.
        judge: Computes rankings and scores; in this process by default.
        progress: Called with (aggregators done, total).

    Raises:
        ProtocolError: If no query has a match.
    """
    scores: dict[str, Scores] = {}
    open_sets: dict[str, OpenSet] = {}
    auroc: dict[str, DamageAuroc] = {}
    wanted = Wanted(
        query, gallery, protocol, reranked, impostors,
        weights=faults is not None,
        camera_pairs=camera_pairs and len(all_cameras(labels_of(query), labels_of(gallery))) > 1,
        compute=compute,
    )  # fmt: skip
    for number, (name, aggregator) in enumerate(aggregators.items(), 1):
        judged = judge(wanted, aggregator, number == len(aggregators))
        scores[name] = judged.scores
        if judged.open_set is not None:
            open_sets[name] = judged.open_set
        if judged.weights is not None and faults is not None:
            auroc = auroc_by_fault(judged.weights, faults)
        if progress is not None:
            progress(number, len(aggregators))
    deviation = scores[name].deviation()
    adapted = threshold.for_gallery(open_sets[name].gallery) if threshold and open_sets and not reranked else None
    return Comparison(
        scores,
        {name: judged.ranking},
        auroc,
        {by: slice_scores(scores[name], names) for by, names in (groups or {}).items()},
        judged.camera_pairs,
        open_sets,
        adapted,
        (*notes, *([deviation] if deviation else [])),
    )


def clip_faults(
    tracklets: Sequence[Tracklet],
    features: ClipFeatures,
    frame_faults: Mapping[str, str],
    corrupted: NDArray[np.bool_] | None = None,
) -> NDArray[np.str_]:
    """Return the fault of each clip.

    Args:
        tracklets: T tracklets, the rows of `features`.
        features: Features whose frame numbers tell the frames of each clip.
        frame_faults: Frame name to fault.
        corrupted: (T, M) True for clips damaged on purpose, which get the fault ``corrupted``.

    Returns:
        (T, M) names of faults, ``""`` for a clean clip.
    """
    faults = np.array(
        [
            [clip_fault([t.names[n] for n in clip if n >= 0], frame_faults) for clip in clips]
            for t, clips in zip(tracklets, features.frame_numbers, strict=True)
        ],
        dtype=np.str_,
    )
    return faults if corrupted is None else np.where(corrupted, CORRUPTED, faults)
