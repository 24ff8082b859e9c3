"""Adapt a model to cameras, from tracklets without labels, in steps that are kept only if they help."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from resight.adaptation.encoder import try_encoder
from resight.adaptation.importance import try_importance
from resight.adaptation.projection import try_projection
from resight.adaptation.statistics import LEAST, try_statistics
from resight.adaptation.steps import Step, part_similarities
from resight.adaptation.unlabelled import Parts, divide, strip_labels
from resight.checkpoints import Checkpoint, save_checkpoint
from resight.errors import DatasetError, RecipeError
from resight.evaluation.threshold import Threshold
from resight.outputs import replace_file
from resight.tables import Table
from resight.tensor_files import content_hash
from resight.tracklet import Tracklet, fingerprint
from resight.training.loop import RunOptions
from resight.training.run_files import open_run_folder

STATISTICS, ENCODER, PROJECTION, IMPORTANCE = "statistics", "encoder", "projection", "importance"

_TRIALS = {STATISTICS: try_statistics, ENCODER: try_encoder, PROJECTION: try_projection, IMPORTANCE: try_importance}

STEPS = tuple(_TRIALS)
"""All steps, in the order in which they are tried: each starts from what those before it have kept."""

DEFAULT = (STATISTICS, PROJECTION)
"""The steps that gained on worlds of a style that the model had not seen; see docs/adaptation.md."""


@dataclass(frozen=True)
class Report:
    """What adaptation did.

    Attributes:
        steps: What each step did, by name.
    """

    steps: Mapping[str, Step]

    @property
    def kept(self) -> bool:
        """Whether a step helped, so that the model is another one."""
        return any(step.kept for step in self.steps.values())

    def to_json(self) -> dict[str, Any]:
        """Return the contents for the card of the model, under ``steps``."""
        return {name: step.to_json() for name, step in self.steps.items()}

    def to_text(self) -> str:
        """Return what each step did, with its table."""
        return steps_text(self.to_json())


def steps_text(steps: Mapping[str, Any]) -> str:
    """Return the text of a report from the card of a model."""
    lines: list[str] = []
    for step in steps.values():
        if step["agreement"] is not None:
            lines.append(Table.from_json(step["agreement"]).to_text())
        lines += [*step["report"], ""]
    return "\n".join(lines)


def check_steps(steps: Sequence[str]) -> None:
    """Check the names of steps.

    Raises:
        RecipeError: If one is unknown, or there is none.
    """
    if not steps or not set(steps) <= set(STEPS):
        raise RecipeError(f"steps are {list(steps)}, expected one or more of {', '.join(STEPS)}")


def adapt_model(
    model: Checkpoint, tracklets: Sequence[Tracklet], source: str, path: Path, seed: int, options: RunOptions,
    chosen: Sequence[str] = DEFAULT,
) -> tuple[Checkpoint, Report]:  # fmt: skip
    """Adapt a model to the cameras of unlabelled tracklets, and write a model file.

    Labels are not used: see `strip_labels`. If no step helps, the file holds the model as it was. Features and
    statistics are kept, so that an interrupted call continues where it stopped.

    Args:
        model: The model; it is not changed.
        tracklets: Tracklets of the cameras.
        source: Name of the data set, for the card.
        path: The model file to write.
        seed: Seed of the intervals and of training.
        options: Device and so on. Its folder holds the state of the run, and is deleted at the end.
        chosen: The steps to try, of `STEPS`.

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
        "tracklets": fingerprint(own), "parts": fingerprint(parts.first), "seed": seed, "steps": sorted(chosen),
    })  # fmt: skip
    adapted, report = adapt_in_steps(model, own, parts, seed, options, chosen)
    metadata = model.metadata | {"adapted": _card(source, own, parts, seed, report)}
    if report.kept:
        metadata["threshold"] = _calibrate(adapted, parts, options).to_json()
    adapted = replace(adapted, metadata=metadata)
    with replace_file(path) as temporary:
        save_checkpoint(temporary, adapted)
    shutil.rmtree(options.folder, ignore_errors=True)
    return adapted, report


def adapt_in_steps(
    model: Checkpoint, own: Sequence[Tracklet], parts: Parts, seed: int, options: RunOptions, chosen: Sequence[str]
) -> tuple[Checkpoint, Report]:
    """Return a model after some of the steps, and the report; for the arguments see `adapt_model` and `divide`."""
    done = {}
    for name, trial in _TRIALS.items():
        if name in chosen:
            model, done[name] = trial(model, own, parts, seed, options)
    return model, Report(done)


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
        "steps": report.to_json(),
    }
