"""The lines of a manifest: columns by their names, and what a line says about a tracklet."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from resight.data.readers.names import plain_name
from resight.errors import DatasetError

FORM = (
    "a line is either a tracklet with frames (a folder, or in JSONL a list of pictures), or one picture with frame "
    "and tracklet; person, camera, start, id and mark are optional"
)

COLUMNS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "frames": ("frames", "folder", "frameset", "trackletfolder", "directory", "dir"),
        "frame": ("frame", "image", "picture", "filename", "imagepath", "framepath", "img", "file", "impath"),
        "tracklet": ("tracklet", "trackletid", "track", "trackid", "sequence", "sequenceid"),
        "person": (
            "person",
            "personid",
            "pid",
            "personname",
            "identity",
            "identityid",
            "subject",
            "subjectid",
            "individual",
            "individualid",
        ),
        "camera": ("camera", "cameraid", "camid", "cam", "cameraname"),
        "id": ("id",),
        "start": ("start", "starttime"),
        "end": ("end", "endtime"),
        "mark": ("mark",),
        "recording": ("recording",),
        "recording_time": ("recordingtime",),
    }
)
"""Column → accepted names, best first: lower case, without blanks and punctuation."""

MARKS = ("junk", "distractor")
_KNOWN = ("count", "score", "note", "notes", "comment", "split")
_NEAR = 0.75
_SEPARATORS = ",;\t|"


class ManifestLine(NamedTuple):
    """A line of a manifest.

    Attributes:
        number: Line number, from 1.
        values: The line's values by column.
        problem: Why the line cannot be read; empty if it can.
        ignored: Names of columns that are not known.
    """

    number: int
    values: dict[str, Any]
    problem: str = ""
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True)
class ManifestEntry:
    """What a line says about a tracklet.

    Attributes:
        id: Id of the tracklet.
        person: Name of the person; empty if unknown.
        camera: Name of the camera; empty if unknown.
        frames: Paths relative to the manifest: one folder, or pictures.
        complete: Whether these are all frames of the tracklet. Otherwise the line is one of its pictures.
        mark: ``junk`` or ``distractor``; empty for a person.
        start: Time of the first frame in seconds, since 1970 if it was given as a date; None if unknown.
        end: Time of the last frame.
        recording: Path of the video or picture that shows the first frame, relative to the manifest; empty if unknown.
        recording_time: Seconds from its first picture to the first frame.
    """

    id: str
    person: str
    camera: str
    frames: tuple[str, ...]
    complete: bool
    mark: str = ""
    start: float | None = None
    end: float | None = None
    recording: str = ""
    recording_time: float = 0.0


def parse_lines(text: str, suffix: str) -> Iterator[ManifestLine]:
    """Yield the lines of a manifest, including those that cannot be read. Blank lines are skipped.

    Args:
        text: The text.
        suffix: ``.jsonl``, or ``.csv`` or ``.tsv`` for a table with a header.
    """
    if suffix.lower() != ".jsonl":
        yield from _parse_table(text)
        return
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield ManifestLine(number, {}, f"not JSON ({error})")
            continue
        if not isinstance(values, dict):
            yield ManifestLine(number, {}, f"expected an object, found {line.strip()[:60]!r}")
            continue
        columns, ignored, problem = _columns(list(values))
        named = {column: values[name] for name, column in zip(values, columns, strict=True) if column}
        yield ManifestLine(number, named, problem, ignored)


def _parse_table(text: str) -> Iterator[ManifestLine]:
    header = next((line for line in text.splitlines() if line.strip()), "")
    separator = max(_SEPARATORS, key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
    columns: list[str | None] | None = None
    ignored: tuple[str, ...] = ()
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            if columns is None:
                columns, ignored, problem = _columns(cells)
                if problem:
                    yield ManifestLine(reader.line_num, {}, problem)
                    return
                continue
            if len(cells) < len(columns) and all(columns[n] is None for n in range(len(cells), len(columns))):
                cells += [""] * (len(columns) - len(cells))
            fits = len(cells) >= len(columns) and not any(cells[len(columns) :])
            problem = f"expected {len(columns)} columns as in the header; quote paths that contain a {separator!r}"
            values = {column: cell for column, cell in zip(columns, cells, strict=False) if column}
            yield ManifestLine(reader.line_num, values, "" if fits else problem, ignored)
    except csv.Error as error:
        yield ManifestLine(reader.line_num, {}, f"not CSV ({error})")


def _columns(names: Sequence[str]) -> tuple[list[str | None], tuple[str, ...], str]:
    """Return the column that each name stands for, the names that stand for none, and what is wrong with them."""
    plain = [plain_name(name) for name in names]
    columns: list[str | None] = [None] * len(names)
    for column, accepted in COLUMNS.items():
        best = next((name for name in accepted if name in plain), None)
        if best is None:
            continue
        if plain.count(best) > 1:
            return columns, (), f"two columns are named {best!r}; keep one"
        columns[plain.index(best)] = column
    ignored = [
        position for position, column in enumerate(columns)
        if column is None and plain[position] and plain[position] not in _KNOWN
    ]  # fmt: skip
    meanings = {name: column for column, accepted in COLUMNS.items() for name in accepted}
    for position in ignored:
        near = get_close_matches(plain[position], meanings, n=1, cutoff=_NEAR)
        if near and meanings[near[0]] not in columns:
            return (
                columns,
                (),
                (
                    f"the column {names[position]!r} is not known: if it is {meanings[near[0]]}, name it so; otherwise "
                    "give it a name that is less alike"
                ),
            )
    return columns, tuple(names[position].strip() for position in ignored), ""


def parse_entry(values: dict[str, Any], where: str) -> ManifestEntry:
    """Return what the values of a line say about a tracklet.

    Args:
        values: Values by column.
        where: Place of the line, for messages.

    Raises:
        DatasetError: If a required value is missing or a value has the wrong type.
    """
    person, camera, id_, mark = (_name(values, key, where) for key in ("person", "camera", "id", "mark"))
    if mark and mark.lower() not in MARKS:
        raise DatasetError(f"{where}: expected mark to be {' or '.join(MARKS)}, found {mark!r}")
    start, end = (_time(values, key, where) for key in ("start", "end"))
    if start is not None and end is not None and end < start:
        raise DatasetError(f"{where}: expected end not before start, found {values['start']!r} to {values['end']!r}")
    recording = _name(values, "recording", where)
    if "\0" in recording:
        raise DatasetError(f"{where}: expected recording to be a path, found {recording[:60]!r}")
    at = (recording, _time(values, "recording_time", where) or 0.0)
    frames, frame = values.get("frames"), values.get("frame")
    if frames and not frame:
        paths = [frames] if isinstance(frames, str) else frames
        if not isinstance(paths, list) or not all(isinstance(path, str) and _is_path(path) for path in paths):
            raise DatasetError(f"{where}: expected frames to be a folder or a list of pictures, found {frames!r}")
        slashes = paths[0].replace("\\", "/")
        id_ = id_ or (slashes if isinstance(frames, str) else str(Path(slashes).parent))
        return ManifestEntry(id_, person, camera, tuple(paths), True, mark.lower(), start, end, *at)
    id_ = _name(values, "tracklet", where) or id_
    if not isinstance(frame, str) or not _is_path(frame) or frames or not id_:
        columns = sorted(key for key, value in values.items() if value)
        raise DatasetError(f"{where}: {FORM}; found {columns}")
    return ManifestEntry(id_, person, camera, (frame,), False, mark.lower(), start, end, *at)


def _is_path(text: str) -> bool:
    return bool(text) and "\0" not in text


def _name(values: dict[str, Any], key: str, where: str) -> str:
    """Return a name, or ``""`` if it is missing. A whole number is accepted as a name."""
    value = values.get(key)
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, (str, int)) or (isinstance(value, int) and abs(value) > 2**63):
        raise DatasetError(f"{where}: expected {key} to be a name, found {str(value)[:60]!r}")
    return str(value).strip()


def _time(values: dict[str, Any], key: str, where: str) -> float | None:
    """Return a time in seconds, or None if it is missing."""
    value = values.get(key)
    if value is None or value == "":
        return None
    seconds = parse_time(value)
    if seconds is None:
        raise DatasetError(f"{where}: expected {key} to be {TIMES}, found {value!r}")
    return seconds


TIMES = "seconds or a time such as 2024-05-01T10:00:00Z"
"""What `parse_time` takes, for messages."""


def parse_time(value: object) -> float | None:
    """Return a time in seconds, since 1970 if it is a date; None if it is no time. A date without a zone is in UTC.

    >>> parse_time("1970-01-01T00:01Z"), parse_time(2.5), parse_time("soon")
    (60.0, 2.5, None)
    """
    text = str(value)
    try:
        seconds = float("nan") if isinstance(value, bool) else float(text)
    except ValueError:
        try:
            date = datetime.fromisoformat(text)
        except ValueError:
            return None
        seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    return seconds if math.isfinite(seconds) else None
