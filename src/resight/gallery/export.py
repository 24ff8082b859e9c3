"""Write the contents of a gallery as files that other programs read."""

from __future__ import annotations

import csv
import importlib
import json
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from resight.errors import RecipeError
from resight.features.types import PADDING, ClipFeatures
from resight.gallery.contract import GalleryStore
from resight.gallery.types import EVERYTHING, Entry, Filter, StoredTracklet
from resight.outputs import check_output_folder, replace_file
from resight.progress import Progress
from resight.tracklet import JUNK

TableFormat = Literal["csv", "jsonl", "parquet"]

_SHARD = 10_000
"""Tracklets in one file of features, so that memory does not grow with the gallery."""

_COLUMNS = tuple(field.name for field in fields(Entry))

_PARQUET = {"start": "float64", "end": "float64", "frames": "int64", "quality": "float64", "added": "float64"}
"""Types of the columns in Parquet that are not text. Without them, a column without any value would have no type, and
two exports could not be read as one table."""


def export_store(
    store: GalleryStore,
    out: Path,
    table: TableFormat = "csv",
    where: Filter = EVERYTHING,
    *,
    strips: bool = True,
    progress: Progress | None = None,
) -> int:
    """Write tracklets and the log of a gallery into a folder. Damaged tracklets are left out, with a note.

    Writes ``entries.csv`` (or ``.jsonl``, ``.parquet``) with one line per tracklet, ``features-00001.safetensors`` and
    so on, which `resight.read_features` reads, ``log.jsonl``, ``header.json``, and ``strips/<line>.jpg`` with the
    pictures of each clip in ``strips/<line>-<clip>.jpg``, where <line> is the number of the line from 1.

    Args:
        store: The gallery.
        out: Folder; it is created if necessary.
        table: Format of the table of entries.
        where: Conditions that select tracklets; labels of others are left out.
        strips: Whether to write the pictures.
        progress: Called with (tracklets written, all of them).

    Returns:
        Number of tracklets written.

    Raises:
        OutputError: If the folder cannot be written.
        RecipeError: If the format of the table is unknown, or ``parquet`` without the library pyarrow.
    """
    if table not in get_args(TableFormat):
        raise RecipeError(f"the format of the table is {table!r}, expected one of {', '.join(get_args(TableFormat))}")
    parquet = _pyarrow() if table == "parquet" else None
    check_output_folder(out)
    total, entries = store.count(where), []
    with replace_file(out / "header.json") as temporary:
        temporary.write_text(json.dumps(store.header.to_json(), indent=1) + "\n", encoding="utf-8")
    for number, shard in enumerate(_shards(store, where), start=1):
        for tracklet in shard:
            entries.append(tracklet.entry)
            for clip, picture in enumerate(tracklet.strip if strips else (), start=1):
                with replace_file(out / "strips" / f"{len(entries):06d}-{clip}.jpg") as temporary:
                    temporary.write_bytes(picture)
        _features(shard, store.header.encoder).save(out / f"features-{number:05d}.safetensors")
        if progress is not None:
            progress(len(entries), total)
    with replace_file(out / f"entries.{table}") as temporary:
        _write_table(temporary, entries, table, parquet)
    ids = {entry.id for entry in entries}
    with replace_file(out / "log.jsonl") as temporary, temporary.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(e.to_json()) + "\n" for e in store.read_log() if ids.issuperset(e.ids))
    return len(entries)


def _shards(store: GalleryStore, where: Filter) -> Iterator[list[StoredTracklet]]:
    shard: list[StoredTracklet] = []
    for block in store.scan(where):
        shard += block
        while len(shard) >= _SHARD:
            yield shard[:_SHARD]
            shard = shard[_SHARD:]
    if shard:
        yield shard


def _features(tracklets: list[StoredTracklet], encoder: str) -> ClipFeatures:
    cameras = {name: n for n, name in enumerate(sorted({t.entry.camera for t in tracklets}), start=1)}
    names = [t.entry.person or "" for t in tracklets]
    persons = [int(name) if name.isdecimal() else JUNK for name in names]
    longest = max(t.frame_numbers.shape[1] for t in tracklets)
    padded = [
        np.pad(t.frame_numbers, ((0, 0), (0, longest - t.frame_numbers.shape[1])), constant_values=PADDING)
        for t in tracklets
    ]
    return ClipFeatures(
        tuple(t.id for t in tracklets), np.array(persons, np.int64),
        np.array([cameras[t.entry.camera] for t in tracklets], np.int64),
        np.stack([t.features for t in tracklets]).astype(np.float32), np.stack(padded).astype(np.int64), encoder,
    )  # fmt: skip


def _write_table(path: Path, entries: list[Entry], table: TableFormat, parquet: Any) -> None:
    rows = [entry.to_json() for entry in entries]
    if table == "parquet":
        arrow = importlib.import_module("pyarrow")
        columns = {name: [row[name] for row in rows] for name in _COLUMNS}
        types = arrow.schema([(name, _PARQUET.get(name, "string")) for name in _COLUMNS])
        parquet.write_table(arrow.table(columns, schema=types), path)
    elif table == "jsonl":
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    else:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, _COLUMNS)
            writer.writeheader()
            writer.writerows(rows)


def _pyarrow() -> Any:
    """Return the module that writes Parquet files.

    Raises:
        RecipeError: If it is not installed.
    """
    try:
        return importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise RecipeError(
            "Parquet needs the library pyarrow: pip install 'resight[parquet]', or export csv or jsonl"
        ) from error
