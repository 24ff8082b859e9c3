"""What tracklets look like: M clip features of D numbers each, computed once and kept under a content hash."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset

from resight.checkpoints import content_hash
from resight.data.batches import load_batches
from resight.data.clips import sample_clips, tracklet_rng
from resight.data.damage import CORRUPTED, ClipDamage, Donors, check_kind
from resight.data.frames import load_augmented, load_clips
from resight.data.transforms import prepare_clips
from resight.features.types import PADDING, ClipFeatures
from resight.models.encoders import encoder_body, inference_copy
from resight.models.i3d_inference import Precision
from resight.progress import Progress
from resight.recipe import ClipSpec, Damage, Stage1
from resight.tracklet import Tracklet

READER_VERSION = 2
"""Raise when decoding, resizing or sampling changes what the encoder sees, so that old caches are not used."""


@dataclass(frozen=True)
class View:
    """How pixels are looked at during extraction: as they are, damaged, or augmented as in training.

    Attributes:
        damage: every clip has this damage, one of `DAMAGES`, or none; mix with the clean features for M_c < M.
        augmentation: the stage-1 settings to draw crops and flips from; None looks straight.
        seed: of the augmentation, of the samplers that draw, and of the damage.

    Raises:
        RecipeError: if the damage is unknown.
    """

    damage: Damage | None = None
    augmentation: Stage1 | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.damage is not None:
            check_kind(self.damage)


def extract_clip_features(
    encoder: nn.Module,
    tracklets: Sequence[Tracklet],
    spec: ClipSpec,
    *,
    view: View | None = None,
    donors: Sequence[Tracklet] = (),
    cache: Path | None = None,
    workers: int = 0,
    batch: int = 8,
    device: torch.device | str = "cpu",
    precision: Precision = "float32",
    progress: Progress | None = None,
) -> ClipFeatures:
    """Clip features of tracklets: sample, load, prepare, encode.

    Args:
        encoder: (B, 3, L, H, W) in [-1, 1] to (B, D); evaluated in evaluation mode, its mode restored.
        tracklets: T of them.
        spec: how they are cut.
        view: clean and unaugmented by default.
        donors: what damaged clips are made of, see `Donors`: of the training persons to train, of the gallery to test.
        cache: folder of earlier results; a result is reused when encoder weights, spec, view, reader version and
            the frame files (name, size, time of change), those of drawn donors too, are the same.
        workers: processes that decode; 0 decodes in this one.
        batch: tracklets encoded at once.
        device: where the encoder runs.
        precision: what the encoder computes in; one of your own chooses for itself.
        progress: called with (tracklets done, T).

    Returns:
        Features in the order of `tracklets`.

    Raises:
        FrameError: if a frame cannot be read.
        DatasetError: if the damage needs donors and there are none.
    """
    view = view or View()
    damage = ClipDamage.of_kind(view.damage or "", spec.count, view.seed, Donors(donors))
    clips = [sample_clips(len(t), spec, tracklet_rng(t.id, view.seed)) for t in tracklets]
    path = None
    if cache is not None:
        path = cache / f"features-{_cache_key(encoder, tracklets, clips, spec, view, damage, precision)}.safetensors"
        if path.is_file():
            features = ClipFeatures.load(path)
            if features.ids == tuple(t.id for t in tracklets):
                return features
    batches = _TrackletClips(tracklets, clips, spec, view, damage, 1 if spec.sampler == "all" else batch)
    loader = load_batches(batches, range(len(batches)), torch.device(device), workers)
    was_training = encoder.training
    encoder.eval()
    fast = inference_copy(encoder, precision)
    rows: list[Tensor] = []
    done = 0
    try:
        with torch.inference_mode():
            for pixels in loader:
                rows.append(encode_clips(fast, pixels).cpu())
                done += len(pixels)
                if progress is not None:
                    progress(done, len(tracklets))
    finally:
        encoder.train(was_training)
    longest = max((c.shape[1] for c in clips), default=spec.length)
    features = ClipFeatures(
        tuple(t.id for t in tracklets),
        np.array([t.person for t in tracklets], np.int64),
        np.array([t.camera for t in tracklets], np.int64),
        torch.cat(rows).numpy() if rows else np.zeros((0, spec.count, 1), np.float32),
        np.array(
            [np.pad(c, ((0, 0), (0, longest - c.shape[1])), constant_values=PADDING) for c in clips], np.int64
        ).reshape(len(tracklets), spec.count, longest),
    )
    if path is not None:
        features.save(path)
    return features


def encode_clips(encoder: nn.Module, pixels: Tensor) -> Tensor:
    """Clip features of decoded clips.

    Args:
        encoder: clip encoder.
        pixels: (T, M, L, H, W, 3) uint8.

    Returns:
        (T, M, D) float32.
    """
    values: Tensor = encoder(prepare_clips(pixels.flatten(0, 1)))
    return values.float().view(*pixels.shape[:2], -1)


class _TrackletClips(Dataset[Tensor]):
    """Item b: decoded clips of the b-th few tracklets, (B, M, L, H, W, 3) uint8."""

    def __init__(
        self,
        tracklets: Sequence[Tracklet],
        clips: Sequence[NDArray[np.int64]],
        spec: ClipSpec,
        view: View,
        damage: ClipDamage,
        batch: int,
    ) -> None:
        self.tracklets = tracklets
        self.clips = clips
        self.spec = spec
        self.view = view
        self.damage = damage
        self.batch = batch

    def __len__(self) -> int:
        return -(-len(self.tracklets) // self.batch)

    def __getitem__(self, index: int) -> Tensor:
        chosen = range(len(self.tracklets))[index * self.batch : (index + 1) * self.batch]
        size = self.spec.height, self.spec.width
        # one block, filled in place: stacking would copy every pixel once more
        pixels = np.empty((len(chosen), *self.clips[chosen[0]].shape, *size, 3), np.uint8)
        for i, out in zip(chosen, pixels, strict=True):
            tracklet, numbers = self.tracklets[i], self.clips[i]
            if self.view.augmentation is None:
                load_clips(tracklet, numbers, size, self.damage, out=out)
            else:
                rng = tracklet_rng(tracklet.id, self.view.seed + 1)
                load_augmented(tracklet, numbers, self.spec, self.view.augmentation, rng, self.damage, out=out)
        return torch.from_numpy(pixels)


def _cache_key(
    encoder: nn.Module,
    tracklets: Sequence[Tracklet],
    clips: Sequence[NDArray[np.int64]],
    spec: ClipSpec,
    view: View,
    damage: ClipDamage,
    precision: Precision,
) -> str:
    key = hashlib.sha256()
    if precision != "float32":
        key.update(precision.encode())
    key.update(f"{type(encoder).__qualname__} {content_hash(encoder.state_dict())}".encode())
    if normalised := getattr(encoder_body(encoder), "normalised", None):  # the same weights give other features
        key.update(repr(normalised).encode())
    seen = {"corrupted": view.damage == CORRUPTED} | asdict(view)
    if view.damage in (None, CORRUPTED):
        del seen["damage"]  # so that features cached before there were other kinds are found
    key.update(repr((READER_VERSION, asdict(spec), seen)).encode())
    for tracklet, numbers in zip(tracklets, clips, strict=True):
        key.update(f"{tracklet.id} {tracklet.person} {tracklet.camera}".encode())
        frames = [tracklet.frame(number) for number in np.unique(numbers).tolist()]
        if view.damage is not None:
            drawn = (damage.drawn(tracklet, m, numbers.shape[1])[1] for m in range(len(numbers)))
            for donor, own in filter(None, drawn):
                key.update(donor.id.encode())
                frames += [donor.frame(number) for number in np.unique(own).tolist()]
        for frame in frames:
            state = frame.stat() if frame.is_file() else None
            key.update(repr((frame.name, state and (state.st_size, state.st_mtime_ns))).encode())
    return key.hexdigest()[:24]
