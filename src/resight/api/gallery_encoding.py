"""From the tracklets that users pass to what a gallery stores."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from resight.api.model import Model
from resight.api.sources import ArrayTracklet
from resight.data.clips import sample_clips, tracklet_rng
from resight.data.frames import frame_content, read_frame
from resight.errors import DatasetError, GalleryError
from resight.features.extract import camera_of, extract_clip_features
from resight.features.keys import encoder_identity
from resight.gallery.describe import (
    as_strip,
    content_key,
    middle_frames,
    quality_of,
    small_pictures,
    storable,
    unit_mean,
)
from resight.gallery.types import Entry, Header, StoredTracklet
from resight.tracklet import DISTRACTOR, Dataset, Tracklet


@dataclass(frozen=True, eq=False)
class Keyed:
    """A tracklet whose frames were read once, to know whether it is stored.

    Attributes:
        tracklet: The tracklet.
        numbers: (M, L) frame numbers of its clips.
        key: Hash of its frames.
        source: Where it comes from.
        camera: Name of its camera; empty if unknown.
    """

    tracklet: Tracklet | ArrayTracklet
    numbers: NDArray[np.int64]
    key: bytes
    source: str
    camera: str

    @property
    def id(self) -> str:
        """Id of the tracklet; frames in memory get digits of their hash."""
        return self.tracklet.id if isinstance(self.tracklet, Tracklet) else f"frames-{self.key.hex()[:12]}"


def header_of(model: Model) -> Header:
    """Return what identifies the features of a model.

    Raises:
        GalleryError: If nothing does, as for a Python function without a name.
    """
    encoder = encoder_identity(model.checkpoint.encoder)
    if not encoder:
        raise GalleryError(f"nothing identifies the encoder of {model.name}: give it a name to use it in a gallery")
    return Header(encoder, asdict(model.recipe.clips), model.dim, model.name)


def camera_name(tracklet: Tracklet, dataset: Dataset | None = None) -> str:
    """Return the name of a tracklet's camera in a gallery; empty if it is not known."""
    if tracklet.camera_name or tracklet.camera == 0 or (dataset is not None and dataset.name == "manifest"):
        return tracklet.camera_name
    return dataset.camera_name(tracklet.camera) if dataset is not None else tracklet.camera_label


def keyed(model: Model, tracklet: Tracklet | ArrayTracklet, source: str = "", camera: str = "") -> Keyed:
    """Return a tracklet with the hash of its frames.

    Raises:
        FrameError: If a frame cannot be read.
    """
    spec = model.recipe.clips
    name = tracklet.id if isinstance(tracklet, Tracklet) else "arrays"
    numbers = sample_clips(len(tracklet), spec, tracklet_rng(name, 0))
    distinct = np.unique(numbers).tolist()
    if isinstance(tracklet, Tracklet):
        frames = (frame_content(tracklet.frame(number)) for number in distinct)
        statistics = camera_of(model.checkpoint.encoder, tracklet)
    else:
        frames = (repr(f.shape).encode() + f.tobytes() for f in map(tracklet.frames.__getitem__, distinct))
        statistics = ""
    return Keyed(tracklet, numbers, content_key(frames, numbers, len(tracklet), statistics), source, camera)


def encode_keyed(model: Model, items: Sequence[Keyed]) -> list[StoredTracklet]:
    """Return tracklets with features, strips and quality. Nothing is kept in the feature store.

    Raises:
        FrameError: If a frame cannot be decoded.
    """
    files = [item.tracklet for item in items if isinstance(item.tracklet, Tracklet)]
    of_files = iter(
        extract_clip_features(
            model.checkpoint.encoder, files, model.recipe.clips, compute=model.compute,
            workers=min(model.workers, len(files)),
        ).values if files else ()
    )  # fmt: skip
    return [
        _stored(
            item, next(of_files) if isinstance(item.tracklet, Tracklet) else model.encode(list(item.tracklet.frames)),
            model.recipe.clips.height,
        )
        for item in items
    ]  # fmt: skip


def _stored(item: Keyed, features: NDArray[np.float32], height: int) -> StoredTracklet:
    tracklet = item.tracklet
    middles = middle_frames(item.numbers)
    if isinstance(tracklet, Tracklet):
        read = {number: read_frame(tracklet.frame(number)) for number in set(middles)}
        start, end, folder, names = tracklet.start, tracklet.end, str(tracklet.folder.resolve()), tracklet.names
        person = str(tracklet.person) if tracklet.person > DISTRACTOR else None
        recording = tracklet.recording and replace(tracklet.recording, file=tracklet.recording.file.resolve())
    else:
        read = {number: tracklet.frames[number] for number in set(middles)}
        start, end, folder, names, person, recording = None, None, "", (), None, None
    frames = [read[number] for number in middles]
    pictures = small_pictures(frames)
    values = storable(features)
    quality = quality_of([len(frame) for frame in frames], pictures, values, height)
    entry = Entry(item.id, item.camera, start, end, item.source, person, len(tracklet), round(quality, 4), time.time())
    return StoredTracklet(
        entry, item.key, values, unit_mean(values), item.numbers.astype(np.int32), as_strip(pictures), folder, names,
        recording,
    )  # fmt: skip


def tracklets_of(dataset: Dataset) -> list[Tracklet]:
    """Return the tracklets of a data set that a gallery takes: its gallery and its queries, each once.

    Raises:
        DatasetError: If there are none.
    """
    found = {tracklet.id: tracklet for tracklet in (*dataset.gallery, *dataset.query)}
    if not found:
        raise DatasetError(f"{dataset.name}:{dataset.root} has no tracklets to add")
    return list(found.values())
