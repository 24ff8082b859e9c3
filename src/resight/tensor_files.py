"""Files of tensors: safetensors with a JSON header and a hash, checked when read and replaced in one step."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from resight.errors import CheckpointError
from resight.file_types import file_type
from resight.outputs import replace_file


def write_tensors(path: Path, tensors: Mapping[str, Tensor], kind: str, header: Mapping[str, Any]) -> None:
    """Write tensors with a header of JSON values, the kind of the file and a hash of its contents."""
    plain = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    text = {k: json.dumps(v) for k, v in header.items()} | {"kind": kind, "hash": content_hash(plain)}
    with replace_file(path) as temporary:
        temporary.write_bytes(save(plain, text))  # save_file would make a file that only its owner can read


def read_tensors(path: Path, kind: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors and the header of a file that `write_tensors` wrote.

    Args:
        path: The file.
        kind: The kind of file that is expected.

    Raises:
        CheckpointError: If the file is missing, damaged, or of another kind.
    """
    found = file_type(path)
    if found != "a safetensors file":
        what = f"there is no file {path}" if found == "missing" else f"{path} is {found or 'a file of unknown type'}"
        raise CheckpointError(f"{what}: expected a {kind} written by this package")
    try:
        with safe_open(path, framework="pt") as file:
            header: dict[str, str] = dict(file.metadata() or {})
            tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise CheckpointError(
            f"{path} is damaged or not a safetensors file ({error}): restore it from a copy or create it again"
        ) from error
    if header.get("kind") != kind:
        raise CheckpointError(
            f"{path} is a {header.get('kind', 'safetensors file of unknown kind')}, expected a {kind}"
        )
    if "hash" in header and header["hash"] != content_hash(tensors):
        raise CheckpointError(
            f"{path} is damaged: its contents do not match the hash in its header. Restore it from a copy or create it "
            "again"
        )
    return tensors, header


def kind_of(path: Path) -> str | None:
    """Return the kind of a safetensors file of this package; None for another file."""
    try:
        with safe_open(path, framework="pt") as file:
            return (file.metadata() or {}).get("kind")
    except (SafetensorError, OSError):
        return None


def read_arrays(path: Path) -> dict[str, Any]:
    """Return the arrays of any safetensors file by name.

    Raises:
        CheckpointError: If the file is damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name).float().numpy() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is damaged or not a safetensors file: {error}") from error


def content_hash(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of the names, types, shapes and values of tensors, in alphabetical order."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
