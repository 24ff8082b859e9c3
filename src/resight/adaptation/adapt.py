"""Adapt a model to cameras: statistics of each camera, then importance; each step is kept only if it helps."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resight.adaptation.agreement import (
    AUROC,
    BIAS,
    REASSOCIATION,
    Change,
    agreement_table,
    cameras_text,
    compare_agreement,
    helped,
)
from resight.adaptation.importance import adapt_importance, extract_parts, importance_recipe
from resight.adaptation.statistics import (
    CAREFUL,
    HALVES,
    LEAST,
    adapt_statistics,
    assign_folds,
    fold_encoder,
    in_fold,
    without_statistics,
)
from resight.adaptation.unlabelled import Parts, divide, strip_labels
from resight.checkpoints import Checkpoint, save_checkpoint
from resight.errors import DatasetError
from resight.evaluation.threshold import Threshold
from resight.features.extract import extract_clip_features
from resight.features.store import FeatureStore
from resight.models.encoders import ClipEncoder
from resight.outputs import replace_file
from resight.progress import progress_bar
from resight.scoring.all_pairs import score_all_pairs
from resight.tables import Table
from resight.tensor_files import content_hash
from resight.tracklet import Tracklet, fingerprint
from resight.training.loop import RunOptions

STATISTICS, IMPORTANCE = "statistics", "importance"
STEPS = (STATISTICS, IMPORTANCE)
"""Steps of adaptation, in order."""

_CLIPS = 4
"""Clips of a part of a tracklet, which is short, when statistics are judged."""


@dataclass
class Report:
    """What adaptation did.

    Attributes:
        kept: Steps that helped.
        tables: Agreement before and after each step that was tried.
        lines: What was done with each step and camera, as sentences.
        cameras: Number of tracklets and share of own statistics of each adapted camera.
    """

    kept: list[str] = field(default_factory=list)
    tables: dict[str, Table] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    cameras: dict[str, dict[str, Any]] = field(default_factory=dict)


def adapt_model(
    model: Checkpoint, tracklets: Sequence[Tracklet], source: str, path: Path, seed: int, options: RunOptions,
    steps: Sequence[str] = STEPS,
) -> tuple[Checkpoint, Report]:  # fmt: skip
    """Adapt a model to the cameras of unlabelled tracklets, and write a model file.

    Labels are not used: see `strip_labels`. If no step helps, the file holds the model as it was. Features, statistics
    and training states are kept, so that an interrupted call continues where it stopped.

    Args:
        model: The model; it is not changed.
        tracklets: Tracklets of the cameras.
        source: Name of the data set, for the card.
        path: The model file to write.
        seed: Seed of the training of the importance network, and of the intervals.
        options: Device and so on. Its folder holds the state of the run, and is deleted at the end.
        steps: Steps to try, of `STEPS`.

    Returns:
        The contents of the model file, and the report, which its card has under ``adapted``.

    Raises:
        DatasetError: If there are too few tracklets, or none of the steps is possible.
        FrameError: If a frame cannot be read.
    """
    own = strip_labels(tracklets)
    parts = divide(own)
    report = Report()
    possible = _possible_steps(model, own, parts, steps, report)
    if not possible:
        raise DatasetError(f"{source} and this model allow no adaptation: {'; '.join(report.lines)}")
    _open_folder(options.folder, {
        "encoder": content_hash(model.encoder.state_dict()), "aggregator": content_hash(model.aggregator.state_dict()),
        "tracklets": fingerprint(own), "parts": fingerprint(parts.first), "seed": seed, "steps": list(possible),
    })  # fmt: skip
    adapted = model
    if STATISTICS in possible:
        adapted = _try_statistics(adapted, own, parts, seed, options, report)
    if IMPORTANCE in possible:
        adapted = _try_importance(adapted, parts, seed, options, report)
    metadata = model.metadata | {"adapted": _card(source, own, parts, seed, report)}
    if report.kept:
        metadata["threshold"] = _calibrate(adapted, parts, options).to_json()
    adapted = replace(adapted, metadata=metadata)
    with replace_file(path) as temporary:
        save_checkpoint(temporary, adapted)
    shutil.rmtree(options.folder, ignore_errors=True)
    return adapted, report


def _possible_steps(
    model: Checkpoint, own: Sequence[Tracklet], parts: Parts, steps: Sequence[str], report: Report
) -> list[str]:
    """Return the steps that model and data allow, and report why others are not possible."""
    cameras = [tracklet.camera_label for tracklet in own]
    reasons = {
        STATISTICS: without_statistics(model.encoder)
        or ("" if max(map(cameras.count, set(cameras))) >= LEAST else f"no camera has {LEAST} tracklets"),
        IMPORTANCE: ""
        if model.aggregator.learns_importance
        else "the model has no importance network: see resight fit",
    }
    if not reasons[IMPORTANCE] and not parts.proven:
        reasons[IMPORTANCE] = "the tracklets have no times, which prove that two show different persons"
    for step in steps:
        if reasons[step]:
            report.lines.append(f"{step}: not possible, because {reasons[step]}")
    return [step for step in steps if not reasons[step]]


def _try_statistics(
    model: Checkpoint, own: Sequence[Tracklet], parts: Parts, seed: int, options: RunOptions, report: Report
) -> Checkpoint:
    """Try larger and larger shares of own statistics, until tracklets agree less or their cameras matter more.

    Of the shares before that, the largest with at least half of the greatest reduction of the camera bias is used.
    """
    clips, compute = model.recipe.clips, options.compute
    folds = assign_folds(own)
    fold = np.array([folds[part.id.removesuffix("/first")] for part in parts.first])
    judged = replace(parts, apart=parts.apart & (fold[:, None] == fold))
    first, last = (tuple(map(in_fold, side, fold.tolist())) for side in (parts.first, parts.last))
    named = replace(judged, first=first, last=last)
    before = _similarities(model, parts, options)
    tried: list[tuple[int, dict[str, Change]]] = []
    for half in HALVES if len(set(parts.cameras.tolist())) > 1 else (CAREFUL,):
        with progress_bar("statistics", "cameras", options.progress) as progress:
            encoder: ClipEncoder = fold_encoder(
                model.encoder, own, clips, options.folder, half=half, compute=compute, progress=progress
            )
        after = _similarities(replace(model, encoder=encoder), named, options)
        changes = compare_agreement(before, after, judged, seed)
        worse = changes[REASSOCIATION].fell or changes[AUROC].fell or _bias(changes) > 0
        if not worse or not tried:
            tried.append((half, changes))
        if worse:
            break
    least = min(_bias(changes) for _, changes in tried)
    half, changes = [(half, changes) for half, changes in tried if _bias(changes) <= least / 2 or len(tried) == 1][-1]
    report.tables[STATISTICS] = agreement_table(changes, "Statistics of each camera, percent", _note(judged))
    _judge(STATISTICS, changes, report)
    if STATISTICS not in report.kept:
        return model
    encoder, report.cameras = adapt_statistics(model.encoder, own, clips, options.folder, half=half, compute=compute)
    report.lines += [f"  {line}" for line in cameras_text(report.cameras)]
    return replace(model, encoder=encoder)


def _bias(changes: Mapping[str, Change]) -> float:
    """Return the change of the camera bias; 0 if there is only one camera."""
    return changes[BIAS].difference.value if BIAS in changes else 0.0


def _try_importance(model: Checkpoint, parts: Parts, seed: int, options: RunOptions, report: Report) -> Checkpoint:
    with progress_bar("encoding", "tracklets", options.progress) as progress:
        features = extract_parts(model, parts, options, progress)
    aggregator, held_out = adapt_importance(model, features, seed, options)
    judged = features.rows(held_out)
    most = importance_recipe(model.recipe, seed, len(parts)).stage2.max_corrupted
    before, after = (
        judged.similarities(network, most, seed + 1, options.compute) for network in (model.aggregator, aggregator)
    )
    changes = compare_agreement(before, after, judged.parts, seed)
    report.tables[IMPORTANCE] = agreement_table(
        changes, "Importance under mixed damage, percent", _note(judged.parts, "held-out ")
    )
    _judge(IMPORTANCE, changes, report)
    return replace(model, aggregator=aggregator) if IMPORTANCE in report.kept else model


def _judge(step: str, changes: Mapping[str, Change], report: Report) -> None:
    """Report whether a step is kept."""
    if helped(changes):
        report.kept.append(step)
        report.lines.append(f"{step}: kept")
    else:
        report.lines.append(f"{step}: did not help, so the model keeps what it had")


def _similarities(model: Checkpoint, parts: Parts, options: RunOptions, clips: int = _CLIPS) -> NDArray[np.float64]:
    """Return the similarities of first to last parts, (T, T), from at most `clips` clips of each."""
    spec = replace(model.recipe.clips, count=min(clips, model.recipe.clips.count))
    with progress_bar("encoding", "tracklets", options.progress) as progress:
        features = extract_clip_features(
            model.encoder, (*parts.first, *parts.last), spec, store=FeatureStore(options.folder),
            workers=options.workers, compute=options.compute, progress=progress,
        )  # fmt: skip
    first, last = np.split(features.values, 2)
    scores = score_all_pairs(first, last, model.aggregator, compute=options.compute)
    return scores.astype(np.float64)


def _calibrate(model: Checkpoint, parts: Parts, options: RunOptions) -> Threshold:
    """Return a threshold from pairs of tracklets that show different persons."""
    similarity = _similarities(model, parts, options, model.recipe.clips.count)
    best = np.where(parts.apart, similarity, -np.inf).max(1)
    certain = "seen at the same time" if parts.proven else "taken for different persons"
    source = f"pairs of tracklets of a camera, {certain}"
    return Threshold.fitted(best, float(parts.apart.sum(1).mean()), len(parts), source, 0.05, len(parts))


def _note(parts: Parts, which: str = "") -> str:
    pairs = (
        "seen at the same time in one camera" if parts.proven else "of one camera, assumed to show different persons"
    )
    return f"{len(parts)} {which}tracklets; others: {pairs} ({int(parts.apart.sum()) // 2:,} pairs)"


def _card(source: str, own: Sequence[Tracklet], parts: Parts, seed: int, report: Report) -> dict[str, Any]:
    """Return the part of the model card about the adaptation."""
    return {
        "source": source,
        "tracklets": len(own),
        "frames": sum(map(len, own)),
        "judged_on": len(parts),
        "proven": parts.proven,
        "seed": seed,
        "kept": report.kept,
        "cameras": report.cameras,
        "agreement": {step: table.to_json() for step, table in report.tables.items()},
        "report": report.lines,
    }


def _open_folder(folder: Path, arguments: Mapping[str, Any]) -> None:
    """Make the folder of a run, or keep that of an interrupted run with the same arguments."""
    stamp = folder / "arguments.json"
    text = json.dumps(arguments, indent=1)
    if folder.exists() and not (stamp.is_file() and stamp.read_text(encoding="utf-8") == text):
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    stamp.write_text(text, encoding="utf-8")
