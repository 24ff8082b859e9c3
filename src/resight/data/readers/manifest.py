"""Your own tracklets, named by a table: ``manifest.jsonl`` or ``manifest.csv``, a line per tracklet or per frame."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from resight.data.readers.folder import read_tracklet
from resight.data.readers.listing import natural_order, numbered
from resight.data.readers.own_splits import apply_own_splits
from resight.errors import DatasetError
from resight.tracklet import JUNK, Dataset, Tracklet

_NAMES = ("manifest.jsonl", "manifest.csv")
_FORM = (
    "a line is a tracklet with frames (a folder, or in JSONL a list of pictures), or one picture with frame and "
    "tracklet; person, camera, start and id may be there too"
)


@dataclass
class _Row:
    """A tracklet as the table tells it."""

    where: str
    person: str
    camera: str
    frames: list[str] = field(default_factory=list)


def read_manifest(root: Path) -> Dataset:
    """Read the tracklets that ``manifest.jsonl`` (or ``manifest.csv``) names; each is train, query and gallery at once.

    A line with ``frames`` is a tracklet: its frames are a folder, whose pictures are taken in natural order, or in
    JSONL a list of pictures, in the order of the list. A line with ``frame`` is one picture of the tracklet named
    in ``tracklet``; pictures are taken in the order of the lines. Paths are relative to the manifest.
    ``id`` names a tracklet; without it, its folder does. Other columns are not looked at.

    Persons and cameras are numbered 1, 2, … by the natural order of their names. Where they are missing:

    * without ``person`` nobody knows who it is: person `JUNK`. The tracklet can be searched for and found, under its
      own camera too, but nothing is learned from it, and in an evaluation it is neither right nor wrong.
    * without ``camera`` the tracklet is under a camera of its own, numbered after the named ones, so that no
      protocol takes another tracklet of its person for a repetition.
    * ``start`` must be a date and time by ISO 8601, or seconds; it is there for people and other programs to read.

    Args:
        root: the folder of the manifest, or the manifest itself under any name that ends in .jsonl or .csv.

    Raises:
        DatasetError: if there is no manifest or none of its form, a value cannot be meant, a picture is missing, or one
            tracklet has two persons or cameras.
    """
    path = _find_manifest(root)
    root = path.parent
    rows: dict[str, _Row] = {}
    for where, line in _read_lines(path):
        _add(rows, where, line)
    if not rows:
        raise DatasetError(f"{path} names no tracklet: {_FORM}")
    persons = numbered(row.person for row in rows.values() if row.person)
    cameras = numbered(row.camera for row in rows.values() if row.camera)
    alone = iter(range(len(cameras) + 1, len(cameras) + len(rows) + 1))
    tracklets = []
    for id_ in sorted(rows, key=natural_order):
        row = rows[id_]
        camera = cameras[row.camera] if row.camera else next(alone)
        folder, names = _find_frames(root, row)
        tracklets.append(Tracklet(id_, persons.get(row.person, JUNK), camera, folder, names))
    all_ = tuple(tracklets)
    return Dataset("manifest", root, all_, all_, all_, tuple(_notes(rows)), camera_names=tuple(cameras))


def read_manifest_splits(root: Path) -> tuple[Dataset, ...]:
    """Read the splits that are listed beside the manifest, or as `read_manifest` if none are.

    Raises:
        DatasetError: as `read_manifest`, or if the splits do not fit the tracklets.
    """
    return apply_own_splits(read_manifest(root), manifest_splits_file(root), f"manifest:{root}")


def manifest_splits_file(root: Path) -> Path:
    """Where the splits of a manifest are listed: ``manifest.splits.json`` beside ``manifest.jsonl``.

    Raises:
        DatasetError: if there is no manifest.
    """
    return _find_manifest(root).with_suffix(".splits.json")


def _find_manifest(root: Path) -> Path:
    path = root if root.is_file() else next((root / name for name in _NAMES if (root / name).is_file()), None)
    if path is None:
        raise DatasetError(f"there is neither {_NAMES[0]} nor {_NAMES[1]} in {root}: {_FORM}")
    if path.suffix not in (".jsonl", ".csv"):
        raise DatasetError(f"expected a manifest that ends in .jsonl or .csv, found {path}")
    return path


def _add(rows: dict[str, _Row], where: str, line: dict[str, Any]) -> None:
    """Add a line to the tracklets, as a new one or as a frame of one that is there."""
    person, camera = (_name(line, key, where) for key in ("person", "camera"))
    _check_start(line.get("start"), where)
    frames, frame = line.get("frames"), line.get("frame")
    if frames and not frame:
        listed = [frames] if isinstance(frames, str) else frames
        if not isinstance(listed, list) or not all(isinstance(name, str) and name for name in listed):
            raise DatasetError(f"{where}: expected frames to be a folder or a list of pictures, found {frames!r}")
        id_ = _name(line, "id", where) or (frames if isinstance(frames, str) else str(Path(listed[0]).parent))
        if id_ in rows:
            raise DatasetError(f"{where}: a second tracklet {id_!r}, as in {rows[id_].where}; give each its own id")
        rows[id_] = _Row(where, person, camera, listed)
        return
    id_ = _name(line, "tracklet", where) or _name(line, "id", where)
    if not isinstance(frame, str) or not frame or frames or not id_:
        raise DatasetError(f"{where}: {_FORM}; found {sorted(key for key, value in line.items() if value)}")
    row = rows.setdefault(id_, _Row(where, person, camera))
    if (row.person, row.camera) != (person, camera):
        raise DatasetError(
            f"{where}: tracklet {id_!r} has person {person!r} and camera {camera!r}, but {row.person!r} and "
            f"{row.camera!r} in {row.where}; a tracklet shows one person under one camera"
        )
    row.frames.append(frame)


def _find_frames(root: Path, row: _Row) -> tuple[Path, tuple[str, ...]]:
    """Folder and names of a tracklet's frames, all of which exist."""
    first = root / row.frames[0]
    if len(row.frames) == 1 and not first.is_file():
        if not first.is_dir():
            raise DatasetError(f"{row.where}: there is no {first}; paths are relative to the manifest")
        return first, read_tracklet(first).names
    # Most often all frames are in one folder; where not, names reach down from the folder that they share.
    try:
        folder = Path(os.path.commonpath([os.path.dirname(name) for name in row.frames]))  # noqa: PTH120
    except ValueError as error:
        raise DatasetError(f"{row.where}: frames are absolute and relative paths; use one form") from error
    for name in row.frames:
        if not (root / name).is_file():
            raise DatasetError(f"{row.where}: there is no picture {root / name}; paths are relative to the manifest")
    return root / folder, tuple(os.path.relpath(name, folder) for name in row.frames)


def _read_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each line of the manifest with where it stands."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            if path.suffix == ".csv":
                reader = csv.DictReader(file)
                for row in reader:
                    if None in row or None in row.values():
                        raise DatasetError(
                            f"{path}, line {reader.line_num}: expected {len(reader.fieldnames or ())} columns as in "
                            "the header; put a path with a comma between quotation marks"
                        )
                    yield f"{path}, line {reader.line_num}", row
                return
            for number, text in enumerate(file, start=1):
                if text.strip():
                    line = json.loads(text)
                    if not isinstance(line, dict):
                        raise DatasetError(f"{path}, line {number}: expected an object, found {text.strip()[:60]!r}")
                    yield f"{path}, line {number}", line
    except json.JSONDecodeError as error:
        raise DatasetError(f"{path}, line {number}: not JSON ({error}); {_FORM}") from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is not UTF-8 text ({error}); save it as such") from error
    except (csv.Error, ValueError, RecursionError) as error:
        raise DatasetError(f"{path} cannot be read ({error}); {_FORM}") from error


def _name(line: dict[str, Any], key: str, where: str) -> str:
    """A name, ``""`` if it is not there; numbers will do as names."""
    value = line.get(key)
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
            # Python before 3.11 does not know that Z means UTC
            datetime.fromisoformat(text.replace("Z", "+00:00"))
        except ValueError:
            raise DatasetError(
                f"{where}: expected start to be seconds or a time such as 2024-05-01T10:00:00Z, found {value!r}"
            ) from None


def _notes(rows: dict[str, _Row]) -> Iterator[str]:
    strangers = sum(not row.person for row in rows.values())
    if strangers:
        yield f"{strangers} of {len(rows)} tracklets have no person: they can be searched, not learned from or scored"
    homeless = sum(not row.camera for row in rows.values())
    if homeless:
        yield f"{homeless} of {len(rows)} tracklets have no camera: each counts as under a camera of its own"
