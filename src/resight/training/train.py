"""Both stages in a row, from training tracklets to a model file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from resight.checkpoints import Checkpoint, load_checkpoint, make_aggregator, save_checkpoint
from resight.data.batches import divide_persons
from resight.errors import CheckpointError
from resight.evaluation.open_set import calibrate_threshold
from resight.evaluation.threshold import Threshold
from resight.features.extract import extract_clip_features
from resight.models.aggregators import Aggregator
from resight.models.encoders import ClipEncoder, kinetics_target, make_encoder
from resight.models.kinetics import load_kinetics
from resight.progress import progress_bar
from resight.recipe import Recipe
from resight.tracklet import Tracklet
from resight.training.loop import RunOptions, fingerprint
from resight.training.stage1_clips import train_encoder
from resight.training.stage2_importance import prepare_stage2, train_aggregator

MODEL_FILE = "model.safetensors"


@dataclass(frozen=True)
class TrainedModel:
    """What a training made.

    Attributes:
        path: of the model file.
        model: its contents.
        validation: mAP on the persons kept back, by stage.
    """

    path: Path
    model: Checkpoint
    validation: Mapping[str, float]


def train_model(
    tracklets: Sequence[Tracklet],
    recipe: Recipe,
    options: RunOptions,
    *,
    stages: tuple[int, ...] = (1, 2),
    init: Path | None = None,
    others: Sequence[Tracklet] = (),
    say: Callable[[str], None] | None = None,
) -> TrainedModel:
    """Train a model, or go on with one whose training was interrupted.

    Args:
        tracklets: of the training persons; some persons are kept back for validation if there are no others.
        recipe: all settings.
        options: the folder that gets model, logs, checkpoints and cached features; speed and display.
        stages: (1, 2), (1,) or (2,); stage 2 alone needs the stage 1 of the same folder.
        init: Kinetics weights to start stage 1 from; random weights otherwise.
        others: tracklets of persons who are not trained on, to choose weights by and to find the threshold.
        say: told what was loaded.

    Raises:
        DatasetError: if there are too few persons.
        CheckpointError: if the folder holds another run, or `init` does not fit.
    """
    torch.manual_seed(recipe.seed)
    path = options.folder / MODEL_FILE
    trained_on = fingerprint(tracklets)
    validation: dict[str, float] = {}
    if 1 in stages:
        encoder = make_encoder(recipe.stage1)
        if init is not None:
            report = load_kinetics(kinetics_target(encoder), init)
            if say is not None:
                say(str(report))
        encoder, validation["stage 1 mAP"] = train_encoder(encoder, tracklets, recipe, options, others)
        aggregator = make_aggregator("mean-pair", encoder.dim, recipe)
    else:
        before = load_checkpoint(path)
        if before.recipe.stage1 != recipe.stage1 or before.card["trained_on"] != trained_on:
            raise CheckpointError(
                f"the stage 1 in {path} was trained with other settings or data; train stage 1 again, or give the "
                "recipe and data that it was trained with"
            )
        encoder, aggregator = before.encoder, before.aggregator
        validation |= before.card["validation"]
    device = _device(options)
    if 2 in stages:
        with progress_bar("encoding", "tracklets", options.progress) as progress:
            data = prepare_stage2(
                encoder.to(device), tracklets, recipe, options.folder / "features", workers=options.workers,
                device=device, progress=progress, others=others,
            )  # fmt: skip
        torch.manual_seed(recipe.seed + 1)
        aggregator = make_aggregator("learned", encoder.dim, recipe)
        aggregator, best = train_aggregator(aggregator, encoder, data, tracklets, recipe, options, others=others)
        validation["stage 2 mAP"] = best
    kind = aggregator.kind
    kept_back = divide_persons(tracklets, others, recipe.validation_share, recipe.seed)[1]
    threshold = _calibrated(encoder, aggregator, kept_back, recipe, options)
    card = {"aggregator": kind, "trained_on": trained_on, "validation": validation, "threshold": threshold.to_json()}
    model = Checkpoint(encoder, aggregator, recipe, card)
    save_checkpoint(path, model)
    return TrainedModel(path, model, validation)


def _calibrated(
    encoder: ClipEncoder, aggregator: Aggregator, kept_back: Sequence[Tracklet], recipe: Recipe, options: RunOptions
) -> Threshold:
    """From which similarity on the model is believed, by the persons kept back."""
    device = _device(options)
    features = extract_clip_features(
        encoder.to(device), kept_back, recipe.clips,
        cache=options.folder / "features", workers=options.workers, device=device,
    )  # fmt: skip
    return calibrate_threshold(features, aggregator.eval())


def _device(options: RunOptions) -> str:
    return "cuda" if options.accelerator in ("auto", "cuda", "gpu") and torch.cuda.is_available() else "cpu"
