"""Adapt a model to cameras, from tracklets without labels, in steps that are kept only if they help."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from resight.adaptation.statistics import LEAST
from resight.adaptation.steps import PROJECTION, STATISTICS, Step, part_similarities, try_projection, try_statistics
from resight.adaptation.unlabelled import Parts, divide, strip_labels
from resight.checkpoints import Checkpoint, save_checkpoint
from resight.errors import DatasetError
from resight.evaluation.threshold import Threshold
from resight.outputs import replace_file
from resight.tensor_files import content_hash
from resight.tracklet import Tracklet, fingerprint
from resight.training.loop import RunOptions
from resight.training.run_files import open_run_folder

_STEPS = {STATISTICS: try_statistics, PROJECTION: try_projection}


@dataclass(frozen=True)
class Report:
    """What adaptation did.

    Attributes:
        statistics: What the step with statistics of each camera did.
        projection: What the step with a projection of the features did.
    """

    statistics: Step
    projection: Step

    @property
    def kept(self) -> bool:
        """Whether a step helped, so that the model is another one."""
        return self.statistics.kept or self.projection.kept

    def to_json(self) -> dict[str, Any]:
        """Return the contents for the card of the model."""
        return {STATISTICS: self.statistics.to_json(), PROJECTION: self.projection.to_json()}


def adapt_model(
    model: Checkpoint, tracklets: Sequence[Tracklet], source: str, path: Path, seed: int, options: RunOptions
) -> tuple[Checkpoint, Report]:
    """Adapt a model to the cameras of unlabelled tracklets, and write a model file.

    Labels are not used: see `strip_labels`. If no step helps, the file holds the model as it was. Features and
    statistics are kept, so that an interrupted call continues where it stopped.

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
        DatasetError: If there are too few tracklets.
        FrameError: If a frame cannot be read.
    """
    own = strip_labels(tracklets)
    parts = divide(own)
    most = max(Counter(tracklet.camera_label for tracklet in own).values())
    if most < LEAST:
        raise DatasetError(f"no camera has more than {most} tracklets, expected at least {LEAST} of one camera")
    open_run_folder(options.folder, {
        "encoder": content_hash(model.encoder.state_dict()), "aggregator": content_hash(model.aggregator.state_dict()),
        "tracklets": fingerprint(own), "parts": fingerprint(parts.first), "seed": seed,
    })  # fmt: skip
    adapted, report = adapt_in_steps(model, own, parts, seed, options)
    metadata = model.metadata | {"adapted": _card(source, own, parts, seed, report)}
    if report.kept:
        metadata["threshold"] = _calibrate(adapted, parts, options).to_json()
    adapted = replace(adapted, metadata=metadata)
    with replace_file(path) as temporary:
        save_checkpoint(temporary, adapted)
    shutil.rmtree(options.folder, ignore_errors=True)
    return adapted, report


def adapt_in_steps(
    model: Checkpoint, own: Sequence[Tracklet], parts: Parts, seed: int, options: RunOptions,
    chosen: Sequence[str] = (STATISTICS, PROJECTION),
) -> tuple[Checkpoint, Report]:  # fmt: skip
    """Return a model after some of the steps, and the report; for the arguments see `adapt_model` and `divide`."""
    done = dict.fromkeys(_STEPS, Step(False, ()))
    for name in chosen:
        model, done[name] = _STEPS[name](model, own, parts, seed, options)
    return model, Report(**done)


def _calibrate(model: Checkpoint, parts: Parts, options: RunOptions) -> Threshold:
    """Return a threshold from pairs of tracklets that show different persons."""
    similarity = part_similarities(model, parts, options, model.recipe.clips.count)
    best = np.where(parts.apart, similarity, -np.inf).max(1)
    certain = "seen at the same time" if parts.proven else "taken for different persons"
    source = f"pairs of tracklets of a camera, {certain}"
    return Threshold.fitted(best, float(parts.apart.sum(1).mean()), len(parts), source, 0.05, len(parts))


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
        **report.to_json(),
    }
