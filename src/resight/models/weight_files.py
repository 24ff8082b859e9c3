"""Read the tensors of a weight file that another program wrote, whatever it wraps them in."""

from __future__ import annotations

import argparse
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from resight.errors import CheckpointError
from resight.file_types import file_type

_WRAPPERS = (
    "state_dict", "model_state_dict", "model", "ema", "model_ema", "net", "network", "encoder", "backbone", "module",
    "weights", "params", "teacher", "student",
)  # fmt: skip
"""Keys under which programs store a state dict, in the order in which they are tried."""
_READABLE = ("", "a ZIP archive, as torch.save writes it", "a checkpoint of a training framework")
_DEPTH = 4


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Return the named tensors of a file that `torch.save` wrote, or of a safetensors file.

    Args:
        path: The file. A state dict may be wrapped in dictionaries with other entries. Only tensors and plain values
            are read; code in the file is never run.

    Raises:
        CheckpointError: If the file is of another type, damaged, or has no named tensors.
    """
    found = file_type(path)
    if found == "a safetensors file":
        try:
            return load_file(path)
        except (SafetensorError, OSError, ValueError) as error:
            raise CheckpointError(f"cannot read {path}: {error}; copy it again") from error
    if found not in _READABLE and "pickle" not in found:
        what = f"there is no file {path}" if found == "missing" else f"{path} is {found}"
        raise CheckpointError(f"{what}; expected a state dict written by torch.save, or a safetensors file")
    try:
        with torch.serialization.safe_globals(_plain_types()):
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        first = str(error).split("WeightsUnpickler error:")[-1].strip().splitlines()
        raise CheckpointError(
            f"cannot read {path}: it holds Python objects beside tensors ({first[0] if first else 'unknown'}); save "
            "model.state_dict() itself"
        ) from error
    except Exception as error:  # torch.load raises errors of many types for damaged files
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"cannot read {path}: {reason}; expected a state dict written by torch.save") from error
    return _named_tensors(loaded, path)


def _plain_types() -> list[Any]:
    """Return types that training programs store beside weights and that cannot run code."""
    scalar = np.array(0.0).reshape(-1)[0].__reduce__()[0]
    numbers = [type(np.dtype(kind)) for kind in (np.float64, np.float32, np.int64, np.int32, np.bool_)]
    return [argparse.Namespace, np.dtype, scalar, *numbers]


def _named_tensors(loaded: object, path: Path) -> dict[str, Tensor]:
    """Return the state dict in a loaded value: the value itself, or the entry of a wrapper."""
    for _ in range(_DEPTH):
        if not isinstance(loaded, Mapping):
            break
        tensors = {name: value for name, value in loaded.items() if isinstance(name, str) and isinstance(value, Tensor)}
        if len(tensors) == len(loaded) > 0:
            return tensors
        inner = next((loaded[key] for key in _WRAPPERS if isinstance(loaded.get(key), Mapping) and loaded[key]), None)
        if inner is None:
            if tensors:
                return tensors
            keys = ", ".join(str(key) for key in list(loaded)[:6])
            raise CheckpointError(
                f"{path} holds the entries {keys or 'none'}, expected a dictionary of named tensors: save "
                "model.state_dict() itself"
            )
        loaded = inner
    raise CheckpointError(
        f"{path} holds {type(loaded).__name__}, expected a dictionary of named tensors: save model.state_dict() itself"
    )
