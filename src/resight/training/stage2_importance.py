"""Stage 2: with the clip encoder frozen, the aggregator learns which clip pairs to rely on (paper, Sec. 3.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from resight.checkpoints import content_hash
from resight.data.batches import BatchPlan, ClipBatches, divide_persons, some_persons
from resight.data.damage import CORRUPTED, choose_damage
from resight.errors import RecipeError
from resight.evaluation.evaluate import evaluate_among
from resight.features.damaged import mixed_damage
from resight.features.extract import View, encode_clips, extract_clip_features
from resight.features.types import ClipFeatures
from resight.losses import stage2_loss
from resight.models.aggregators import Aggregator
from resight.models.encoders import ClipEncoder, inference_copy
from resight.progress import Progress
from resight.recipe import Damage, Recipe
from resight.tracklet import Tracklet
from resight.training.loop import Batch, RunOptions, Task, fingerprint, run_training


@dataclass(frozen=True)
class DamagedFeatures:
    """The same clips, sound and damaged.

    Attributes:
        clean: of T tracklets.
        damaged: kind of damage to features of the same tracklets, all of whose clips have it.
    """

    clean: ClipFeatures
    damaged: Mapping[str, ClipFeatures]

    def mixed(self, max_damaged: int, kinds: Sequence[str], seed: int) -> ClipFeatures:
        """Features with 0 to M_c^max clips of each tracklet damaged in some of the ways there are."""
        return mixed_damage(self.clean, {kind: self.of(kind) for kind in kinds}, max_damaged, seed)[0]

    def of(self, kind: str) -> ClipFeatures:
        """The features with that damage.

        Raises:
            RecipeError: if there are none.
        """
        if kind not in self.damaged:
            raise RecipeError(
                f"expected features of {kind} clips, found those of {', '.join(self.damaged)}: "
                "prepare stage 2 with a recipe whose stage2.damages names all kinds that are trained on"
            )
        return self.damaged[kind]


@dataclass(frozen=True)
class Stage2Data:
    """Features that every aggregator of one encoder can be trained on.

    Attributes:
        train: one for each augmentation, rows in the order of the training tracklets; empty when the features of every
            step are computed afresh.
        validation: of the persons kept back.
    """

    train: tuple[DamagedFeatures, ...]
    validation: DamagedFeatures


def prepare_stage2(
    encoder: ClipEncoder,
    tracklets: Sequence[Tracklet],
    recipe: Recipe,
    cache: Path,
    *,
    workers: int = 0,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
    others: Sequence[Tracklet] = (),
) -> Stage2Data:
    """Extract what stage 2 trains on and chooses by; done once for all aggregators of an encoder.

    Clips are damaged with frames of other tracklets of their own side: those trained on, or those kept back.

    Args:
        encoder: trained.
        tracklets: of the training persons, the same as in stage 1.
        recipe: number of variants, clips, kinds of damage, seed. Of an aggregator's recipe, `damages` may be fewer.
        cache: folder in which features are kept.
        workers: processes that decode.
        device: where the encoder runs.
        progress: called with (tracklets done, all), over all extractions.
        others: as in stage 1.
    """
    train, validation = stage2_persons(tracklets, others, recipe)
    variants = recipe.stage2.variants
    kinds = recipe.stage2.damages
    total = (1 + len(kinds)) * (len(train) * variants + len(validation))
    done = 0

    def each(own: Sequence[Tracklet], view: View) -> DamagedFeatures:
        def one(kind: Damage | None) -> ClipFeatures:
            nonlocal done
            before = done
            features = extract_clip_features(
                encoder,
                own,
                recipe.clips,
                view=replace(view, damage=kind),
                donors=own,
                cache=cache,
                workers=workers,
                device=device,
                progress=progress and (lambda n, _: progress(before + n, total)),
            )
            done = before + len(own)
            return features

        return DamagedFeatures(one(None), {kind: one(kind) for kind in kinds})

    seeds = [recipe.seed * 1000 + 2 * v for v in range(variants)]
    return Stage2Data(
        train=tuple(each(train, View(augmentation=recipe.stage1, seed=seed)) for seed in seeds),
        validation=each(validation, View()),
    )


def stage2_persons(
    tracklets: Sequence[Tracklet], others: Sequence[Tracklet], recipe: Recipe
) -> tuple[list[Tracklet], list[Tracklet]]:
    """Tracklets that stage 2 trains on and chooses by: those of stage 1, or of fewer persons if the recipe says so."""
    train, validation = divide_persons(tracklets, others, recipe.validation_share, recipe.seed)
    return some_persons(train, recipe.stage2.persons, recipe.seed), validation


class FeatureBatches(Dataset[Batch]):
    """Item `step`: clip features (P·K, M, D) of drawn variants, damage mixed in, and the persons' numbers (P·K,)."""

    def __init__(
        self, data: Stage2Data, plan: BatchPlan, max_corrupted: int, damages: Sequence[str] = (CORRUPTED,)
    ) -> None:
        # (variants, clean and each kind of damage, T, M, D)
        views = [[one.clean, *(one.of(kind) for kind in damages)] for one in data.train]
        self._values = torch.from_numpy(np.stack([[view.values for view in own] for own in views]))
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


def train_aggregator(
    aggregator: Aggregator,
    encoder: ClipEncoder,
    data: Stage2Data,
    tracklets: Sequence[Tracklet],
    recipe: Recipe,
    options: RunOptions,
    *,
    name: str = "stage2",
    others: Sequence[Tracklet] = (),
) -> tuple[Aggregator, float]:
    """Train an aggregator with Eq. 7 over -s, keeping the weights of the best validation.

    Args:
        aggregator: with parameters to learn; trained in place.
        encoder: frozen.
        data: from `prepare_stage2` with the same encoder, tracklets and recipe.
        tracklets: of the training persons.
        recipe: stage 2 of it.
        options: folder and such; an interrupted run in that folder is continued.
        name: of the run's files, when several aggregators are trained in one folder.
        others: as in stage 1.

    Returns:
        The aggregator, in evaluation mode, and its validation mAP under the damage that it was trained on.

    Raises:
        DatasetError: if there are too few persons.
        CheckpointError: if the folder holds another run.
    """
    train, validation = stage2_persons(tracklets, others, recipe)
    stage = recipe.stage2
    optimisation = stage.optimisation
    plan = BatchPlan(train, optimisation, recipe.seed)
    mixed = data.validation.mixed(stage.max_corrupted, stage.damages, recipe.seed)
    shuffled = stage.random_order and aggregator.depends_on_order
    batches: Dataset[Batch]
    if stage.variants:
        batches = FeatureBatches(data, plan, stage.max_corrupted, stage.damages)
    else:
        batches = ClipBatches(train, plan, recipe.clips, recipe.stage1, stage.max_corrupted, stage.damages)
    frozen = inference_copy(encoder)

    def loss(module: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, float]]:
        features, targets = batch
        if features.dtype == torch.uint8:
            with torch.inference_mode():
                features = encode_clips(frozen, features)
            features = features.clone()
        order = {"order": torch.randperm(features.shape[1] ** 2)} if shuffled else {}
        total = stage2_loss(module(features, features, **order), targets, optimisation.margin)
        return total.loss, {"active": total.active_share.item()}

    def validate() -> float:
        return evaluate_among(mixed, aggregator)

    task = Task(
        name=name,
        module=aggregator,
        batches=batches,
        loss=loss,
        validate=validate,
        optimisation=optimisation,
        steps_per_epoch=plan.steps_per_epoch,
        clips_per_step=optimisation.persons * optimisation.tracklets * recipe.clips.count,
        identity={
            "train": fingerprint(train),
            "validation": fingerprint(validation),
            "encoder": content_hash(encoder.state_dict()),
        },
    )
    # features in memory need no workers: handing them over would cost more than drawing them
    options = replace(options, workers=0) if stage.variants else options
    best = run_training(task, recipe, options)
    return aggregator.eval(), best
