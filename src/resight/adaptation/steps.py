"""The two steps of adaptation, each kept only if it helps: statistics of each camera, and a projection of features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
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
    helped_across_cameras,
)
from resight.adaptation.projection import Projection, fit_projection
from resight.adaptation.statistics import (
    CAREFUL,
    HALVES,
    adapt_statistics,
    assign_folds,
    fold_encoder,
    in_fold,
    without_statistics,
)
from resight.adaptation.unlabelled import Parts, different_persons, thinned
from resight.checkpoints import Checkpoint
from resight.features.extract import extract_clip_features
from resight.features.store import FeatureStore
from resight.models.camera_encoder import CameraEncoder
from resight.models.encoders import ClipEncoder
from resight.models.projected_encoder import ProjectedEncoder
from resight.progress import progress_bar
from resight.scoring.all_pairs import score_all_pairs
from resight.tables import Table
from resight.tracklet import Tracklet
from resight.training.loop import RunOptions

STATISTICS, PROJECTION = "statistics", "projection"

MOST_GROUPED = 2000
"""Most tracklets that the projection is computed from; the time for groups grows with their square."""

_CLIPS = 4
"""Clips of a part of a tracklet, which is short, when a step is judged, and of a tracklet when it is grouped."""


@dataclass(frozen=True)
class Step:
    """What a step of adaptation did.

    Attributes:
        kept: Whether it helped, and so is kept.
        lines: What was done, as sentences.
        table: Agreement before and after; None if the step does not apply.
        values: Further values for the card.
        projection: The projection of all tracklets, used or not; None for another step.
    """

    kept: bool
    lines: tuple[str, ...]
    table: Table | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    projection: Projection | None = field(default=None, compare=False)

    def to_json(self) -> dict[str, Any]:
        """Return the contents for the card of the model."""
        table = None if self.table is None else self.table.to_json()
        return {"kept": self.kept, "report": list(self.lines), "agreement": table, **self.values}


def try_statistics(
    model: Checkpoint, own: Sequence[Tracklet], parts: Parts, seed: int, options: RunOptions
) -> tuple[Checkpoint, Step]:
    """Try larger and larger shares of own statistics, until tracklets agree less or their cameras matter more.

    Of the shares before that, the largest with at least half of the greatest reduction of the camera bias is used.
    """
    reason = without_statistics(model.encoder)
    if reason:
        return model, Step(False, (f"no statistics of cameras, because {reason}",))
    clips, compute = model.recipe.clips, options.compute
    fold = _folds(own, parts)
    judged = parts.within(fold)
    first, last = (tuple(map(in_fold, side, fold.tolist())) for side in (parts.first, parts.last))
    named = replace(judged, first=first, last=last)
    before = part_similarities(model, parts, options)
    tried: list[tuple[int, dict[str, Change]]] = []
    for half in HALVES if parts.elsewhere.any() else (CAREFUL,):
        with progress_bar("statistics", "cameras", options.progress) as progress:
            encoder: ClipEncoder = fold_encoder(
                model.encoder, own, clips, options.folder, half=half, compute=compute, progress=progress
            )
        after = part_similarities(replace(model, encoder=encoder), named, options)
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
        return model, Step(False, ("statistics of cameras did not help, and are not used",), table, {"cameras": {}})
    encoder, cameras = adapt_statistics(model.encoder, own, clips, options.folder, half=half, compute=compute)
    lines = ("statistics of cameras helped, and are used", *cameras_text(cameras))
    return replace(model, encoder=encoder), Step(True, lines, table, {"cameras": cameras})


def try_projection(
    model: Checkpoint, own: Sequence[Tracklet], parts: Parts, seed: int, options: RunOptions
) -> tuple[Checkpoint, Step]:
    """Try a projection of the features, computed from groups of tracklets.

    Each fold of the tracklets is judged with the projection that is computed from the other.
    """
    grouped = thinned(own, MOST_GROUPED)
    features = _units(_units(_encoded(model, grouped, options)).mean(1))
    apart, proven = different_persons(grouped)
    apart &= proven  # without times, two tracklets of a camera may show one person
    projection = fit_projection(features, apart)
    summary = {
        "tracklets": len(grouped), "grouped": projection.n_grouped, "groups": projection.n_groups, "constraints": proven
    }  # fmt: skip
    counts = f"  {projection.n_grouped} of {len(grouped)} tracklets in {projection.n_groups} groups"
    folds = assign_folds(own)
    other = [np.array([folds[tracklet.id] != fold for tracklet in grouped]) for fold in (0, 1)]
    matrices = [fit_projection(features[rows], apart[np.ix_(rows, rows)]).matrix for rows in other]
    fold = _folds(own, parts)
    judged = parts.within(fold)
    first, last = np.split(_encoded(model, (*parts.first, *parts.last), options), 2)
    before, after = _scores(model, first, last, options), np.empty((len(parts), len(parts)))
    for number, matrix in enumerate(matrices):
        rows = fold == number
        after[rows] = _scores(model, first[rows] @ matrix, last @ matrix, options)
    changes = compare_agreement(before, after, judged, seed)
    table = agreement_table(changes, "Projection of features, percent", _note(judged))
    # If it does not clearly reduce the influence of cameras, it is as often worse as better for other persons.
    if not helped_across_cameras(changes):
        return model, Step(False, ("projection did not help, and is not used", counts), table, summary, projection)
    lines = ("projection helped, and is used", counts)
    return replace(model, encoder=_projected(model.encoder, projection)), Step(True, lines, table, summary, projection)


def part_similarities(model: Checkpoint, parts: Parts, options: RunOptions, clips: int = _CLIPS) -> NDArray[np.float64]:
    """Return the similarities of first to last parts, (T, T), from at most `clips` clips of each."""
    first, last = np.split(_encoded(model, (*parts.first, *parts.last), options, clips), 2)
    return _scores(model, first, last, options)


def _folds(own: Sequence[Tracklet], parts: Parts) -> NDArray[np.int64]:
    """Return the fold of each tracklet that has parts."""
    folds = assign_folds(own)
    return np.array([folds[part.id.removesuffix("/first")] for part in parts.first])


def _encoded(
    model: Checkpoint, tracklets: Sequence[Tracklet], options: RunOptions, clips: int = _CLIPS
) -> NDArray[np.float32]:
    """Return the clip features of tracklets, (T, M, D), from at most `clips` clips of each."""
    spec = replace(model.recipe.clips, count=min(clips, model.recipe.clips.count))
    with progress_bar("encoding", "tracklets", options.progress) as progress:
        return extract_clip_features(
            model.encoder, tracklets, spec, store=FeatureStore(options.folder), workers=options.workers,
            compute=options.compute, progress=progress,
        ).values  # fmt: skip


def _scores(
    model: Checkpoint, first: NDArray[np.float32], last: NDArray[np.float32], options: RunOptions
) -> NDArray[np.float64]:
    """Return the similarities of clip features, (rows, M, D) and (T, M, D) to (rows, T)."""
    return score_all_pairs(first, last, model.aggregator, compute=options.compute).astype(np.float64)


def _units(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the vectors on the last axis with length 1."""
    lengths = np.linalg.norm(features, axis=-1, keepdims=True)
    units: NDArray[np.float32] = features / lengths.clip(1e-12)
    return units


def _projected(encoder: ClipEncoder, projection: Projection) -> ClipEncoder:
    """Return an encoder with a projection; statistics of cameras stay, and an earlier projection is applied first."""
    if isinstance(encoder, CameraEncoder):
        own = dict(zip(encoder.cameras, encoder.values.cpu(), strict=True))
        return CameraEncoder(_projected(encoder.trained, projection), own).eval()
    matrix = torch.from_numpy(projection.matrix)
    if isinstance(encoder, ProjectedEncoder):
        matrix = encoder.matrix @ matrix.to(encoder.matrix.device)
        return ProjectedEncoder(encoder.trained, matrix).eval()
    device = next(encoder.parameters(), matrix).device
    return ProjectedEncoder(encoder, matrix.to(device)).eval()


def _bias(changes: Mapping[str, Change]) -> float:
    """Return the change of the camera bias; 0 if there is only one camera."""
    return changes[BIAS].difference.value if BIAS in changes else 0.0


def _note(parts: Parts) -> str:
    pairs = (
        "seen at the same time in one camera" if parts.proven else "of one camera, assumed to show different persons"
    )
    return f"{len(parts)} tracklets; others: {pairs} ({int(parts.apart.sum()) // 2:,} pairs)"
