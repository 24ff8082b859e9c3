"""Keys of the feature store: a hash of everything that decides the clip features of one tracklet."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from resight.compute import Compute
from resight.data.damage import ClipDamage
from resight.data.frames import frame_state
from resight.features.view import View
from resight.models.camera_encoder import CameraEncoder
from resight.models.encoders import encoder_body
from resight.models.external import ExternalEncoder
from resight.recipe import ClipSpec
from resight.tensor_files import content_hash
from resight.tracklet import Tracklet

READER_VERSION = 3
"""Raise this when decoding, resizing or sampling changes what the encoder sees, so that old entries are not used."""


def has_key(encoder: nn.Module) -> bool:
    """Return whether anything identifies the encoder: not for a Python function without a name."""
    body = encoder_body(encoder)
    return not isinstance(body, ExternalEncoder) or body.identity is not None


def encoder_identity(encoder: nn.Module) -> str:
    """Return a hash of an encoder's class, weights and pixel format; empty for a function without a name.

    Device and precision are not part of it.
    """
    if not has_key(encoder):
        return ""
    body = encoder_body(encoder)
    settings = body.identity if isinstance(body, ExternalEncoder) else getattr(body, "normalised", None)
    text = f"{type(encoder).__qualname__} {content_hash(encoder.state_dict())} {settings!r}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class FeatureKeys:
    """Keys of tracklets for one encoder and one way of looking at them.

    A key covers the encoder's class and weights (of an ONNX network, the file and its pixel format), the precision, the
    clip settings, the view, the reader version, the frame numbers of all clips, and path, size and modification time of
    every frame that is read, donors' frames included. Person and camera are not part of it, because they do not change
    the features, except for a camera with statistics of its own: then these are part of it.

    Args:
        encoder: The clip encoder.
        spec: How tracklets are cut into clips.
        view: How frames are changed before encoding.
        damage: The damage of the view.
        compute: Precision of the encoder; the device is not part of a key.
    """

    def __init__(self, encoder: nn.Module, spec: ClipSpec, view: View, damage: ClipDamage, compute: Compute) -> None:
        self._cameras = encoder if isinstance(encoder, CameraEncoder) else None
        encoder = encoder.trained if isinstance(encoder, CameraEncoder) else encoder
        kind = type(encoder)
        body = encoder_body(encoder)
        normalised = getattr(body, "normalised", None)  # the same weights give other features
        settings: tuple[object, ...] = (READER_VERSION, compute.precision, asdict(spec), asdict(view), normalised)
        if isinstance(body, ExternalEncoder):
            settings += (body.identity,)
        self._prefix = hashlib.sha256(
            f"{kind.__module__}.{kind.__qualname__} {content_hash(encoder.state_dict())} {settings!r}".encode()
        )
        self._draws = view.damage is not None or view.augmentation is not None
        self._damage = damage
        self._folders: dict[Path, str] = {}

    def key(self, tracklet: Tracklet, numbers: NDArray[np.int64]) -> bytes:
        """Return the key of a tracklet whose clips are the frames `numbers` (M, L): 32 bytes."""
        digest = self._prefix.copy()
        if self._cameras is not None:
            digest.update(self._cameras.identity(tracklet.camera_label).encode())
        if self._draws:  # damage and augmentation are drawn from the id
            digest.update(f"{tracklet.id} ".encode())
        digest.update(repr((numbers.shape, numbers.tolist())).encode())
        for frame in self._frames(tracklet, numbers):
            folder = self._folder(frame.parent)
            digest.update(repr((folder, frame.name, frame_state(frame))).encode())
        return digest.digest()

    def _frames(self, tracklet: Tracklet, numbers: NDArray[np.int64]) -> Iterator[Path]:
        for number in np.unique(numbers).tolist():
            yield tracklet.frame(number)
        for clip in range(len(numbers) if self._damage.kinds.any() else 0):
            donor = self._damage.drawn(tracklet, clip, numbers.shape[1])[1]
            if donor is not None:
                yield from (donor[0].frame(number) for number in np.unique(donor[1]).tolist())

    def _folder(self, folder: Path) -> str:
        if folder not in self._folders:
            self._folders[folder] = str(folder.resolve())
        return self._folders[folder]
