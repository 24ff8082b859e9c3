"""Several aggregators on the same clip features: one table, one file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resight.checkpoints import replace_file
from resight.compute import Compute
from resight.errors import ProtocolError
from resight.evaluation.camera_pairs import CameraPairs, score_camera_pairs
from resight.evaluation.confidence import LEVEL, SAMPLES, Interval, confidence_intervals
from resight.evaluation.damage import DamageAuroc, auroc_by_fault, clip_fault
from resight.evaluation.evaluate import clip_weights, evaluate_features, labels_of
from resight.evaluation.metrics import Scores
from resight.evaluation.open_set import OpenSet, search_open_set
from resight.evaluation.protocols import Protocol
from resight.evaluation.slices import slice_scores
from resight.evaluation.threshold import Threshold
from resight.features.types import ClipFeatures
from resight.models.aggregators import Aggregator, MaxPair, MeanFeature, MeanPair, TopShare
from resight.progress import Progress
from resight.ranking import Ranking
from resight.tracklet import Tracklet

TOP_SHARES = (10, 20, 30, 40, 50, 60, 70, 80, 90)
"""t of the top-t % rows, in percent; 100 is the mean of all pairs."""

CORRUPTED = "corrupted"
"""Name of the paper's damage among the faults."""


@dataclass(frozen=True)
class Comparison:
    """How well each aggregator does, and of the last one, the headline, what there is to know.

    Attributes:
        scores: by name of the aggregator, in the order in which they were given.
        rankings: of the headline, by its name; of the others only where several comparisons were joined.
        auroc: by fault, of low weight of a query clip; empty if nothing is known of damage or nothing was learned.
        slices: of the headline: what queries are grouped by, to group, to the scores of its queries.
        camera_pairs: of the headline; None if not asked for, or there is only one camera.
        open_sets: by name of the aggregator, with persons taken out of the gallery; empty if not asked for.
        threshold: of the headline in the open set: from which similarity on the model is believed.
        notes: what a reader of the scores must know, a sentence each.
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
        """Name of the last aggregator: the trained one, where there is one."""
        return list(self.scores)[-1]

    @property
    def protocol_line(self) -> str:
        """What the numbers are worth, in one line."""
        return next(iter(self.scores.values())).line()

    @property
    def interval_line(self) -> str:
        """What the intervals are made of, in words."""
        scores = self.scores[self.headline]
        drawn = "queries" if scores.persons is None else f"{len(np.unique(scores.persons[scores.counted]))} persons"
        return f"interval of the mAP: {SAMPLES:,} samples of {drawn}"

    @cached_property
    def intervals(self) -> dict[str, dict[str, Interval]]:
        """By aggregator and measure, 95 % intervals for other persons of the same kind; see `confidence_intervals`."""
        return {name: confidence_intervals(one, groups=one.persons) for name, one in self.scores.items()}

    def to_json(self) -> dict[str, Any]:
        """Everything but the rankings, as plain values."""
        of_persons = self.scores[self.headline].persons is not None
        about = {"level": LEVEL, "samples": SAMPLES, "drawn": "persons" if of_persons else "queries"}
        return {
            "headline": self.headline,
            "conditions": self.protocol_line,
            "scores": {
                name: one.to_json()
                | {"intervals": about | {measure: [i.low, i.high] for measure, i in self.intervals[name].items()}}
                for name, one in self.scores.items()
            },
            "auroc_of_low_importance": {
                fault: {"auroc": one.auroc, "damaged_clips": one.damaged, "clean_clips": one.clean}
                for fault, one in self.auroc.items()
            },
            "slices": {
                by: {group: one.to_json() for group, one in groups.items()} for by, groups in self.slices.items()
            },
            "camera_pairs": self.camera_pairs and self.camera_pairs.to_json(),
            "open_set": {
                name: one.to_json(self.threshold if name == self.headline else None)
                for name, one in self.open_sets.items()
            },
            "notes": list(self.notes),
        }

    def to_text(self) -> str:
        """A table in plain text: percent, and the protocol below it."""
        lines = [f"{'':24}{'mAP':>7}{'95 % interval':>16}{'rank-1':>8}{'rank-5':>8}{'mINP':>7}{'mAP*':>7}"]
        for name, s in self.scores.items():
            _, low, high = (100 * end for end in self.intervals[name]["map"])
            lines.append(
                f"{name:24}{100 * s.map:7.1f}{f'{low:.1f} … {high:.1f}':>16}{100 * s.rank(1):8.1f}"
                f"{100 * s.rank(5):8.1f}{100 * s.minp:7.1f}{100 * s.map_trapezoid:7.1f}"
            )
        lines.append(f"{self.protocol_line}; * AP of the official MARS code; {self.interval_line}")
        lines += [f"note: {note}" for note in self.notes]
        if self.auroc:
            lines.append(f"\n{'low importance finds':24}{'AUROC':>7}{'damaged':>9}{'clean':>7}  (query clips)")
            lines += [
                f"{fault:24}{'–' if one.auroc is None else f'{one.auroc:.3f}':>7}{one.damaged:9}{one.clean:7}"
                for fault, one in self.auroc.items()
            ]
        if self.open_sets:
            lines.append(f"\n{'open set: identified at':24}{'1 % false alarms':>18}{'10 %':>7}{'without':>9}")
            for name, one in self.open_sets.items():
                at_1, at_10, without, _ = (100 * value for value in one.measures().values())
                lines.append(f"{name:24}{at_1:18.1f}{at_10:7.1f}{without:9.1f}")
            lines += ["", self.headline, self.open_sets[self.headline].to_text(self.threshold)]
        return "\n".join(lines)

    def save(self, folder: Path) -> None:
        """Write scores.json, what each query got (queries-<name>.json, for `compare_runs`), rankings, camera pairs."""
        save_json(folder / "scores.json", self.to_json())
        for name, one in self.scores.items():
            one.save(folder / f"queries-{file_name(name)}.json")
        for name, ranking in self.rankings.items():
            ranking.save(folder / f"ranking-{file_name(name)}.npz")
        if self.camera_pairs is not None:
            save_json(folder / "camera-pairs.json", self.camera_pairs.to_json())


def file_name(method: str) -> str:
    """A method's name as part of a file's name."""
    return method.replace(" %", "percent").replace(",", "").replace(" ", "-")


def save_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write plain values, replacing an older file in one step."""
    with replace_file(path) as temporary:
        temporary.write_text(json.dumps(values, indent=1), encoding="utf-8")


def load_run(path: Path, method: str | None = None) -> Scores:
    """What each query got in an evaluation that was saved.

    Args:
        path: a folder that `Comparison.save` wrote, or a file that `Scores.save` wrote.
        method: of a folder, which aggregator; None is the headline.

    Raises:
        ProtocolError: if there is no such evaluation, it has no such method, or several splits.
    """
    if not path.is_dir():
        return Scores.load(path)
    try:
        saved = json.loads((path / "scores.json").read_text(encoding="utf-8"))
        names, headline, splits = list(saved["scores"]), str(saved["headline"]), saved.get("splits", ())
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ProtocolError(
            f"{path} holds no evaluation of this version ({type(error).__name__}: {error}); give a folder that "
            "`resight evaluate --out` wrote, or a file queries-….json in one"
        ) from error
    if splits:
        raise ProtocolError(f"{path} holds {len(splits)} splits; name one of them, such as {path / 'split-1'}")
    if method is not None and method not in names:
        raise ProtocolError(f"{path} has no method {method!r}; it has {', '.join(names)}")
    return Scores.load(path / f"queries-{file_name(method or headline)}.json")


def usual_aggregators(trained: Aggregator) -> dict[str, Aggregator]:
    """What the paper compares, and last the trained aggregator of a model."""
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
    strangers: NDArray[np.int64] | None = None,
    threshold: Threshold | None = None,
    notes: tuple[str, ...] = (),
    progress: Progress | None = None,
) -> Comparison:
    """Score aggregators on the same features.

    Args:
        aggregators: by name, the headline last.
        query: Q tracklets of M clips.
        gallery: what is searched.
        protocol: the rules.
        faults: (Q, M) from `clip_faults`, to measure how well low importance points at damage.
        reranked: re-rank every ranking by k-reciprocal neighbours.
        compute: Device and precision of scoring, see `score_all_pairs`.
        groups: what queries are grouped by, to (Q,) names of groups: see `resight.evaluation.slices`.
        camera_pairs: score them too, if there are two cameras.
        strangers: persons to take out of the gallery for the open set, see `draw_strangers`; None for no open set.
        threshold: of the headline's aggregator; its gallery becomes the open set's. Re-ranked similarities have none.
        notes: what a reader of the scores must know.
        progress: called with (aggregators done, all).

    Raises:
        ProtocolError: if no query has a match.
    """
    scores: dict[str, Scores] = {}
    open_sets: dict[str, OpenSet] = {}
    auroc: dict[str, DamageAuroc] = {}
    asked, searched = labels_of(query), labels_of(gallery)
    for number, (name, aggregator) in enumerate(aggregators.items()):
        ranking, scores[name] = evaluate_features(
            query, gallery, aggregator, protocol, reranked=reranked, compute=compute
        )
        frames, reranking = scores[name].frames, scores[name].reranking
        if strangers is not None:
            found = search_open_set(ranking.table(), asked, searched, protocol, strangers)
            open_sets[name] = replace(found, frames=frames, reranking=reranking)
        if aggregator.learns_importance and faults is not None:
            auroc = auroc_by_fault(clip_weights(query, gallery, ranking, aggregator), faults)
        if progress is not None:
            progress(number + 1, len(aggregators))
    deviation = scores[name].deviation()
    pairs = None
    if camera_pairs and len({*asked.cameras.tolist(), *searched.cameras.tolist()}) > 1:
        pairs = replace(score_camera_pairs(ranking, asked, searched), frames=frames, reranking=reranking)
    believed = threshold.for_gallery(open_sets[name].gallery) if open_sets and threshold and not reranked else None
    return Comparison(
        scores,
        {name: ranking},
        auroc,
        {by: slice_scores(scores[name], names) for by, names in (groups or {}).items()},
        pairs,
        open_sets,
        believed,
        (*notes, *([deviation] if deviation else [])),
    )


def clip_faults(
    tracklets: Sequence[Tracklet],
    features: ClipFeatures,
    frame_faults: Mapping[str, str],
    corrupted: NDArray[np.bool_] | None = None,
) -> NDArray[np.str_]:
    """What is known to be wrong with each clip.

    Args:
        tracklets: T of them, the rows of `features`.
        features: whose frame numbers say which frames a clip has.
        frame_faults: frame name to fault.
        corrupted: (T, M) clips damaged on purpose; these are called ``corrupted`` whatever else they are.

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
