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
from resight.data.batches import BatchPlan, ClipBatches, hold_out_persons
from resight.data.corruption import choose_corrupted
from resight.evaluation.evaluate import evaluate_among
from resight.features import ClipFeatures, View, encode_clips, extract_clip_features
from resight.losses import stage2_loss
from resight.models.aggregators import Aggregator, Learned
from resight.models.encoders import ClipEncoder, inference_copy
from resight.progress import Progress
from resight.recipe import Recipe
from resight.tracklet import Tracklet
from resight.training.loop import Batch, RunOptions, Task, fingerprint, run_training


@dataclass(frozen=True)
class Stage2Data:
    """Features that every aggregator of one encoder can be trained on.

    Attributes:
        train: one (clean, corrupted) couple for each augmentation, rows in the order of the training tracklets;
            empty when the features of every step are computed afresh.
        validation: clean and corrupted features of the persons kept back.
    """

    train: tuple[tuple[ClipFeatures, ClipFeatures], ...]
    validation: tuple[ClipFeatures, ClipFeatures]


def prepare_stage2(
    encoder: ClipEncoder,
    tracklets: Sequence[Tracklet],
    recipe: Recipe,
    cache: Path,
    *,
    workers: int = 0,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> Stage2Data:
    """Extract what stage 2 trains on and chooses by; done once for all aggregators of an encoder.

    Args:
        encoder: trained.
        tracklets: of the training persons, the same as in stage 1.
        recipe: number of variants, clips, seed.
        cache: folder in which features are kept.
        workers: processes that decode.
        device: where the encoder runs.
        progress: called with (tracklets done, all), over all extractions.
    """
    train, validation = hold_out_persons(tracklets, recipe.validation_share, recipe.seed)
    variants = recipe.stage2.variants
    total = 2 * (len(train) * variants + len(validation))
    done = 0

    def both(own: Sequence[Tracklet], view: View) -> tuple[ClipFeatures, ClipFeatures]:
        def one(corrupted: bool) -> ClipFeatures:
            nonlocal done
            before = done
            features = extract_clip_features(
                encoder,
                own,
                recipe.clips,
                view=replace(view, corrupted=corrupted),
                cache=cache,
                workers=workers,
                device=device,
                progress=progress and (lambda n, _: progress(before + n, total)),
            )
            done = before + len(own)
            return features

        return one(False), one(True)

    seeds = [recipe.seed * 1000 + 2 * v for v in range(variants)]
    return Stage2Data(
        train=tuple(both(train, View(augmentation=recipe.stage1, seed=seed)) for seed in seeds),
        validation=both(validation, View()),
    )


class FeatureBatches(Dataset[Batch]):
    """Item `step`: clip features (P·K, M, D) of drawn variants, damage mixed in, and the persons' numbers (P·K,)."""

    def __init__(self, data: Stage2Data, plan: BatchPlan, max_corrupted: int) -> None:
        # (variants, clean or corrupted, T, M, D)
        self._values = torch.from_numpy(np.stack([[one.values for one in couple] for couple in data.train]))
        self._ids = data.train[0][0].ids
        self._plan = plan
        self._max_corrupted = max_corrupted

    def __len__(self) -> int:
        return self._plan.n_steps

    def __getitem__(self, step: int) -> Batch:
        chosen = self._plan.batch(step)
        rng = self._plan.rng(step, purpose=1)
        variant = torch.from_numpy(rng.integers(len(self._values), size=len(chosen)))
        n_clips = self._values.shape[3]
        damage = choose_corrupted(
            [self._ids[i] for i in chosen], n_clips, self._max_corrupted, int(rng.integers(2**31))
        )
        rows = torch.tensor(chosen)[:, None]
        features = self._values[variant[:, None], torch.from_numpy(damage).long(), rows, torch.arange(n_clips)]
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

    Returns:
        The aggregator, in evaluation mode, and its validation mAP under the damage that it was trained on.

    Raises:
        DatasetError: if there are too few persons.
        CheckpointError: if the folder holds another run.
    """
    train, validation = hold_out_persons(tracklets, recipe.validation_share, recipe.seed)
    stage = recipe.stage2
    optimisation = stage.optimisation
    plan = BatchPlan(train, optimisation, recipe.seed)
    clean, corrupted = data.validation
    damage = choose_corrupted(clean.ids, recipe.clips.count, stage.max_corrupted, recipe.seed)
    mixed = clean.mixed_with(corrupted, damage)
    shuffled = stage.random_order and isinstance(aggregator, Learned)
    batches: Dataset[Batch]
    if stage.variants:
        batches = FeatureBatches(data, plan, stage.max_corrupted)
    else:
        batches = ClipBatches(train, plan, recipe.clips, recipe.stage1, stage.max_corrupted)
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
