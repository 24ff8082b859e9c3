"""Evaluate a model on a few real people, and test whether low importance detects occluded and badly cropped clips.

``RESIGHT_WALKERS=WALKERS python -m experiments.walkers`` prints the tables of docs/results.md. WALKERS has 38 tracklets
of 16 persons from one camera (PETS 2009, S2.L1): the first 40 % of each track is camera 1, the last 40 % is camera 2.
This is a sanity check: one query is 5 points of rank-1. Do not use these scores for model selection. No features are
stored. `experiments.walker_faults` describes how the faults were labelled.
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
from resight.models.aggregators import Aggregator, MeanFeature, MeanPair, TopShare
from resight.models.colour_histogram import ColourHistogram
from resight.models.encoders import make_encoder
from resight.progress import progress_bar
from resight.ranking import Ranking
from resight.recipe import ClipSpec
from resight.shipped import shipped_model
from resight.tracklet import Dataset

LEARNED = "learned importance"
SHARES = (20, 50)
"""Values of t of the top-t % rows, fixed in advance; the best t would be selected on the test set."""

DIRECTIONS = {"1:2": (1, 2), "2:1": (2, 1)}
"""Direction → camera of the queries and camera of the gallery, as in ``--cameras``."""

LOOK_ALIKE = (("0001", "0019"), ("0002", "0013"), ("0005", "0009"), ("0008", "0014", "0015", "0018"))
"""Persons who look the same and never appear at the same time; a match between them may be correct."""


class Method(NamedTuple):
    """Features of all tracklets, and the aggregator that compares them."""

    features: ClipFeatures
    aggregator: Aggregator


class WrongAnswer(NamedTuple):
    """A query, its wrong first answer, and the rank of its first match."""

    query: str
    answer: str
    first_match: int

    @property
    def perhaps_correct(self) -> bool:
        """Return whether both look like the same person."""
        persons = {id_.partition("/")[0] for id_ in (self.query, self.answer)}
        return any(persons <= {*group} for group in LOOK_ALIKE)


class Answers(NamedTuple):
    """The results of a method in one direction."""

    ranking: Ranking
    scores: Scores

    def wrong(self) -> list[WrongAnswer]:
        """Return the queries whose first answer is wrong."""
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
    """Print scores, wrong answers, importance of damaged clips and speed as Markdown.

    Args:
        model: The model to evaluate; the shipped model by default.
        tracklets: Folder with the tracklets of the pedestrians.
        demo_model: A model trained with the recipe `demo`, to compare with.
        labels: CSV file of faulty frames: tracklet, first, last, fault.
        results: JSON file to write the same results to.
        workers: Number of processes that read frames.
    """
    data, loaded = read_folder(tracklets), _load(model or shipped_model())
    frame_faults = faults_of_frames(read_faulty_frames(labels), data.gallery)
    spec = loaded.recipe.clips
    start = time.perf_counter()
    features = _encode(loaded.encoder, data, spec, workers)
    seconds = time.perf_counter() - start
    torch.manual_seed(0)
    untrained = make_encoder(loaded.recipe.stage1)
    methods = {
        "colour histogram": Method(_encode(ColourHistogram(), data, spec, workers), MeanFeature()),
        "untrained encoder": Method(_encode(untrained, data, spec, workers), MeanFeature()),
    }
    if demo_model is not None:
        demo = _load(demo_model)
        demo_features = _encode(demo.encoder, data, demo.recipe.clips, workers)
        methods |= {"demo, mean of pairs": Method(demo_features, MeanPair())}
        methods[f"demo, {LEARNED}"] = Method(demo_features, demo.aggregator)
    aggregators = {"mean of pairs": MeanPair(), "mean feature": MeanFeature()}
    aggregators |= {f"top {share} %": TopShare(share) for share in SHARES} | {LEARNED: loaded.aggregator}
    methods |= {name: Method(features, aggregator) for name, aggregator in aggregators.items()}

    answers = {name: {way: _search(method, data, way) for way in DIRECTIONS} for name, method in methods.items()}
    importance = _measure(methods[LEARNED], answers[LEARNED], data, frame_faults)
    clips = features.values.shape[0] * features.values.shape[1]
    speed = {
        "tracklets": len(features), "clips": clips, "seconds": seconds, "clips_per_second": clips / seconds,
        "cores": os.cpu_count(), "threads": torch.get_num_threads(), "readers": workers,
    }  # fmt: skip
    print("\n\n".join([score_table(answers), wrong_answers(answers), fault_table(importance), _speed_line(speed)]))
    if results is not None:
        save_json(results, to_json(answers, importance) | {"speed": speed})


def score_table(answers: Mapping[str, Mapping[str, Answers]]) -> str:
    """Return a Markdown table of the scores in percent, with the conditions below."""
    heads = [f"{measure}, {way}" for way in DIRECTIONS for measure in ("rank-1", "mAP")]
    lines = ["| | " + " | ".join(heads) + " |", "|---" * (1 + len(heads)) + "|"]
    for name, ways in answers.items():
        values = [value for one in ways.values() for value in (one.scores.rank(1), one.scores.map)]
        lines.append(f"| {name} | " + " | ".join(f"{100 * value:.1f}" for value in values) + " |")
    conditions = (f"{way}: {one.scores.line()}" for way, one in answers[LEARNED].items())
    return "\n".join([*lines, "", *(f"{line}." for line in conditions)])


def wrong_answers(answers: Mapping[str, Mapping[str, Answers]]) -> str:
    """Return a Markdown list of the wrong first answers of each method, with the rank of the first match."""
    lines = ["Wrong first answers: query → answer (? if both look like the same person), rank of the first match.", ""]
    for name, ways in answers.items():
        for way, one in ways.items():
            wrong = [f"{w.query} → {w.answer}{' ?' * w.perhaps_correct}, {w.first_match}" for w in one.wrong()]
            lines.append(f"* {name}, {way}: {'; '.join(wrong) or 'none'}")
    return "\n".join(lines)


def fault_table(importance: Mapping[str, FaultImportance]) -> str:
    """Return a Markdown table of the AUROC of low importance and the weights of damaged clips."""
    if not importance:
        return "No clip has half of its frames in a labelled range."
    lines = [
        "| low importance detects | AUROC | damaged clips | clean clips "
        "| weight, damaged | weight, clean | tracklets |",
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
            "Clips of labelled tracklets; a clip is damaged if at least half of its frames are. Weight of a clip: mean "
            f"over the {EXPLAINED_MATCHES} best answers of the other camera, 1 is an equal share; tracklets with both "
            "damaged and clean clips.",
        ]
    )


def to_json(answers: Mapping[str, Mapping[str, Answers]], importance: Mapping[str, FaultImportance]) -> dict[str, Any]:
    """Return the values of the tables for JSON."""
    return {
        "methods": {
            name: {
                way: one.scores.to_json()
                | {"wrong": [wrong._asdict() | {"perhaps_correct": wrong.perhaps_correct} for wrong in one.wrong()]}
                for way, one in ways.items()
            }
            for name, ways in answers.items()
        },
        "importance": {fault: asdict(one) for fault, one in importance.items()},
    }


def _load(path: Path) -> Checkpoint:
    loaded = load_checkpoint(path)
    if not loaded.aggregator.learns_importance:
        raise CheckpointError(
            f"the aggregator of {path} ({loaded.aggregator.kind}) has no learned importance; train stage 2 first"
        )
    return loaded


def _encode(encoder: nn.Module, data: Dataset, spec: ClipSpec, workers: int) -> ClipFeatures:
    with progress_bar("encoding", "tracklets") as progress:
        return extract_clip_features(encoder, data.gallery, spec, workers=workers, progress=progress)


def _search(method: Method, data: Dataset, way: str) -> Answers:
    chosen = data.between_cameras(*DIRECTIONS[way])
    query, gallery = method.features.of(chosen.query), method.features.of(chosen.gallery)
    return Answers(*evaluate_features(query, gallery, method.aggregator, default_protocol(data.name)))


def _measure(
    method: Method, answers: Mapping[str, Answers], data: Dataset, frame_faults: Mapping[str, Mapping[str, str]]
) -> Mapping[str, FaultImportance]:
    weights, faults = [], []
    for way, one in answers.items():
        chosen = data.between_cameras(*DIRECTIONS[way])
        query, gallery = method.features.of(chosen.query), method.features.of(chosen.gallery)
        of_clips = clip_weights(query, gallery, one.ranking, method.aggregator)
        for row, tracklet in enumerate(chosen.query):
            if tracklet.id in frame_faults:
                weights.append(of_clips[row])
                # One tracklet at a time, because frames of several tracklets have the same name.
                faults.append(clip_faults([tracklet], query.rows([row]), frame_faults[tracklet.id])[0])
    return importance_by_fault(np.array(weights), np.array(faults)) if weights else {}


def _speed_line(speed: Mapping[str, Any]) -> str:
    return (
        f"Encoded {speed['tracklets']} tracklets ({speed['clips']} clips) in {speed['seconds']:.1f} s: "
        f"{speed['clips_per_second']:.1f} clips/s; {speed['cores']} cores, {speed['threads']} compute threads, "
        f"{speed['readers']} reader processes."
    )


if __name__ == "__main__":
    run(walkers)
