"""The recordings that tracklets were cut from: found through the gallery, and shown one picture at a time."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path

from resight.data.frames import frame_content, frame_state
from resight.data.readers.listing import PICTURES, list_folder
from resight.errors import DatasetError
from resight.gallery.types import StoredTracklet
from resight.ingest.stills import Still
from resight.service import pictures
from resight.service.decoder import Box, Limits, decode_pictures, decode_video
from resight.service.problems import RefusedError

SHOWN_SIDE = 1600
"""Pixels on the longer side of a picture to draw a box on."""
_KEPT = 32


@dataclass(frozen=True)
class Recorded:
    """What a tracklet was cut from, as far as it is there.

    Attributes:
        video: The video file; None for pictures.
        pictures: The pictures in order; none for a video.
        begin: Where the tracklet begins: seconds since the beginning of the video, or number of the picture, from 0.
    """

    video: Path | None
    pictures: tuple[Path, ...]
    begin: float


@dataclass(frozen=True)
class Scene:
    """One picture of a recording.

    Attributes:
        at: Seconds since the beginning of the video, or number of the picture, from 0.
        name: Name of the file.
        jpeg: The picture.
        step: Distance of two pictures, as `at`.
        length: Length of the video in seconds, or number of pictures; None if unknown.
    """

    at: float
    name: str
    jpeg: bytes
    step: float
    length: float | None


def find_recording(tracklet: StoredTracklet) -> Recorded | None:
    """Return what a tracklet was cut from, or else its frames; None if none of these files is there.

    Only paths that the gallery has stored for this tracklet are looked at, and of a folder of pictures the pictures
    beside the one that it names.
    """
    recording = tracklet.recording
    if recording is not None and recording.file.is_file():
        if not recording.file.name.lower().endswith(PICTURES):
            return Recorded(recording.file, (), max(recording.seconds, 0.0))
        try:
            names = list_folder(recording.file.parent)[1]
        except DatasetError:
            names = []
        if recording.file.name in names:
            beside = tuple(recording.file.parent / name for name in names)
            return Recorded(None, beside, names.index(recording.file.name))
    frames = tuple(Path(tracklet.folder) / name for name in tracklet.names)
    return Recorded(None, frames, 0) if frames and frame_state(frames[0]) is not None else None


def read_scene(recorded: Recorded, at: float, limits: Limits, box: Box | None = None) -> tuple[Still, str]:
    """Return one picture of a recording, decoded in a process of its own, and the name of its file.

    Args:
        recorded: The recording.
        at: Place in it, see `Recorded`; after the end, the last picture is meant.
        limits: What decoding may cost.
        box: Part of the picture to keep; None keeps all.

    Raises:
        FrameError: If the picture cannot be decoded within the limits.
    """
    if recorded.video is not None:
        return decode_video(recorded.video, at, limits, box), recorded.video.name
    number = min(round(at), len(recorded.pictures) - 1)
    path = recorded.pictures[number]
    state = frame_state(path)
    if state is not None and state[0] > limits.file_bytes:
        raise RefusedError(413, f"{path.name} is larger than {limits.file_bytes:,} bytes")
    (pixels,) = decode_pictures([frame_content(path)], limits, box)
    return Still(pixels, number, 1, len(recorded.pictures)), path.name


class Scenes:
    """The latest pictures of recordings, so that a page and the picture on it are decoded once.

    Args:
        limits: What decoding one may cost.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = replace(limits, longest=SHOWN_SIDE)
        self._kept: OrderedDict[tuple[str, float], Scene] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, tracklet: StoredTracklet, recorded: Recorded, at: float) -> Scene:
        """Return one picture of the recording of a tracklet.

        Raises:
            FrameError: If it cannot be decoded within the limits.
        """
        with self._lock:
            kept = self._kept.get((tracklet.id, at))
        if kept is not None:
            return kept
        still, name = read_scene(recorded, at, self._limits)
        scene = Scene(still.seconds, name, pictures.encode(still.pixels), still.step, still.duration)
        with self._lock:
            self._kept[tracklet.id, at] = self._kept[tracklet.id, scene.at] = scene
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return scene

    def clear(self) -> None:
        """Forget all pictures."""
        with self._lock:
            self._kept.clear()
