"""Check the SQLite file of a gallery: its structure, and every row."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import numpy as np

from resight.gallery.rows import (
    CONTENT_COLUMNS,
    ENTRY_COLUMNS,
    EVENT_COLUMNS,
    DamagedRowError,
    read_content,
    read_entry,
    read_event,
    read_mean,
)
from resight.gallery.schema import snapshot
from resight.gallery.types import Problem

_MOST = 20
"""Findings of SQLite about the structure that are listed."""


def verify_tables(database: sqlite3.Connection, dim: int) -> list[Problem]:
    """Return what is wrong with the file.

    Args:
        database: The open file.
        dim: Features per clip, D.
    """
    with snapshot(database):
        return [*_structure(database), *_tracklets(database, dim), *_log(database)]


def _structure(database: sqlite3.Connection) -> Iterator[Problem]:
    try:
        for (text,) in database.execute(f"PRAGMA integrity_check({_MOST})").fetchall():
            if text != "ok":
                yield from (Problem("", " ".join(line.split())) for line in text.splitlines() if line.strip())
    except sqlite3.DatabaseError as error:
        yield Problem("", f"the structure cannot be checked: {error}")


def _tracklets(database: sqlite3.Connection, dim: int) -> Iterator[Problem]:
    seqs = _numbers(database, "SELECT seq FROM tracklets ORDER BY seq")
    for seq in seqs:
        name = f"tracklet number {seq}"
        try:
            row = database.execute(f"SELECT {ENTRY_COLUMNS} FROM tracklets WHERE seq = ?", (seq,)).fetchone()
            name = str(row[0])
            entry, key = read_entry(row)
            mean_row = database.execute("SELECT mean, checksum FROM means WHERE seq = ?", (seq,)).fetchone()
            row = database.execute(f"SELECT {CONTENT_COLUMNS} FROM contents WHERE seq = ?", (seq,)).fetchone()
            if mean_row is None or row is None:
                yield Problem(name, f"{name!r} has no features")
                continue
            tracklet = read_content(entry, key, read_mean(mean_row), row)
            if tracklet.features.shape[1] != dim or len(tracklet.mean) != dim:
                yield Problem(name, f"{name!r} has features of another dimension than {dim}")
            elif not np.isfinite(tracklet.features).all():
                yield Problem(name, f"{name!r} has features that are not finite")
        except DamagedRowError as error:
            yield Problem(name, str(error))
        except (sqlite3.DatabaseError, ValueError) as error:
            yield Problem(name, f"{name!r} cannot be read: {error}")
    for table in ("means", "contents"):
        for seq in _numbers(database, f"SELECT seq FROM {table} WHERE seq NOT IN (SELECT seq FROM tracklets)"):
            yield Problem("", f"number {seq} in {table} belongs to no tracklet")


def _log(database: sqlite3.Connection) -> Iterator[Problem]:
    query = f"SELECT {EVENT_COLUMNS} FROM log WHERE number = ?"
    for number in _numbers(database, "SELECT number FROM log ORDER BY number"):
        try:
            read_event(database.execute(query, (number,)).fetchone())
        except (DamagedRowError, sqlite3.DatabaseError, ValueError) as error:
            yield Problem("", str(error))
    orphans = "SELECT number FROM named WHERE id NOT IN (SELECT id FROM tracklets)"
    for number in _numbers(database, orphans):
        yield Problem("", f"event {number} of the log names a tracklet that is not stored")


def _numbers(database: sqlite3.Connection, query: str) -> list[int]:
    """Return the first column of a query; what is read up to a damaged page."""
    numbers: list[int] = []
    try:
        for (number,) in database.execute(query):
            numbers.append(number)
    except sqlite3.DatabaseError:
        return numbers  # the check of the structure has reported the page
    return numbers
