"""Read your own tracklets from a table: ``manifest.jsonl`` or ``manifest.csv``, one line per tracklet or per frame."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from resight.data.readers.folder import read_tracklet
from resight.data.readers.layout import Layout
from resight.data.readers.listing import natural_order, numbered
from resight.data.readers.own_splits import apply_own_splits
from resight.errors import DatasetError
from resight.tracklet import JUNK, Dataset, Tracklet

NAMES = ("manifest.jsonl", "manifest.csv")
"""File names that are searched for in a folder."""

SUFFIXES = (".jsonl", ".csv")
"""Suffixes of a manifest that is given by its own path."""

LAYOUT = Layout(
    description=(
        "a line is either a tracklet with frames (a folder, or in JSONL a list of pictures), or one picture with frame "
        "and tracklet; person, camera, start and id are optional"
    )
)


class ManifestLine(NamedTuple):
    """A line of a manifest.

    Attributes:
        number: Line number, from 1.
        values: The line's values by column.
        problem: Why the line cannot be read; empty if it can.
    """

    number: int
    values: dict[str, Any]
    problem: str = ""


@dataclass(frozen=True)
class ManifestEntry:
    """What a line says about a tracklet.

    Attributes:
        id: Id of the tracklet.
        person: Name of the person; empty if unknown.
        camera: Name of the camera; empty if unknown.
        frames: Paths relative to the manifest: one folder, or pictures.
        complete: Whether these are all frames of the tracklet. Otherwise the line is one of its pictures.
    """

    id: str
    person: str
    camera: str
    frames: tuple[str, ...]
    complete: bool


@dataclass
class _Row:
    """A tracklet collected from one or more lines."""

    where: str
    person: str
    camera: str
    frames: list[str] = field(default_factory=list)


def read_manifest(root: Path) -> Dataset:
    """Read the tracklets in a manifest. Every one is in the training set, the queries and the gallery.

    A line with ``frames`` is a tracklet. Its frames are a folder, whose pictures are sorted in natural order, or in
    JSONL a list of pictures, whose order is kept. A line with ``frame`` is one picture of the tracklet named in
    ``tracklet``; pictures are in the order of the lines. Paths are relative to the manifest. ``id`` names a tracklet;
    without it, the folder's path is the id. Other columns are ignored.

    Persons and cameras are numbered 1, 2, … in the natural order of their names. Optional columns:

    * Without ``person``, the person is unknown: `JUNK`. The tracklet can be a query and a result, also for queries of
      its own camera, but it is not used for training, and evaluation counts it as neither correct nor wrong.
    * Without ``camera``, the tracklet gets a camera number of its own, after the named cameras, so that no protocol
      excludes other tracklets of its person as same-camera matches.
    * ``start`` must be a date and time in ISO 8601 form, or seconds. It is checked but not used.

    Args:
        root: The folder of the manifest, or the manifest itself with any name that ends in .jsonl or .csv.

    Raises:
        DatasetError: If the manifest is missing or has another form, a value has the wrong type, a picture is missing,
            or a tracklet has two persons or cameras.
    """
    path = find_manifest(root)
    root = path.parent
    rows: dict[str, _Row] = {}
    for where, values in _read_lines(path):
        _add(rows, where, parse_entry(values, where))
    if not rows:
        raise DatasetError(f"{path} lists no tracklet: {LAYOUT.description}")
    persons = numbered(row.person for row in rows.values() if row.person)
    cameras = numbered(row.camera for row in rows.values() if row.camera)
    unused_cameras = iter(range(len(cameras) + 1, len(cameras) + len(rows) + 1))
    tracklets = []
    for id_ in sorted(rows, key=natural_order):
        row = rows[id_]
        camera = cameras[row.camera] if row.camera else next(unused_cameras)
        folder, names = _find_frames(root, row)
        tracklets.append(Tracklet(id_, persons.get(row.person, JUNK), camera, folder, names))
    all_ = tuple(tracklets)
    return Dataset("manifest", root, all_, all_, all_, tuple(_notes(rows)), camera_names=tuple(cameras))


def read_manifest_splits(root: Path) -> tuple[Dataset, ...]:
    """Read the splits listed beside the manifest; if there are none, return what `read_manifest` reads.

    Raises:
        DatasetError: As `read_manifest`, or if the splits do not match the tracklets.
    """
    return apply_own_splits(read_manifest(root), manifest_splits_file(root), f"manifest:{root}")


def manifest_splits_file(root: Path) -> Path:
    """Return the path of the file that lists the splits: ``manifest.splits.json`` beside ``manifest.jsonl``.

    Raises:
        DatasetError: If there is no manifest.
    """
    return find_manifest(root).with_suffix(".splits.json")


def find_manifest(root: Path) -> Path:
    """Return the path of the manifest in a folder, or `root` itself if it is a manifest.

    Raises:
        DatasetError: If there is no manifest.
    """
    path = root if root.is_file() else next((root / name for name in NAMES if (root / name).is_file()), None)
    if path is None:
        raise DatasetError(f"there is neither {NAMES[0]} nor {NAMES[1]} in {root}: {LAYOUT.description}")
    if path.suffix not in SUFFIXES:
        raise DatasetError(f"expected a manifest whose name ends in .jsonl or .csv, found {path}")
    return path


def parse_lines(lines: Iterable[str], suffix: str) -> Iterator[ManifestLine]:
    """Yield the lines of a manifest, including those that cannot be read. Blank lines are skipped.

    Args:
        lines: The text, line by line.
        suffix: ``.jsonl`` or ``.csv``.
    """
    if suffix == ".csv":
        reader = csv.DictReader(lines)
        try:
            for row in reader:
                columns = len(reader.fieldnames or ())
                complete = None not in row and None not in row.values()
                problem = f"expected {columns} columns as in the header; quote paths that contain a comma"
                yield ManifestLine(reader.line_num, row, "" if complete else problem)
        except csv.Error as error:
            yield ManifestLine(reader.line_num, {}, f"not CSV ({error})")
        return
    for number, text in enumerate(lines, start=1):
        if not text.strip():
            continue
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            yield ManifestLine(number, {}, f"not JSON ({error})")
            continue
        if isinstance(values, dict):
            yield ManifestLine(number, values)
        else:
            yield ManifestLine(number, {}, f"expected an object, found {text.strip()[:60]!r}")


def parse_entry(values: dict[str, Any], where: str) -> ManifestEntry:
    """Return what the values of a line say about a tracklet.

    Args:
        values: Values by column.
        where: Place of the line, for messages.

    Raises:
        DatasetError: If a required value is missing or a value has the wrong type.
    """
    person, camera, id_ = (_name(values, key, where) for key in ("person", "camera", "id"))
    _check_start(values.get("start"), where)
    frames, frame = values.get("frames"), values.get("frame")
    if frames and not frame:
        paths = [frames] if isinstance(frames, str) else frames
        if not isinstance(paths, list) or not all(isinstance(path, str) and path for path in paths):
            raise DatasetError(f"{where}: expected frames to be a folder or a list of pictures, found {frames!r}")
        id_ = id_ or (frames if isinstance(frames, str) else str(Path(paths[0]).parent))
        return ManifestEntry(id_, person, camera, tuple(paths), complete=True)
    id_ = _name(values, "tracklet", where) or id_
    if not isinstance(frame, str) or not frame or frames or not id_:
        columns = sorted(key for key, value in values.items() if value)
        raise DatasetError(f"{where}: {LAYOUT.description}; found {columns}")
    return ManifestEntry(id_, person, camera, (frame,), complete=False)


def _add(rows: dict[str, _Row], where: str, entry: ManifestEntry) -> None:
    """Add an entry as a new tracklet or as a frame of an existing one."""
    id_ = entry.id
    if entry.complete:
        if id_ in rows:
            raise DatasetError(
                f"{where}: a second tracklet {id_!r}, after {rows[id_].where}; give each tracklet its own id"
            )
        rows[id_] = _Row(where, entry.person, entry.camera, list(entry.frames))
        return
    row = rows.setdefault(id_, _Row(where, entry.person, entry.camera))
    if (row.person, row.camera) != (entry.person, entry.camera):
        raise DatasetError(
            f"{where}: tracklet {id_!r} has person {entry.person!r} and camera {entry.camera!r}, but {row.person!r} "
            f"and {row.camera!r} in {row.where}; a tracklet must show one person under one camera"
        )
    row.frames += entry.frames


def _find_frames(root: Path, row: _Row) -> tuple[Path, tuple[str, ...]]:
    """Return the folder and the names of a tracklet's frames, all of which exist."""
    first = root / row.frames[0]
    if len(row.frames) == 1 and not first.is_file():
        if not first.is_dir():
            raise DatasetError(f"{row.where}: there is no {first}; paths are relative to the manifest")
        return first, read_tracklet(first).names
    # Frames may lie in several folders. Their names are then relative to the deepest folder that contains all of them.
    try:
        folder = Path(os.path.commonpath([os.path.dirname(name) for name in row.frames]))  # noqa: PTH120
    except ValueError as error:
        raise DatasetError(f"{row.where}: frames mix absolute and relative paths; use one form") from error
    for name in row.frames:
        if not (root / name).is_file():
            raise DatasetError(f"{row.where}: there is no picture {root / name}; paths are relative to the manifest")
    return root / folder, tuple(os.path.relpath(name, folder) for name in row.frames)


def _read_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the place and the values of each line."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            for line in parse_lines(file, path.suffix):
                where = f"{path}, line {line.number}"
                if line.problem:
                    raise DatasetError(f"{where}: {line.problem}; {LAYOUT.description}")
                yield where, line.values
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is not UTF-8 text ({error}); convert it to UTF-8") from error


def _name(values: dict[str, Any], key: str, where: str) -> str:
    """Return a name, or ``""`` if it is missing. A whole number is accepted as a name."""
    value = values.get(key)
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise DatasetError(f"{where}: expected {key} to be a name, found {value!r}")
    return str(value).strip()


def _check_start(value: Any, where: str) -> None:
    if value is None or value == "" or (isinstance(value, (int, float)) and not isinstance(value, bool)):
        return
    text = str(value)
    try:
        float(text)
    except ValueError:
        try:
            datetime.fromisoformat(text)
        except ValueError:
            raise DatasetError(
                f"{where}: expected start to be seconds or a time such as 2024-05-01T10:00:00Z, found {value!r}"
            ) from None


def _notes(rows: dict[str, _Row]) -> Iterator[str]:
    without_person = sum(not row.person for row in rows.values())
    if without_person:
        yield (
            f"{without_person} of {len(rows)} tracklets have no person: they can be searched, but not used for "
            "training or evaluation"
        )
    without_camera = sum(not row.camera for row in rows.values())
    if without_camera:
        yield f"{without_camera} of {len(rows)} tracklets have no camera: each is treated as a camera of its own"
