"""Read and write boxes as MOT Challenge text: ``frame,id,left,top,width,height[,score,...]``.

The format is described at https://motchallenge.net/instructions/. Real files deviate from it, so rows that cannot be
used are skipped and logged; only a file without any usable row is an error.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resight.errors import DatasetError
from resight.ingest.skipped import SkipLog
from resight.outputs import replace_file

_FORM = "expected rows such as 17,4,258.0,219.5,32.9,88.7,1 (frame, id, left, top, width, height, score)"
_LARGEST_BOX = 1e6
"""Pixels. No image is this large, so a larger value is an error of the tracker."""
_LARGEST_NUMBER = 2**53
"""Limit for frame numbers and ids: above it, float64 no longer represents every whole number."""


@dataclass(frozen=True, eq=False)
class Boxes:
    """N boxes, sorted by frame and then by track.

    Attributes:
        frame: (N,) int64 frame numbers, as the tracker counts them.
        track: (N,) int64 track ids: all at least 0, or all -1 for detections that have not been tracked.
        box: (N, 4) float64 left, top, width and height in pixels; width and height are positive.
        score: (N,) float64 detection scores; 1 where the text has none.
    """

    frame: NDArray[np.int64]
    track: NDArray[np.int64]
    box: NDArray[np.float64]
    score: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def tracked(self) -> bool:
        """Whether every box belongs to a track."""
        return bool((self.track >= 0).all())

    @classmethod
    def from_rows(cls, rows: Iterable[tuple[float, ...]]) -> Boxes:
        """Return boxes built from rows of (frame, track, left, top, width, height, score), in any order."""
        table = np.array(sorted(rows, key=lambda row: row[:2]), np.float64).reshape(-1, 7)
        return cls(table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), table[:, 2:6], table[:, 6])


def read_boxes(path: Path, skipped: SkipLog, min_score: float | None = None) -> Boxes:
    """Read tracks, or detections that have not been tracked.

    Columns are separated by commas, semicolons, tabs or spaces; columns after the seventh are ignored. Frame and id may
    be written as ``17.0``. If no row has an id of 0 or more, the rows are detections, as in the MOT Challenge.

    Args:
        path: Text file.
        skipped: Receives the rows that are skipped: headers and other non-numeric rows, non-finite numbers, fractional
            frames or ids, boxes without area or far outside any image, a second box for a track in one frame, rows
            without a track in a file that has tracks, and boxes with a score below `min_score`.
        min_score: Minimum score (seventh column); None keeps all rows.

    Returns:
        Boxes that either all have a track, or all have none.

    Raises:
        DatasetError: If the file cannot be read or has no usable row.
    """
    rows = list(_read_rows(path, skipped, min_score))
    if not rows:
        reasons = "; ".join(map(str, skipped.entries())) or "an empty file"
        raise DatasetError(f"no usable row in {path}: {_FORM}, found {reasons}")
    if all(row[1] < 0 for _, row in rows):
        return Boxes.from_rows((row[0], -1.0, *row[2:]) for _, row in rows)
    tracked: dict[tuple[float, float], tuple[float, ...]] = {}
    for where, row in rows:
        if row[1] < 0:
            skipped.add("row without a track (id below 0)", where)
        elif row[:2] in tracked:
            skipped.add("second box for a track in one frame", where)
        else:
            tracked[row[0], row[1]] = row
    return Boxes.from_rows(tracked.values())


def write_boxes(path: Path, boxes: Boxes) -> None:
    """Write boxes as text that `read_boxes` can read. An existing file is replaced atomically."""
    columns = boxes.frame.tolist(), boxes.track.tolist(), boxes.box.tolist(), boxes.score.tolist()
    lines = [
        f"{frame},{track},{x:.2f},{y:.2f},{w:.2f},{h:.2f},{score:.4f}\n"
        for frame, track, (x, y, w, h), score in zip(*columns, strict=True)
    ]
    with replace_file(path) as temporary:
        temporary.write_text("".join(lines), encoding="utf-8")


def _read_rows(path: Path, skipped: SkipLog, min_score: float | None) -> Iterator[tuple[str, tuple[float, ...]]]:
    """Yield the position and the seven numbers of each usable row."""
    try:
        lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError as error:
        raise DatasetError(f"cannot read the tracks {path}: {error.strerror}; {_FORM}") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        words = re.split(r"[,;]", line.strip().rstrip(",;")) if re.search(r"[,;]", line) else line.split()
        row, problem = _parse(words)
        if not problem and min_score is not None and row[6] < min_score:
            problem = f"score below {min_score:g}"
        if problem:
            skipped.add(problem, f"{path.name}, line {number}")
        else:
            yield f"{path.name}, line {number}", row


def _parse(words: list[str]) -> tuple[tuple[float, ...], str]:
    """Return the seven numbers of a row, and the reason why it cannot be used; an empty reason if it can."""
    if len(words) < 6:
        return (), "row with fewer than six columns"
    try:
        row = tuple(float(word) for word in words[:7])
    except ValueError:
        return (), "row with non-numeric values (a header, or names as ids)"
    row = row if len(row) == 7 else (*row, 1.0)
    if not all(map(math.isfinite, row)):
        return row, "number that is not finite"
    if row[0] != int(row[0]) or row[1] != int(row[1]):
        return row, "frame or id that is not a whole number"
    if row[4] <= 0 or row[5] <= 0:
        return row, "box without area"
    if max(map(abs, row[2:6])) > _LARGEST_BOX or max(row[:2]) > _LARGEST_NUMBER:
        return row, "number too large to be plausible"
    return row, ""
