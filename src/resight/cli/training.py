"""Commands that make models and features."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from resight.cli.app import SHIPPED, WORKERS, DatasetName, Device, Json, ModelFile, Workers, app, say
from resight.cli.inputs import open_model, show_notes
from resight.progress import progress_bar

if TYPE_CHECKING:
    from resight.tracklet import Tracklet


@app.command
def train(
    dataset: DatasetName, *, out: Path, recipe: str = "paper", stage: Literal["both", "1", "2"] = "both",
    init: Path | None = None, validate_on: str | None = None, seed: int | None = None, device: Device = "auto",
    workers: Workers = WORKERS, as_json: Json = False,
) -> None:  # fmt: skip
    """Train the clip encoder (stage 1) and the importance (stage 2) on the training persons of a data set.

    Interrupt it when you like: the same command goes on from the last checkpoint, to the same losses.

    Args:
        out: Folder of the run: model.safetensors, logs, checkpoints, cached features.
        recipe: paper, modern, demo, modern_small, open_small, open, or a TOML file.
        stage: Stop after stage 1, or do only stage 2 from the stage 1 in the folder.
        init: Kinetics weights of the I3D (rgb_imagenet.pt of the public PyTorch port) to start from.
        validate_on: Choose weights and threshold by the training persons of this data set, as KIND:PATH, instead of by
            some of the persons kept back.
        seed: Replaces the recipe's.
    """
    from dataclasses import replace

    from resight.data.readers import read_dataset
    from resight.recipe import read_recipe
    from resight.training.loop import RunOptions
    from resight.training.train import train_model

    chosen = read_recipe(recipe)
    if seed is not None:
        chosen = replace(chosen, seed=seed)
    split = read_dataset(dataset)
    show_notes(split)
    options = RunOptions(out, workers=workers, accelerator=device, progress=not as_json)
    result = train_model(
        split.train, chosen, options, stages=(1, 2) if stage == "both" else (int(stage),), init=init,
        others=read_dataset(validate_on).train if validate_on else (),
        say=lambda text: print(text, file=sys.stderr),
    )  # fmt: skip
    text = "\n".join(f"{name}: {value:.3f}" for name, value in result.validation.items())
    say({"model": str(result.path), **result.validation}, f"{text}\nwrote {result.path}", as_json)


@app.command
def extract(
    dataset: DatasetName, *, out: Path, model: ModelFile = SHIPPED,
    role: Literal["train", "query", "gallery"] = "gallery",
    damage: Literal["none", "corrupted", "occluded", "empty", "other-person", "bad-crop"] = "none",
    device: Device = "auto", workers: Workers = WORKERS,
) -> None:  # fmt: skip
    """Write the clip features of a data set's tracklets as one safetensors file.

    Args:
        out: File to write: values (T, M, D), ids, persons, cameras, frame numbers.
        role: Which tracklets.
        damage: Damage every clip first: corrupted as in the paper's Sec. 4.4, or by one of the faults of its Fig. 7.
    """
    from resight.compute import Compute
    from resight.data.readers import read_dataset
    from resight.features.extract import extract_clip_features
    from resight.features.view import View

    compute = Compute.resolve(device)
    (loaded, _), split = open_model(model), read_dataset(dataset)
    show_notes(split)
    tracklets: Sequence[Tracklet] = getattr(split, role)
    with progress_bar("encoding", "tracklets") as progress:
        features = extract_clip_features(
            loaded.encoder.to(compute.torch_device), tracklets, loaded.recipe.clips,
            view=View(damage=None if damage == "none" else damage),
            donors=split.train if role == "train" else split.gallery,
            workers=workers, compute=compute, progress=progress,
        )  # fmt: skip
    features.save(out)
    print(f"wrote {out}: {features.values.shape} clip features of {len(features)} tracklets")
