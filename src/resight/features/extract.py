"""From tracklets to clip features: sample clips, load and prepare their frames, encode them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset as TorchDataset

from resight.compute import Compute
from resight.data.batches import load_batches
from resight.data.clips import sample_clips, tracklet_rng
from resight.data.damage import CORRUPTED, ClipDamage, Donors
from resight.data.frames import load_augmented, load_clips
from resight.data.transforms import draw_augmentations, prepare_clips
from resight.features.keys import FeatureKeys, has_key
from resight.features.store import FeatureStore
from resight.features.types import PADDING, ClipFeatures
from resight.features.view import View
from resight.models.camera_encoder import CameraEncoder
from resight.models.encoders import encode_distinct, inference_copy, is_frame_wise
from resight.progress import Progress
from resight.recipe import ClipSpec
from resight.tracklet import Tracklet


def extract_clip_features(
    encoder: nn.Module,
    tracklets: Sequence[Tracklet],
    spec: ClipSpec,
    *,
    view: View | None = None,
    donors: Sequence[Tracklet] = (),
    store: FeatureStore | None = None,
    workers: int = 0,
    batch: int = 8,
    compute: Compute = Compute(),
    progress: Progress | None = None,
) -> ClipFeatures:
    """Return the clip features of tracklets.

    An encoder of frames, for which `is_frame_wise` holds, encodes a frame that is in several clips once.

    Args:
        encoder: Maps (B, 3, L, H, W) in [-1, 1] to (B, D). It runs in evaluation mode; its own mode is restored. A
            `CameraEncoder` encodes each tracklet with the statistics of its camera.
        tracklets: T tracklets.
        spec: How they are cut into clips.
        view: How frames are changed before encoding; by default they are not changed.
        donors: Tracklets whose frames damage is made of, see `Donors`: training persons in training, the gallery in
            tests.
        store: Where features are looked up first, and kept as they are encoded; None keeps nothing. Features of a
            Python function without a name are not kept, because nothing tells whether it has changed.
        workers: Processes that decode; 0 decodes in this process.
        batch: Tracklets encoded at once.
        compute: Where and how precisely the encoder runs. ONNX networks and Python functions ignore the precision.
        progress: Called with (tracklets done, T); tracklets from the store count as done.

    Returns:
        Features in the order of `tracklets`.

    Raises:
        FrameError: If a frame cannot be read. What was encoded before is in the store.
        DatasetError: If the damage needs donors and there are none.
    """
    view = view or View()
    damage = ClipDamage.of_kind(view.damage or "", spec.count, view.seed, Donors(donors))
    clips = [sample_clips(len(t), spec, tracklet_rng(t.id, view.seed)) for t in tracklets]
    keys: list[bytes] = []
    values: dict[int, NDArray[np.float32]] = {}
    if store is not None and not has_key(encoder):
        store = None
    if store is not None:
        hasher = FeatureKeys(encoder, spec, view, damage, compute)
        keys = [hasher.key(tracklet, numbers) for tracklet, numbers in zip(tracklets, clips, strict=True)]
        known = store.read(keys)
        values = {i: known[key] for i, key in enumerate(keys) if key in known}
    missing = [i for i in range(len(tracklets)) if i not in values]
    if progress is not None and values:
        progress(len(values), len(tracklets))
    if missing:
        groups = _batches(tracklets, missing, 1 if spec.sampler == "all" else batch, encoder)
        batches = _TrackletClips(tracklets, clips, spec, view, damage, groups, is_frame_wise(encoder))
        for places, features in _encoded(encoder, batches, workers, compute):
            values |= zip(places, features, strict=True)
            if store is not None:
                store.write({keys[i]: values[i] for i in places})
            if progress is not None:
                progress(len(values), len(tracklets))
    longest = max((c.shape[1] for c in clips), default=spec.length)
    return ClipFeatures(
        tuple(t.id for t in tracklets),
        np.array([t.person for t in tracklets], np.int64),
        np.array([t.camera for t in tracklets], np.int64),
        np.stack([values[i] for i in range(len(tracklets))]) if values else np.zeros((0, spec.count, 1), np.float32),
        np.array(
            [np.pad(c, ((0, 0), (0, longest - c.shape[1])), constant_values=PADDING) for c in clips], np.int64
        ).reshape(len(tracklets), spec.count, longest),
    )


def encode_clips(encoder: nn.Module, pixels: Tensor) -> Tensor:
    """Return the features of decoded clips.

    Args:
        encoder: The clip encoder.
        pixels: (T, M, L, H, W, 3) uint8.

    Returns:
        (T, M, D) float32.
    """
    values: Tensor = encoder(prepare_clips(pixels.flatten(0, 1)))
    return values.float().view(*pixels.shape[:2], -1)


def encode_frames(encoder: nn.Module, pixels: Tensor, places: Tensor) -> Tensor:
    """Return the features of clips from their distinct frames.

    Args:
        encoder: `inference_copy` of an encoder for which `is_frame_wise` holds.
        pixels: (F, H, W, 3) uint8.
        places: (..., L) int64: the frames of each clip.

    Returns:
        (..., D) float32.
    """
    return encode_distinct(encoder, prepare_clips(pixels[:, None])[:, :, 0], places)


def distinct_frames(numbers: NDArray[np.int64], view: View) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return which frames of a tracklet's clips differ.

    Clips share frames without damage and with the paper's corruption. Other damage and augmentation are drawn for each
    clip; a frame that is repeated within an augmented clip is the same.

    Args:
        numbers: (M, L) frame numbers.
        view: How frames are changed.

    Returns:
        (F,) positions of F distinct frames among the M * L; and (M, L), which of the F each frame is.
    """
    clip, place = np.indices(numbers.shape)
    if view.damage not in (None, CORRUPTED):
        key = clip * numbers.shape[1] + place
    elif view.augmentation is not None:
        key = clip * (numbers.max() + 1) + numbers
    else:
        key = numbers
    _, first, which = np.unique(key, return_index=True, return_inverse=True)
    return first, which.reshape(numbers.shape)


def _batches(tracklets: Sequence[Tracklet], chosen: Sequence[int], size: int, encoder: nn.Module) -> list[list[int]]:
    """Return the positions of the tracklets of each batch; all of them are encoded with the same statistics."""
    groups: dict[str, list[int]] = {}
    for place in chosen:
        groups.setdefault(camera_of(encoder, tracklets[place]), []).append(place)
    return [group[first : first + size] for group in groups.values() for first in range(0, len(group), size)]


def camera_of(encoder: nn.Module, tracklet: Tracklet) -> str:
    """Return the camera whose statistics encode a tracklet; empty for the trained statistics."""
    known = encoder.cameras if isinstance(encoder, CameraEncoder) else ()
    return tracklet.camera_label if tracklet.camera_label in known else ""


def _encoded(
    encoder: nn.Module, batches: _TrackletClips, workers: int, compute: Compute
) -> Iterator[tuple[Sequence[int], NDArray[np.float32]]]:
    """Encode batch by batch: positions of its tracklets, and their features (B, M, D)."""
    loader = load_batches(batches, range(len(batches)), compute.torch_device, workers)
    was_training = encoder.training
    encoder.eval()
    fast, camera = inference_copy(encoder, compute.encoder_dtype), ""
    try:
        for number, loaded in enumerate(loader):
            wanted = camera_of(encoder, batches.tracklets[batches.places(number)[0]])
            if wanted != camera:
                fast, camera = inference_copy(encoder, compute.encoder_dtype, wanted), wanted
            with torch.inference_mode():
                encoded = encode_clips(fast, loaded) if isinstance(loaded, Tensor) else encode_frames(fast, *loaded)
            features = encoded.cpu().numpy()
            yield batches.places(number), features
    finally:
        encoder.train(was_training)


class _TrackletClips(TorchDataset[Any]):
    """Decoded clips of tracklets, for each batch of their positions.

    An item is (B, M, L, H, W, 3) uint8; with `distinct`, it is (F, H, W, 3) uint8 and (B, M, L) int64, as
    `encode_frames` takes them.
    """

    def __init__(
        self,
        tracklets: Sequence[Tracklet],
        clips: Sequence[NDArray[np.int64]],
        spec: ClipSpec,
        view: View,
        damage: ClipDamage,
        groups: Sequence[Sequence[int]],
        distinct: bool,
    ) -> None:
        self.tracklets = tracklets
        self.clips = clips
        self.spec = spec
        self.view = view
        self.damage = damage
        self.groups = groups
        self.distinct = distinct

    def __len__(self) -> int:
        return len(self.groups)

    def places(self, index: int) -> Sequence[int]:
        """Return the positions of the tracklets of item `index`."""
        return self.groups[index]

    def __getitem__(self, index: int) -> Tensor | tuple[Tensor, Tensor]:
        pixels = self._clips_of(self.places(index))
        if not self.distinct:
            return torch.from_numpy(pixels)
        frames, which, count = [], [], 0
        for i, clips in zip(self.places(index), pixels, strict=True):
            first, of_tracklet = distinct_frames(self.clips[i], self.view)
            frames.append(clips.reshape(-1, *clips.shape[2:])[first])
            which.append(of_tracklet + count)
            count += len(first)
        return torch.from_numpy(np.concatenate(frames)), torch.from_numpy(np.stack(which))

    def _clips_of(self, places: Sequence[int]) -> NDArray[np.uint8]:
        """Return the clips of the tracklets at `places`, (B, M, L, H, W, 3)."""
        size = self.spec.height, self.spec.width
        # Fill one array in place: stacking would copy every pixel once more.
        pixels = np.empty((len(places), *self.clips[places[0]].shape, *size, 3), np.uint8)
        for i, out in zip(places, pixels, strict=True):
            tracklet, numbers = self.tracklets[i], self.clips[i]
            if self.view.augmentation is None:
                load_clips(tracklet, numbers, size, self.damage, out=out)
            else:
                rng = tracklet_rng(tracklet.id, self.view.seed + 1)
                drawn = draw_augmentations(self.view.augmentation, rng, len(numbers))
                load_augmented(tracklet, numbers, self.spec, self.view.augmentation, drawn, self.damage, out=out)
        return pixels
