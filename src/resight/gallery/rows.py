"""Stored tracklets and events as rows of SQLite tables, each with a checksum."""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resight.gallery.types import Entry, Event, StoredTracklet
from resight.tracklet import Recording

ENTRY_COLUMNS = 'id, key, camera, start, "end", source, person, frames, quality, added, checksum'
CONTENT_COLUMNS = "clips, features, frame_numbers, strip, files, checksum"
EVENT_COLUMNS = "number, kind, author, time, ids, data, checksum"
WHOLE = f"""
SELECT {", ".join("t." + name.strip() for name in ENTRY_COLUMNS.split(","))}, m.mean, m.checksum,
       {", ".join("c." + name.strip() for name in CONTENT_COLUMNS.split(","))}
FROM tracklets t LEFT JOIN means m USING (seq) LEFT JOIN contents c USING (seq)
"""
"""Query for everything of tracklets, see `read_whole`."""

_AFTER_ENTRY = len(ENTRY_COLUMNS.split(","))


class DamagedRowError(ValueError):
    """A row does not match its checksum."""


def checksum(*parts: Any) -> bytes:
    """Return 16 bytes that depend on every part and on their boundaries: bytes, numbers, texts or None."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part if isinstance(part, bytes) else repr(part).encode()
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.digest()


def entry_row(tracklet: StoredTracklet) -> tuple[Any, ...]:
    """Return the values of `ENTRY_COLUMNS`."""
    e = tracklet.entry
    times = (None if time is None else float(time) for time in (e.start, e.end))
    values = (
        e.id, tracklet.key, e.camera, *times, e.source, e.person, int(e.frames), float(e.quality), float(e.added),
    )  # fmt: skip
    return (*values, checksum(*values))


def read_entry(row: Sequence[Any]) -> tuple[Entry, bytes]:
    """Return the entry and the key of a row of `ENTRY_COLUMNS`.

    Raises:
        DamagedRowError: If the row does not match its checksum.
    """
    *values, found = row
    if found != checksum(*values):
        raise DamagedRowError(f"the entry of {values[0]!r} does not match its checksum")
    id_, key, *rest = values
    return Entry(id_, *rest), key


def mean_row(tracklet: StoredTracklet) -> tuple[bytes, bytes]:
    """Return mean and checksum."""
    mean = np.ascontiguousarray(tracklet.mean, np.float32).tobytes()
    return mean, checksum(mean)


def read_mean(row: Sequence[Any]) -> NDArray[np.float32]:
    """Return the mean of a row of `mean_row`.

    Raises:
        DamagedRowError: If the row does not match its checksum.
    """
    mean, found = row
    if found != checksum(mean):
        raise DamagedRowError("the mean feature does not match its checksum")
    return np.frombuffer(mean, np.float32)


def content_row(tracklet: StoredTracklet) -> tuple[Any, ...]:
    """Return the values of `CONTENT_COLUMNS`."""
    files = _pack_files(tracklet)
    values = (
        len(tracklet.features), np.ascontiguousarray(tracklet.features, np.float16).tobytes(),
        np.ascontiguousarray(tracklet.frame_numbers, np.int32).tobytes(), _pack(tracklet.strip), files,
    )  # fmt: skip
    return (*values, checksum(tracklet.key, *values))


def read_content(entry: Entry, key: bytes, mean: NDArray[np.float32], row: Sequence[Any]) -> StoredTracklet:
    """Return the tracklet of an entry from its mean and a row of `CONTENT_COLUMNS`.

    Raises:
        DamagedRowError: If the row does not match its checksum.
    """
    *values, found = row
    if found != checksum(key, *values):
        raise DamagedRowError(f"the features of {entry.id!r} do not match their checksum")
    clips, features, numbers, strip, files = values
    folder, names, recording = _unpack_files(files)
    return StoredTracklet(
        entry, key, np.frombuffer(features, np.float16).reshape(clips, -1), mean,
        np.frombuffer(numbers, np.int32).reshape(clips, -1), _unpack(strip), folder, names, recording,
    )  # fmt: skip


def _pack_files(tracklet: StoredTracklet) -> bytes:
    """Return folder and names, and if the recording is known, also its path and time, compressed."""
    files: Any = [tracklet.folder, *tracklet.names]
    if (recording := tracklet.recording) is not None:
        files = {"files": files, "recording": [str(recording.file), recording.seconds]}
    return zlib.compress(json.dumps(files, ensure_ascii=True).encode())


def _unpack_files(packed: bytes) -> tuple[str, tuple[str, ...], Recording | None]:
    values = json.loads(zlib.decompress(packed))
    recording = None
    if isinstance(values, dict):
        file, seconds = values["recording"]
        values, recording = values["files"], Recording(Path(file), seconds)
    return values[0], tuple(values[1:]), recording


def read_whole(row: Sequence[Any]) -> StoredTracklet:
    """Return the tracklet of a row of `WHOLE`.

    Raises:
        DamagedRowError: If a part of the row does not match its checksum.
    """
    entry, key = read_entry(row[:_AFTER_ENTRY])
    mean = read_mean(row[_AFTER_ENTRY : _AFTER_ENTRY + 2])
    return read_content(entry, key, mean, row[_AFTER_ENTRY + 2 :])


def event_row(event: Event) -> tuple[Any, ...]:
    """Return the values of `EVENT_COLUMNS`, without the number."""
    ids, data = json.dumps(list(event.ids)), json.dumps(dict(event.data), sort_keys=True)
    values = (event.kind, event.author, float(event.time), ids, data)
    return (*values, checksum(*values))


def read_event(row: Sequence[Any]) -> Event:
    """Return the event of a row of `EVENT_COLUMNS`.

    Raises:
        DamagedRowError: If the row does not match its checksum.
    """
    number, *values, found = row
    if found != checksum(*values):
        raise DamagedRowError(f"event {number} of the log does not match its checksum")
    kind, author, time, ids, data = values
    return Event(kind, tuple(json.loads(ids)), author, time, json.loads(data), number)


def readable_events(rows: Iterable[Sequence[Any]], tell: Callable[[str], None]) -> list[Event]:
    """Return the events of rows of `EVENT_COLUMNS`; damaged ones are left out, and named to `tell`."""
    events = []
    for row in rows:
        try:
            events.append(read_event(row))
        except DamagedRowError:
            tell(f"event {row[0]}")
    return events


def _pack(parts: Sequence[bytes]) -> bytes:
    """Return byte strings as one, with their number and lengths in front."""
    return struct.pack(f"<{len(parts) + 1}I", len(parts), *map(len, parts)) + b"".join(parts)


def _unpack(packed: bytes) -> tuple[bytes, ...]:
    (count,) = struct.unpack_from("<I", packed)
    lengths = struct.unpack_from(f"<{count}I", packed, 4)
    ends = np.cumsum((4 * (count + 1), *lengths)).tolist()
    return tuple(packed[ends[n] : ends[n + 1]] for n in range(count))
