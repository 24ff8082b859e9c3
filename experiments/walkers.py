"""What a model is worth on the few real people at hand, and whether its importance points at what hides them.

``RESIGHT_WALKERS=WALKERS python -m experiments.walkers`` prints the tables of docs/results.md. WALKERS
holds 38 tracklets of 16 persons, from the one camera of PETS 2009, S2.L1: the first 40 % of each track as camera 1, the
last 40 % as camera 2. It is a sanity check: a query is 5 points of rank-1. Nothing may be chosen by these scores, and
no features are kept. How faults were labelled: `experiments.walker_faults`.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import torch
from cyclopts import Parameter, run
from torch import nn

from experiments.baselines import ColourHistogram
from experiments.walker_faults import LABELS, FaultImportance, faults_of_frames, importance_by_fault, read_faulty_frames
from resight.checkpoints import Checkpoint, load_checkpoint
from resight.data.readers.folder import read_folder
from resight.errors import CheckpointError
from resight.evaluation.compare import clip_faults, save_json
from resight.evaluation.evaluate import EXPLAINED_MATCHES, clip_weights, evaluate_features
from resight.evaluation.metrics import Scores
from resight.evaluation.protocols import default_protocol
from resight.features.extract import extract_clip_features
from resight.features.types import ClipFeatures
from resight.models.aggregators import Aggregator, ImportanceWeighted, MeanFeature, MeanPair, TopShare
from resight.models.encoders import make_encoder
from resight.progress import progress_bar
from resight.ranking import Ranking
from resight.recipe import ClipSpec
from resight.shipped import shipped_model
from resight.tracklet import Dataset

LEARNED = "learned importance"
SHARES = (20, 50)
"""t of the top-t % rows, fixed beforehand: the best t would be chosen on the test set."""

DIRECTIONS = {"1:2": (1, 2), "2:1": (2, 1)}
"""As in ``--cameras``: who asks, and who answers."""


LOOK_ALIKE = (("0001", "0019"), ("0002", "0013"), ("0005", "0009"), ("0008", "0014", "0015", "0018"))
"""Persons of the tracks who to the eye are one, never there at once: an answer of one for another may be right."""


class Method(NamedTuple):
    """Features of all tracklets, and how they are compared."""

    features: ClipFeatures
    aggregator: Aggregator


class WrongAnswer(NamedTuple):
    """A query, what came first, and the rank of the first right answer."""

    query: str
    answer: str
    first_right: int

    @property
    def perhaps_right(self) -> bool:
        """Whether both look like one person."""
        persons = {id_.partition("/")[0] for id_ in (self.query, self.answer)}
        return any(persons <= {*group} for group in LOOK_ALIKE)


class Answers(NamedTuple):
    """What a method answered in one direction."""

    ranking: Ranking
    scores: Scores

    def wrong(self) -> list[WrongAnswer]:
        """The queries whose best answer is wrong."""
        return [
            WrongAnswer(id_, self.ranking.best(row, 1)[0][0], int(rank))
            for row, (id_, rank) in enumerate(zip(self.scores.query_ids, self.scores.first.tolist(), strict=True))
            if 1 < rank < math.inf
        ]


def walkers(
    *,
    model: Path | None = None,
    tracklets: Annotated[Path, Parameter(env_var="RESIGHT_WALKERS")],
    demo_model: Path | None = None,
    labels: Path = LABELS,
    results: Annotated[Path | None, Parameter(name="--json")] = None,
    workers: int = os.cpu_count() or 1,
) -> None:
    """Print scores, wrong answers, importance of damaged clips and speed, in Markdown.

    Args:
        model: The model to judge; the one that comes with the package if none is given.
        tracklets: Folder of the walkers' tracklets.
        demo_model: What `make demo` trained, to compare with.
        labels: CSV of faulty frames: tracklet, first, last, fault.
        results: File for the same as JSON.
        workers: Processes that read frames.
    """
    split, loaded = read_folder(tracklets), _load(model or shipped_model())
    frame_faults = faults_of_frames(read_faulty_frames(labels), split.gallery)
    spec = loaded.recipe.clips
    begun = time.perf_counter()
    features = _encode(loaded.encoder, split, spec, workers)
    seconds = time.perf_counter() - begun
    torch.manual_seed(0)
    untrained = make_encoder(loaded.recipe.stage1)
    methods = {
        "colour histogram": Method(_encode(ColourHistogram(), split, spec, workers), MeanFeature()),
        "untrained encoder": Method(_encode(untrained, split, spec, workers), MeanFeature()),
    }
    if demo_model is not None:
        demo = _load(demo_model)
        seen = _encode(demo.encoder, split, demo.recipe.clips, workers)
        methods |= {"demo, mean of pairs": Method(seen, MeanPair()), f"demo, {LEARNED}": Method(seen, demo.aggregator)}
    aggregators = {"mean of pairs": MeanPair(), "mean feature": MeanFeature()}
    aggregators |= {f"top {share} %": TopShare(share) for share in SHARES} | {LEARNED: loaded.aggregator}
    methods |= {name: Method(features, aggregator) for name, aggregator in aggregators.items()}

    answers = {name: {way: _ask(method, split, way) for way in DIRECTIONS} for name, method in methods.items()}
    importance = _measure(methods[LEARNED], answers[LEARNED], split, frame_faults)
    clips = features.values.shape[0] * features.values.shape[1]
    speed = {
        "tracklets": len(features), "clips": clips, "seconds": seconds, "clips_per_second": clips / seconds,
        "cores": os.cpu_count(), "threads": torch.get_num_threads(), "readers": workers,
    }  # fmt: skip
    print("\n\n".join([score_table(answers), wrong_answers(answers), fault_table(importance), _speed_line(speed)]))
    if results is not None:
        save_json(results, to_json(answers, importance) | {"speed": speed})


def score_table(answers: Mapping[str, Mapping[str, Answers]]) -> str:
    """Markdown: a row for each method, percent, and below it what the scores are worth."""
    heads = [f"{measure}, {way}" for way in DIRECTIONS for measure in ("rank-1", "mAP")]
    lines = ["| | " + " | ".join(heads) + " |", "|---" * (1 + len(heads)) + "|"]
    for name, ways in answers.items():
        values = [value for one in ways.values() for value in (one.scores.rank(1), one.scores.map)]
        lines.append(f"| {name} | " + " | ".join(f"{100 * value:.1f}" for value in values) + " |")
    conditions = (f"{way}: {one.scores.line()}" for way, one in answers[LEARNED].items())
    return "\n".join([*lines, "", *(f"{line}." for line in conditions)])


def wrong_answers(answers: Mapping[str, Mapping[str, Answers]]) -> str:
    """Markdown: which queries each method got wrong, what it answered, and the rank of the right answer."""
    lines = ["Wrong: query → best answer (?: the two look like one person), rank of the right one.", ""]
    for name, ways in answers.items():
        for way, one in ways.items():
            wrong = [f"{w.query} → {w.answer}{' ?' * w.perhaps_right}, {w.first_right}" for w in one.wrong()]
            lines.append(f"* {name}, {way}: {'; '.join(wrong) or 'none'}")
    return "\n".join(lines)


def fault_table(importance: Mapping[str, FaultImportance]) -> str:
    """Markdown: how well low importance points at damaged clips, and how much they count."""
    if not importance:
        return "No clip has half of its frames in a labelled stretch."
    lines = [
        "| low importance finds | AUROC | damaged clips | clean clips | weight, damaged | weight, clean | tracklets |",
        "|---|---|---|---|---|---|---|",
    ]
    for fault, one in importance.items():
        auroc, damaged, clean = (
            "–" if value is None else f"{value:.2f}" for value in (one.auroc, one.damaged_weight, one.clean_weight)
        )
        cells = [auroc, one.damaged, one.clean, damaged, clean, one.tracklets]
        lines.append(f"| {fault.replace('_', ' ')} | " + " | ".join(map(str, cells)) + " |")
    return "\n".join(
        [
            *lines,
            "",
            "Clips of labelled tracklets; damaged: at least half of the frames. A clip's weight is its mean share over "
            f"the {EXPLAINED_MATCHES} best answers of the other camera, 1 being an even share; damaged and clean clips "
            "of the same tracklets, those that have both.",
        ]
    )


def to_json(answers: Mapping[str, Mapping[str, Answers]], importance: Mapping[str, FaultImportance]) -> dict[str, Any]:
    """The tables as plain values."""
    return {
        "methods": {
            name: {
                way: one.scores.to_json()
                | {"wrong": [wrong._asdict() | {"perhaps_right": wrong.perhaps_right} for wrong in one.wrong()]}
                for way, one in ways.items()
            }
            for name, ways in answers.items()
        },
        "importance": {fault: asdict(one) for fault, one in importance.items()},
    }


def _load(path: Path) -> Checkpoint:
    loaded = load_checkpoint(path)
    if not isinstance(loaded.aggregator, ImportanceWeighted):
        raise CheckpointError(f"{path} has learned no importance ({loaded.metadata['aggregator']}); train it with stage 2")
    return loaded


def _encode(encoder: nn.Module, split: Dataset, spec: ClipSpec, workers: int) -> ClipFeatures:
    with progress_bar("encoding", "tracklets") as progress:
        return extract_clip_features(encoder, split.gallery, spec, workers=workers, progress=progress)


def _ask(method: Method, split: Dataset, way: str) -> Answers:
    chosen = split.between_cameras(*DIRECTIONS[way])
    query, gallery = method.features.of(chosen.query), method.features.of(chosen.gallery)
    return Answers(*evaluate_features(query, gallery, method.aggregator, default_protocol(split.name)))


def _measure(
    method: Method, answers: Mapping[str, Answers], split: Dataset, frame_faults: Mapping[str, Mapping[str, str]]
) -> Mapping[str, FaultImportance]:
    weights, faults = [], []
    for way, one in answers.items():
        chosen = split.between_cameras(*DIRECTIONS[way])
        query, gallery = method.features.of(chosen.query), method.features.of(chosen.gallery)
        of_clips = clip_weights(query, gallery, one.ranking, method.aggregator)
        for row, tracklet in enumerate(chosen.query):
            if tracklet.id in frame_faults:
                weights.append(of_clips[row])
                # by the tracklet, since frames of several tracklets have the same name
                faults.append(clip_faults([tracklet], query.rows([row]), frame_faults[tracklet.id])[0])
    return importance_by_fault(np.array(weights), np.array(faults)) if weights else {}


def _speed_line(speed: Mapping[str, Any]) -> str:
    return (
        f"Indexed {speed['tracklets']} tracklets ({speed['clips']} clips) in {speed['seconds']:.1f} s: "
        f"{speed['clips_per_second']:.1f} clips/s; {speed['cores']} cores, {speed['threads']} threads compute, "
        f"{speed['readers']} processes read."
    )


if __name__ == "__main__":
    run(walkers)
