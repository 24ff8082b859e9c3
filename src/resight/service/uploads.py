"""Uploaded queries, kept in memory for a while so that the address of their result can be opened again."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

from resight.gallery.types import StoredTracklet

SECONDS = 3600
MOST = 100


@dataclass(frozen=True, eq=False)
class Upload:
    """An uploaded query.

    Attributes:
        name: Random name.
        title: What it is, for people.
        tracklet: The pictures as a tracklet with features, which is not in the gallery.
        pictures: Number of pictures that were uploaded.
        created: Time of the upload, as `time.monotonic` counts it.
    """

    name: str
    title: str
    tracklet: StoredTracklet
    pictures: int
    created: float


class Uploads:
    """The latest uploaded queries, at most `MOST`, none older than `SECONDS`."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Upload] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, tracklet: StoredTracklet, pictures: int, title: str = "Your pictures") -> Upload:
        """Keep a query, and return it with its name."""
        upload = Upload(secrets.token_urlsafe(16), title, tracklet, pictures, time.monotonic())
        with self._lock:
            self._kept[upload.name] = upload
            self._forget()
        return upload

    def get(self, name: str) -> Upload | None:
        """Return the query of a name, or None if there is none any more."""
        with self._lock:
            self._forget()
            return self._kept.get(name)

    def _forget(self) -> None:
        oldest = time.monotonic() - SECONDS
        while self._kept and (len(self._kept) > MOST or next(iter(self._kept.values())).created < oldest):
            self._kept.popitem(last=False)
