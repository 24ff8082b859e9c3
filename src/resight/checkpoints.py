"""Files of tensors that say what they are: safetensors with a JSON header, checked when read, replaced atomically."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from resight import __version__
from resight.errors import CheckpointError, RecipeError
from resight.models.aggregators import AGGREGATORS, Aggregator
from resight.models.encoders import ClipEncoder, encoder_body, make_encoder
from resight.models.frame_encoder import FrameEncoder
from resight.recipe import Recipe

MODEL_KIND = "resight model"


@dataclass
class Checkpoint:
    """A clip encoder and an aggregator, ready to score.

    Attributes:
        encoder: clips (B, 3, L, H, W) to features (B, D).
        aggregator: clip features to similarities.
        recipe: how both were trained.
        card: what else is known: aggregator kind, data set, validation scores, package version.
    """

    encoder: ClipEncoder
    aggregator: Aggregator
    recipe: Recipe
    card: dict[str, Any]


def save_checkpoint(path: Path, model: Checkpoint, *, half: bool = False) -> None:
    """Write encoder and aggregator into one file.

    Args:
        path: of the file.
        model: what to write.
        half: store every number as float16, in half the space; loaded again, it is float32.

    Raises:
        CheckpointError: if a number is too large for float16.
    """
    tensors = {f"encoder.{k}": v for k, v in model.encoder.state_dict().items()}
    tensors |= {f"aggregator.{k}": v for k, v in model.aggregator.state_dict().items()}
    header = {"recipe": model.recipe.to_json(), "card": model.card | {"version": __version__}}
    body = encoder_body(model.encoder)
    if isinstance(body, FrameEncoder):
        header["architecture"] = body.architecture  # so that the file needs no other
    write_tensors(path, _halved(tensors) if half else tensors, MODEL_KIND, header)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read what `save_checkpoint` wrote.

    Raises:
        CheckpointError: if the file is missing, damaged, of another kind, of a later version, or does not fit its own
            recipe.
        RecipeError: if its encoder needs a library that is not installed.
    """
    tensors, header = read_tensors(path, MODEL_KIND)
    card: dict[str, Any] = json.loads(header["card"])
    try:
        recipe = Recipe.from_json(json.loads(header["recipe"]))  # settings that are newer than the file: the default's
    except RecipeError as error:
        raise CheckpointError(
            f"{path} was written by version {card.get('version')}, whose recipe this version {__version__} cannot read "
            f"({error}); use a version that can"
        ) from error
    encoder = make_encoder(recipe.stage1, json.loads(header.get("architecture", "null")))
    aggregator = make_aggregator(str(card["aggregator"]), encoder.dim, recipe)
    for name, module in (("encoder", encoder), ("aggregator", aggregator)):
        prefix = f"{name}."
        own = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        load_into(module, own, f"{name} in {path}")
        module.eval()
    return Checkpoint(encoder, aggregator, recipe, card)


def make_aggregator(kind: str, dim: int, recipe: Recipe) -> Aggregator:
    """An aggregator by its name in `AGGREGATORS`, sized by the recipe."""
    if kind not in AGGREGATORS:
        raise CheckpointError(f"unknown aggregator {kind!r}, expected one of {', '.join(AGGREGATORS)}")
    return AGGREGATORS[kind].from_recipe(dim, recipe.stage2)


def load_into(module: nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """`load_state_dict`, with a `CheckpointError` that names what does not fit."""
    expected = module.state_dict()
    wrong = [k for k, v in expected.items() if k not in tensors or tensors[k].shape != v.shape]
    unknown = sorted(set(tensors) - set(expected))
    if wrong or unknown:
        raise CheckpointError(
            f"{where} does not fit: {len(wrong)} tensors missing or of another shape (first: {wrong[:1]}), "
            f"{len(unknown)} unknown (first: {unknown[:1]}); use the recipe that it was trained with"
        )
    module.load_state_dict(dict(tensors))


def _halved(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Floating tensors as float16; counters stay whole numbers."""
    halved = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    for name, tensor in halved.items():
        if not tensor.isfinite().all():
            raise CheckpointError(
                f"{name} reaches {tensors[name].abs().max():g}, expected at most {torch.finfo(torch.float16).max:g}, "
                "the range of float16; save the model in float32"
            )
    return halved


def write_tensors(path: Path, tensors: Mapping[str, Tensor], kind: str, header: Mapping[str, Any]) -> None:
    """Write tensors with a header of JSON values and the hash of the contents."""
    plain = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    text = {k: json.dumps(v) for k, v in header.items()} | {"kind": kind, "hash": content_hash(plain)}
    with replace_file(path) as temporary:
        temporary.write_bytes(save(plain, text))  # save_file would make a file that only its owner may read


def read_tensors(path: Path, kind: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and header of a file that this package wrote.

    Raises:
        CheckpointError: if the file is missing, damaged, or of another kind.
    """
    if not path.is_file():
        raise CheckpointError(f"no file {path}: expected a {kind} written by this package")
    try:
        with safe_open(path, framework="pt") as file:
            header: dict[str, str] = dict(file.metadata() or {})
            tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} is damaged or not safetensors ({error}); restore it from a copy or make it again"
        ) from error
    if header.get("kind") != kind:
        raise CheckpointError(
            f"{path} is a {header.get('kind', 'safetensors file of unknown kind')}, expected a {kind}"
        )
    if "hash" in header and header["hash"] != content_hash(tensors):
        raise CheckpointError(f"{path} does not hold what its header promises; restore it from a copy or make it again")
    return tensors, header


def content_hash(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, types, shapes and values, in the order of names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


@contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """A temporary name to write under; it becomes `path` if the block ends well, and vanishes if not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
