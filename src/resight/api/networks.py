"""Models without importance: networks from elsewhere that compare tracklets by the mean of clip pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from resight.checkpoints import Checkpoint, make_aggregator
from resight.errors import RecipeError
from resight.models.encoders import ClipEncoder, make_encoder
from resight.models.external import ExternalEncoder
from resight.models.onnx_encoder import OnnxEncoder
from resight.models.pixel_format import PixelFormat, find_preset
from resight.models.python_encoder import Function, PythonEncoder
from resight.recipe import ClipSpec, Recipe, Stage1


def is_network(model: str | Path) -> bool:
    """Return whether a model is named as a network, ``onnx:FILE`` or ``frames:FOLDER``."""
    kind, _, path = str(model).partition(":")
    return kind in ("onnx", "frames") and path != "" and not Path(model).is_file()


def open_network(model: str | Path, preset: str | None = None) -> Checkpoint:
    """Return a model of ``onnx:FILE``, ``onnx:FILE#PRESET`` or ``frames:FOLDER``.

    Args:
        model: Its name, for which `is_network` holds.
        preset: For an ONNX file, the format of its input.

    Raises:
        CheckpointError: If the network cannot be read or run.
        RecipeError: If the format of its input is unknown, or a library is missing.
    """
    kind, _, path = str(model).partition(":")
    if kind == "onnx":
        network = OnnxEncoder.from_file(Path(path), preset)
        return untrained(network, f"onnx:{network.name}")
    return untrained(make_encoder(Stage1(encoder=str(model))), str(model))


def pixel_format(
    size: tuple[int, int],
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    preset: str | None,
    channels: str,
    value_range: float,
    clip_length: int | None,
) -> PixelFormat:
    """Return the input of a Python function; see `Model.from_encoder`.

    Raises:
        RecipeError: If it is incomplete or impossible.
    """
    if preset is not None:
        if mean is not None or std is not None:
            raise RecipeError("give either a preset, or mean and std, not both")
        pixels = find_preset(preset)
    elif mean is None or std is None:
        raise RecipeError(
            "the pixel format of the encoder is unknown: give mean and std for pixels from 0 to value_range, or a "
            "preset such as 'imagenet'; mean=(0, 0, 0), std=(1, 1, 1) changes nothing"
        )
    else:
        given = {"mean": tuple(mean), "std": tuple(std), "channels": channels, "value_range": value_range}
        pixels = PixelFormat.from_json(given, "from_encoder")
    layout = "nchw" if clip_length is None else "nclhw"
    return replace(pixels, size=(size[0], size[1]), layout=layout, length=clip_length or 0)


def wrap_function(function: Function, pixels: PixelFormat, name: str | None, device: torch.device) -> Checkpoint:
    """Return a model of a module or function.

    Raises:
        CheckpointError: If it fails, or returns something else than features.
        RecipeError: If its features depend on the other pictures of a batch.
    """
    wrapped = PythonEncoder(function, pixels, name, device)
    return untrained(wrapped, f"python:{wrapped.name}")


def untrained(encoder: ClipEncoder, source: str) -> Checkpoint:
    """Return a model of an encoder, with the mean of pairs instead of an importance network.

    Args:
        encoder: The encoder. If it is from elsewhere, clips have the size of its input.
        source: What the recipe names as the encoder.
    """
    clips = ClipSpec()
    if isinstance(encoder, ExternalEncoder):
        height, width = encoder.size
        clips = replace(clips, height=height, width=width, length=encoder.length)
    recipe = Recipe("untrained", clips, Stage1(encoder=source))
    aggregator = make_aggregator("mean-pair", encoder.dim, recipe)
    return Checkpoint(encoder.eval(), aggregator, recipe, {"aggregator": aggregator.kind})
