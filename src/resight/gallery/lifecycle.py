"""What becomes of a gallery over time: what it holds, what is too old, and joining it with another."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from resight.errors import GalleryError, RecipeError
from resight.gallery.contract import GalleryStore
from resight.gallery.labels import KINDS, UNDO, Groups
from resight.gallery.types import EVERYTHING, Entry, Event, Filter, Header
from resight.progress import Progress
from resight.words import counted

_EARLIEST = 315_532_800.0
"""1980-01-01 in seconds since 1970. Times before it are not dates: they count from the beginning of a recording."""

DAY = 86_400.0


@dataclass(frozen=True)
class GalleryInfo:
    """What a gallery holds.

    Attributes:
        path: Its folder.
        header: Which features it holds.
        tracklets: Number of tracklets.
        cameras: Number of tracklets by name of the camera.
        first: Earliest time of a tracklet in seconds; None if no tracklet has times.
        last: Latest time.
        events: Number of events in the log, such as labels.
        size: Bytes on disk.
    """

    path: str
    header: Header
    tracklets: int
    cameras: dict[str, int]
    first: float | None
    last: float | None
    events: int
    size: int

    def __str__(self) -> str:
        return self.to_text()

    def to_text(self) -> str:
        """Return the values as lines of text."""
        clips = self.header.clips
        lines = [
            f"{self.path}: {counted(self.tracklets, 'tracklets')}, {self.size / 1e6:.1f} MB",
            f"model {self.header.model}: {clips.get('count')} clips of {clips.get('length')} frames, "
            f"{self.header.dim} features per clip",
            *(f"{name or 'unknown camera'}: {counted(number, 'tracklets')}" for name, number in self.cameras.items()),
        ]
        if self.first is not None and self.last is not None:
            lines.append(f"from {time_text(self.first)} to {time_text(self.last)}")
        return "\n".join([*lines, f"{self.events:,} events in the log"])

    def to_json(self) -> dict[str, Any]:
        """Return the values as plain values."""
        return asdict(self)


def describe_store(store: GalleryStore, path: str) -> GalleryInfo:
    """Return what a gallery holds."""
    first, last = None, None
    for entry in all_entries(store):
        times = [time for time in (entry.start, entry.end) if time is not None]
        first = min([*times, *([] if first is None else [first])], default=None)
        last = max([*times, *([] if last is None else [last])], default=None)
    cameras = store.cameras()
    return GalleryInfo(
        path, store.header, sum(cameras.values()), cameras, first, last, len(store.read_log()), store.size()
    )


def all_entries(store: GalleryStore, where: Filter = EVERYTHING) -> Iterator[Entry]:
    """Yield the entries that meet the conditions, in the order of adding."""
    for entries in pages(store, where):
        yield from entries


def pages(store: GalleryStore, where: Filter = EVERYTHING, cursor: str | None = None) -> Iterator[tuple[Entry, ...]]:
    """Yield the entries that meet the conditions page by page, from a cursor on."""
    while True:
        page = store.page(where, cursor, 1000)
        yield page.entries
        cursor = page.cursor
        if cursor is None:
            return


def expired(store: GalleryStore, days: float, now: float | None = None) -> list[str]:
    """Return the ids of tracklets that are older than some days.

    The age is that of the last frame, or of the addition if the time of the frames is not a date.

    Args:
        store: The gallery.
        days: Greatest age in days, more than 0.
        now: Time in seconds since 1970; None is now.

    Raises:
        RecipeError: If `days` is not more than 0.
    """
    if isinstance(days, bool) or not isinstance(days, (int, float)) or not days > 0:
        raise RecipeError(f"the greatest age is {days!r} days, expected more than 0")
    limit = (time.time() if now is None else now) - days * DAY
    return [entry.id for entry in all_entries(store) if _time_of(entry) < limit]


def _time_of(entry: Entry) -> float:
    seen = entry.end if entry.end is not None else entry.start
    return entry.added if seen is None or seen < _EARLIEST else seen


def merge_stores(store: GalleryStore, other: GalleryStore, progress: Progress | None = None) -> tuple[list[str], int]:
    """Add the tracklets and the labels of another gallery. Repeating it changes nothing.

    Groups of the receiving gallery keep their ids. Those of the other one get ids of the receiving gallery.

    Args:
        store: The gallery that grows.
        other: The gallery that is read.
        progress: Called with (tracklets read, all of them).

    Returns:
        Ids that were added, and the number of tracklets that were already known.

    Raises:
        GalleryError: If the other gallery holds features of another model.
    """
    if not store.header.fits(other.header):
        raise GalleryError(
            f"the galleries hold features of two models, {store.header.model} and {other.header.model}: rebuild one of "
            "them with the model of the other"
        )
    total, done = other.count(), 0
    added: list[str] = []
    names: dict[str, str] = {}
    for block in other.scan():
        new = store.add(block)
        stored = store.known([tracklet.key for tracklet in block])
        names |= {tracklet.id: stored[tracklet.key] for tracklet in block if tracklet.key in stored}
        added += [id_ for id_ in new if id_ is not None]
        done += len(block)
        if progress is not None:
            progress(done, total)
    _merge_labels(store, other.groups().events, names)
    return added, done - len(added)


def _merge_labels(store: GalleryStore, labels: Sequence[Event], names: Mapping[str, str]) -> None:
    """Append the labels of another gallery that are not known.

    Args:
        store: The gallery that grows.
        labels: Labels of the other gallery. They refer to each other by their numbers there.
        names: Ids of its tracklets in this gallery.
    """

    def decide(groups: Groups, first: int) -> list[Event]:
        known = {_content(event): event.number for event in groups.events}
        numbers: dict[int, int] = {}
        new: list[Event] = []
        for event in labels:
            if event.kind not in KINDS or not all(id_ in names for id_ in event.ids):
                continue
            data = dict(event.data)
            if event.kind == UNDO:
                if data["event"] not in numbers:  # it was damaged
                    continue
                data["event"] = numbers[data["event"]]
            moved = replace(event, ids=tuple(names[id_] for id_ in event.ids), data=data)
            if _content(moved) not in known:
                known[_content(moved)] = first + len(new)
                new.append(moved)
            numbers[event.number] = known[_content(moved)]
        return new

    store.label(decide)


def _content(event: Event) -> tuple[Any, ...]:
    return event.kind, event.ids, event.author, event.time, repr(sorted(event.data.items()))


def time_text(seconds: float) -> str:
    """Return a time as text: a date in UTC, or seconds if it is not a date.

    >>> time_text(12.5), time_text(1714557600)
    ('12.5 s', '2024-05-01 10:00:00Z')
    """
    if seconds < _EARLIEST:
        return f"{seconds:g} s"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
