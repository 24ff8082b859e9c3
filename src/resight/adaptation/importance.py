"""Train the importance network of a model further, on parts of unlabelled tracklets.

The two parts of a tracklet are a positive pair. A pair of tracklets is negative if the tracker proves that they show
different persons, or if they are far less similar than the parts of a tracklet. Clips are damaged with frames of the
same footage. Legend: B rows of a batch, T tracklets, M clips of D features.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from resight.adaptation.unlabelled import BLOCK, Parts
from resight.checkpoints import Checkpoint
from resight.compute import Compute
from resight.data.batches import BatchPlan
from resight.data.damage import DAMAGES
from resight.data.split import TrainingSplit
from resight.evaluation.auroc import auroc
from resight.features.damaged import DamagedFeatures
from resight.features.extract import extract_clip_features
from resight.features.store import FeatureStore
from resight.features.types import ClipFeatures
from resight.features.view import View
from resight.models.aggregators import Aggregator
from resight.progress import Progress
from resight.recipe import Damage, Optimisation, Recipe
from resight.scoring.all_pairs import score_all_pairs
from resight.tensor_files import content_hash
from resight.tracklet import Tracklet, fingerprint
from resight.training.loop import Batch, RunOptions, Task, run_training
from resight.training.stage2_data import FeatureBatches, Stage2Data

OPTIMISATION = Optimisation(learning_rate=2e-4, schedule="cosine", persons=12, tracklets=2, together=6, margin=1.0)
"""A fifth of the learning rate with which importance networks are trained from random weights. Tracklets that follow
each other in time are drawn together, because more of them are proven to show different persons."""

STEPS = 240
"""Approximate number of training steps."""

HELD_OUT = (1, 4, 7)
"""Of ten blocks of tracklets, those that are not trained on, to judge the result."""

DAMAGED_SHARE = 0.75
"""M_c^max as a share of the clips of a tracklet: 6 of 8."""


@dataclass(frozen=True)
class PartFeatures:
    """Features of the parts of tracklets, clean and with every kind of damage.

    Attributes:
        parts: T tracklets.
        first: Features of the first parts.
        last: Features of the last parts.
    """

    parts: Parts
    first: DamagedFeatures
    last: DamagedFeatures

    def similarities(
        self, aggregator: Aggregator, max_damaged: int, seed: int, compute: Compute = Compute()
    ) -> NDArray[np.float64]:
        """Return the similarities (T, T) of first to last parts, with 0 to `max_damaged` damaged clips in each."""
        sides = [side.mixed(max_damaged, DAMAGES, seed) if max_damaged else side.clean for side in self._sides]
        scores = score_all_pairs(sides[0].values, sides[1].values, aggregator, compute=compute)
        return scores.astype(np.float64)

    def rows(self, chosen: NDArray[np.int64]) -> PartFeatures:
        """Return the features of some of the tracklets."""
        first, last = (
            DamagedFeatures(side.clean.rows(chosen), {kind: own.rows(chosen) for kind, own in side.damaged.items()})
            for side in self._sides
        )
        return PartFeatures(self.parts.rows(chosen), first, last)

    @property
    def _sides(self) -> tuple[DamagedFeatures, DamagedFeatures]:
        return self.first, self.last


def extract_parts(
    model: Checkpoint, parts: Parts, options: RunOptions, progress: Progress | None = None
) -> PartFeatures:
    """Return the features of parts, clean and damaged.

    Damage shows tracklets that are trained on: in first parts every second of them, and in last parts the others.

    Args:
        model: A model whose encoder and clip settings are used.
        parts: T tracklets.
        options: Device and so on. Features are kept in its folder.
        progress: Called with (tracklets done, all), over all extractions.
    """
    kinds: tuple[Damage | None, ...] = (None, *DAMAGES)
    # Parts of the same tracklet have the same number, so that damage shows another one.
    numbered = [tuple(replace(t, person=n) for n, t in enumerate(side, 1)) for side in (parts.first, parts.last)]
    training, _ = split_rows(parts)
    donors = [[side[row] for row in training[number::2]] for number, side in enumerate(numbered)]
    total, done, store = 2 * len(kinds) * len(parts), 0, FeatureStore(options.folder)

    def extract(side: int, kind: Damage | None) -> ClipFeatures:
        nonlocal done
        before = done
        done += len(parts)
        return extract_clip_features(
            model.encoder, numbered[side], model.recipe.clips, view=View(damage=kind), donors=donors[side], store=store,
            workers=options.workers, compute=options.compute,
            progress=progress and (lambda n, _: progress(before + n, total)),
        )  # fmt: skip

    first, last = (
        DamagedFeatures(extract(side, None), {kind: extract(side, kind) for kind in DAMAGES}) for side in range(2)
    )
    return PartFeatures(parts, first, last)


def adapt_importance(
    model: Checkpoint, features: PartFeatures, seed: int, options: RunOptions
) -> tuple[Aggregator, NDArray[np.int64]]:
    """Train a copy of the importance network of a model further.

    Args:
        model: A model that learns importance.
        features: Features of its encoder, of at least `LEAST_TRACKLETS` tracklets.
        seed: Seed of the training.
        options: Folder, device and so on. An interrupted run in the folder is continued.

    Returns:
        The network in evaluation mode, and the positions of the tracklets that it was not trained on.
    """
    aggregator = copy.deepcopy(model.aggregator)
    training, held_out = split_rows(features.parts)
    recipe = importance_recipe(model.recipe, seed, len(training))
    stage = recipe.stage2
    trained_on, judged_on = features.rows(training), features.rows(held_out)
    rows = _interleaved(trained_on)
    split = TrainingSplit(rows, ())
    data = Stage2Data(split, (_joined(trained_on),), ())
    plan = BatchPlan(rows, stage.optimisation, seed)
    negative = torch.from_numpy(negatives(trained_on, aggregator, options.compute))

    def loss(module: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, float]]:
        values, numbers = batch
        similarity = module(values, values)
        allowed = negative.to(numbers.device)[numbers][:, numbers]
        total, active = constrained_triplets(similarity, numbers, allowed, stage.optimisation.margin)
        return total, {"active": active}

    def validate() -> float:
        return agreement_score(judged_on, aggregator, stage.max_corrupted, seed, options.compute)

    task = Task(
        name="importance",
        module=aggregator,
        batches=FeatureBatches(data, plan, stage.max_corrupted, stage.damages),
        loss=loss,
        validate=validate,
        optimisation=stage.optimisation,
        steps_per_epoch=plan.steps_per_epoch,
        clips_per_step=stage.optimisation.persons * 2 * recipe.clips.count,
        identity={"train": fingerprint(rows), "encoder": content_hash(model.encoder.state_dict())},
    )
    run_training(task, recipe, replace(options, workers=0))
    return aggregator.eval(), held_out


def importance_recipe(recipe: Recipe, seed: int, tracklets: int) -> Recipe:
    """Return the settings of a model with those of the adaptation of its importance network to some tracklets."""
    epochs = max(1, round(STEPS / max(1, tracklets // OPTIMISATION.persons)))
    stage = replace(
        recipe.stage2, optimisation=replace(OPTIMISATION, epochs=epochs, validate_every=epochs),
        max_corrupted=max(1, round(DAMAGED_SHARE * recipe.clips.count)), damages=DAMAGES, variants=1,
    )  # fmt: skip
    return replace(recipe, name="adapt", stage2=stage, seed=seed)


def split_rows(parts: Parts) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the positions to train on, and those that are held out: whole blocks that follow each other in time."""
    held_out = np.isin(np.arange(len(parts)) // BLOCK % 10, HELD_OUT)
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def negatives(features: PartFeatures, aggregator: Aggregator, compute: Compute = Compute()) -> NDArray[np.bool_]:
    """Return which pairs of tracklets are trained on as different persons, (T, T), symmetric.

    Those that are proven to be, and those that are less similar than half of these.
    """
    similarity = features.similarities(aggregator, 0, 0, compute)
    similarity = np.maximum(similarity, similarity.T)
    apart = features.parts.apart
    far = similarity < np.median(similarity[apart]) if apart.any() else np.zeros_like(apart)
    return (apart | far) & ~np.eye(len(apart), dtype=bool)


def constrained_triplets(similarity: Tensor, numbers: Tensor, allowed: Tensor, margin: float) -> tuple[Tensor, float]:
    """Return the batch-hard triplet loss over allowed negatives, summed over anchors that have one.

    Args:
        similarity: (B, B).
        numbers: (B,), the tracklet of each row.
        allowed: (B, B), which pairs are negatives.
        margin: m.

    Returns:
        The loss, and the share of anchors with a loss above 0.
    """
    same = (numbers[:, None] == numbers) & ~torch.eye(len(numbers), dtype=torch.bool, device=numbers.device)
    positive = similarity.masked_fill(~same, torch.inf).min(1).values
    negative = similarity.masked_fill(~allowed, -torch.inf).max(1).values
    valid = same.any(1) & allowed.any(1)
    losses = F.relu(margin + negative[valid] - positive[valid])
    return losses.sum(), float((losses.detach() > 0).float().mean()) if len(losses) else 0.0


def agreement_score(
    features: PartFeatures, aggregator: Aggregator, max_damaged: int, seed: int, compute: Compute = Compute()
) -> float:
    """Return the AUROC of the parts of a tracklet against different persons, with damage, 0 … 1."""
    similarity = features.similarities(aggregator.eval(), max_damaged, seed, compute)
    own = np.eye(len(similarity), dtype=bool)
    chosen = own | features.parts.apart
    score = auroc(similarity[chosen], own[chosen])
    return 0.5 if score is None else score


def _interleaved(features: PartFeatures) -> tuple[Tracklet, ...]:
    """Return first and last part of each tracklet, whose number is their person."""
    pairs = zip(features.parts.first, features.parts.last, strict=True)
    return tuple(replace(part, person=number) for number, pair in enumerate(pairs, 1) for part in pair)


def _joined(features: PartFeatures) -> DamagedFeatures:
    """Return the features of both parts, in the order of `_interleaved`."""
    order = np.arange(2 * len(features.parts)).reshape(2, -1).T.ravel()

    def join(first: ClipFeatures, last: ClipFeatures) -> ClipFeatures:
        return first.joined_with(last).rows(order)

    damaged = {kind: join(own, features.last.damaged[kind]) for kind, own in features.first.damaged.items()}
    return DamagedFeatures(join(features.first.clean, features.last.clean), damaged)
