"""Stage 2: with the clip encoder frozen, the aggregator learns the importance of clip pairs (paper, Sec. 3.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from resight.checkpoints import make_aggregator
from resight.data.batches import BatchPlan, ClipBatches
from resight.data.split import TrainingSplit
from resight.features.extract import encode_clips
from resight.features.store import FeatureStore
from resight.losses import stage2_loss
from resight.models.aggregators import Aggregator
from resight.models.encoders import ClipEncoder, inference_copy
from resight.processes import ONE_PROCESS
from resight.progress import progress_bar
from resight.recipe import Recipe
from resight.tensor_files import content_hash
from resight.tracklet import fingerprint
from resight.training.loop import Batch, RunOptions, Task, run_training
from resight.training.stage2_data import FeatureBatches, Stage2Data, prepare_stage2


def train_importance(
    encoder: ClipEncoder, split: TrainingSplit, recipe: Recipe, options: RunOptions
) -> tuple[Aggregator, Stage2Data, float]:
    """Extract the features of stage 2 and train a new importance network on them.

    Args:
        encoder: Frozen clip encoder, on the device of the run.
        split: Persons to train on, validation persons, and donors of damage.
        recipe: All settings.
        options: Folder, device and so on. An interrupted run in the folder is continued.

    Returns:
        The aggregator in evaluation mode, the features, and the validation mAP with the damage of the training.

    Raises:
        DatasetError: If there are too few persons.
        CheckpointError: If the folder holds another run.
    """
    processes = options.processes
    with progress_bar("encoding", "tracklets", options.progress and processes.is_first) as progress:
        data = prepare_stage2(
            encoder, split, recipe, FeatureStore(), workers=options.workers, compute=options.compute, progress=progress,
            processes=processes,
        )  # fmt: skip
    torch.manual_seed(recipe.seed + 1)
    aggregator = make_aggregator(recipe.stage2.aggregator, encoder.dim, recipe)
    aggregator.set_scale(torch.from_numpy(data.validation[0].clean.values))
    aggregator, best = train_aggregator(aggregator, encoder, data, recipe, options)
    return aggregator, data, best


def train_aggregator(
    aggregator: Aggregator,
    encoder: ClipEncoder,
    data: Stage2Data,
    recipe: Recipe,
    options: RunOptions,
    *,
    name: str = "stage2",
) -> tuple[Aggregator, float]:
    """Train an aggregator with Eq. 7 over -s and load its best weights.

    Args:
        aggregator: Aggregator with parameters; trained in place.
        encoder: Frozen clip encoder.
        data: Features of the same encoder from `prepare_stage2`, with the split to train and validate on.
        recipe: Settings of stage 2.
        options: Folder, device and so on. An interrupted run in the folder is continued.
        name: Prefix of the files of the run, if several aggregators are trained in one folder.

    Returns:
        The aggregator in evaluation mode, and its validation mAP with the damage that it was trained with.

    Raises:
        DatasetError: If there are fewer persons than a batch needs.
        CheckpointError: If the folder holds another run.
        RecipeError: If the data lacks a kind of damage of the recipe.
    """
    split, stage = data.split, recipe.stage2
    optimisation = stage.optimisation
    plan = BatchPlan(split.train, optimisation, recipe.seed)
    processes = options.processes
    aggregator.processes = processes
    shuffled = stage.random_order and aggregator.depends_on_order
    batches: Dataset[Batch]
    if stage.variants:
        batches = FeatureBatches(data, plan, stage.max_corrupted, stage.damages)
    else:
        batches = ClipBatches(
            split.train, plan, recipe.clips, recipe.stage1, stage.max_corrupted, stage.damages, processes
        )
    frozen = inference_copy(encoder)

    def loss(module: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, float]]:
        features, targets = batch
        if features.dtype == torch.uint8:
            with torch.inference_mode():
                features = encode_clips(frozen, features)
            features = processes.gather(features.clone(), len(targets))
        order = {"order": torch.randperm(features.shape[1] ** 2)} if shuffled else {}
        total = stage2_loss(module(features, features, **order), targets, optimisation.margin)
        return total.loss, {"active": total.active_share.item()}

    def validate() -> float:
        return processes.from_first(lambda: data.score(aggregator, stage.max_corrupted, stage.damages, recipe.seed))

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
            "train": fingerprint(split.train),
            "validation": fingerprint(split.validation),
            "encoder": content_hash(encoder.state_dict()),
        },
    )
    # for features in memory, worker processes would cost more time than they save
    options = replace(options, workers=0) if stage.variants else options
    best = run_training(task, recipe, options)
    aggregator.processes = ONE_PROCESS
    return aggregator.eval(), best
