"""A tracker's boxes as text, in the form of the MOT Challenge: ``frame,id,x,y,w,h[,score,...]``.

The form is described at https://motchallenge.net/instructions/. Real files stray from it, so a row that cannot be
used is left out and accounted for, and only a file without any usable row is an error.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resight.checkpoints import replace_file
from resight.errors import DatasetError
from resight.ingest.account import Account

_FORM = "expected rows such as 17,4,258.0,219.5,32.9,88.7,1 (frame, id, left, top, width, height, score)"
_LARGEST_BOX = 1e6
"""Pixels. No picture is as large, and numbers beyond it are a tracker gone astray."""
_LARGEST_NUMBER = 2**53
"""Of frames and ids: beyond it, floating point numbers are no longer whole."""


@dataclass(frozen=True, eq=False)
class Boxes:
    """N boxes, by frame and then by track.

    Attributes:
        frame: (N,) int64, frame numbers as the tracker counts them.
        track: (N,) int64, at least 0; all -1 in detections, which no tracker has seen yet.
        box: (N, 4) float64, left, top, width, height in pixels; width and height are positive.
        score: (N,) float64, the detector's; 1 where the text has none.
    """

    frame: NDArray[np.int64]
    track: NDArray[np.int64]
    box: NDArray[np.float64]
    score: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def tracked(self) -> bool:
        """Whether a tracker has seen them."""
        return bool((self.track >= 0).all())

    @classmethod
    def from_rows(cls, rows: Iterable[tuple[float, ...]]) -> Boxes:
        """Boxes from rows of frame, track, left, top, width, height, score, in any order."""
        table = np.array(sorted(rows, key=lambda row: row[:2]), np.float64).reshape(-1, 7)
        return cls(table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), table[:, 2:6], table[:, 6])


def read_boxes(path: Path, account: Account, min_score: float | None = None) -> Boxes:
    """Read tracks, or detections that no tracker has seen; a row that cannot be used goes into the account.

    Columns are separated by commas, semicolons, tabs or spaces; columns after the seventh are not looked at. Frame and
    id may be written as ``17.0``. If no row has an id of 0 or more, the rows are detections, as the MOT Challenge
    writes them.

    Args:
        path: the text.
        account: receives what was left out: header lines and other rows without numbers, numbers that are not finite,
            frames or ids that are not whole, boxes without area or beyond all pictures, second boxes of a track in one
            frame, rows without a track among rows with one, and scores below `min_score`.
        min_score: rows with a smaller seventh column are left out; None keeps all.

    Returns:
        Boxes that all have a track, or of which none has.

    Raises:
        DatasetError: if there is no such text or no usable row in it.
    """
    rows = list(_read_rows(path, account, min_score))
    if not rows:
        found = "; ".join(map(str, account.entries())) or "nothing at all"
        raise DatasetError(f"no usable row in {path}: {_FORM}, found {found}")
    if all(row[1] < 0 for _, row in rows):
        return Boxes.from_rows((row[0], -1.0, *row[2:]) for _, row in rows)
    tracked: dict[tuple[float, float], tuple[float, ...]] = {}
    for where, row in rows:
        if row[1] < 0:
            account.leave_out("row without a track (id below 0)", where)
        elif row[:2] in tracked:
            account.leave_out("second box of a track in one frame", where)
        else:
            tracked[row[0], row[1]] = row
    return Boxes.from_rows(tracked.values())


def write_boxes(path: Path, boxes: Boxes) -> None:
    """Write boxes as text that `read_boxes` reads, replacing an older file in one step."""
    columns = boxes.frame.tolist(), boxes.track.tolist(), boxes.box.tolist(), boxes.score.tolist()
    lines = [
        f"{frame},{track},{x:.2f},{y:.2f},{w:.2f},{h:.2f},{score:.4f}\n"
        for frame, track, (x, y, w, h), score in zip(*columns, strict=True)
    ]
    with replace_file(path) as temporary:
        temporary.write_text("".join(lines), encoding="utf-8")


def _read_rows(path: Path, account: Account, min_score: float | None) -> Iterator[tuple[str, tuple[float, ...]]]:
    """Usable rows of seven numbers, with where each stands."""
    try:
        lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError as error:
        raise DatasetError(f"cannot read the tracks {path}: {error.strerror}; {_FORM}") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        words = re.split(r"[,;]", line.strip().rstrip(",;")) if re.search(r"[,;]", line) else line.split()
        row, wrong = _parse(words)
        if not wrong and min_score is not None and row[6] < min_score:
            wrong = f"score below {min_score:g}"
        if wrong:
            account.leave_out(wrong, f"{path.name}, line {number}")
        else:
            yield f"{path.name}, line {number}", row


def _parse(words: list[str]) -> tuple[tuple[float, ...], str]:
    """Seven numbers and nothing, or what is wrong with them."""
    if len(words) < 6:
        return (), "row of fewer than six columns"
    try:
        row = tuple(float(word) for word in words[:7])
    except ValueError:
        return (), "row that is not numbers (a header, or ids that are names)"
    row = row if len(row) == 7 else (*row, 1.0)
    if not all(map(math.isfinite, row)):
        return row, "number that is not finite"
    if row[0] != int(row[0]) or row[1] != int(row[1]):
        return row, "frame or id that is not a whole number"
    if row[4] <= 0 or row[5] <= 0:
        return row, "box without area"
    if max(map(abs, row[2:6])) > _LARGEST_BOX or max(row[:2]) > _LARGEST_NUMBER:
        return row, "number too large to be meant"
    return row, ""
