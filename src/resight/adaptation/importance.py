"""Train the importance network further on the two parts of unlabelled tracklets, damaged by frames of other tracklets.

Legend: T tracklets with parts, B tracklets of a batch, M clips of a part, D features.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset

from resight.adaptation.agreement import Change, agreement_table, compare_agreement, helped
from resight.adaptation.steps import CLIPS, Step, note_on, scores, unit_means
from resight.adaptation.unlabelled import Parts, folds_of
from resight.checkpoints import Checkpoint
from resight.data.damage import DAMAGES, Donors
from resight.features.damaged import DamagedFeatures
from resight.features.extract import extract_clip_features
from resight.features.store import FeatureStore
from resight.features.types import ClipFeatures
from resight.features.view import View
from resight.losses import stage2_loss
from resight.models.aggregators import Aggregator
from resight.progress import progress_bar
from resight.recipe import Damage, Optimisation, Recipe
from resight.tracklet import Tracklet
from resight.training.loop import Batch, RunOptions, Task, run_training

STEPS, TRACKLETS, RATE = 120, 24, 1e-4
"""Steps, tracklets of a batch, and the learning rate at the start, which decreases to zero."""

DAMAGED_SHARE = 0.75
"""Largest share of the clips of a part that are damaged."""

_JUDGED_SEED = 5


@dataclass(frozen=True)
class DamagedParts:
    """Features of the first and the last parts of T tracklets, clean and with each kind of damage.

    Damaged clips of the first parts show other persons than those of the last parts, see `Donors`.
    """

    first: DamagedFeatures
    last: DamagedFeatures

    def mixed(self, seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return features of the first and the last parts, (T, M, D) each, with some clips damaged at random."""
        most = max(1, round(DAMAGED_SHARE * self.first.clean.values.shape[1]))
        first, last = (side.mixed(most, DAMAGES, seed).values for side in (self.first, self.last))
        return first, last


def try_importance(
    model: Checkpoint, own: Sequence[Tracklet], parts: Parts, seed: int, options: RunOptions
) -> tuple[Checkpoint, Step]:
    """Try to train the importance network further on one fold of the tracklets, and judge it on the other.

    It is judged on damaged parts, and must not be worse on clean ones. For the arguments see `adapt_model`.
    """
    if not model.aggregator.learns_importance:
        return model, Step(False, (f"no training of importance, because {model.aggregator.label} has no network",))
    features = damaged_parts(model, parts, options)
    fold = folds_of(parts, own)
    rows = [np.flatnonzero(fold == number) for number in (0, 1)]
    different = certainly_different(unit_means(features.first.clean.values), parts.apart)
    trained = train_on_parts(model.aggregator, features, rows[0], different, replace(model.recipe, seed=seed), options)
    judged = parts.of(rows[1])

    def compare(sides: tuple[NDArray[np.float32], NDArray[np.float32]]) -> Mapping[str, Change]:
        first, last = (side[rows[1]] for side in sides)
        before, after = (scores(aggregator, first, last, options) for aggregator in (model.aggregator, trained))
        return compare_agreement(before, after, judged, seed)

    changes = compare(features.mixed(_JUDGED_SEED))
    clean = compare((features.first.clean.values, features.last.clean.values))
    title = f"Importance, up to {DAMAGED_SHARE:.0%} of clips damaged, percent"
    table = agreement_table(changes, title, note_on(judged))
    kept = helped(changes) and not any(change.fell for change in clean.values())
    outcome = (
        "training of importance helped, and is used" if kept else "training of importance did not help, and is not used"
    )
    tried = replace(model, aggregator=trained)
    return tried if kept else model, Step(kept, (outcome,), table, {"tracklets": len(rows[0]), "steps": STEPS}, tried)


def damaged_parts(model: Checkpoint, parts: Parts, options: RunOptions) -> DamagedParts:
    """Extract the features of the parts of tracklets, clean and with each kind of damage."""
    sides = [[replace(part, person=1 + i) for i, part in enumerate(side)] for side in (parts.first, parts.last)]
    spec = replace(model.recipe.clips, count=min(CLIPS, model.recipe.clips.count))
    kinds: tuple[Damage | None, ...] = (None, *DAMAGES)
    done, total = 0, 2 * len(kinds) * len(parts)
    with progress_bar("encoding damaged parts", "tracklets", options.progress) as progress:

        def extract(side: Sequence[Tracklet], donors: Sequence[Tracklet], kind: Damage | None) -> ClipFeatures:
            nonlocal done
            before = done
            features = extract_clip_features(
                model.encoder, side, spec, view=View(damage=kind), donors=donors, store=FeatureStore(options.folder),
                workers=options.workers, compute=options.compute, progress=lambda n, _: progress(before + n, total),
            )  # fmt: skip
            done += len(side)
            return features

        first, last = (
            DamagedFeatures(extract(side, donors, None), {kind: extract(side, donors, kind) for kind in DAMAGES})
            for side, donors in zip(sides, Donors(sides[0]).halves(), strict=True)
        )
    return DamagedParts(first, last)


def certainly_different(features: NDArray[np.float32], apart: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which tracklets certainly show different persons, (T, T).

    These are those that were in a camera at the same time, and those that are less similar than half of these.

    Args:
        features: (T, D), of length 1.
        apart: (T, T), whether two tracklets were in a camera at the same time.
    """
    similarity = features @ features.T
    certain: NDArray[np.bool_] = apart | (similarity < np.median(similarity[apart]))
    return certain


def train_on_parts(
    aggregator: Aggregator, features: DamagedParts, rows: NDArray[np.int64], different: NDArray[np.bool_],
    recipe: Recipe, options: RunOptions,
) -> Aggregator:  # fmt: skip
    """Return a copy of an aggregator, trained with Eq. 7 over -s of first parts to last parts.

    The positive of an anchor is the other part of its tracklet, and its negatives are parts of tracklets that certainly
    show different persons.

    Args:
        aggregator: With parameters; it is not changed.
        features: Of T tracklets.
        rows: Numbers of the tracklets to train on.
        different: (T, T), see `certainly_different`.
        recipe: Margin and seed.
        options: Device and so on. An interrupted run in the folder is continued.
    """
    negatives = torch.from_numpy(different)
    margin = recipe.stage2.optimisation.margin

    def loss(module: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, float]]:
        sides, tracklets = batch
        size = len(tracklets)
        allowed = torch.zeros(2 * size, 2 * size, dtype=torch.bool)
        between = negatives[tracklets.cpu()][:, tracklets.cpu()]
        # Damaged clips of two first parts may show the same person.
        allowed[:size, size:], allowed[size:, :size] = between, between
        total = stage2_loss(module(sides, sides), tracklets.repeat(2), margin, allowed.to(sides.device))
        return total.loss, {"active": total.active_share.item()}

    trained = copy.deepcopy(aggregator)
    task = Task(
        name="importance",
        module=trained,
        batches=_Batches(features, rows, recipe.seed),
        loss=loss,
        validate=lambda: 0.0,  # the last weights are kept: the learning rate has decreased to zero
        optimisation=Optimisation(
            epochs=STEPS, learning_rate=RATE, schedule="cosine", weight_decay=0.0, validate_every=STEPS
        ),
        steps_per_epoch=1,
        clips_per_step=2 * min(TRACKLETS, len(rows)) * features.first.clean.values.shape[1],
        identity={"tracklets": [features.first.clean.ids[row] for row in rows]},
    )
    run_training(task, recipe, replace(options, workers=0))
    return trained.eval()


class _Batches(Dataset[Batch]):
    """Batches by step: damaged features of B first parts and their last parts (2B, M, D), and the tracklets (B,)."""

    def __init__(self, features: DamagedParts, rows: NDArray[np.int64], seed: int) -> None:
        self._features, self._rows, self._seed = features, rows, seed

    def __getitem__(self, step: int) -> Batch:
        rng = np.random.default_rng([self._seed, 12, step])
        rows = rng.choice(self._rows, min(TRACKLETS, len(self._rows)), replace=False)
        sides = self._features.mixed(int(rng.integers(2**31)))
        return torch.from_numpy(np.concatenate([side[rows] for side in sides])), torch.from_numpy(rows)
