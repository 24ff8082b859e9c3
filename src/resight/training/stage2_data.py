"""Clip features that stage 2 trains and validates on, clean and damaged, and batches of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.utils.data import Dataset

from resight.compute import Compute
from resight.data.batches import BatchPlan
from resight.data.damage import CORRUPTED, Donors, choose_damage, needs_donor
from resight.data.split import TrainingSplit
from resight.evaluation.evaluate import evaluate_across, evaluate_among
from resight.features.damaged import DamagedFeatures
from resight.features.shared import extract_together
from resight.features.store import FeatureStore
from resight.features.types import ClipFeatures
from resight.features.view import View
from resight.models.aggregators import Aggregator
from resight.models.encoders import ClipEncoder
from resight.processes import ONE_PROCESS, Processes
from resight.progress import Progress
from resight.recipe import Damage, Recipe
from resight.tracklet import Tracklet
from resight.training.loop import Batch


@dataclass(frozen=True)
class Stage2Data:
    """Features of one encoder that any number of aggregators can be trained on.

    Attributes:
        split: Persons to train on, and validation persons.
        train: Features for each augmentation, rows in the order of `split.train`; empty if the clips of every step are
            augmented and encoded anew.
        validation: Features of `split.validation`: of both its sides if damage shows other persons, see
            `TrainingSplit.sides`; else of all tracklets together.
    """

    split: TrainingSplit
    train: tuple[DamagedFeatures, ...]
    validation: tuple[DamagedFeatures, ...]

    def score(
        self, aggregator: Aggregator, max_damaged: int, kinds: Sequence[str], seed: int, compute: Compute = Compute()
    ) -> float:
        """Return the validation mAP of an aggregator.

        Args:
            aggregator: The aggregator.
            max_damaged: M_c^max, the largest number of damaged clips per tracklet.
            kinds: Kinds of damage to draw from.
            seed: Seed of the draws.
            compute: Device and precision of scoring.

        Raises:
            RecipeError: If there are no features with one of these kinds of damage.
        """
        mixed = [features.mixed(max_damaged, kinds, seed) for features in self.validation]
        if len(mixed) == 1:
            return evaluate_among(mixed[0], aggregator, compute)
        return evaluate_across(mixed[0], mixed[1], aggregator, compute)


def prepare_stage2(
    encoder: ClipEncoder,
    split: TrainingSplit,
    recipe: Recipe,
    store: FeatureStore,
    *,
    workers: int = 0,
    compute: Compute = Compute(),
    progress: Progress | None = None,
    processes: Processes = ONE_PROCESS,
) -> Stage2Data:
    """Extract the features that stage 2 trains and validates on.

    Args:
        encoder: Trained clip encoder.
        split: The split of stage 1; `recipe.stage2.persons` may limit it.
        recipe: Clips, seed, number of variants and persons, and all kinds of damage to extract.
        store: Where features are kept.
        workers: Number of processes that decode frames.
        compute: Device and precision of the encoder.
        progress: Called with (tracklets done, tracklets in total), over all extractions.
        processes: They share the work, and all of them get all features.

    Raises:
        DatasetError: If damage shows other persons, and there are fewer than two to show.
    """
    split = split.limit_persons(recipe.stage2.persons, recipe.seed)
    variants = recipe.stage2.variants
    kinds = recipe.stage2.damages
    total = (1 + len(kinds)) * (len(split.train) * variants + len(split.validation))
    done = 0

    def extract(tracklets: Sequence[Tracklet], donors: Sequence[Tracklet], view: View) -> DamagedFeatures:
        def extract_one(kind: Damage | None) -> ClipFeatures:
            nonlocal done
            before = done
            features = extract_together(
                processes,
                encoder,
                tracklets,
                recipe.clips,
                view=replace(view, damage=kind),
                donors=donors,
                store=store,
                workers=workers,
                compute=compute,
                progress=progress and (lambda n, _: progress(before + n, total)),
            )
            done = before + len(tracklets)
            return features

        return DamagedFeatures(extract_one(None), {kind: extract_one(kind) for kind in kinds})

    seeds = [recipe.seed * 1000 + 2 * v for v in range(variants)]
    sides: list[tuple[Sequence[Tracklet], Sequence[Tracklet]]] = [(split.validation, ())]
    if any(needs_donor(kind) for kind in kinds):
        donors = Donors(split.validation_donors or split.train).halves()
        sides = list(zip(split.sides(), donors, strict=True))
    return Stage2Data(
        split,
        train=tuple(
            extract(split.train, split.donors or split.train, View(augmentation=recipe.stage1, seed=seed))
            for seed in seeds
        ),
        validation=tuple(extract(tracklets, half, View()) for tracklets, half in sides),
    )


class FeatureBatches(Dataset[Batch]):
    """Batches of stored features with damage mixed in.

    Item `step` is a pair of clip features (P·K, M, D) float32, of augmentations drawn at random, and targets (P·K,)
    int64.

    Args:
        data: Features with at least one variant.
        plan: Which tracklets are in each batch.
        max_corrupted: M_c^max, the largest number of damaged clips per tracklet.
        damages: Kinds of damage to draw from.

    Raises:
        RecipeError: If the data lacks one of these kinds of damage.
    """

    def __init__(
        self, data: Stage2Data, plan: BatchPlan, max_corrupted: int, damages: Sequence[str] = (CORRUPTED,)
    ) -> None:
        # (variants, clean and each kind of damage, T, M, D)
        views = [[variant.clean, *(variant.of(kind) for kind in damages)] for variant in data.train]
        self._values = torch.from_numpy(np.stack([[view.values for view in variant] for variant in views]))
        self._ids = data.train[0].clean.ids
        self._plan = plan
        self._max_corrupted = max_corrupted
        self._damages = tuple(damages)

    def __len__(self) -> int:
        return self._plan.n_steps

    def __getitem__(self, step: int) -> Batch:
        chosen = self._plan.batch(step)
        rng = self._plan.rng(step, purpose=1)
        variant = torch.from_numpy(rng.integers(len(self._values), size=len(chosen)))
        n_clips = self._values.shape[3]
        ids = [self._ids[i] for i in chosen]
        kinds = choose_damage(ids, n_clips, self._max_corrupted, self._damages, int(rng.integers(2**31)))
        view = np.zeros(kinds.shape, np.int64)
        for number, kind in enumerate(self._damages, 1):
            view[kinds == kind] = number
        rows = torch.tensor(chosen)[:, None]
        features = self._values[variant[:, None], torch.from_numpy(view), rows, torch.arange(n_clips)]
        return features, torch.from_numpy(self._plan.targets[chosen])
