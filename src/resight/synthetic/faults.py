"""Draw the faults of real tracking for each tracklet, and read and write the list of faulty frames."""

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
"""Kinds of faulty frames. ``empty``: nobody is in the box; ``switched``: another person is; ``bad_crop``: only part of
the person is."""

_WEIGHTS = (1.5, 1.5, 1.2, 1.6, 1.4, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Consecutive frames with one fault.

    Attributes:
        fault: One of `FAULTS`.
        start: Position of the first frame, from 0.
        stop: Position after the last frame.
    """

    fault: str
    start: int
    stop: int


def draw_stretches(rng: np.random.Generator, frames: int, share: float = 0.5) -> tuple[Stretch, ...]:
    """Draw the faults of one tracklet.

    Args:
        rng: Random number generator.
        frames: Number of frames of the tracklet.
        share: Probability that the tracklet has faults. Tracklets with fewer than four frames have none.

    Returns:
        No stretch, or one or two that cover 10 % to 65 % of the frames.
    """
    if rng.random() < 1 - share or frames < 4:
        return ()
    total = max(2, round(frames * rng.uniform(0.10, 0.65)))
    weights = np.array(_WEIGHTS) / sum(_WEIGHTS)
    if frames < 16 or rng.random() < 0.5:
        start = int(rng.integers(0, frames - total + 1))
        fault = FAULTS[rng.choice(len(FAULTS), p=weights)]
        # A tracker that has switched to another person usually stays there until the end.
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
    """Return the faults of a synthetic world by frame file name.

    Args:
        root: Folder of the world; ``info/faults.csv`` is read.

    Returns:
        File name of each faulty frame, mapped to one of `FAULTS`; empty if there is no such file, as in real data sets.

    Raises:
        DatasetError: If the file is not a list of faults.
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
