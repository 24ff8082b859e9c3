"""Tables of boxes as text: how a line is split, and which format a file without a header has.

Every accepted format is a line of `FORMS`; ``docs/ingest.md`` lists the same.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from resight.errors import DatasetError
from resight.ingest.columns import Columns, is_header, is_number, read_header

_SAMPLE = 2000
_LARGEST_CLASS = 10_000

MOT = Columns(frame=0, id=1, box=(2, 3, 4, 5), score=6)
CORNERS = ("left", "top", "right", "bottom")
CENTRE = ("centre x", "centre y", "width", "height")

YOLO_FRAME = {
    5: Columns(frame=0, class_=1, box=(2, 3, 4, 5), form=CENTRE),
    6: Columns(frame=0, class_=1, box=(2, 3, 4, 5), form=CENTRE, id=6),
    7: Columns(frame=0, class_=1, box=(2, 3, 4, 5), form=CENTRE, score=6, id=7),
}  # fmt: skip
"""Columns of a label file of one frame, with the frame number put before them, by the number of its columns."""

Row = tuple[int, list[str]]
"""Line number from 1, and the cells of the line."""


@dataclass(frozen=True)
class TextForm:
    """A format of text that can be recognised without a header.

    Attributes:
        name: Name, for messages and the report.
        fits: Returns whether rows have this format.
        columns: Its columns; None: it cannot be used.
        problem: Why it cannot be used, and what to do.
        lost: Column that is 1 where the object is not visible; None: no such column.
    """

    name: str
    fits: Callable[[Sequence[Sequence[str]]], bool]
    columns: Columns | None = None
    problem: str = ""
    lost: int | None = None


def split_line(line: str) -> list[str]:
    """Return the cells of a line, separated by semicolons, tabs, commas or blanks.

    If the separator is not a comma, commas in numbers are decimal commas. Quotes around cells are removed.
    """
    text = line.strip()
    separator = next((mark for mark in ";\t," if mark in text), " ")
    if separator == "," and len(text.split()) >= 6 and any(" " in cell.strip() for cell in text.split(",")):
        separator = " "
    if separator == " ":
        cells = text.split()
    else:
        try:
            cells = next(csv.reader([text.rstrip(separator)], delimiter=separator, skipinitialspace=True), [])
        except csv.Error:
            cells = text.split(separator)
    cells = [cell.strip().strip("\"'") for cell in cells]
    if separator == ",":
        return cells
    return [cell.replace(",", ".") if is_number(cell.replace(",", ".", 1)) else cell for cell in cells]


def split_text(text: str) -> tuple[list[str] | None, list[Row]]:
    """Return the cells of the header, None if there is none, and the other rows.

    A header is the first row, or a comment directly above it, as `numpy.savetxt` writes. Other comments and blank
    lines are left out.
    """
    rows: list[Row] = []
    comment: list[str] | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        bare = line.strip()
        if bare.startswith("#"):
            comment = split_line(bare.lstrip("# ")) if not rows else comment
        elif bare:
            rows.append((number, split_line(bare)))
    if rows and is_header(rows[0][1]):
        return rows[0][1], rows[1:]
    if comment is not None and is_header(comment):
        try:
            read_header(comment, "comment")
        except DatasetError:  # a sentence, not a header
            return None, rows
        return comment, rows
    return None, rows


def recognise(rows: Sequence[Row]) -> TextForm:
    """Return the format of rows without a header; `FORMS` ends with the one that is taken if no other fits."""
    cells = [row for _, row in rows[:_SAMPLE]]
    return next(form for form in FORMS if form.fits(cells))


def class_column(rows: Sequence[Row]) -> int | None:
    """Return the eighth column of MOT Challenge text if it has classes: whole numbers, not all of them -1."""
    values = [row[7] for _, row in rows if len(row) > 7]
    if not values or not all(map(is_number, values)):
        return None
    numbers = {float(value) for value in values}
    are_classes = all(number == number // 1 and -1 <= number <= _LARGEST_CLASS for number in numbers)
    return 7 if are_classes and numbers != {-1.0} else None


def _numbers(row: Sequence[str], columns: Sequence[int]) -> list[float] | None:
    """Return the values of some columns of a row, None if one is missing or not a number."""
    if len(row) <= max(columns) or not all(is_number(row[n]) for n in columns):
        return None
    return [float(row[n]) for n in columns]


def _most(rows: Sequence[Sequence[str]], holds: Callable[[Sequence[str]], bool]) -> bool:
    """Return whether something holds for at least nine of ten rows."""
    return len(rows) > 0 and sum(map(holds, rows)) >= 0.9 * len(rows)


def _is_kitti(row: Sequence[str]) -> bool:
    return len(row) >= 10 and _numbers(row, (0, 1, 3, 4, 5, 6, 7, 8, 9)) is not None and not is_number(row[2])


def _is_kitti_object(row: Sequence[str]) -> bool:
    return len(row) >= 8 and not is_number(row[0]) and _numbers(row, range(1, 8)) is not None


def _is_vatic(row: Sequence[str]) -> bool:
    values = _numbers(row, range(9))
    return values is not None and len(row) >= 10 and not is_number(row[9]) and set(values[6:9]) <= {0, 1}


def _is_yolo(row: Sequence[str]) -> bool:
    values = _numbers(row, range(5))
    return values is not None and len(row) in YOLO_FRAME and values[0] >= 0 and all(0 <= v <= 1 for v in values[1:])


def _are_yolo(rows: Sequence[Sequence[str]]) -> bool:
    """Rows of shares whose first column is a class, which repeats, and not a frame."""
    return _most(rows, _is_yolo) and len({row[0] for row in rows}) <= max(1, len(rows) // 2)


def _are_aicity(rows: Sequence[Sequence[str]]) -> bool:
    """Camera, track, frame: the first two repeat, as a frame and a track cannot, and together with the third do not."""
    values = [values for row in rows if len(row) >= 7 and (values := _numbers(row, range(7))) is not None]
    if len(values) < max(2, 0.9 * len(rows)) or any(value != value // 1 for row in values for value in row[:3]):
        return False
    if any(row[1] < 0 or row[6] <= 1 for row in values):  # detections without ids, or a score
        return False
    pairs, triples = {tuple(row[:2]) for row in values}, {tuple(row[:3]) for row in values}
    return len(pairs) <= 0.7 * len(values) and len(triples) > 0.9 * len(values)


FORMS: tuple[TextForm, ...] = (
    TextForm(
        "KITTI tracking text (frame, id, type, truncated, occluded, alpha, left, top, right, bottom, …)",
        lambda rows: _most(rows, _is_kitti),
        Columns(frame=0, id=1, class_=2, box=(6, 7, 8, 9), form=CORNERS, score=17, base=0),
    ),
    TextForm(
        "KITTI object text (type, truncated, occluded, alpha, left, top, right, bottom, …)",
        lambda rows: _most(rows, _is_kitti_object),
        problem="it has neither frames nor ids: use the tracking form, which begins with frame and id",
    ),
    TextForm(
        "VATIC text (id, left, top, right, bottom, frame, lost, occluded, generated, label)",
        lambda rows: _most(rows, _is_vatic),
        Columns(frame=5, id=0, class_=9, box=(1, 2, 3, 4), form=CORNERS, base=0),
        lost=6,
    ),
    TextForm(
        "YOLO labels (class, centre x, centre y, width, height as shares of the picture, id)",
        _are_yolo,
        problem="one file has no frame numbers: give the folder with a label file for each frame, such as door_17.txt",
    ),
    TextForm(
        "AI City text (camera, id, frame, left, top, width, height, …)",
        _are_aicity,
        Columns(frame=2, id=1, camera=0, box=(3, 4, 5, 6)),
    ),
    TextForm("MOT Challenge text (frame, id, left, top, width, height, score, class)", lambda rows: True, MOT),
)  # fmt: skip
"""Formats without a header, in the order in which they are tried."""
