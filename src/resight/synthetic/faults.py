"""What goes wrong in real tracking, drawn as stretches of frames and written down frame by frame."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from resight.errors import DatasetError

FAULTS = (
    "occluded_by_object",
    "occluded_by_person",
    "empty",
    "switched",
    "bad_crop",
    "motion_blur",
    "low_resolution",
)
"""Kinds of faulty frames: something or somebody in front, nobody, somebody else, a box far off, smear, few pixels."""

_SHARE = (1.5, 1.5, 1.2, 1.6, 1.4, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Consecutive frames with one fault.

    Attributes:
        fault: one of `FAULTS`.
        start: first frame, from 0.
        stop: one beyond the last.
    """

    fault: str
    start: int
    stop: int


def draw_stretches(rng: np.random.Generator, frames: int, share: float = 0.5) -> tuple[Stretch, ...]:
    """Faults of one tracklet: in a `share` of them, one or two stretches over 10 … 65 % of the frames.

    Tracklets of less than four frames have none.
    """
    if rng.random() < 1 - share or frames < 4:
        return ()
    total = max(2, round(frames * rng.uniform(0.10, 0.65)))
    weights = np.array(_SHARE) / sum(_SHARE)
    if frames < 16 or rng.random() < 0.5:
        start = int(rng.integers(0, frames - total + 1))
        fault = FAULTS[rng.choice(len(FAULTS), p=weights)]
        # A tracker that has gone over to somebody else mostly stays there.
        if fault == "switched" and rng.random() < 0.6:
            start = frames - total
        return (Stretch(fault, start, start + total),)
    first = max(2, int(total * rng.uniform(0.3, 0.7)))
    second = max(2, total - first)
    gaps = np.sort(rng.integers(0, frames - first - second + 1, 2))
    kinds = rng.choice(len(FAULTS), 2, replace=False, p=weights)
    begin = int(gaps[1]) + first
    return (
        Stretch(FAULTS[kinds[0]], int(gaps[0]), int(gaps[0]) + first),
        Stretch(FAULTS[kinds[1]], begin, begin + second),
    )


def write_faults(path: Path, rows: Iterable[tuple[str, str]]) -> None:
    """Write (frame file name, fault) rows as CSV with the header ``frame,fault``."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("frame", "fault"))
        writer.writerows(rows)


def read_faults(root: Path) -> dict[str, str]:
    """Faults of a synthetic world, by frame file name; frames that are not listed are sound.

    Args:
        root: folder of the world; ``info/faults.csv`` is read.

    Returns:
        Frame file name → one of `FAULTS`; empty when there is no such file, as in real data sets.

    Raises:
        DatasetError: if the file is not a fault list.
    """
    path = root / "info" / "faults.csv"
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    if not rows or rows[0] != ["frame", "fault"]:
        raise DatasetError(f"{path} must begin with the line 'frame,fault', found {rows[:1]}; render the world again")
    for number, row in enumerate(rows[1:], 2):
        if len(row) != 2 or row[1] not in FAULTS:
            raise DatasetError(f"{path}, line {number}: expected a frame and one of {', '.join(FAULTS)}, found {row}")
    return dict(rows[1:])
