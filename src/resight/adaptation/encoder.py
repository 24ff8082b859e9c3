"""Train the encoder on groups of unlabelled tracklets, by contrast against the mean features of the groups.

Legend: T tracklets, C groups, B clips of a batch, D features.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset

from resight.adaptation.agreement import (
    AUROC,
    Change,
    agreement_table,
    bias_change,
    compare_agreement,
    helped_across_cameras,
)
from resight.adaptation.groups import group_tracklets
from resight.adaptation.steps import MOST_GROUPED, Step, mean_features, note_on, part_similarities
from resight.adaptation.unlabelled import Parts, assign_folds, different_persons, folds_of, thinned
from resight.checkpoints import Checkpoint
from resight.data.batches import BatchPlan, ClipBatches
from resight.data.transforms import prepare_clips
from resight.models.camera_encoder import CameraEncoder
from resight.models.encoders import ClipEncoder, encoder_body, is_frame_wise
from resight.models.external import ExternalEncoder
from resight.recipe import Optimisation, Recipe
from resight.tracklet import Tracklet, fingerprint
from resight.training.loop import Batch, RunOptions, Task, run_training
from resight.words import counted

ROUNDS, STEPS = 3, 80
"""Most rounds, and steps of each; tracklets are grouped again before each round."""

GROUPS, TRACKLETS = 12, 4
"""Groups in a batch, and clips of each, from different tracklets if the group has as many."""

TEMPERATURE = 0.1
"""Cosines are divided by this temperature in the loss."""

RATE = 3e-5
"""Learning rate at the start of a round; it decreases to zero."""

_LEAST_GROUPS = 8


class GroupContrast(nn.Module):
    """An encoder that learns to tell groups of tracklets apart.

    BatchNorm stays in evaluation mode: its statistics are those of training, or those of the camera of a clip.

    Args:
        encoder: The encoder, trained in place.
        means: (C, D), mean feature of each group.
    """

    means: Tensor

    def __init__(self, encoder: ClipEncoder, means: Tensor) -> None:
        super().__init__()
        self.encoder = encoder
        self.register_buffer("means", F.normalize(means, dim=1))

    def train(self, mode: bool = True) -> GroupContrast:
        """Stay in evaluation mode."""
        del mode
        return super().train(False)

    def forward(self, clips: Tensor, cameras: Sequence[str], groups: Tensor) -> Tensor:
        """Return the mean cross entropy of the groups, by the cosines of clips to the mean features of groups.

        Args:
            clips: (B, 3, L, H, W) in [-1, 1].
            cameras: B names.
            groups: (B,) int64, 0 … C - 1.
        """
        encoder = self.encoder
        features = encoder.of_cameras(clips, cameras) if isinstance(encoder, CameraEncoder) else encoder(clips)
        return F.cross_entropy(F.normalize(features.float(), dim=1) @ self.means.T / TEMPERATURE, groups)


def try_encoder(
    model: Checkpoint, own: Sequence[Tracklet], parts: Parts, seed: int, options: RunOptions
) -> tuple[Checkpoint, Step]:
    """Try to train the encoder on groups of one fold of the tracklets, and judge it on the other.

    Training ends after `ROUNDS` rounds, or after the first one that does not increase the agreement. For the arguments
    see `adapt_model`.
    """
    if isinstance(encoder_body(model.encoder), ExternalEncoder):
        reason = "the encoder is an ONNX network or a Python object, which cannot be trained"
        return model, Step(False, (f"no training of the encoder, because {reason}",))
    folds = assign_folds(own)
    taught = thinned([tracklet for tracklet in own if folds[tracklet.id] == 0], MOST_GROUPED)
    judged = parts.of(np.flatnonzero(folds_of(parts, own) == 1))
    apart, proven = different_persons(taught)
    apart &= proven
    recipe = replace(model.recipe, seed=seed)
    before = part_similarities(model, judged, options)
    best, changes = model, compare_agreement(before, before, judged, seed)
    groups = np.zeros(0, np.int64)
    rounds = 0
    for number in range(ROUNDS):
        features = mean_features(best, taught, options)
        new = group_tracklets(features, apart)
        if (np.bincount(new) > 1).sum() < _LEAST_GROUPS:
            break
        tried = replace(best, encoder=copy.deepcopy(best.encoder))
        train_round(tried.encoder, taught, new, features, recipe, options, number)
        after = compare_agreement(before, part_similarities(tried, judged, options), judged, seed)
        if number and _agreement(after) <= _agreement(changes):
            break
        best, changes, groups, rounds = tried, after, new, number + 1
        if _agreement(after) <= 0:
            break
    if not rounds:
        line = f"no training of the encoder: found fewer than {_LEAST_GROUPS} groups of tracklets"
        return model, Step(False, (line,))
    table = agreement_table(changes, "Training of the encoder, percent", note_on(judged))
    kept = helped_across_cameras(changes)
    counts = np.bincount(groups)
    grouped, n_groups = int(counts[counts > 1].sum()), int((counts > 1).sum())
    lines = (
        f"training of the encoder {'helped, and is used' if kept else 'did not help, and is not used'}",
        f"  {counted(rounds, 'rounds')} of {STEPS} steps; {grouped} of {len(taught)} tracklets in {n_groups} groups",
    )
    summary = {
        "tracklets": len(taught), "grouped": grouped, "groups": n_groups, "constraints": proven, "rounds": rounds,
        "steps": rounds * STEPS,
    }  # fmt: skip
    return best if kept else model, Step(kept, lines, table, summary, best, groups)


def train_round(
    encoder: ClipEncoder, tracklets: Sequence[Tracklet], groups: NDArray[np.int64], features: NDArray[np.float32],
    recipe: Recipe, options: RunOptions, number: int,
) -> None:  # fmt: skip
    """Train an encoder in place for about `STEPS` steps.

    Args:
        encoder: The encoder.
        tracklets: T tracklets.
        groups: (T,) numbers from 0; those of a single tracklet are only contrasted against.
        features: (T, D) of length 1, of this encoder.
        recipe: Clips, augmentation and seed.
        options: Device and so on. An interrupted round in the folder is continued.
        number: Number of the round, from 0.
    """
    counts = np.bincount(groups)
    means = np.zeros((len(counts), features.shape[1]), np.float32)
    np.add.at(means, groups, features)
    chosen = [
        replace(t, person=int(group) + 1) for t, group in zip(tracklets, groups, strict=True) if counts[group] > 1
    ]
    optimisation = Optimisation(
        learning_rate=RATE, schedule="cosine", weight_decay=0.0, persons=min(GROUPS, int((counts > 1).sum())),
        tracklets=TRACKLETS,
    )  # fmt: skip
    epochs = max(1, round(STEPS / (int((counts > 1).sum()) // optimisation.persons)))
    optimisation = replace(optimisation, epochs=epochs, validate_every=epochs)
    plan = BatchPlan(chosen, optimisation, recipe.seed + number)
    length = 1 if is_frame_wise(encoder) else recipe.clips.length
    spec = replace(recipe.clips, count=1, sampler="consec", length=length)
    cameras = [tracklet.camera_label for tracklet in chosen]
    group = torch.tensor([tracklet.person - 1 for tracklet in chosen])

    def loss(module: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, float]]:
        pixels, rows = batch
        places = rows.tolist()
        return module(
            prepare_clips(pixels.flatten(0, 1)), [cameras[i] for i in places], group[places].to(rows.device)
        ), {}

    task = Task(
        name=f"encoder, round {number + 1}",
        module=GroupContrast(encoder, torch.from_numpy(means)),
        batches=_Batches(ClipBatches(chosen, plan, spec, recipe.stage1), plan),
        loss=loss,
        validate=lambda: 0.0,  # the last weights are kept: the learning rate has decreased to zero
        optimisation=optimisation,
        steps_per_epoch=plan.steps_per_epoch,
        clips_per_step=optimisation.persons * TRACKLETS,
        identity={"tracklets": fingerprint(chosen)},
    )
    run_training(task, recipe, options)


class _Batches(Dataset[Batch]):
    """Batches by step: augmented clips (B, 1, L, H, W, 3) uint8, and the tracklets that they show, (B,) int64."""

    def __init__(self, clips: ClipBatches, plan: BatchPlan) -> None:
        self._clips, self._plan = clips, plan

    def __getitem__(self, step: int) -> Batch:
        return self._clips[step][0], torch.tensor(self._plan.batch(step))


def _agreement(changes: Mapping[str, Change]) -> float:
    """Return the increase of the AUROC and the reduction of the camera bias together."""
    return changes[AUROC].difference.value - bias_change(changes)
