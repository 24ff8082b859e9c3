"""Encode the tracklets of a gallery again with another model.

The new features are first stored in a gallery of their own, so that an interrupted call continues, and then replace
the old ones in one step. It is inside the folder, or in the cache of this user if the gallery is on object storage.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from resight.api.gallery_encoding import Keyed, encode_keyed, header_of, keyed
from resight.api.model import Model
from resight.data.frames import frame_content
from resight.errors import FrameError, GalleryError
from resight.features.store import cache_folder
from resight.gallery.contract import GalleryStore
from resight.gallery.describe import content_key
from resight.gallery.lance_address import as_address, local_folder
from resight.gallery.lifecycle import all_entries
from resight.gallery.schema import is_gallery
from resight.gallery.sqlite_store import SqliteStore
from resight.gallery.types import Filter, Header, StoredTracklet
from resight.progress import progress_bar
from resight.tracklet import JUNK, Tracklet
from resight.words import counted

_STAGING = "rebuild"
"""Folder of the new features while they are made."""

_AT_ONCE = 16


@dataclass(frozen=True)
class Rebuilt:
    """What a call of `Gallery.rebuild` did.

    Attributes:
        tracklets: Number of tracklets in the gallery.
        dropped: Ids of the tracklets that were erased, because their files are missing or have changed.
    """

    tracklets: int
    dropped: tuple[str, ...]

    def to_text(self) -> str:
        """Return the result as one line of text."""
        return f"encoded {counted(self.tracklets, 'tracklets')} again; {len(self.dropped):,} were dropped"

    def to_json(self) -> dict[str, Any]:
        """Return the result as plain values."""
        return {"tracklets": self.tracklets, "dropped": list(self.dropped)}


def rebuild_store(
    store: GalleryStore, place: str, model: Model, *, drop_missing: bool = False, progress: bool = False
) -> Rebuilt:
    """Encode all tracklets of a gallery with another model, see `Gallery.rebuild`."""
    header = header_of(model)
    folder = _staging_folder(place)
    staging = _open_staging(folder, header)
    try:
        staging.remove(_gone_from(store, staging))  # while an interrupted call was encoding
        seen: list[str] = []
        missing: list[str] = []
        with progress_bar("encoding", "tracklets", progress) as report:
            for block in store.scan(block=_AT_ONCE):
                usable = [item for item in block if _unchanged(item)]
                missing += [item.id for item in block if item not in usable]
                missing += _encode(model, staging, usable)
                seen += [item.id for item in block]
                report(len(seen), store.count())
        if missing and not drop_missing:
            raise _missing(missing)
        count = store.replace(header, _staged(staging, set(seen) - set(missing)), seen)
    finally:
        staging.close()
    shutil.rmtree(folder)
    return Rebuilt(count, tuple(missing))


def usable_tracklets(store: GalleryStore, drop_missing: bool) -> list[Tracklet]:
    """Return the tracklets of a gallery whose frames are still there.

    Raises:
        GalleryError: If frames are missing or have changed, and `drop_missing` is False.
    """
    usable: list[Tracklet] = []
    missing: list[str] = []
    for block in store.scan():
        for item in block:
            if _unchanged(item):
                usable.append(_tracklet(item))
            else:
                missing.append(item.id)
    if missing and not drop_missing:
        raise _missing(missing)
    return usable


def _missing(ids: Sequence[str]) -> GalleryError:
    return GalleryError(
        f"the files of {counted(len(ids), 'tracklets')} are missing or have changed, such as those of {ids[0]!r}: "
        "restore them, or drop these tracklets with --drop-missing"
    )


def _staging_folder(place: str) -> Path:
    folder = local_folder(as_address(place))
    if folder is not None:
        return folder / _STAGING
    return cache_folder() / _STAGING / hashlib.sha256(place.encode()).hexdigest()[:16]


def _open_staging(folder: Path, header: Header) -> SqliteStore:
    """Open the new features of an interrupted call, unless they are those of another model."""
    try:
        return SqliteStore(folder, header)
    except GalleryError:
        shutil.rmtree(folder, ignore_errors=True)
        return SqliteStore(folder, header)


def _gone_from(store: GalleryStore, staging: GalleryStore) -> list[str]:
    """Return the ids of staged tracklets that are not in the gallery any more."""
    stored = {entry.id for entry in all_entries(store)}
    return [entry.id for entry in all_entries(staging) if entry.id not in stored]


def forget_staged(place: str, ids: Sequence[str]) -> None:
    """Erase the new features of tracklets that are being encoded again, or were when a call was interrupted.

    Args:
        place: The gallery.
        ids: Ids of the tracklets.
    """
    folder = _staging_folder(place)
    if is_gallery(folder):
        try:
            staging = SqliteStore(folder)
        except GalleryError:  # it was interrupted before it had anything
            shutil.rmtree(folder, ignore_errors=True)
            return
        try:
            staging.remove(ids)
        finally:
            staging.close()


def _staged(staging: GalleryStore, ids: set[str]) -> Iterator[StoredTracklet]:
    """Yield the new tracklets of some ids."""
    for block in staging.scan():
        yield from (tracklet for tracklet in block if tracklet.id in ids)


def _encode(model: Model, staging: GalleryStore, tracklets: Sequence[StoredTracklet]) -> list[str]:
    """Store new features of tracklets, and return the ids of those whose frames cannot be decoded."""
    ids = frozenset(tracklet.id for tracklet in tracklets)
    done = {entry.id for entry in staging.page(Filter(ids=ids), limit=_AT_ONCE).entries}
    left = [tracklet for tracklet in tracklets if tracklet.id not in done]
    try:
        items = [_keyed(model, tracklet) for tracklet in left]
        new = encode_keyed(model, items) if items else []
    except FrameError:
        if len(left) == 1:
            return [left[0].id]
        return [id_ for tracklet in left for id_ in _encode(model, staging, [tracklet])]
    stored = staging.add([
        replace(made, entry=replace(old.entry, quality=made.entry.quality))
        for made, old in zip(new, left, strict=True)
    ])  # fmt: skip
    return [old.id for old, id_ in zip(left, stored, strict=True) if id_ is None]


def _keyed(model: Model, old: StoredTracklet) -> Keyed:
    return keyed(model, _tracklet(old), old.entry.source, old.entry.camera)


def _tracklet(old: StoredTracklet) -> Tracklet:
    e = old.entry
    return Tracklet(old.id, JUNK, 0, Path(old.folder), old.names, e.camera, e.start, e.end, old.recording)


def _unchanged(old: StoredTracklet) -> bool:
    """Return whether the frames that a tracklet was made of are still the same."""
    if not old.names:
        return False
    tracklet, numbers = _tracklet(old), old.frame_numbers.astype(np.int64)
    try:
        frames = [frame_content(tracklet.frame(number)) for number in np.unique(numbers[numbers >= 0]).tolist()]
    except FrameError:
        return False
    # The statistics of a camera are used only if the old model had some for it.
    return old.key in (content_key(frames, numbers, len(tracklet), name) for name in ("", old.entry.camera))
