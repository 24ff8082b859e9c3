"""The log of a gallery in SQLite, and the persons that its labels describe, kept up to date with the file."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from resight.gallery.checks import not_stored
from resight.gallery.labels import Groups
from resight.gallery.rows import EVENT_COLUMNS, event_row, readable_events
from resight.gallery.schema import snapshot
from resight.gallery.types import Event


class LogTable:
    """The tables `log` and `named` of one SQLite file.

    The groups are read once, and then only what was appended. Whether events were erased meanwhile, by this connection
    or another one, is seen from their number: numbers are never used twice and events never change, so the events read
    before are still the same if as many are stored.

    Args:
        database: The open file.
        folder: The gallery.
        tell: Called with the name of an event that is damaged and left out.
    """

    def __init__(self, database: sqlite3.Connection, folder: Path, tell: Callable[[str], None]) -> None:
        self._database = database
        self._folder = folder
        self._tell = tell
        self._groups = Groups()
        self._last = 0
        self._rows = 0
        self._version: int | None = None

    def groups(self) -> Groups:
        """Return the persons of all labels. What is appended later does not change the result.

        Inside of a transaction, call it before the transaction changes the log: it would keep what is rolled back.
        """
        (version,) = self._database.execute("PRAGMA data_version").fetchone()
        if version == self._version:
            return self._groups
        with nullcontext() if self._database.in_transaction else snapshot(self._database):
            (total,) = self._database.execute("SELECT count(*) FROM log").fetchone()
            rows, earlier = self._rows_after(self._last), self._groups
            if self._rows + len(rows) != total:  # tracklets were erased with the events that name them
                rows, earlier = self._rows_after(0), Groups()
        self._groups = earlier.extended(readable_events(rows, self._tell))
        self._last = rows[-1][0] if rows else self._last
        self._rows = total
        self._version = version
        return self._groups

    def append(self, event: Event) -> Event:
        """Append an event, and return it with its number.

        Raises:
            GalleryError: If it names a tracklet that is not stored.
        """
        for id_ in event.ids:
            if self._database.execute("SELECT 1 FROM tracklets WHERE id = ?", (id_,)).fetchone() is None:
                raise not_stored(self._folder, id_)
        number = self._database.execute(
            "INSERT INTO log (kind, author, time, ids, data, checksum) VALUES (?, ?, ?, ?, ?, ?)", event_row(event)
        ).lastrowid
        self._database.executemany("INSERT INTO named VALUES (?, ?)", [(id_, number) for id_ in set(event.ids)])
        self._version = None  # the version of the file only tells what other connections have changed
        return replace(event, time=float(event.time), number=number or 0)

    def erase(self, ids: Iterable[str]) -> None:
        """Erase all events that name one of some tracklets."""
        for id_ in ids:
            for table in ("log", "named"):
                self._database.execute(
                    f"DELETE FROM {table} WHERE number IN (SELECT number FROM named WHERE id = ?)", (id_,)
                )
        self._version = None

    def read(self, after: int) -> list[Event]:
        """Return the events with a number above `after`; damaged ones are left out."""
        return readable_events(self._rows_after(after), self._tell)

    def last(self) -> int:
        """Return the number of the last event that was ever appended, or 0."""
        row = self._database.execute("SELECT seq FROM sqlite_sequence WHERE name = 'log'").fetchone()
        return int(row[0]) if row else 0

    def _rows_after(self, after: int) -> list[Sequence[Any]]:
        query = f"SELECT {EVENT_COLUMNS} FROM log WHERE number > ? ORDER BY number"
        return self._database.execute(query, (after,)).fetchall()
