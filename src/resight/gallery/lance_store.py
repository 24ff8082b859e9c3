"""A gallery in a Lance table: a folder, or an address on object storage (extra ``cluster``)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from resight.errors import GalleryError
from resight.gallery.checks import check_features, damaged_tracklets, not_stored, other_model
from resight.gallery.labels import Groups
from resight.gallery.lance_address import as_address, check_new, no_gallery, table_exists, table_of
from resight.gallery.lance_cache import Facts, LanceCache
from resight.gallery.lance_log import LanceLog
from resight.gallery.lance_parts import compact, drop_events, drop_tracklets, new_head, possible_ids, write_all
from resight.gallery.lance_rows import read_entries, read_whole, tracklet_rows
from resight.gallery.lance_table import Change, LanceTable, Version
from resight.gallery.lance_verify import verify_parts
from resight.gallery.means import MeanBlocks
from resight.gallery.rows import DamagedRowError, read_entry
from resight.gallery.types import (
    EVERYTHING,
    Entry,
    Event,
    Filter,
    Header,
    Page,
    Problem,
    StoredTracklet,
)
from resight.progress import note

T = TypeVar("T")

_KEPT = timedelta(minutes=10)
"""How long files stay after others have replaced them, for processes that read them. Erasing does not wait."""


class LanceStore:
    """A gallery in a Lance table, see `GalleryStore` for its methods and `lance_table` for how it is changed.

    What is written is stored when its version is committed: object storage has then acknowledged every file, and a
    folder was flushed to the disk. Threads may share a store; processes open one each. Facts of all tracklets are kept
    in memory, and means once they are needed.

    Args:
        place: A folder, or an address such as ``s3://bucket/site.gallery``.
        header: Which features the gallery holds. If there is no gallery, it is made with this header. None opens an
            existing gallery.
        tell: Called with a sentence when damaged rows are left out.
        mine: Show only tracklets whose numbers this accepts, as an array; None shows all. Such a store must not be
            changed.

    Raises:
        GalleryError: If there is no gallery and no header, the place cannot be used, the gallery was written by a
            newer version, or it holds other features than those of `header`.
    """

    def __init__(
        self, place: Any, header: Header | None = None, tell: Callable[[str], None] = note,
        mine: Callable[[NDArray[np.int64]], NDArray[np.bool_]] | None = None,
    ) -> None:  # fmt: skip
        self.address = as_address(place)
        self._tell = tell
        self._told: set[str] = set()
        self._damaged = 0
        self._lock = threading.RLock()
        self._cache = LanceCache(mine)
        self._log = LanceLog(self.address, self._leave_out)
        self._table = _open(self.address, header)
        if header is not None and not self.header.fits(header):
            raise other_model(self.address, self.header, header)

    @property
    def header(self) -> Header:
        """See `GalleryStore.header`."""
        return Header(**self._head()["header"])

    def known(self, keys: Iterable[bytes]) -> dict[bytes, str]:
        """See `GalleryStore.known`."""
        wanted = list(keys)
        return self._read(lambda facts: facts.known(wanted))

    def add(self, tracklets: Sequence[StoredTracklet]) -> list[str | None]:
        """See `GalleryStore.add`."""
        added = self._change(lambda change, facts: self._add(change, facts, tracklets)) if tracklets else []
        if any(added):
            self._compact()
        return added

    def _add(self, change: Change, facts: Facts, tracklets: Sequence[StoredTracklet]) -> list[str | None]:
        check_features(tracklets, change.head["header"]["dim"])
        keys = facts.known([tracklet.key for tracklet in tracklets])
        names = [possible_ids(tracklet) for tracklet in tracklets]
        taken = set(facts.places([name for each in names for name in each]))
        new: list[StoredTracklet] = []
        result: list[str | None] = []
        for tracklet, (name, *others) in zip(tracklets, names, strict=True):
            if tracklet.key in keys:
                result.append(None)
                continue
            for other in others:
                if name in taken:
                    name = other
            keys[tracklet.key] = name
            taken.add(name)
            result.append(name)
            new.append(tracklet.renamed(name))
        change.add(tracklet_rows(new, range(change.head["next"], change.head["next"] + len(new))))
        change.head["next"] += len(new)
        return result

    def remove(self, ids: Iterable[str]) -> list[str]:
        """See `GalleryStore.remove`.

        The bytes are in no file of the gallery when this returns. A bucket that keeps versions of its objects keeps
        them, and a file system may keep them in space that is free. Repeat the call if it was interrupted.
        """
        wanted = list(dict.fromkeys(ids))

        def prepare(change: Change, facts: Facts) -> list[str]:
            places = facts.places(wanted)
            self._erase_labels(change, facts, set(places))
            drop_tracklets(change, facts, places)
            return [id_ for id_ in wanted if id_ in places]

        return self._change(prepare, erase=True)

    def replace(self, header: Header, tracklets: Iterable[StoredTracklet], accounted: Collection[str]) -> int:
        """See `GalleryStore.replace`.

        Raises:
            GalleryError: Also if anything else was changed meanwhile.
        """
        source = iter(tracklets)
        started: list[Change] = []

        def prepare(change: Change, facts: Facts) -> int:
            before = dict(zip(facts.rows["id"].to_pylist(), facts.numbers.tolist(), strict=True))
            if others := before.keys() - set(accounted):
                raise GalleryError(
                    f"{len(others)} tracklets were added to {self.address} meanwhile: run the same command again"
                )
            if started:
                raise GalleryError(f"{self.address} was changed meanwhile: run the same command again")
            started.append(change)
            for part in change.version.of("tracklets"):
                change.drop(part)
            stored = write_all(change, source, header.dim, before)
            self._erase_labels(change, facts, before.keys() - stored)
            change.head |= {"header": header.to_json(), "settings": {}}
            return len(stored)

        return self._change(prepare, erase=True)

    def entries(self, ids: Sequence[str]) -> list[Entry]:
        """See `GalleryStore.entries`."""
        rows = self._read(lambda facts: read_entries(facts.rows.take(pa.array(self._places(facts, ids), pa.int64()))))
        return self._each(ids, rows, lambda row: read_entry(row)[0])

    def fetch(self, ids: Sequence[str]) -> list[StoredTracklet]:
        """See `GalleryStore.fetch`."""
        rows = self._read(lambda facts: self._rows(facts, self._places(facts, ids)))
        return self._each(ids, rows, read_whole)

    def page(
        self, where: Filter = EVERYTHING, cursor: str | None = None, limit: int = 100, *, newest: bool = False
    ) -> Page:
        """See `GalleryStore.page`."""
        if cursor is not None and (not cursor.isascii() or not cursor.isdigit() or len(cursor) > 18):
            raise GalleryError(f"{cursor!r} is not a cursor of this gallery: pass the one of the page before")
        facts = self._read(lambda facts: facts)
        numbers, chosen = facts.numbers, facts.chosen(where)
        if cursor is not None:
            chosen &= numbers < int(cursor) if newest else numbers > int(cursor)
        places = np.flatnonzero(chosen)[:: -1 if newest else 1][: limit + 1]
        entries = []
        for row in read_entries(facts.rows.take(places[:limit])):
            try:
                entries.append(read_entry(row)[0])
            except DamagedRowError:
                self._leave_out(str(row[0]))
        return Page(tuple(entries), str(numbers[places[limit - 1]]) if len(places) > limit else None)

    def position(self) -> str:
        """See `GalleryStore.position`."""
        return str(self._head()["next"] - 1)

    def count(self, where: Filter = EVERYTHING) -> int:
        """See `GalleryStore.count`."""
        return self._read(lambda facts: int(facts.chosen(where).sum()))

    def cameras(self) -> dict[str, int]:
        """See `GalleryStore.cameras`."""
        counts = self._read(lambda facts: facts.rows["camera"].value_counts().to_pylist())
        return dict(sorted((each["values"], each["counts"]) for each in counts))

    def means(self, where: Filter = EVERYTHING) -> tuple[list[str], NDArray[np.float32]]:
        """See `GalleryStore.means`."""
        return self._read(lambda facts: self._means(facts).chosen(facts.selected(where)))

    def spaced_means(self, count: int) -> NDArray[np.float32]:
        """See `GalleryStore.spaced_means`."""
        return self._read(lambda facts: self._means(facts).spaced(count))

    def nearest(
        self, queries: NDArray[np.float32], k: int, where: Filter = EVERYTHING
    ) -> list[tuple[list[str], NDArray[np.float32]]]:
        """See `GalleryStore.nearest`."""
        # Few tracklets are left out of nearly every search, most of which need no conditions without them.
        others = replace(where, without=None)
        means, numbers = self._read(lambda facts: (self._means(facts), facts.selected(others)))
        return means.nearest(queries, k, numbers, where.without or frozenset())

    def scan(self, where: Filter = EVERYTHING, block: int = 256) -> Iterator[list[StoredTracklet]]:
        """See `GalleryStore.scan`."""
        last = -1
        while True:
            found = self._read(lambda facts, last=last: self._next(facts, where, last, block))  # type: ignore[misc]
            if found is None:
                return
            last, ids, rows = found
            tracklets = []
            for id_, row in zip(ids, rows, strict=True):
                try:
                    tracklets.append(read_whole(row))
                except DamagedRowError:
                    self._leave_out(id_)
            yield tracklets

    def numbers(self, ids: Sequence[str]) -> list[int]:
        """Return the numbers of tracklets, which are in the order of adding. That of a removed one is 0."""

        def read(facts: Facts) -> list[int]:
            places = facts.places(ids)
            return [int(facts.numbers[places[id_]]) if id_ in places else 0 for id_ in ids]

        return self._read(read)

    def append_log(self, events: Sequence[Event]) -> list[Event]:
        """See `GalleryStore.append_log`."""
        appended = self._change(lambda change, facts: self._log.append(change, facts, events))
        self._compact()
        return appended

    def read_log(self, after: int = 0) -> list[Event]:
        """See `GalleryStore.read_log`."""
        rows = self._read(lambda facts: facts.events)
        return self._log.readable([row for row in rows if row[0] > after])

    def last_event(self) -> int:
        """See `GalleryStore.last_event`."""
        return int(self._head()["event"]) - 1

    def groups(self) -> Groups:
        """See `GalleryStore.groups`."""
        return self._read(self._log.groups)

    def label(self, decide: Callable[[Groups, int], Sequence[Event]]) -> list[Event]:
        """See `GalleryStore.label`."""

        def prepare(change: Change, facts: Facts) -> list[Event]:
            return self._log.append(change, facts, decide(self._log.groups(facts), change.head["event"]))

        appended = self._change(prepare)
        self._compact()
        return appended

    def read_setting(self, name: str) -> Any:
        """See `GalleryStore.read_setting`."""
        return self._head()["settings"].get(name)

    def write_setting(self, name: str, value: Any) -> None:
        """See `GalleryStore.write_setting`."""

        def prepare(change: Change, _: Facts) -> None:
            settings = {key: old for key, old in change.head["settings"].items() if key != name}
            change.head["settings"] = settings if value is None else settings | {name: value}

        self._change(prepare)

    def size(self) -> int:
        """See `GalleryStore.size`."""
        return self._table.sizes()

    def verify(self) -> list[Problem]:
        """See `GalleryStore.verify`."""
        return self._read(verify_parts)

    def close(self) -> None:
        """See `GalleryStore.close`."""

    def _head(self) -> dict[str, Any]:
        with self._lock:
            return self._table.reading(lambda version: version.head)

    def _read(self, read: Callable[[Facts], T]) -> T:
        with self._lock:
            return self._table.reading(lambda version: read(self._facts(version)))

    def _change(
        self, prepare: Callable[[Change, Facts], T], *, erase: bool = False, once: bool = False
    ) -> T:  # fmt: skip
        with self._lock:
            return self._table.change(
                lambda change: prepare(change, self._facts(change.version)), erase=erase, once=once
            )  # fmt: skip

    def _facts(self, version: Version) -> Facts:
        facts = self._cache.facts(version)
        self._check_latest(version, facts.lost)
        for part in facts.lost:
            self._leave_out(f"a part of {part.rows} rows ({part.path})")
        return facts

    def _erase_labels(self, change: Change, facts: Facts, ids: Collection[str]) -> None:
        """Erase all events that name some tracklets; what labels say about the others is kept."""
        self._log.append(change, facts, self._log.groups(facts).without(ids))
        drop_events(change, facts, ids)

    def _means(self, facts: Facts) -> MeanBlocks:
        means, damaged = self._cache.means(facts.version, facts.version.head["header"]["dim"])
        self._check_latest(facts.version, damaged)
        if damaged > self._damaged:
            self._tell(
                f"{damaged} tracklets of the gallery {self.address} are damaged and not searched; see `resight gallery "
                "verify`"
            )
        self._damaged = damaged
        return means

    def _places(self, facts: Facts, ids: Sequence[str]) -> list[int]:
        places = facts.places(ids)
        for id_ in ids:
            if id_ not in places:
                raise not_stored(self.address, id_)
        return [places[id_] for id_ in ids]

    def _rows(self, facts: Facts, places: Sequence[int]) -> list[list[Any] | None]:
        """Return the rows of tracklets; None for those that cannot be read."""
        rows = facts.version.tracklets(facts.positions[places].tolist())
        self._check_latest(facts.version, None in rows)
        return rows

    def _check_latest(self, version: Version, missing: object) -> None:
        """Raise an error, after which the latest version is read, if something is missing that others have erased."""
        if missing and not self._table.is_latest(version):
            raise OSError("files were deleted meanwhile")

    def _next(
        self, facts: Facts, where: Filter, last: int, block: int
    ) -> tuple[int, list[str], list[list[Any] | None]] | None:
        """Return the last number, the ids and the rows of the next tracklets; None if there are none."""
        places = np.flatnonzero(facts.chosen(where) & (facts.numbers > last))[:block]
        if not len(places):
            return None
        rows = self._rows(facts, places.tolist())
        return int(facts.numbers[places[-1]]), facts.rows["id"].take(places).to_pylist(), rows

    def _each(self, ids: Sequence[str], rows: Sequence[Any], read: Callable[[Any], T]) -> list[T]:
        found, damaged = [], []
        for id_, row in zip(ids, rows, strict=True):
            try:
                found.append(read(row))
            except DamagedRowError:
                damaged.append(id_)
        if damaged:
            raise damaged_tracklets(self.address, damaged)
        return found

    def _leave_out(self, name: str) -> None:
        if name not in self._told:
            self._told.add(name)
            self._tell(f"{name} in the gallery {self.address} is damaged and left out; see `resight gallery verify`")

    def _compact(self) -> None:
        """Join small parts, if there are many of them; another writer that is faster will do so later."""
        with suppress(GalleryError):  # what was to be stored is stored
            if self._change(compact, once=True):
                self._table.tidy(_KEPT)


def _open(address: str, header: Header | None) -> LanceTable:
    uri = table_of(address)
    if not table_exists(address):
        if header is None:
            raise no_gallery(address)
        check_new(address)
        return LanceTable(address, uri, new_head(header))
    return LanceTable(address, uri)
