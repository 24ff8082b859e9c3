"""Read your own tracklets from a table: ``manifest.jsonl`` or ``manifest.csv``, one line per tracklet or per frame."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from resight.data.readers.folder import read_tracklet
from resight.data.readers.layout import Layout
from resight.data.readers.listing import list_names, natural_order, read_text
from resight.data.readers.manifest_lines import FORM, ManifestEntry, parse_entry, parse_lines
from resight.data.readers.names import describe_special, find_alike, number_persons, numbered, one_spelling
from resight.data.readers.own_splits import apply_own_splits
from resight.errors import DatasetError
from resight.tracklet import DISTRACTOR, JUNK, Dataset, Recording, Tracklet

NAMES = ("manifest.jsonl", "manifest.csv", "manifest.tsv")
"""File names that are searched for in a folder."""

SUFFIXES = (".jsonl", ".csv", ".tsv")
"""Suffixes of a manifest that is given by its own path."""

LAYOUT = Layout(description=FORM)


@dataclass
class _Row:
    """A tracklet collected from one or more lines."""

    where: str
    person: str
    camera: str
    mark: str
    frames: list[str] = field(default_factory=list)
    start: float | None = None
    end: float | None = None
    recording: Recording | None = None

    def add(self, entry: ManifestEntry) -> None:
        """Add the frames and times of a line."""
        self.frames += entry.frames
        known = [time for time in (self.start, self.end, entry.start, entry.end) if time is not None]
        self.start, self.end = min(known, default=None), max(known, default=None)
        if entry.recording and self.recording is None:
            self.recording = Recording(Path(entry.recording), entry.recording_time)


def read_manifest(root: Path) -> Dataset:
    """Read the tracklets in a manifest. Every one is in the training set, the queries and the gallery.

    A line with ``frames`` is a tracklet. Its frames are a folder, whose pictures are sorted in natural order, or in
    JSONL a list of pictures, whose order is kept. A line with ``frame`` is one picture of the tracklet named in
    ``tracklet``; pictures are in the order of the lines. Paths are relative to the manifest. ``id`` names a tracklet;
    without it, the folder's path is the id. Columns are found by name, whatever their case and blanks; a table may be
    separated by commas, semicolons or tabs. Other columns are ignored, with a note; a name that is almost one of these
    is an error.

    Persons and cameras are numbered 1, 2, … in the natural order of their names. Optional columns:

    * Without ``person``, the person is unknown: `JUNK`. The tracklet can be a query and a result, also for queries of
      its own camera, but it is not used for training, and evaluation counts it as neither correct nor wrong.
    * Without ``camera``, the tracklet gets a camera number of its own, after the named cameras, so that no protocol
      excludes other tracklets of its person as same-camera matches.
    * ``mark`` is ``junk`` (neither correct nor wrong) or ``distractor`` (wrong for every query). Persons named
      ``junk`` or ``distractors``, or as in MARS, are marked in this way.
    * ``start`` and ``end`` are each a date and time in ISO 8601 form, or seconds. `resight adapt` uses them.
    * ``recording`` is the video file, or the picture, that shows the first frame, and ``recording_time`` the seconds
      from the beginning of the video to it. `resight ingest` writes them, and `resight serve` shows the recording. The
      file need not exist any more.

    Args:
        root: The folder of the manifest, or the manifest itself with any name that ends in .jsonl or .csv.

    Raises:
        DatasetError: If the manifest is missing or has another form, a value has the wrong type, a picture is missing,
            or a tracklet has two persons or cameras.
    """
    path = find_manifest(root)
    root = path.parent
    rows: dict[str, _Row] = {}
    lines, ignored = _read_lines(path)
    for where, values in lines:
        _add(rows, where, parse_entry(values, where))
    if not rows:
        raise DatasetError(f"{path} lists no tracklet: {LAYOUT.description}")
    persons = number_persons(row.person for row in rows.values() if row.person and not row.mark)
    persons |= {"junk": JUNK, "distractor": DISTRACTOR}
    cameras = numbered(row.camera for row in rows.values() if row.camera)
    unused_cameras = iter(range(len(cameras) + 1, len(cameras) + len(rows) + 1))
    tracklets = []
    for id_ in sorted(rows, key=natural_order):
        row = rows[id_]
        camera = cameras[one_spelling(row.camera)] if row.camera else next(unused_cameras)
        person = persons.get(one_spelling(row.mark or row.person), JUNK)
        folder, names = _find_frames(root, row)
        name = one_spelling(row.camera) if row.camera else ""
        recording = replace(row.recording, file=root / row.recording.file) if row.recording else None
        tracklets.append(Tracklet(id_, person, camera, folder, names, name, row.start, row.end, recording))
    all_ = tuple(tracklets)
    notes = tuple(_notes(rows, ignored))
    return Dataset("manifest", root, all_, all_, all_, notes, camera_names=tuple(cameras))


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
    if root.exists() and not root.is_dir():
        if root.suffix.lower() not in SUFFIXES:
            hint = ": save the table as CSV" if root.suffix.lower() in (".xls", ".xlsx", ".ods") else ""
            raise DatasetError(f"expected a manifest whose name ends in {', '.join(SUFFIXES)}, found {root}{hint}")
        return root
    names = {name.lower(): name for name in list_names(root)} if root.is_dir() else {}
    found = next((names[name] for name in NAMES if name in names), None)
    if found is None:
        raise DatasetError(f"there is neither {NAMES[0]} nor {NAMES[1]} in {root}: {LAYOUT.description}")
    return root / found


def _add(rows: dict[str, _Row], where: str, entry: ManifestEntry) -> None:
    """Add an entry as a new tracklet or as a frame of an existing one."""
    id_ = entry.id
    if entry.complete:
        if id_ in rows:
            raise DatasetError(
                f"{where}: a second tracklet {id_!r}, after {rows[id_].where}; give each tracklet its own id"
            )
        rows[id_] = _Row(where, entry.person, entry.camera, entry.mark)
        rows[id_].add(entry)
        return
    row = rows.setdefault(id_, _Row(where, entry.person, entry.camera, entry.mark))
    if (row.person, row.camera, row.mark) != (entry.person, entry.camera, entry.mark):
        raise DatasetError(
            f"{where}: tracklet {id_!r} has person {entry.person!r} and camera {entry.camera!r}, but {row.person!r} "
            f"and {row.camera!r} in {row.where}; a tracklet must show one person under one camera"
        )
    row.add(entry)


def _find_frames(root: Path, row: _Row) -> tuple[Path, tuple[str, ...]]:
    """Return the folder and the names of a tracklet's frames, all of which exist."""
    row.frames = [name if _exists(root / name) else find_alike(root, name) or name for name in row.frames]
    first = root / row.frames[0]
    if not _exists(first):
        raise DatasetError(f"{row.where}: there is no {str(first)[:200]}; paths are relative to the manifest")
    if len(row.frames) == 1 and not first.is_file():
        if not first.is_dir():
            raise DatasetError(f"{row.where}: there is no {first}; paths are relative to the manifest")
        try:
            return first, read_tracklet(first).names
        except DatasetError as error:
            raise DatasetError(f"{row.where}: {error}") from error
    # Frames may lie in several folders. Their names are then relative to the deepest folder that contains all of them.
    try:
        folder = Path(os.path.commonpath([os.path.dirname(name) for name in row.frames]))  # noqa: PTH120
    except ValueError as error:
        raise DatasetError(f"{row.where}: frames mix absolute and relative paths; use one form") from error
    for name in row.frames:
        if not _exists(root / name) or not (root / name).is_file():
            raise DatasetError(f"{row.where}: there is no picture {root / name}; paths are relative to the manifest")
    return root / folder, tuple(os.path.relpath(name, folder) for name in row.frames)


def _read_lines(path: Path) -> tuple[list[tuple[str, dict[str, Any]]], list[str]]:
    """Return the place and the values of each line, and the names of columns that are not known."""
    lines: list[tuple[str, dict[str, Any]]] = []
    ignored: dict[str, None] = {}
    for line in parse_lines(read_text(path), path.suffix):
        where = f"{path}, line {line.number}"
        if line.problem:
            raise DatasetError(f"{where}: {line.problem}; {FORM}")
        lines.append((where, line.values))
        ignored |= dict.fromkeys(line.ignored)
    return lines, list(ignored)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that is too long
        return False


def _notes(rows: dict[str, _Row], ignored: list[str]) -> Iterator[str]:
    if ignored:
        yield f"the manifest has columns that are ignored: {', '.join(ignored[:8])}"
    yield from describe_special(row.person for row in rows.values() if row.person and not row.mark)
    without_person = sum(not row.person and not row.mark for row in rows.values())
    if without_person:
        yield (
            f"{without_person} of {len(rows)} tracklets have no person: they can be searched, but not used for "
            "training or evaluation"
        )
    without_camera = sum(not row.camera for row in rows.values())
    if without_camera:
        yield f"{without_camera} of {len(rows)} tracklets have no camera: each is treated as a camera of its own"
