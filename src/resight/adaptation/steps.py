"""What all steps of adaptation share: their result, and the features and similarities that they are judged by.

Legend: T tracklets, M clips of each, D features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resight.adaptation.unlabelled import Parts
from resight.checkpoints import Checkpoint
from resight.features.extract import extract_clip_features
from resight.features.store import FeatureStore
from resight.models.aggregators import Aggregator
from resight.progress import progress_bar
from resight.scoring.all_pairs import score_all_pairs
from resight.tables import Table
from resight.tracklet import Tracklet
from resight.training.loop import RunOptions

MOST_GROUPED = 2000
"""Most tracklets that are grouped; the time for groups grows with their square."""

CLIPS = 4
"""Clips of a part of a tracklet, which is short, when a step is judged, and of a tracklet when it is grouped."""


@dataclass(frozen=True)
class Step:
    """What a step of adaptation did.

    Attributes:
        kept: Whether it helped, and so is kept.
        lines: What was done, as sentences.
        table: Agreement before and after; None if the step does not apply.
        values: Further values for the card.
        tried: The model with this step, kept or not; None if the step does not apply, or only parts of it were made.
        groups: The group of each grouped tracklet, see `group_tracklets`; None for steps without groups.
    """

    kept: bool
    lines: tuple[str, ...]
    table: Table | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    tried: Checkpoint | None = field(default=None, compare=False)
    groups: NDArray[np.int64] | None = field(default=None, compare=False)

    def to_json(self) -> dict[str, Any]:
        """Return the contents for the card of the model."""
        table = None if self.table is None else self.table.to_json()
        return {"kept": self.kept, "report": list(self.lines), "agreement": table, **self.values}


def part_similarities(model: Checkpoint, parts: Parts, options: RunOptions, clips: int = CLIPS) -> NDArray[np.float64]:
    """Return the similarities of first to last parts, (T, T), from at most `clips` clips of each."""
    first, last = np.split(encoded(model, (*parts.first, *parts.last), options, clips), 2)
    return scores(model.aggregator, first, last, options)


def encoded(
    model: Checkpoint, tracklets: Sequence[Tracklet], options: RunOptions, clips: int = CLIPS
) -> NDArray[np.float32]:
    """Return the clip features of tracklets, (T, M, D), from at most `clips` clips of each."""
    spec = replace(model.recipe.clips, count=min(clips, model.recipe.clips.count))
    with progress_bar("encoding", "tracklets", options.progress) as progress:
        return extract_clip_features(
            model.encoder, tracklets, spec, store=FeatureStore(options.folder), workers=options.workers,
            compute=options.compute, progress=progress,
        ).values  # fmt: skip


def mean_features(model: Checkpoint, tracklets: Sequence[Tracklet], options: RunOptions) -> NDArray[np.float32]:
    """Return one vector of length 1 for each tracklet, (T, D)."""
    return unit_means(encoded(model, tracklets, options))


def scores(
    aggregator: Aggregator, first: NDArray[np.float32], last: NDArray[np.float32], options: RunOptions
) -> NDArray[np.float64]:
    """Return the similarities of clip features, (rows, M, D) and (T, M, D) to (rows, T)."""
    return score_all_pairs(first, last, aggregator, compute=options.compute).astype(np.float64)


def note_on(parts: Parts) -> str:
    """Return the note below a table of agreement."""
    pairs = (
        "seen at the same time in one camera" if parts.proven else "of one camera, assumed to show different persons"
    )
    return f"{len(parts)} tracklets; others: {pairs} ({int(parts.apart.sum()) // 2:,} pairs)"


def unit_means(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean clip features of tracklets with length 1, (T, M, D) to (T, D)."""
    return _units(_units(features).mean(1))


def _units(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the vectors on the last axis with length 1."""
    lengths = np.linalg.norm(features, axis=-1, keepdims=True)
    units: NDArray[np.float32] = features / lengths.clip(1e-12)
    return units
