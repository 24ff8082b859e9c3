"""Pictures of the pages: small JPEGs of clips, joined to one film per tracklet, and how long browsers keep them."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from resight.data.transforms import resize_frames
from resight.gallery.types import Entry

_QUALITY = 85
_FILM_BYTES = 32 << 20
_SECONDS = 3600
"""How long a browser keeps a picture. Deleting a tracklet clears the cache of the browser that does it."""


class Films:
    """The films that were joined last, so that joining, which decodes and encodes, is done once.

    Args:
        most: Largest number of bytes of all films together.
    """

    def __init__(self, most: int = _FILM_BYTES) -> None:
        self._most = most
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    def get(self, version: str) -> bytes | None:
        """Return the film of a version, see `version_of`; None if it is not kept."""
        with self._lock:
            if version in self._kept:
                self._kept.move_to_end(version)
            return self._kept.get(version)

    def add(self, version: str, strip: Sequence[bytes]) -> bytes:
        """Join the pictures of a strip, keep the film and return it."""
        film = join(strip)
        with self._lock:
            self._size += len(film) - len(self._kept.pop(version, b""))
            self._kept[version] = film
            while self._size > self._most:
                self._size -= len(self._kept.popitem(last=False)[1])
        return film

    def clear(self) -> None:
        """Forget all films."""
        with self._lock:
            self._kept.clear()
            self._size = 0


def version_of(entry: Entry) -> str:
    """Return what tells the pictures of a tracklet from those of one that gets the same id later."""
    return hashlib.blake2b(repr((entry.id, entry.added)).encode(), digest_size=9).hexdigest()


def cache_headers(version: str, requested: str) -> dict[str, str]:
    """Return the headers of a picture.

    Args:
        version: Its version.
        requested: The version in the address. If it is the same, the picture at this address never changes.
    """
    control = f"private, max-age={_SECONDS}, immutable" if requested == version else "private, no-cache"
    return {"etag": f'"{version}"', "cache-control": control}


def join(strip: Sequence[bytes]) -> bytes:
    """Return one JPEG with the pictures of a strip side by side, each as large as the first.

    Args:
        strip: JPEG bytes of at least one picture.
    """
    if len(strip) == 1:
        return strip[0]
    pictures = [simplejpeg.decode_jpeg(picture, colorspace="RGB") for picture in strip]
    size = pictures[0].shape[:2]
    same = [p if p.shape[:2] == size else resize_frames(p[None], size)[0] for p in pictures]
    return encode(np.concatenate(same, axis=1))


def encode(picture: NDArray[np.uint8]) -> bytes:
    """Return the JPEG bytes of a picture, (h, w, 3) uint8 RGB."""
    return bytes(
        simplejpeg.encode_jpeg(
            np.ascontiguousarray(picture), quality=_QUALITY, colorspace="RGB", colorsubsampling="420"
        )
    )
