"""What tracklets look like: M clip features of D values each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from resight.errors import ShapeError
from resight.tensor_files import read_tensors, write_tensors
from resight.tracklet import Tracklet

FEATURES_KIND = "resight clip features"

PADDING = -1
"""Fills `ClipFeatures.frame_numbers` where tracklets have clips of different lengths (sampler ``all``)."""


@dataclass(frozen=True)
class ClipFeatures:
    """Clip features of some tracklets, with the labels that scoring and judging need.

    Attributes:
        ids: T tracklet ids.
        persons: (T,) int64.
        cameras: (T,) int64.
        values: (T, M, D) float32, not normalised.
        frame_numbers: (T, M, L) int64: which frames each clip was made of, `PADDING` where there is none.
        encoder: What identifies the encoder that made them, from `encoder_identity`; empty if unknown.
    """

    ids: tuple[str, ...]
    persons: NDArray[np.int64]
    cameras: NDArray[np.int64]
    values: NDArray[np.float32]
    frame_numbers: NDArray[np.int64]
    encoder: str = ""

    def __post_init__(self) -> None:
        if self.values.ndim != 3 or self.values.shape[0] != len(self.ids):
            raise ShapeError(f"clip features are {self.values.shape}, expected ({len(self.ids)}, M, D)")

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, positions: Sequence[int] | NDArray[np.int64]) -> ClipFeatures:
        """Return the features of some of the tracklets, in the given order."""
        chosen = np.asarray(positions, np.int64)
        return ClipFeatures(
            tuple(self.ids[i] for i in chosen),
            self.persons[chosen],
            self.cameras[chosen],
            self.values[chosen],
            self.frame_numbers[chosen],
            self.encoder,
        )

    def of(self, tracklets: Sequence[Tracklet]) -> ClipFeatures:
        """The rows of these tracklets, in their order."""
        return self.rows(self.places(tracklets))

    def places(self, tracklets: Sequence[Tracklet]) -> list[int]:
        """Return the rows of these tracklets."""
        place = {id_: i for i, id_ in enumerate(self.ids)}
        return [place[t.id] for t in tracklets]

    def mixed_with(self, other: ClipFeatures, chosen: NDArray[np.bool_]) -> ClipFeatures:
        """These features, with those of `other` where `chosen` (T, M) is True: clean with damaged clips."""
        if other.ids != self.ids or chosen.shape != self.values.shape[:2]:
            raise ShapeError(f"cannot mix: the tracklets differ, or chosen {chosen.shape} is not (T, M)")
        values = np.where(chosen[:, :, None], other.values, self.values)
        return replace(self, values=values)

    def joined_with(self, other: ClipFeatures) -> ClipFeatures:
        """These tracklets, then those of `other` that are not among them."""
        known = set(self.ids)
        rest = other.rows([row for row, id_ in enumerate(other.ids) if id_ not in known])
        names = ("persons", "cameras", "values", "frame_numbers")
        joined: dict[str, Any] = {name: np.concatenate([getattr(self, name), getattr(rest, name)]) for name in names}
        return replace(self, ids=self.ids + rest.ids, **joined)

    @property
    def frames(self) -> str:
        """The frames used of each tracklet, as text."""
        _, clips, frames = self.frame_numbers.shape
        return f"{clips} clip{'s' * (clips > 1)} of {frames} frame{'s' * (frames > 1)}"

    def save(self, path: Path) -> None:
        """Write as safetensors, by way of a temporary name."""
        arrays = {
            "values": torch.from_numpy(self.values),
            "frame_numbers": torch.from_numpy(self.frame_numbers),
            "persons": torch.from_numpy(self.persons),
            "cameras": torch.from_numpy(self.cameras),
        }
        write_tensors(path, arrays, FEATURES_KIND, {"ids": self.ids, "encoder": self.encoder})

    @classmethod
    def load(cls, path: Path) -> ClipFeatures:
        """Read what `save` wrote.

        Raises:
            CheckpointError: if the file is damaged or of another kind.
        """
        tensors, header = read_tensors(path, FEATURES_KIND)
        arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
        return cls(
            tuple(json.loads(header["ids"])),
            arrays["persons"],
            arrays["cameras"],
            arrays["values"],
            arrays["frame_numbers"],
            json.loads(header.get("encoder", '""')),
        )


def comparable_values(
    features: NDArray[np.floating] | ClipFeatures, dim: int, encoder: str, model: str
) -> NDArray[np.floating]:
    """Return the values of features that a model can compare, (M, D) or (T, M, D).

    Args:
        features: Features of one tracklet or of many.
        dim: D of the model's encoder.
        encoder: What identifies the model's encoder.
        model: Name of the model, for messages.

    Raises:
        ShapeError: If they have another shape or dimension, are not finite, or come from another encoder.
    """
    if isinstance(features, ClipFeatures) and features.encoder not in ("", encoder):
        raise ShapeError(
            f"the features were made by another encoder than that of {model}: encode the tracklets again, or use the "
            "model that they were made with"
        )
    values = np.asarray(features.values if isinstance(features, ClipFeatures) else features)
    if values.ndim not in (2, 3) or not np.issubdtype(values.dtype, np.floating):
        raise ShapeError(
            f"expected clip features (M, D) or (T, M, D) of floating-point numbers, found {values.shape} of "
            f"{values.dtype}"
        )
    if 0 in values.shape:
        raise ShapeError(f"expected features of at least one tracklet and one clip, found {values.shape}")
    if values.shape[-1] != dim:
        raise ShapeError(
            f"the features have {values.shape[-1]} values per clip, but the encoder of {model} has {dim}: use features "
            "of that encoder"
        )
    if not np.isfinite(values).all():
        raise ShapeError(f"{np.count_nonzero(~np.isfinite(values))} of {values.size} feature values are not finite")
    return values
