"""Stored tracklets and events as rows of a Lance table. Values and checksums are those of the SQLite gallery."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from resight.gallery.rows import (
    DamagedRowError,
    content_row,
    entry_row,
    event_row,
    mean_row,
    read_content,
    read_entry,
    read_mean,
)
from resight.gallery.types import Event, StoredTracklet

HEAD = "head"

_FACTS = [
    ("number", pa.int64()), ("id", pa.string()), ("key", pa.binary()), ("camera", pa.string()), ("start", pa.float64()),
    ("end", pa.float64()), ("source", pa.string()), ("person", pa.string()), ("frames", pa.int64()),
    ("quality", pa.float64()), ("added", pa.float64()), ("checksum", pa.binary()),
]  # fmt: skip
_MEAN = [("mean", pa.binary()), ("mean_checksum", pa.binary())]
_CONTENT = [
    ("clips", pa.int64()), ("features", pa.large_binary()), ("frame_numbers", pa.binary()),
    ("strip", pa.large_binary()), ("files", pa.binary()), ("content_checksum", pa.binary()),
]  # fmt: skip
_EVENT = [
    ("event", pa.int64()), ("kind", pa.string()), ("author", pa.string()), ("time", pa.float64()), ("ids", pa.string()),
    ("data", pa.string()), ("event_checksum", pa.binary()),
]  # fmt: skip

FACTS, MEAN, CONTENT, EVENT = ([name for name, _ in columns] for columns in (_FACTS, _MEAN, _CONTENT, _EVENT))
TRACKLET = [*FACTS, *MEAN, *CONTENT]

SCHEMA = pa.schema([(HEAD, pa.large_binary()), *_FACTS, *_MEAN, *_CONTENT, *_EVENT])
"""All columns. A part has those of its kind only."""

FIRST_FIELD = {SCHEMA.get_field_index("number"): "tracklets", SCHEMA.get_field_index("event"): "log"}
"""Kind of a part by the number of its first column."""

COLUMNS = {"tracklets": TRACKLET, "log": EVENT}
"""Columns of each kind of part."""


def schema_of(names: Sequence[str]) -> pa.Schema:
    """Return the schema of some columns."""
    return pa.schema([SCHEMA.field(name) for name in names])


def tracklet_rows(tracklets: Sequence[StoredTracklet], numbers: Sequence[int]) -> pa.Table:
    """Return tracklets with their numbers as rows."""
    rows = [
        (number, *entry_row(item), *mean_row(item), *content_row(item))
        for number, item in zip(numbers, tracklets, strict=True)
    ]
    return _table(rows, TRACKLET)


def event_rows(events: Sequence[Event]) -> pa.Table:
    """Return events with their numbers as rows."""
    return _table([(event.number, *event_row(event)) for event in events], EVENT)


def read_entries(rows: pa.Table) -> list[list[Any]]:
    """Return rows of `FACTS` without their number, as `read_entry` takes them."""
    return _lists(rows, FACTS[1:])


def read_means(rows: pa.Table, dim: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the means in rows of `MEAN`, (n, dim), and which of them match their checksums."""
    values, readable = np.zeros((rows.num_rows, dim), np.float32), np.zeros(rows.num_rows, bool)
    for place, row in enumerate(_lists(rows, MEAN)):
        try:
            mean = read_mean(row)
        except ValueError:
            continue
        if len(mean) == dim:
            values[place], readable[place] = mean, True
    return values, readable


def read_whole(row: Sequence[Any] | None) -> StoredTracklet:
    """Return the tracklet of a row of `TRACKLET` without its number; None is a row that cannot be read.

    Raises:
        DamagedRowError: If the row cannot be read, or does not match its checksums.
    """
    if row is None:
        raise DamagedRowError("the row cannot be read")
    facts, mean = len(FACTS) - 1, len(MEAN)
    entry, key = read_entry(row[:facts])
    return read_content(entry, key, read_mean(row[facts : facts + mean]), row[facts + mean :])


def read_tracklets(rows: pa.Table) -> list[list[Any]]:
    """Return rows of `TRACKLET` without their number, as `read_whole` takes them."""
    return _lists(rows, TRACKLET[1:])


def read_events(rows: pa.Table) -> list[list[Any]]:
    """Return rows of `EVENT`, as `rows.read_event` takes them."""
    return _lists(rows, EVENT)


def _table(rows: Sequence[Sequence[Any]], names: Sequence[str]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    return pa.table(dict(zip(names, map(list, columns), strict=True)), schema_of(names))


def _lists(rows: pa.Table, names: Sequence[str]) -> list[list[Any]]:
    columns = [rows[name].to_pylist() for name in names]
    return [list(row) for row in zip(*columns, strict=True)]
