"""Adapt a model to cameras by statistics of each camera, which are kept only if they help."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
from resight.errors import DatasetError, RecipeError
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
from resight.training.run_files import open_run_folder

_CLIPS = 4
"""Clips of a part of a tracklet, which is short, when statistics are judged."""


@dataclass(frozen=True)
class Report:
    """What adaptation did.

    Attributes:
        kept: Whether the statistics of cameras helped, and so are kept.
        table: Agreement before and after.
        lines: What was done, as sentences.
        cameras: Number of tracklets and share of own statistics of each adapted camera.
    """

    kept: bool
    table: Table
    lines: tuple[str, ...]
    cameras: Mapping[str, Mapping[str, Any]]


def adapt_model(
    model: Checkpoint, tracklets: Sequence[Tracklet], source: str, path: Path, seed: int, options: RunOptions
) -> tuple[Checkpoint, Report]:
    """Adapt a model to the cameras of unlabelled tracklets, and write a model file.

    Labels are not used: see `strip_labels`. If adaptation does not help, the file holds the model as it was. Features
    and statistics are kept, so that an interrupted call continues where it stopped.

    Args:
        model: The model; it is not changed.
        tracklets: Tracklets of the cameras.
        source: Name of the data set, for the card.
        path: The model file to write.
        seed: Seed of the intervals.
        options: Device and so on. Its folder holds the state of the run, and is deleted at the end.

    Returns:
        The contents of the model file, and the report, which its card has under ``adapted``.

    Raises:
        RecipeError: If the encoder has no statistics that can be adapted.
        DatasetError: If there are too few tracklets.
        FrameError: If a frame cannot be read.
    """
    reason = without_statistics(model.encoder)
    if reason:
        raise RecipeError(f"the model cannot be adapted to cameras, because {reason}: use it as it is")
    own = strip_labels(tracklets)
    parts = divide(own)
    most = max(Counter(tracklet.camera_label for tracklet in own).values())
    if most < LEAST:
        raise DatasetError(f"no camera has more than {most} tracklets, expected at least {LEAST} of one camera")
    open_run_folder(options.folder, {
        "encoder": content_hash(model.encoder.state_dict()), "aggregator": content_hash(model.aggregator.state_dict()),
        "tracklets": fingerprint(own), "parts": fingerprint(parts.first), "seed": seed,
    })  # fmt: skip
    adapted, report = _try_statistics(model, own, parts, seed, options)
    metadata = model.metadata | {"adapted": _card(source, own, parts, seed, report)}
    if report.kept:
        metadata["threshold"] = _calibrate(adapted, parts, options).to_json()
    adapted = replace(adapted, metadata=metadata)
    with replace_file(path) as temporary:
        save_checkpoint(temporary, adapted)
    shutil.rmtree(options.folder, ignore_errors=True)
    return adapted, report


def _try_statistics(
    model: Checkpoint, own: Sequence[Tracklet], parts: Parts, seed: int, options: RunOptions
) -> tuple[Checkpoint, Report]:
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
    table = agreement_table(changes, "Statistics of each camera, percent", _note(judged))
    if not helped(changes):
        return model, Report(False, table, ("adaptation did not help: the model is as it was",), {})
    encoder, cameras = adapt_statistics(model.encoder, own, clips, options.folder, half=half, compute=compute)
    lines = ("adaptation helped: the model has statistics of these cameras", *cameras_text(cameras))
    return replace(model, encoder=encoder), Report(True, table, lines, cameras)


def _bias(changes: Mapping[str, Change]) -> float:
    """Return the change of the camera bias; 0 if there is only one camera."""
    return changes[BIAS].difference.value if BIAS in changes else 0.0


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


def _note(parts: Parts) -> str:
    pairs = (
        "seen at the same time in one camera" if parts.proven else "of one camera, assumed to show different persons"
    )
    return f"{len(parts)} tracklets; others: {pairs} ({int(parts.apart.sum()) // 2:,} pairs)"


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
        "cameras": dict(report.cameras),
        "agreement": report.table.to_json(),
        "report": list(report.lines),
    }
