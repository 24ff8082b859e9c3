"""Tracklets, and data sets: the tracklets for training, the queries and the gallery."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

JUNK = -1
"""Person number of a tracklet that evaluation ignores, such as a detector's mistake: neither correct nor wrong."""

DISTRACTOR = 0
"""Person number of a tracklet that is wrong for every query."""


@dataclass(frozen=True, slots=True)
class Recording:
    """Where in a recording a tracklet begins.

    Attributes:
        file: The video file, or of a folder of pictures the picture, that shows the first frame.
        seconds: Time of the first frame since the first picture of that file; 0 for a picture.
    """

    file: Path
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Tracklet:
    """The frames of one person under one camera, in temporal order.

    Attributes:
        id: Unique in its data set and the same in every run, such as ``0001C1T0001``.
        person: Person number 1, 2, …; `DISTRACTOR` (0) and `JUNK` (-1) stand for no particular person.
        camera: Camera number 1, 2, …
        folder: Folder of the frames.
        names: File names in `folder`, in the order of the frames; at least one.
        camera_name: Name of the camera, which stays the same when cameras are added; empty if it only has a number.
        start: Time of the first frame in seconds, since 1970 if it was given as a date, otherwise as in the data set;
            None if unknown.
        end: Time of the last frame, as `start`.
        recording: What it was cut from; None if unknown. The file need not exist any more.
    """

    id: str
    person: int
    camera: int
    folder: Path
    names: tuple[str, ...]
    camera_name: str = ""
    start: float | None = None
    end: float | None = None
    recording: Recording | None = None

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.names)

    def frame(self, number: int) -> Path:
        """Return the path of frame `number`, counted from 0."""
        return self.folder / self.names[number]

    @property
    def camera_label(self) -> str:
        """Name of the camera, or text such as ``camera 3`` if it only has a number."""
        return self.camera_name or f"camera {self.camera}"


@dataclass(frozen=True)
class Dataset:
    """A data set: tracklets for training, queries, and a gallery.

    A tracklet may be in both `query` and `gallery`, as in MARS. The protocol defines how this is handled.

    Attributes:
        name: Kind of data set, such as ``mars``, which determines its default protocol.
        root: Folder that it was read from.
        train: Tracklets for training. Their persons never appear in `query` or `gallery`, except in your own data
            without splits, where every tracklet has every role.
        query: Tracklets that are searched for.
        gallery: Tracklets that are searched, including junk and distractors.
        notes: What the reader left out or repaired, one sentence each.
        number: Number of this split, from 1; None if the data set has only one.
        camera_names: Names of cameras 1, 2, …; empty if the data set only numbers them.
    """

    name: str
    root: Path
    train: tuple[Tracklet, ...]
    query: tuple[Tracklet, ...]
    gallery: tuple[Tracklet, ...]
    notes: tuple[str, ...] = ()
    number: int | None = None
    camera_names: tuple[str, ...] = ()

    def between_cameras(self, query_camera: int | None = None, gallery_camera: int | None = None) -> Dataset:
        """Return the data set with queries and gallery restricted to one camera each (None: all cameras)."""
        return replace(
            self,
            query=tuple(_of_camera(self.query, query_camera)),
            gallery=tuple(_of_camera(self.gallery, gallery_camera)),
        )

    def camera_name(self, camera: int) -> str:
        """Return the name of a camera, or text such as ``camera 3`` if it has none."""
        return self.camera_names[camera - 1] if 0 < camera <= len(self.camera_names) else f"camera {camera}"

    def find(self, tracklet_id: str) -> Tracklet | None:
        """Return the tracklet with this id from any role, or None."""
        return next((t for t in (*self.query, *self.gallery, *self.train) if t.id == tracklet_id), None)


def by_person(tracklets: Iterable[Tracklet]) -> dict[int, list[Tracklet]]:
    """Group tracklets by person, in ascending order of persons and without junk and distractors."""
    groups: dict[int, list[Tracklet]] = {}
    for tracklet in tracklets:
        if tracklet.person > DISTRACTOR:
            groups.setdefault(tracklet.person, []).append(tracklet)
    return dict(sorted(groups.items()))


def _of_camera(tracklets: Iterable[Tracklet], camera: int | None) -> Iterator[Tracklet]:
    return (t for t in tracklets if camera is None or t.camera == camera)


def fingerprint(tracklets: Sequence[Tracklet]) -> str:
    """Return a hash of the ids, persons, cameras and frame names of tracklets, to recognise the same training data."""
    digest = hashlib.sha256()
    for tracklet in tracklets:
        digest.update(repr((tracklet.id, tracklet.person, tracklet.camera, tracklet.names)).encode())
    return digest.hexdigest()[:16]
