"""A gallery behind the pages: cards, labels of pairs, the audit log, and one search at a time per core."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property

from resight.api.gallery import Gallery
from resight.errors import GalleryError
from resight.gallery.labels import JOINING, Groups
from resight.gallery.types import Entry, Event, StoredTracklet
from resight.service.contexts import Card, Label
from resight.service.pictures import Films, version_of
from resight.service.problems import RefusedError
from resight.service.recordings import Scenes
from resight.service.rendering import address
from resight.service.sessions import Session, Sessions
from resight.service.settings import ServiceSettings
from resight.service.uploads import Upload, Uploads
from resight.words import counted

LOW_QUALITY = 0.5
SHORT = 8
_CAMERA_SECONDS = 5.0
_PATIENCE = 30
"""Seconds that a search waits for others before it is refused."""


class Service:
    """What the routes share.

    Args:
        gallery: The gallery that is served.
        settings: Address, access and limits.
    """

    def __init__(self, gallery: Gallery, settings: ServiceSettings) -> None:
        self.gallery = gallery
        self.settings = settings
        self.sessions = Sessions(settings.token, settings.session_hours)
        self.groups = gallery.groups
        self.uploads = Uploads()
        self.films = Films()
        self.scenes = Scenes(settings.decoding)
        self._cameras: tuple[float, tuple[str, ...]] = (float("-inf"), ())
        self._turns = threading.BoundedSemaphore(max(os.cpu_count() or 1, 1))

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait until a core is free for a search.

        Raises:
            RefusedError: If none becomes free.
        """
        if not self._turns.acquire(timeout=_PATIENCE):
            raise RefusedError(503, "too many searches are waiting; try again in a minute", {"retry-after": "60"})
        try:
            yield
        finally:
            self._turns.release()

    def cameras(self) -> tuple[str, ...]:
        """Return the cameras of the gallery, as of the last few seconds: counting them reads every row."""
        read, found = self._cameras
        if time.monotonic() - read > _CAMERA_SECONDS:
            found = tuple(self.gallery.store.cameras())
            self._cameras = time.monotonic(), found
        return found

    @cached_property
    def clips(self) -> int:
        """Clips of every tracklet, M."""
        return int(self.gallery.store.header.clips["count"])

    def strip(self, id_: str) -> tuple[bytes, ...]:
        """Return the pictures of a tracklet, one per clip.

        Raises:
            RefusedError: If the gallery has no tracklet of this id.
        """
        return self.fetch([id_])[0].strip

    def fetch(self, ids: Sequence[str]) -> tuple[StoredTracklet, ...]:
        """Return tracklets with their features. Only ids of the gallery are looked up, never paths.

        Raises:
            RefusedError: If the gallery does not have one of them.
        """
        self.entries(ids)
        return tuple(self.gallery.store.fetch(list(ids)))

    def forget_pictures(self) -> None:
        """Forget the pictures in memory, after a deletion."""
        self.films.clear()
        self.scenes.clear()

    def hints(self, entry: Entry) -> tuple[str, ...]:
        """Return what may be wrong with a track, in sentences."""
        hints = []
        if entry.quality < LOW_QUALITY:
            hints.append(
                f"Low track quality ({entry.quality:.2f}): the person may be hidden, cut off or blurred, or the box "
                "may be empty or change to another person."
            )
        if entry.frames < SHORT:
            hints.append(f"Only {counted(entry.frames, 'frames')}: the similarity is less certain.")
        return tuple(hints)

    def record(self, kind: str, session: Session, ids: Iterable[str] = (), **data: object) -> None:
        """Append an entry to the audit log."""
        self.gallery.store.append_log([Event(kind, tuple(ids), session.author, time.time(), data)])

    def entry(self, id_: str) -> Entry:
        """Return one tracklet.

        Raises:
            RefusedError: If the gallery has none of this id.
        """
        return self.entries([id_])[0]

    def entries(self, ids: Sequence[str]) -> list[Entry]:
        """Return several tracklets.

        Raises:
            RefusedError: If the gallery does not have one of them.
        """
        try:
            return self.gallery.store.entries(list(ids))
        except GalleryError as error:
            raise RefusedError(404, str(error)) from error

    def card(self, entry: Entry, groups: Groups) -> Card:
        """Return what pages show of a tracklet."""
        return Card(
            id=entry.id,
            camera=entry.camera,
            start=entry.start,
            end=entry.end,
            duration=entry.duration,
            frames=entry.frames,
            quality=entry.quality,
            source=entry.source,
            person=entry.person,
            group=groups.group(entry.id),
            clips=self.clips,
            film=address("/film", id=entry.id, v=version_of(entry)),
            link=address("/tracklet", id=entry.id),
            search=address("/search", id=entry.id),
        )

    def picture(self, entry: Entry, clip: int) -> str:
        """Return the address of the picture of a clip, counted from 1."""
        return address("/picture", id=entry.id, clip=clip, v=version_of(entry))

    def cards(self, ids: Sequence[str], groups: Groups) -> tuple[Card, ...]:
        """Return what pages show of several tracklets."""
        return tuple(self.card(entry, groups) for entry in self.entries(ids))

    def upload_card(self, upload: Upload) -> Card:
        """Return what pages show of an uploaded query."""
        entry = upload.tracklet.entry
        return Card(
            id=upload.title,
            camera=entry.camera,
            start=entry.start,
            end=entry.end,
            duration=None,
            frames=upload.pictures,
            quality=1.0,
            source="",
            person=None,
            group=None,
            clips=len(upload.tracklet.strip),
            film=address("/film", upload=upload.name),
            link=address("/search", upload=upload.name),
            search=address("/search", upload=upload.name),
        )

    def upload(self, name: str) -> Upload:
        """Return an uploaded query.

        Raises:
            RefusedError: If it is not kept any more.
        """
        upload = self.uploads.get(name)
        if upload is None:
            raise RefusedError(404, "these pictures are not kept any more; upload them again")
        return upload

    def said(self, groups: Groups, first: str, second: str) -> tuple[Label | None, int | None]:
        """Return what persons have said about a pair, and the number of the one label that says it directly."""
        identity: Label | None = None
        if groups.same(first, second):
            identity = "confirmed"
        elif groups.different(first, second):
            identity = "rejected"
        if identity is None:
            return None, None
        direct = [
            event.number
            for event in groups.active()
            if set(event.ids) == {first, second} and (event.kind in JOINING) == (identity == "confirmed")
        ]
        return identity, direct[-1] if direct else None
