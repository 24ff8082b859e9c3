"""Adapt the model of a gallery to its cameras, and encode the gallery again if that helped."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resight.adaptation.adapt import Report, adapt_model
from resight.api.gallery_rebuild import Rebuilt, rebuild_store, usable_tracklets
from resight.api.model import Model
from resight.gallery.contract import GalleryStore
from resight.shipped import file_hash
from resight.training.loop import RunOptions

_NEW, _UNFINISHED = "adapted.safetensors", ".adapted.part"
_KEPT = "adapted-{}.safetensors"


@dataclass(frozen=True)
class Adapted:
    """What a call of `Gallery.adapt` did.

    Attributes:
        report: What each step did.
        rebuilt: The new features; None if no step helped, so that the gallery has not changed.
    """

    report: Report
    rebuilt: Rebuilt | None

    def to_text(self) -> str:
        """Return the result as text."""
        last = "the gallery has not changed" if self.rebuilt is None else self.rebuilt.to_text()
        return f"{self.report.to_text()}\n{last}"

    def to_json(self) -> dict[str, Any]:
        """Return the result as plain values."""
        return {
            "kept": self.report.kept,
            "steps": self.report.to_json(),
            "rebuilt": None if self.rebuilt is None else self.rebuilt.to_json(),
        }


def adapt_store(
    store: GalleryStore, folder: Path, model: Model, *, steps: Sequence[str], seed: int, drop_missing: bool,
    progress: bool,
) -> tuple[Model, Adapted]:  # fmt: skip
    """Adapt the model of a gallery, see `Gallery.adapt`, and return the model that the gallery has then.

    The new model file gets its final name before the gallery refers to it, and that of an earlier adaptation is deleted
    when the gallery does not refer to it any more, so that the gallery can be used after an interruption at any time.
    """
    tracklets = usable_tracklets(store, drop_missing)
    options = RunOptions(folder / _UNFINISHED, workers=model.workers, compute=model.compute, progress=progress)
    new = folder / _NEW
    checkpoint, report = adapt_model(model.checkpoint, tracklets, folder.name, new, seed, options, steps)
    if not report.kept:
        new.unlink()
        return model, Adapted(report, None)
    kept = folder / _KEPT.format(file_hash(new)[:12])
    new.replace(kept)
    adapted = Model(checkpoint, name=str(kept), compute=model.compute, workers=model.workers)
    rebuilt = rebuild_store(store, str(folder), adapted, drop_missing=drop_missing, progress=progress)
    for path in folder.glob(_KEPT.format("*")):
        if path != kept:
            path.unlink()
    return adapted, Adapted(report, rebuilt)


def discard_adaptation(folder: Path) -> None:
    """Delete what an interrupted `adapt_store` has kept, such as features of tracklets."""
    shutil.rmtree(folder / _UNFINISHED, ignore_errors=True)
