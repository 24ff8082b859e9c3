"""Model files: encoder, aggregator, recipe and metadata in one file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from resight.errors import CheckpointError, RecipeError
from resight.models.aggregators import AGGREGATORS, Aggregator
from resight.models.camera_encoder import CameraEncoder, read_statistics
from resight.models.encoders import ClipEncoder, encoder_body, make_encoder
from resight.models.external import ExternalEncoder
from resight.models.frame_encoder import FrameEncoder
from resight.models.projected_encoder import ProjectedEncoder
from resight.models.python_encoder import Function, PythonEncoder
from resight.recipe import Recipe
from resight.tensor_files import content_hash, read_tensors, write_tensors
from resight.version import __version__

MODEL_KIND = "resight model"


@dataclass
class Checkpoint:
    """The contents of a model file.

    Attributes:
        encoder: Maps clips (B, 3, L, H, W) to features (B, D). Adaptation wraps it in a `ProjectedEncoder`, in a
            `CameraEncoder`, or in both, the latter outside.
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

    It holds the encoder, an ONNX network included, unless this is a Python object (`PythonEncoder`): its code cannot be
    written, so that `load_checkpoint` needs it again.

    Args:
        path: The file to write.
        checkpoint: Its contents.
        half: Store weights as float16, in half the space. They are loaded as float32.

    Raises:
        CheckpointError: If a weight is too large for float16.
    """
    body, encoder = encoder_body(checkpoint.encoder), checkpoint.encoder
    cameras = encoder if isinstance(encoder, CameraEncoder) else None
    encoder = encoder.trained if isinstance(encoder, CameraEncoder) else encoder
    projection = encoder.matrix if isinstance(encoder, ProjectedEncoder) else None
    encoder = encoder.trained if isinstance(encoder, ProjectedEncoder) else encoder
    tensors = {f"encoder.{k}": v for k, v in encoder.state_dict().items()}
    tensors |= {f"aggregator.{k}": v for k, v in checkpoint.aggregator.state_dict().items()}
    header: dict[str, Any] = {
        "recipe": checkpoint.recipe.to_json(),
        "card": checkpoint.metadata | {"version": __version__},
    }
    if isinstance(body, FrameEncoder | ExternalEncoder):
        header["architecture"] = body.architecture  # loading the file must not need another one
    if isinstance(body, PythonEncoder):
        header["architecture"] |= {"weights": _weights(body)}
        tensors = {k: v for k, v in tensors.items() if not k.startswith("encoder.")}
    if projection is not None:
        tensors["projection"] = projection
    if cameras is not None:
        header["cameras"] = cameras.cameras
        tensors["cameras"] = cameras.values
    write_tensors(path, _halved(tensors) if half else tensors, MODEL_KIND, header)


def load_checkpoint(path: Path, encoder_function: Function | None = None) -> Checkpoint:
    """Return the contents of a model file, in evaluation mode on the CPU.

    Args:
        path: The model file.
        encoder_function: The encoder of a model that was made with a Python object, which its file does not hold.

    Raises:
        CheckpointError: If the file is missing, damaged, not a model file, from a later version, if its weights do
            not fit its recipe, or if it was made with another encoder than the one given.
        RecipeError: If its encoder needs a library that is not installed.
    """
    tensors, header = read_tensors(path, MODEL_KIND)
    try:
        metadata: dict[str, Any] = dict(json.loads(header["card"]))
        described, architecture = dict(json.loads(header["recipe"])), json.loads(header.get("architecture", "null"))
        kind = str(metadata["aggregator"])
    except (KeyError, ValueError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path} has a damaged header ({error!r}): restore it from a copy") from error
    try:
        recipe = Recipe.from_json(described)
    except RecipeError as error:
        raise CheckpointError(
            f"{path} was written by version {metadata.get('version')}; version {__version__} cannot read its recipe "
            f"({error}): use a later version"
        ) from error
    encoder: ClipEncoder
    if recipe.stage1.encoder.startswith("python:"):
        encoder = _given_encoder(path, architecture, encoder_function)
        tensors |= {f"encoder.{k}": v for k, v in encoder.state_dict().items()}
    elif encoder_function is not None:
        raise CheckpointError(f"{path} holds its encoder: load it without the argument encoder")
    else:
        onnx = tensors.get("encoder.onnx")
        encoder = make_encoder(recipe.stage1, architecture, None if onnx is None else onnx.numpy().tobytes())
    aggregator = make_aggregator(kind, encoder.dim, recipe)
    for name, module in (("encoder", encoder), ("aggregator", aggregator)):
        prefix = f"{name}."
        own = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        load_into(module, own, f"{name} in {path}")
        module.eval()
    if "projection" in tensors:
        encoder = _projected(encoder, tensors["projection"], path)
    if "cameras" in header:
        encoder = _with_cameras(encoder, json.loads(header["cameras"]), tensors.get("cameras"), path)
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


def _projected(encoder: ClipEncoder, matrix: Tensor, path: Path) -> ProjectedEncoder:
    """Return an encoder with a matrix (D, D)."""
    if matrix.shape != (encoder.dim, encoder.dim):
        raise CheckpointError(
            f"the projection in {path} has the shape {tuple(matrix.shape)}, expected {(encoder.dim, encoder.dim)}: "
            "restore the file from a copy"
        )
    return ProjectedEncoder(encoder, matrix.float()).eval()


def _with_cameras(encoder: ClipEncoder, names: Sequence[str], values: Tensor | None, path: Path) -> CameraEncoder:
    """Return an encoder with the statistics of cameras, (cameras, 2, S)."""
    expected = (len(names), *read_statistics(encoder).shape)
    if values is None or values.shape != expected:
        raise CheckpointError(
            f"the statistics of cameras in {path} have the shape {None if values is None else tuple(values.shape)}, "
            f"expected {expected}: restore the file from a copy"
        )
    return CameraEncoder(encoder, dict(zip(names, values.float(), strict=True))).eval()


def _given_encoder(path: Path, architecture: Mapping[str, Any], function: Function | None) -> PythonEncoder:
    """Return the encoder of a model file that does not hold it, compared with the one it was made with."""
    name = architecture["name"]
    if function is None:
        raise CheckpointError(
            f"{path} holds an importance network for the encoder {name}, which is a Python object and not in the file: "
            "give it as resight.load_model(FILE, encoder=...)"
        )
    encoder = PythonEncoder.from_architecture(architecture, function)
    if _weights(encoder) != architecture["weights"]:
        raise CheckpointError(
            f"the encoder has other weights than {name}, which the importance network in {path} was trained for: give "
            "that encoder, or train again"
        )
    return encoder


def _weights(encoder: PythonEncoder) -> str | None:
    """Return a hash of the weights of a module; None for a function."""
    state = encoder.state_dict()
    return content_hash(state) if state else None


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
