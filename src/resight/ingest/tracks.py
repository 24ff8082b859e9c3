"""Read tracks: the boxes of a tracker or an annotator, in any of the accepted formats.

Real files deviate from their formats, so rows that cannot be used are skipped and logged. A file without any usable
row, or one whose columns cannot be known, is an error.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from resight.data.readers.listing import decode_text, list_names, natural_order, read_file
from resight.data.readers.names import plain_name
from resight.errors import DatasetError
from resight.ingest.boxes import Boxes, are_shares
from resight.ingest.columns import Columns, is_number, read_header
from resight.ingest.documents import read_document
from resight.ingest.numbering import numbers_of_names
from resight.ingest.skipped import SkipLog
from resight.ingest.text_forms import MOT, YOLO_FRAME, Row, class_column, recognise, split_line, split_text

EXPECTED = (
    "expected rows such as 17,4,258.0,219.5,32.9,88.7,1 (frame, id, left, top, width, height, score), a first line "
    "that names the columns, a folder of YOLO labels, CVAT video XML or COCO video JSON"
)
LARGEST_BOX = 1e6
"""Pixels. No image is this large, so a larger value is an error of the tracker."""
LARGEST_NUMBER = 2**53
"""Limit for frame numbers and ids: above it, float64 no longer represents every whole number."""

_PEOPLE = {
    "person", "persons", "pedestrian", "pedestrians", "people", "human", "humans", "man", "woman", "child", "walker",
    "personsitting",
}  # fmt: skip
_NO_LABELS = ("classes.txt", "labels.txt", "obj.names", "train.txt", "readme.txt")


class Candidate(NamedTuple):
    """A row of tracks before it is checked.

    Attributes:
        where: Its place, for messages.
        values: Frame, track (-1: none), left, top, width, height, score; empty if it cannot be used.
        kind: Its class; empty if unknown.
        problem: Why it cannot be used; empty if it can.
    """

    where: str
    values: tuple[float, ...]
    kind: str = ""
    problem: str = ""


@dataclass(frozen=True, eq=False)
class Tracks:
    """What a file of tracks contains.

    Attributes:
        boxes: The usable boxes: all with a track, or all without.
        form: Name of the format.
        base: Number of the first frame in this format; None: the format does not define it.
        shares: Whether boxes are shares of the width and height of the picture.
        declared: Whether the meaning of the columns is known rather than assumed.
        notes: What the user should know, such as several classes.
        several_cameras: Whether it is a file for several cameras, in which an id is the same person in all of them.
    """

    boxes: Boxes
    form: str
    base: int | None = None
    shares: bool = False
    declared: bool = True
    notes: tuple[str, ...] = ()
    several_cameras: bool = False


def read_tracks(
    path: Path,
    skipped: SkipLog,
    *,
    min_score: float | None = None,
    classes: Sequence[str] = (),
    columns: Sequence[str] = (),
    camera: str = "",
    video: str = "",
) -> Tracks:
    """Read tracks, or detections that have not been tracked.

    A header that names its columns determines their order and meaning. Without one, the format is recognised:
    see `text_forms`. If no row has an id of 0 or more, the rows are detections, as in the MOT Challenge.

    Args:
        path: Text, CVAT video XML, COCO video JSON, or a folder of YOLO labels with one file for each frame.
        skipped: Receives the rows that are skipped.
        min_score: Minimum score; None keeps all rows.
        classes: Names or numbers of the classes to keep. Empty: persons, if classes have names, else all.
        columns: Names of the columns of a text without a header.
        camera: Name of the camera, to choose the rows in a file for several cameras.
        video: Name of the video without suffix, to choose it in a document for several videos.

    Raises:
        DatasetError: If the file cannot be read, its format or columns are not known, or it has no usable row.
    """
    several_cameras = False
    if path.is_dir():
        files = _label_files(path)
        form, shares, declared = "a folder of YOLO labels", True, True
        base = 0 if min(files) == 0 else None  # also if that file is empty
        rows = list(_label_rows(path, files))
    elif path.suffix.lower() in (".xml", ".json"):
        document = read_document(path, video)
        form, base, shares, declared = document.form, document.base, False, True
        rows = [Candidate(where, values, kind) for where, values, kind in document.rows]
    else:
        text = decode_text(read_file(path, "the tracks"))
        if "\0" in text:
            raise DatasetError(f"{path} is not text in UTF-8, or in UTF-16 with a byte order mark: {EXPECTED}")
        form, known, table, lost = _columns_of(text, path, columns)
        base, shares, declared = known.base, False, known is not MOT
        several_cameras = known.camera is not None
        if known.camera is not None:
            table = _rows_of_camera(table, known.camera, camera, path)
        if known is MOT:
            known = Columns(frame=0, id=1, box=(2, 3, 4, 5), score=6, class_=class_column(table))
        rows = list(_text_rows(table, known, path.name, lost))
    usable = list(_usable(rows, skipped, min_score))
    if not usable:
        reasons = "; ".join(map(str, skipped.entries())) or "an empty file"
        raise DatasetError(f"no usable row in {path}: {EXPECTED}; found {reasons}")
    usable, notes = _choose_classes(usable, [plain_name(name) for name in classes], path, skipped)
    boxes = _boxes(usable, skipped)
    shares = shares or are_shares(boxes)
    return Tracks(boxes, form, base, shares, declared, tuple(notes), several_cameras)


def _columns_of(text: str, path: Path, names: Sequence[str]) -> tuple[str, Columns, list[Row], int | None]:
    """Return format, columns, rows without header, and the column of lost boxes."""
    header, table = split_text(text)
    if names:
        return "text with given columns", read_header(names, f"columns of {path}"), table, None
    if header is not None:
        return "text with a header", read_header(header, str(path)), table, None
    found = recognise(table)
    if found.columns is None:
        raise DatasetError(f"{path} looks like {found.name}: {found.problem}")
    return found.name, found.columns, table, found.lost


def _rows_of_camera(table: Sequence[Row], column: int, camera: str, path: Path) -> list[Row]:
    """Return the rows of one camera, by its name or by the number in its name."""
    values = Counter(row[column] for _, row in table if len(row) > column)
    wanted = plain_name(camera)
    digits = camera[len(camera.rstrip("0123456789")) :]
    matching = [
        value for value in values
        if plain_name(value) == wanted or (digits and is_number(value) and float(value) == float(digits))
    ]  # fmt: skip
    if len(matching) != 1:
        known = ", ".join(sorted(values, key=natural_order)[:12])
        raise DatasetError(
            f"{path} has rows of the cameras {known}, but none is {camera!r}: name the camera as in the file, or with "
            "its number at the end, such as c001, with --camera or in the camera file"
        )
    return [(number, row) for number, row in table if len(row) > column and row[column] == matching[0]]


def _text_rows(table: Iterable[Row], columns: Columns, name: str, lost: int | None) -> Iterator[Candidate]:
    """Yield the rows of a table."""
    for number, cells in table:
        where = f"{name}, line {number}"
        if len(cells) < columns.needed:
            yield Candidate(where, (), problem="row with too few columns")
            continue
        wanted = [cells[columns.frame], "-1" if columns.id is None else cells[columns.id]]
        wanted += [cells[n] for n in columns.box]
        score = cells[columns.score] if columns.score is not None and columns.score < len(cells) else "1"
        kind = cells[columns.class_] if columns.class_ is not None and columns.class_ < len(cells) else ""
        try:
            frame, track, a, b, c, d, confidence = (float(cell) for cell in (*wanted, score or "1"))
        except ValueError:
            yield Candidate(where, (), problem="row with non-numeric values (a header, or names as ids)")
            continue
        if lost is not None and lost < len(cells) and cells[lost] == "1":
            yield Candidate(where, (), problem="box that is marked as lost or outside")
            continue
        if columns.form[2] == "right" and (c <= a or d <= b):
            yield Candidate(where, (), problem="box without area")
            continue
        yield Candidate(where, (frame, track, *columns.corner_box((a, b, c, d)), confidence), _class_name(kind))


def _label_files(folder: Path) -> dict[int, str]:
    """Return frame number → name of each label file in a folder.

    Raises:
        DatasetError: If there is none, or the names do not tell the frame numbers.
    """
    names = sorted((n for n in list_names(folder) if n.lower().endswith(".txt")), key=natural_order)
    names = [name for name in names if name.lower() not in _NO_LABELS]
    numbers = numbers_of_names(names) if names else None
    if numbers is None:
        raise DatasetError(
            f"{folder} is a folder without label files that have frame numbers in their names, such as door_17.txt; "
            f"{EXPECTED}"
        )
    return dict(zip(numbers.tolist(), names, strict=True))


def _label_rows(folder: Path, files: Mapping[int, str]) -> Iterator[Candidate]:
    """Yield the boxes in a folder of YOLO labels, one file per frame."""
    for number, name in files.items():
        rows = [(n, [str(number), *split_line(line)]) for n, line in _lines(folder / name)]
        if not rows:
            continue
        columns = YOLO_FRAME.get(max(len(row) for _, row in rows) - 1)
        if columns is None or any(len(row) < 6 for _, row in rows):
            raise DatasetError(
                f"{folder / name} is not a file of YOLO boxes: expected class, centre x, centre y, width, height, and "
                f"optionally score and id, found {' '.join(rows[0][1][1:])[:80]}"
            )
        if len(rows[0][1]) == 7 and any("." in row[6] for _, row in rows):  # a score, and no id
            columns = Columns(0, columns.box, columns.form, score=6, class_=1)
        yield from _text_rows(rows, columns, name, None)


def _lines(path: Path) -> list[tuple[int, str]]:
    lines = decode_text(read_file(path, "the labels")).splitlines()
    return [(number, line) for number, line in enumerate(lines, start=1) if line.strip() and line[0] != "#"]


def _class_name(text: str) -> str:
    """Return a class in one spelling: ``2`` for 2.0, letters in lower case."""
    if is_number(text) and math.isfinite(float(text)) and float(text) == float(text) // 1:
        number = int(float(text))
        return "" if number < 0 else str(number)
    return plain_name(text)


def _usable(rows: Iterable[Candidate], skipped: SkipLog, min_score: float | None) -> Iterator[Candidate]:
    """Yield the rows that can be used, and log the others."""
    for row in rows:
        problem = row.problem or _problem(row.values)
        if not problem and min_score is not None and row.values[6] < min_score:
            problem = f"score below {min_score:g}"
        if problem:
            skipped.add(problem, row.where)
        else:
            yield row


def _problem(row: tuple[float, ...]) -> str:
    """Return the reason why the seven numbers of a row cannot be used; empty if they can."""
    if not all(map(math.isfinite, row)):
        return "number that is not finite"
    if row[0] != int(row[0]) or row[1] != int(row[1]):
        return "frame or id that is not a whole number"
    if row[4] <= 0 or row[5] <= 0:
        return "box without area"
    if max(map(abs, row[2:6])) > LARGEST_BOX or max(map(abs, row[:2])) > LARGEST_NUMBER:
        return "number too large to be plausible"
    return ""


def _choose_classes(
    rows: list[Candidate], classes: Sequence[str], path: Path, skipped: SkipLog
) -> tuple[list[Candidate], list[str]]:
    """Return the rows of the chosen classes, and notes; log the other rows."""
    counts = Counter(row.kind for row in rows if row.kind)
    listed = ", ".join(f"{kind} ({count} rows)" for kind, count in counts.most_common(8))
    if classes and not any(kind in counts for kind in classes):
        found = f"has the classes {listed}" if counts else "has no column of classes"
        raise DatasetError(f"no row of {path} is of the class {', '.join(classes)}: it {found}")
    kept = set(classes) or _PEOPLE.intersection(counts)
    if not kept:
        several = f"{path.name} has several classes, all of which are cut as persons: {listed}; choose with --classes"
        return rows, [several] if len(counts) > 1 else []
    chosen = []
    for row in rows:
        if row.kind in kept or (not row.kind and not classes):
            chosen.append(row)
        else:
            skipped.add(f"row of another class than {', '.join(sorted(kept))}", f"{row.where}, {row.kind}")
    return chosen, []


def _boxes(rows: Sequence[Candidate], skipped: SkipLog) -> Boxes:
    if all(row.values[1] < 0 for row in rows):
        return Boxes.from_rows((row.values[0], -1.0, *row.values[2:]) for row in rows)
    tracked: dict[tuple[float, ...], tuple[float, ...]] = {}
    for where, values, _, _ in rows:
        if values[1] < 0:
            skipped.add("row without a track (id below 0)", where)
        elif values[:2] in tracked:
            skipped.add("second box for a track in one frame", where)
        else:
            tracked[values[:2]] = values
    return Boxes.from_rows(tracked.values())
