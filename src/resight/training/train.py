"""Both stages in sequence, from training tracklets to a model file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from resight.checkpoints import Checkpoint, load_checkpoint, make_aggregator, save_checkpoint
from resight.data.split import TrainingSplit
from resight.errors import CheckpointError, RecipeError
from resight.evaluation.open_set import calibrate_threshold
from resight.features.extract import extract_clip_features
from resight.features.store import FeatureStore
from resight.models.aggregators import Aggregator
from resight.models.encoders import ClipEncoder, load_initial_weights, make_encoder
from resight.recipe import Recipe
from resight.tracklet import Tracklet, fingerprint
from resight.training.loop import RunOptions
from resight.training.stage1_clips import train_encoder
from resight.training.stage2_importance import train_importance

MODEL_FILE = "model.safetensors"


@dataclass(frozen=True)
class TrainedModel:
    """The result of a training run.

    Attributes:
        path: The model file.
        checkpoint: Its contents.
        validation: Validation mAP by stage, 0 … 1: ``stage 1 mAP`` and ``stage 2 mAP``.
    """

    path: Path
    checkpoint: Checkpoint
    validation: Mapping[str, float]


def train_model(
    tracklets: Sequence[Tracklet],
    recipe: Recipe,
    options: RunOptions,
    *,
    stages: tuple[int, ...] = (1, 2),
    init: Path | None = None,
    encoder_of: Checkpoint | None = None,
    validation: Sequence[Tracklet] | None = None,
    report: Callable[[str], None] | None = None,
) -> TrainedModel:
    """Train a model and write its file, or continue an interrupted run.

    Args:
        tracklets: Tracklets of the training persons.
        recipe: All settings.
        options: Folder for the model, logs and checkpoints; device and so on.
        stages: (1, 2), (1,) or (2,). Stage 2 alone continues from the stage 1 in the folder.
        init: Public weights of the encoder to start stage 1 from; None starts from random weights.
        encoder_of: A model whose encoder is used as it is, instead of stage 1. Its clip and encoder settings replace
            those of the recipe.
        validation: Tracklets of other persons, for model selection and for the threshold. None uses a share of the
            training persons instead, `recipe.validation_share`, and does not train on them.
        report: Called with a line of text about the weights that were loaded.

    Returns:
        The model and its file.

    Raises:
        DatasetError: If there are too few persons.
        CheckpointError: If the folder holds another run, there is no stage 1 to continue from, or `init` does not fit
            the encoder.
        RecipeError: If there are no public weights of the encoder of the recipe, or `encoder_of` is combined with
            `init` or with stage 1 alone.
    """
    if encoder_of is not None:
        if init is not None or 2 not in stages:
            raise RecipeError(
                "the encoder of another model replaces stage 1: omit initial weights, and train stage 2 only"
            )
        stages = (2,)
        recipe = replace(recipe, clips=encoder_of.recipe.clips, stage1=encoder_of.recipe.stage1)
    if validation is None:
        split = TrainingSplit.draw(tracklets, recipe.validation_share, recipe.seed)
    else:
        split = TrainingSplit.with_validation(tracklets, validation)
    path = options.folder / MODEL_FILE
    trained_on, validated_on = fingerprint(tracklets), fingerprint(split.validation)
    scores: dict[str, float] = {}
    torch.manual_seed(recipe.seed)
    if 1 in stages:
        encoder = make_encoder(recipe.stage1)
        if init is not None:
            loaded = load_initial_weights(encoder, init)
            if report is not None and options.processes.is_first:
                report(str(loaded))
        encoder, scores["stage 1 mAP"] = train_encoder(encoder, split, recipe, options)
        aggregator = make_aggregator("mean-pair", encoder.dim, recipe)
    elif encoder_of is not None:
        encoder = encoder_of.encoder
    else:
        before = load_checkpoint(path)
        if before.recipe.stage1 != recipe.stage1 or before.metadata["trained_on"] != trained_on:
            raise CheckpointError(
                f"the stage 1 in {path} was trained with other settings or data: train stage 1 again, or use the "
                "recipe and data that it was trained with"
            )
        if before.metadata.get("validated_on", validated_on) != validated_on:
            raise CheckpointError(
                f"the stage 1 in {path} was trained with other validation persons, so it may have trained on those "
                "of this run: use the seed, validation share and validation data of that stage 1"
            )
        encoder, aggregator = before.encoder, before.aggregator
        scores |= before.metadata["validation"]
    encoder = encoder.to(options.compute.torch_device)
    if 2 in stages:
        aggregator, _, scores["stage 2 mAP"] = train_importance(encoder, split, recipe, options)
    metadata = {
        "aggregator": aggregator.kind,
        "trained_on": trained_on,
        "validated_on": validated_on,
        "validation": scores,
        "threshold": options.processes.from_first(
            lambda: _calibrate(encoder, aggregator, split.validation, recipe, options)
        ),
    }
    checkpoint = Checkpoint(encoder, aggregator, recipe, metadata)
    options.processes.from_first(lambda: save_checkpoint(path, checkpoint))
    return TrainedModel(path, checkpoint, scores)


def _calibrate(
    encoder: ClipEncoder,
    aggregator: Aggregator,
    validation: Sequence[Tracklet],
    recipe: Recipe,
    options: RunOptions,
) -> Mapping[str, object]:
    """Return the threshold of the model, calibrated on the validation persons, as plain values."""
    features = extract_clip_features(
        encoder, validation, recipe.clips, store=FeatureStore(), workers=options.workers, compute=options.compute
    )
    return calibrate_threshold(features, aggregator.eval()).to_json()
