"""Model files: encoder, aggregator, recipe and metadata in one file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from resight.errors import CheckpointError, RecipeError
from resight.models.aggregators import AGGREGATORS, Aggregator
from resight.models.encoders import ClipEncoder, encoder_body, make_encoder
from resight.models.frame_encoder import FrameEncoder
from resight.recipe import Recipe
from resight.tensor_files import read_tensors, write_tensors
from resight.version import __version__

MODEL_KIND = "resight model"


@dataclass
class Checkpoint:
    """The contents of a model file.

    Attributes:
        encoder: Maps clips (B, 3, L, H, W) to features (B, D).
        aggregator: Maps clip features to similarities.
        recipe: Settings that both were trained with.
        metadata: Kind of the aggregator, fingerprint of the training data, validation scores, threshold, and version of
            the package.
    """

    encoder: ClipEncoder
    aggregator: Aggregator
    recipe: Recipe
    metadata: dict[str, Any]


def save_checkpoint(path: Path, checkpoint: Checkpoint, *, half: bool = False) -> None:
    """Write a model file.

    Args:
        path: The file to write.
        checkpoint: Its contents.
        half: Store weights as float16, in half the space. They are loaded as float32.

    Raises:
        CheckpointError: If a weight is too large for float16.
    """
    tensors = {f"encoder.{k}": v for k, v in checkpoint.encoder.state_dict().items()}
    tensors |= {f"aggregator.{k}": v for k, v in checkpoint.aggregator.state_dict().items()}
    header = {"recipe": checkpoint.recipe.to_json(), "card": checkpoint.metadata | {"version": __version__}}
    body = encoder_body(checkpoint.encoder)
    if isinstance(body, FrameEncoder):
        header["architecture"] = body.architecture  # loading the file must not need another one
    write_tensors(path, _halved(tensors) if half else tensors, MODEL_KIND, header)


def load_checkpoint(path: Path) -> Checkpoint:
    """Return the contents of a model file, in evaluation mode on the CPU.

    Raises:
        CheckpointError: If the file is missing, damaged, not a model file, from a later version, or if its weights do
            not fit its recipe.
        RecipeError: If its encoder needs a library that is not installed.
    """
    tensors, header = read_tensors(path, MODEL_KIND)
    metadata: dict[str, Any] = json.loads(header["card"])
    try:
        recipe = Recipe.from_json(json.loads(header["recipe"]))
    except RecipeError as error:
        raise CheckpointError(
            f"{path} was written by version {metadata.get('version')}; version {__version__} cannot read its recipe "
            f"({error}): use a later version"
        ) from error
    encoder = make_encoder(recipe.stage1, json.loads(header.get("architecture", "null")))
    aggregator = make_aggregator(str(metadata["aggregator"]), encoder.dim, recipe)
    for name, module in (("encoder", encoder), ("aggregator", aggregator)):
        prefix = f"{name}."
        own = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        load_into(module, own, f"{name} in {path}")
        module.eval()
    return Checkpoint(encoder, aggregator, recipe, metadata)


def make_aggregator(kind: str, dim: int, recipe: Recipe) -> Aggregator:
    """Return a new aggregator.

    Args:
        kind: Name of the aggregator, a key of `AGGREGATORS`.
        dim: D, features per clip.
        recipe: Its settings.

    Raises:
        CheckpointError: If the name is unknown.
    """
    if kind not in AGGREGATORS:
        raise CheckpointError(f"unknown aggregator {kind!r}, expected one of {', '.join(AGGREGATORS)}")
    return AGGREGATORS[kind].from_recipe(dim, recipe.stage2)


def load_into(module: nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """Load tensors into a module.

    Args:
        module: The module to load into.
        tensors: Tensors by name, as in its state dict.
        where: Where the tensors are from, for error messages.

    Raises:
        CheckpointError: If a tensor is missing, unknown or of another shape.
    """
    expected = module.state_dict()
    wrong = [k for k, v in expected.items() if k not in tensors or tensors[k].shape != v.shape]
    unknown = sorted(set(tensors) - set(expected))
    if wrong or unknown:
        raise CheckpointError(
            f"the tensors of {where} do not fit: {len(wrong)} missing or of another shape (first: {wrong[:1]}), "
            f"{len(unknown)} unknown (first: {unknown[:1]}); use the recipe that they were trained with"
        )
    module.load_state_dict(dict(tensors))


def _halved(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return floating-point tensors as float16 and integer tensors unchanged."""
    halved = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    for name, tensor in halved.items():
        if not tensor.isfinite().all():
            raise CheckpointError(
                f"{name} has a magnitude of {tensors[name].abs().max():g}, expected at most "
                f"{torch.finfo(torch.float16).max:g}, the range of float16: save the model in float32"
            )
    return halved
