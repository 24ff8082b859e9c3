"""The words for data: a tracklet, and the three roles that tracklets play in a data set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

JUNK = -1
"""Person number of a tracklet that must be ignored: a detector's mistake, counted neither right nor wrong."""

DISTRACTOR = 0
"""Person number of somebody who is nobody's right answer."""


@dataclass(frozen=True, slots=True)
class Tracklet:
    """The frames of one person under one camera, in the order in which they were seen.

    Attributes:
        id: unique within its data set and stable between runs, such as ``0001C1T0001``.
        person: 1, 2, …; `DISTRACTOR` (0) and `JUNK` (-1) are nobody in particular.
        camera: 1, 2, …
        folder: where the frames lie.
        names: file names in `folder`, sorted by frame number; at least one.
    """

    id: str
    person: int
    camera: int
    folder: Path
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    def frame(self, number: int) -> Path:
        """Path of frame `number`, counted from 0."""
        return self.folder / self.names[number]


@dataclass(frozen=True)
class Dataset:
    """A data set: tracklets to train on, to ask with, and to search among.

    One tracklet may be in `query` and in `gallery` (it is, in MARS); the protocol says what to do about it.

    Attributes:
        name: the kind of data set, such as ``mars``: names its default protocol.
        root: where it was read from.
        train: persons here never appear in `query` or `gallery`, except in a set of your own without splits, where all
            tracklets have every role.
        query: what is asked.
        gallery: what is searched, junk and distractors included.
        notes: what the reader had to leave out or repair, one sentence each.
        number: which of the data set's splits this is, from 1; None if it has only this one.
        camera_names: what the data set calls its cameras 1, 2, …; empty if it only numbers them.
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
        """The same data set with queries and gallery restricted to one camera each (None: all cameras)."""
        return replace(
            self,
            query=tuple(_of_camera(self.query, query_camera)),
            gallery=tuple(_of_camera(self.gallery, gallery_camera)),
        )

    def camera_name(self, camera: int) -> str:
        """What the data set calls a camera, or ``camera 3`` if it has no name for it."""
        return self.camera_names[camera - 1] if 0 < camera <= len(self.camera_names) else f"camera {camera}"

    def find(self, tracklet_id: str) -> Tracklet | None:
        """The tracklet of that id, from any role, or None."""
        return next((t for t in (*self.query, *self.gallery, *self.train) if t.id == tracklet_id), None)


def by_person(tracklets: Iterable[Tracklet]) -> dict[int, list[Tracklet]]:
    """Tracklets grouped by person, junk and distractors left out, persons in ascending order."""
    groups: dict[int, list[Tracklet]] = {}
    for tracklet in tracklets:
        if tracklet.person > DISTRACTOR:
            groups.setdefault(tracklet.person, []).append(tracklet)
    return dict(sorted(groups.items()))


def _of_camera(tracklets: Iterable[Tracklet], camera: int | None) -> Iterator[Tracklet]:
    return (t for t in tracklets if camera is None or t.camera == camera)
