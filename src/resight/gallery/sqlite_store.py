"""The embedded storage of a gallery: one SQLite file in one folder."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resight.errors import GalleryError
from resight.gallery.checks import check_features, damaged_tracklets, not_stored, other_model
from resight.gallery.conditions import sql_conditions
from resight.gallery.labels import Groups
from resight.gallery.log_table import LogTable
from resight.gallery.means import MeanCache
from resight.gallery.rows import (
    CONTENT_COLUMNS,
    ENTRY_COLUMNS,
    WHOLE,
    DamagedRowError,
    content_row,
    entry_row,
    mean_row,
    read_entry,
    read_whole,
)
from resight.gallery.schema import FILE, connect, empty_log, gallery_errors, transaction
from resight.gallery.types import (
    EVERYTHING,
    Entry,
    Event,
    Filter,
    Header,
    Page,
    Problem,
    StoredTracklet,
    distinct_id,
)
from resight.gallery.verify import verify_tables
from resight.progress import note

_HEADER = "header"


class SqliteStore:
    """A gallery in SQLite, see `GalleryStore` for its methods.

    Changes go through a write-ahead log that is flushed to the disk before a method returns. Every row has a checksum,
    which is compared whenever the row is read. Threads may share a store; processes open one each.

    Args:
        folder: The gallery; the file in it is `schema.FILE`.
        header: Which features the gallery holds. If there is no gallery, it is made with this header. None opens an
            existing gallery.
        tell: Called with a sentence when damaged rows are left out.

    Raises:
        GalleryError: If there is no gallery and no header, the folder holds something else, the gallery was written by
            a newer version, or it holds other features than those of `header`.
    """

    def __init__(self, folder: Path, header: Header | None = None, tell: Callable[[str], None] = note) -> None:
        self.folder = folder
        self.path = folder / FILE
        self._tell = tell
        self._told: set[str] = set()
        self._lock = threading.RLock()
        self._database = connect(folder, create=header is not None)
        try:
            with self._open("open"):
                if header is not None and self._stored_header() is None:
                    with transaction(self._database):
                        if self._stored_header() is None:  # another process may have been faster
                            self._write_setting(_HEADER, header.to_json())
            if header is not None and not self.header.fits(header):
                raise other_model(folder, self.header, header)
            self._means = MeanCache(self.header)
            self._counted: tuple[int, int] | None = None  # version of the file, and tracklets in it
            self._log = LogTable(self._database, folder, self._leave_out)
        except BaseException:
            self._database.close()
            raise

    @property
    def header(self) -> Header:
        """See `GalleryStore.header`."""
        with self._open("read"):
            stored = self._stored_header()
        if stored is None:
            raise GalleryError(f"{self.folder} is a gallery whose making was interrupted: delete it and make it again")
        return stored

    def known(self, keys: Iterable[bytes]) -> dict[bytes, str]:
        """See `GalleryStore.known`."""
        with self._open("read"):
            found = ((key, self._one("SELECT id FROM tracklets WHERE key = ?", key)) for key in keys)
            return {key: row[0] for key, row in found if row is not None}

    def add(self, tracklets: Sequence[StoredTracklet]) -> list[str | None]:
        """See `GalleryStore.add`."""
        check_features(tracklets, self.header.dim)
        with self._open("write"), transaction(self._database):
            added = [self._insert(tracklet) for tracklet in tracklets]
            self._changed()
            return added

    def remove(self, ids: Iterable[str]) -> list[str]:
        """See `GalleryStore.remove`."""
        removed: list[str] = []
        with self._open("write"):
            with transaction(self._database):
                rows = ((id_, self._one("SELECT seq FROM tracklets WHERE id = ?", id_)) for id_ in dict.fromkeys(ids))
                places = {id_: row[0] for id_, row in rows if row is not None}
                removed = list(places)
                self._erase_labels(removed)
                for seq in places.values():
                    for table in ("contents", "means", "tracklets"):
                        self._database.execute(f"DELETE FROM {table} WHERE seq = ?", (seq,))
                self._changed()
            if removed:
                empty_log(self._database, self.folder)
        return removed

    def replace(self, header: Header, tracklets: Iterable[StoredTracklet], accounted: Collection[str]) -> int:
        """See `GalleryStore.replace`."""
        with self._open("write"):
            with transaction(self._database):
                before = dict(self._database.execute("SELECT id, seq FROM tracklets").fetchall())
                if others := before.keys() - set(accounted):
                    raise GalleryError(
                        f"{len(others)} tracklets were added to {self.folder} meanwhile: run the same command again"
                    )
                for table in ("tracklets", "means", "contents", "settings"):
                    self._database.execute(f"DELETE FROM {table}")
                self._write_setting(_HEADER, header.to_json())
                for tracklet in tracklets:
                    check_features([tracklet], header.dim)
                    if tracklet.id in before and self._insert(tracklet, before[tracklet.id]) is not None:
                        del before[tracklet.id]
                self._erase_labels(list(before))
                (count,) = self._database.execute("SELECT count(*) FROM tracklets").fetchone()
            self._changed()
            self._means = MeanCache(header)
            empty_log(self._database, self.folder)
        return int(count)

    def entries(self, ids: Sequence[str]) -> list[Entry]:
        """See `GalleryStore.entries`."""
        with self._open("read"):
            query = f"SELECT {ENTRY_COLUMNS} FROM tracklets WHERE id = ?"
            return self._each(ids, lambda id_: read_entry(self._found(id_, self._one(query, id_)))[0])

    def fetch(self, ids: Sequence[str]) -> list[StoredTracklet]:
        """See `GalleryStore.fetch`."""
        with self._open("read"):
            query = f"{WHOLE} WHERE t.id = ?"
            return self._each(ids, lambda id_: read_whole(self._found(id_, self._one(query, id_))))

    def page(
        self, where: Filter = EVERYTHING, cursor: str | None = None, limit: int = 100, *, newest: bool = False
    ) -> Page:
        """See `GalleryStore.page`."""
        conditions, values = sql_conditions(where)
        if cursor is not None:
            if not cursor.isascii() or not cursor.isdigit() or len(cursor) > 18:
                raise GalleryError(f"{cursor!r} is not a cursor of this gallery: pass the one of the page before")
            conditions += f" AND seq {'<' if newest else '>'} ?"
            values.append(int(cursor))
        query = f"SELECT seq, {ENTRY_COLUMNS} FROM tracklets WHERE {conditions} ORDER BY seq"
        with self._open("read"):
            rows = self._database.execute(
                query + (" DESC" if newest else "") + " LIMIT ?", (*values, limit + 1)
            ).fetchall()
        entries = []
        for _, *row in rows[:limit]:
            try:
                entries.append(read_entry(row)[0])
            except DamagedRowError:
                self._leave_out(str(row[0]))
        return Page(tuple(entries), str(rows[limit - 1][0]) if len(rows) > limit else None)

    def position(self) -> str:
        """See `GalleryStore.position`."""
        with self._open("read"):
            return str(self._one("SELECT max(seq) FROM tracklets")[0] or 0)

    def count(self, where: Filter = EVERYTHING) -> int:
        """See `GalleryStore.count`."""
        conditions, values = sql_conditions(replace(where, without=None))
        query, without = f"SELECT count(*) FROM tracklets WHERE {conditions}", json.dumps(sorted(where.without or ()))
        with self._open("read"):
            left_out = self._one(f"{query} AND id IN (SELECT value FROM json_each(?))", *values, without)[0]
            return int((self._one(query, *values)[0] if values else self._total()) - left_out)

    def cameras(self) -> dict[str, int]:
        """See `GalleryStore.cameras`."""
        with self._open("read"):
            rows = self._database.execute("SELECT camera, count(*) FROM tracklets GROUP BY camera ORDER BY camera")
            return dict(rows.fetchall())

    def means(self, where: Filter = EVERYTHING) -> tuple[list[str], NDArray[np.float32]]:
        """See `GalleryStore.means`."""
        with self._open("read"):
            return self._current_means().chosen(self._seqs(where))

    def spaced_means(self, count: int) -> NDArray[np.float32]:
        """See `GalleryStore.spaced_means`."""
        with self._open("read"):
            return self._current_means().spaced(count)

    def nearest(
        self, queries: NDArray[np.float32], k: int, where: Filter = EVERYTHING
    ) -> list[tuple[list[str], NDArray[np.float32]]]:
        """See `GalleryStore.nearest`."""
        # Few tracklets are left out of nearly every search: without them in SQL, most searches need no SQL at all.
        without = where.without or frozenset()
        with self._open("read"):
            means, seqs = self._current_means(), self._seqs(replace(where, without=None))
        return means.nearest(queries, k, seqs, without)  # several threads can search at once

    def scan(self, where: Filter = EVERYTHING, block: int = 256) -> Iterator[list[StoredTracklet]]:
        """See `GalleryStore.scan`."""
        conditions, values = sql_conditions(where)
        last = 0
        while True:
            with self._open("read"):
                rows = self._database.execute(
                    f"SELECT seq, id FROM tracklets WHERE {conditions} AND seq > ? ORDER BY seq LIMIT ?",
                    (*values, last, block),
                ).fetchall()
                if not rows:
                    return
                last, tracklets = rows[-1][0], []
                for seq, id_ in rows:
                    try:
                        tracklets.append(read_whole(self._one(f"{WHOLE} WHERE seq = ?", seq)))
                    except (DamagedRowError, sqlite3.DatabaseError):
                        self._leave_out(id_)
            yield tracklets

    def append_log(self, events: Sequence[Event]) -> list[Event]:
        """See `GalleryStore.append_log`."""
        with self._open("write"), transaction(self._database):
            return [self._log.append(event) for event in events]

    def read_log(self, after: int = 0) -> list[Event]:
        """See `GalleryStore.read_log`."""
        with self._open("read"):
            return self._log.read(after)

    def last_event(self) -> int:
        """See `GalleryStore.last_event`."""
        with self._open("read"):
            return self._log.last()

    def groups(self) -> Groups:
        """See `GalleryStore.groups`."""
        with self._open("read"):
            return self._log.groups()

    def label(self, decide: Callable[[Groups, int], Sequence[Event]]) -> list[Event]:
        """See `GalleryStore.label`."""
        with self._open("write"), transaction(self._database):
            return [self._log.append(event) for event in decide(self._log.groups(), self._log.last() + 1)]

    def read_setting(self, name: str) -> Any:
        """See `GalleryStore.read_setting`."""
        with self._open("read"):
            row = self._one("SELECT value FROM settings WHERE name = ?", name)
        return None if row is None else json.loads(row[0])

    def write_setting(self, name: str, value: Any) -> None:
        """See `GalleryStore.write_setting`."""
        with self._open("write"), transaction(self._database):
            self._write_setting(name, value)

    def size(self) -> int:
        """See `GalleryStore.size`."""
        return sum(path.stat().st_size for path in self.folder.glob(FILE + "*"))

    def verify(self) -> list[Problem]:
        """See `GalleryStore.verify`."""
        with self._open("read"):
            return verify_tables(self._database, self.header.dim)

    def close(self) -> None:
        """See `GalleryStore.close`."""
        with self._lock:
            self._database.close()

    @contextmanager
    def _open(self, doing: str) -> Iterator[None]:
        """Let no other thread use the connection, and turn errors of SQLite into ours."""
        with self._lock, gallery_errors(self.path, doing):
            yield

    def _one(self, query: str, *values: Any) -> Any:
        return self._database.execute(query, values).fetchone()

    def _stored_header(self) -> Header | None:
        row = self._one("SELECT value FROM settings WHERE name = ?", _HEADER)
        return None if row is None else Header(**json.loads(row[0]))

    def _write_setting(self, name: str, value: Any) -> None:
        if value is None:
            self._database.execute("DELETE FROM settings WHERE name = ?", (name,))
        else:
            self._database.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (name, json.dumps(value)))

    def _insert(self, tracklet: StoredTracklet, seq: int | None = None) -> str | None:
        """Insert a tracklet, and return its id; None if its frames are already stored."""
        if self._one("SELECT 1 FROM tracklets WHERE key = ?", tracklet.key):
            return None
        for length in (6, 64):
            if self._one("SELECT 1 FROM tracklets WHERE id = ?", tracklet.id):
                tracklet = tracklet.renamed(distinct_id(tracklet.id, tracklet.key, length))
        row = seq, *entry_row(tracklet)
        marks = ", ".join("?" * len(row))
        seq = self._database.execute(f"INSERT INTO tracklets (seq, {ENTRY_COLUMNS}) VALUES ({marks})", row).lastrowid
        self._database.execute("INSERT INTO means VALUES (?, ?, ?)", (seq, *mean_row(tracklet)))
        content = content_row(tracklet)
        marks = ", ".join("?" * len(content))
        self._database.execute(f"INSERT INTO contents (seq, {CONTENT_COLUMNS}) VALUES (?, {marks})", (seq, *content))
        return tracklet.id

    def _erase_labels(self, ids: Sequence[str]) -> None:
        """Erase all events that name some tracklets; what labels say about the others is kept."""
        for event in self._log.groups().without(set(ids)):
            self._log.append(event)
        self._log.erase(ids)

    def _changed(self) -> None:
        """Have what is kept in memory read again: SQLite tells only what other connections have changed."""
        self._means.invalidate()
        self._counted = None

    def _total(self) -> int:
        """Return the number of tracklets. SQLite counts them one by one, which each search would wait for."""
        version = self._one("PRAGMA data_version")[0]
        if self._counted is None or self._counted[0] != version:
            self._counted = version, int(self._one("SELECT count(*) FROM tracklets")[0])
        return self._counted[1]

    def _found(self, id_: str, row: Any) -> Any:
        if row is None:
            raise not_stored(self.folder, id_)
        return row

    def _each(self, ids: Sequence[str], read: Callable[[str], Any]) -> list[Any]:
        found, damaged = [], []
        for id_ in ids:
            try:
                found.append(read(id_))
            except (DamagedRowError, sqlite3.DatabaseError) as error:
                if isinstance(error, sqlite3.OperationalError):  # locked or unreadable as a whole
                    raise
                damaged.append(id_)
        if damaged:
            raise damaged_tracklets(self.folder, damaged)
        return found

    def _leave_out(self, name: str) -> None:
        if name not in self._told:
            self._told.add(name)
            self._tell(f"{name} in the gallery {self.folder} is damaged and left out; see `resight gallery verify`")

    def _current_means(self) -> MeanCache:
        before = self._means.unreadable
        if not self._means.header.fits(header := self.header):  # another process has rebuilt the gallery
            self._means = MeanCache(header)
        self._means.update(self._database)
        if self._means.unreadable > before:
            self._tell(
                f"{self._means.unreadable} tracklets of the gallery {self.folder} are damaged and not searched; see "
                "`resight gallery verify`"
            )
        return self._means

    def _seqs(self, where: Filter) -> NDArray[np.int64] | None:
        if where == EVERYTHING:
            return None
        conditions, values = sql_conditions(where)
        rows = self._database.execute(f"SELECT seq FROM tracklets WHERE {conditions}", values)
        return np.fromiter((seq for (seq,) in rows), np.int64)
