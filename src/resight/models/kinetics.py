"""Public weights into the clip encoder, with an account of what fitted."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from resight.errors import CheckpointError
from resight.models.i3d import I3D


@dataclass(frozen=True)
class LoadReport:
    """What became of a file of weights.

    Attributes:
        path: the file.
        matched: names that were loaded.
        missing: names of the model that the file lacks; they keep their values.
        unexpected: names in the file that the model lacks; ignored.
        wrong_shape: names in both, with another shape in the file; not loaded.
    """

    path: Path
    matched: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    wrong_shape: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"{self.path}: {len(self.matched)} tensors loaded"]
        for words, names in (
            ("missing from the file, left as they were", self.missing),
            ("in the file but not in the model, ignored", self.unexpected),
            ("of another shape, not loaded", self.wrong_shape),
        ):
            if names:
                lines.append(f"  {len(names)} {words}: {', '.join(names[:6])}{', …' if len(names) > 6 else ''}")
        return "\n".join(lines)


def load_kinetics(model: I3D, path: Path | str) -> LoadReport:
    """Copy the weights of a state dict, such as the public port's ``rgb_imagenet.pt``, into an I3D.

    Counters of batches carry no weight and are left out of the account, and a leading ``module.`` is dropped.

    Args:
        model: changed in place.
        path: a file written by `torch.save`; only tensors are read from it, code in it is never run.

    Raises:
        CheckpointError: if the file is not a state dict, or no name and shape in it fits the model.
    """
    path = Path(path)
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise CheckpointError(
            f"expected a state dict written by torch.save at {path}, cannot read it: {error}"
        ) from error
    if not isinstance(found, dict) or not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in found.items()):
        raise CheckpointError(f"expected a dictionary of named tensors in {path}: save model.state_dict() itself")
    found = {k.removeprefix("module."): v for k, v in found.items() if not k.endswith("num_batches_tracked")}
    own = {k: v for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}
    both = own.keys() & found.keys()
    matched = {k: found[k] for k in own if k in both and own[k].shape == found[k].shape}
    if not matched:
        raise CheckpointError(
            f"none of the {len(found)} tensors in {path} fits an I3D of {model.dim} features, which has names such as "
            f"{next(iter(own))}: give weights of the PyTorch I3D port, for the same width"
        )
    model.load_state_dict(matched, strict=False)
    return LoadReport(
        path,
        matched=tuple(matched),
        missing=tuple(k for k in own if k not in found),
        unexpected=tuple(k for k in found if k not in own),
        wrong_shape=tuple(k for k in own if k in both and k not in matched),
    )
