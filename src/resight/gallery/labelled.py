"""A data set of the persons that are labelled in a gallery, to train and evaluate on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from resight.errors import DatasetError
from resight.gallery.contract import GalleryStore
from resight.gallery.types import StoredTracklet
from resight.tracklet import Dataset, Tracklet
from resight.words import counted

LEAST_FRAMES = 4
"""Fewest frames of a tracklet that is divided into halves."""


def labelled_dataset(store: GalleryStore, path: Path) -> Dataset:
    """Return the labelled persons of a gallery as a data set.

    Each group is a person. A tracklet without a group that was rejected for somebody is a person as well: for training,
    its two halves are the tracklets of this person. Queries and gallery are whole tracklets.

    Args:
        store: The gallery.
        path: Its folder.

    Raises:
        DatasetError: If no person is labelled, or the frames of none are where they were when they were added.
    """
    groups = store.groups()
    labelled = groups.labelled()
    alone = sorted(id_ for id_ in labelled if groups.group(id_) is None)
    persons = [list(groups.members(group)) for group in groups.ids()] + [[id_] for id_ in alone]
    stored = {t.id: t for t in store.fetch(sorted(labelled))} if labelled else {}
    present = {id_ for id_, t in stored.items() if t.names and (Path(t.folder) / t.names[0]).is_file()}
    if not present:
        raise DatasetError(
            f"{path} has {counted(len(stored), 'tracklets')} with labels, of which none has its frames on this "
            "machine: label answers of searches with `resight gallery label`, and keep the frames where they were"
        )
    names = sorted({t.entry.camera for t in stored.values() if t.entry.camera})
    train: list[Tracklet] = []
    whole: list[Tracklet] = []
    for number, ids in enumerate(persons, 1):
        for id_ in ids:
            if id_ in present:
                tracklet = _tracklet(stored[id_], number, names, 1 + len(names) + len(whole))
                whole.append(tracklet)
                train += _halves(tracklet) if len(ids) == 1 else [tracklet]
    missing = len(stored) - len(present)
    lost = f"{counted(missing, 'tracklets')} with labels left out: their frames were moved or erased"
    notes = (lost,) if missing else ()
    return Dataset("labels", path, tuple(train), tuple(whole), tuple(whole), notes, camera_names=tuple(names))


def _tracklet(stored: StoredTracklet, person: int, cameras: Sequence[str], unknown: int) -> Tracklet:
    entry = stored.entry
    camera = cameras.index(entry.camera) + 1 if entry.camera else unknown
    return Tracklet(
        entry.id, person, camera, Path(stored.folder), stored.names, entry.camera, entry.start, entry.end
    )  # fmt: skip


def _halves(tracklet: Tracklet) -> list[Tracklet]:
    if len(tracklet) < LEAST_FRAMES:
        return [tracklet]
    middle = len(tracklet) // 2
    return [
        replace(tracklet, id=f"{tracklet.id}/first", names=tracklet.names[:middle]),
        replace(tracklet, id=f"{tracklet.id}/last", names=tracklet.names[-middle:]),
    ]
