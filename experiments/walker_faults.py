"""Hand-labelled faults of the real pedestrians, and functions to test whether low importance detects them.

walker_faults.csv lists ranges of frames in which about a quarter of the person or more is hidden by an object (the sign
and its post), hidden by another person, or cut off by the box. One person labelled them before any importance was
computed, looking at every third frame of all 38 tracklets, and then at each frame near a suspicious one. The fault of a
range is the one that hides most. Not listed are small occlusions (feet behind a stone or a head, the legs of a tripod),
people who pass behind, and distant blurred persons. No box that switches to another person (``switched``) was found.
The ends of the ranges are accurate to one or two frames.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from resight.errors import DatasetError
from resight.evaluation.damage import auroc_by_fault
from resight.synthetic.faults import FAULTS
from resight.tracklet import Tracklet

LABELS = Path(__file__).with_name("walker_faults.csv")
HEADER = ["tracklet", "first", "last", "fault"]
ANY = "any fault"

_NUMBER = re.compile(r"(\d+)\.\w+$")


class FaultyFrames(NamedTuple):
    """A range of frames of a tracklet with one fault.

    Attributes:
        tracklet: Tracklet id.
        first: Number of the first frame, at the end of its file name.
        last: Number of the last frame.
        fault: One of `FAULTS`.
    """

    tracklet: str
    first: int
    last: int
    fault: str


@dataclass(frozen=True)
class FaultImportance:
    """Weights of clips with one fault, compared with clean clips. A weight of 1 is an equal share.

    Attributes:
        auroc: AUROC of low weight against clean clips; None if there are no clean clips.
        damaged: Number of clips with this fault.
        clean: Number of clean clips of all labelled tracklets.
        tracklets: Number of tracklets with clips of this fault and clean clips.
        damaged_weight: Mean weight of their clips with this fault; None if there are no such tracklets.
        clean_weight: Mean weight of their clean clips; None if there are no such tracklets.
    """

    auroc: float | None
    damaged: int
    clean: int
    tracklets: int
    damaged_weight: float | None
    clean_weight: float | None


def read_faulty_frames(path: Path) -> list[FaultyFrames]:
    """Read the frame ranges of a label file.

    Raises:
        DatasetError: If the header is wrong, or a line is not a tracklet, two frame numbers in order, and a fault.
    """
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    if not rows or rows[0] != HEADER:
        raise DatasetError(f"{path} must begin with the line {','.join(HEADER)!r}, found {rows[:1]}")
    for number, row in enumerate(rows[1:], 2):
        numbers = row[1:3]
        if len(row) != 4 or not all(one.isdecimal() for one in numbers) or int(numbers[0]) > int(numbers[1]):
            raise DatasetError(
                f"{path}, line {number}: expected a tracklet, its first and last faulty frame, and the fault, "
                f"found {row}"
            )
        if row[3] not in FAULTS:
            raise DatasetError(f"{path}, line {number}: {row[3]!r} is not a fault, expected one of {', '.join(FAULTS)}")
    return [FaultyFrames(row[0], int(row[1]), int(row[2]), row[3]) for row in rows[1:]]


def faults_of_frames(ranges: Sequence[FaultyFrames], tracklets: Sequence[Tracklet]) -> dict[str, dict[str, str]]:
    """Return the faults of the labelled tracklets: tracklet id to frame name to fault.

    Raises:
        DatasetError: If a tracklet is not among `tracklets` or lacks a frame, or if a frame has two labels.
    """
    frames = {t.id: {int(found[1]): n for n in t.names if (found := _NUMBER.search(n))} for t in tracklets}
    faults: dict[str, dict[str, str]] = {}
    for faulty in ranges:
        if faulty.tracklet not in frames:
            raise DatasetError(
                f"the labels name {faulty.tracklet!r}, which is not a tracklet; expected one of {', '.join(frames)}"
            )
        known, of_tracklet = frames[faulty.tracklet], faults.setdefault(faulty.tracklet, {})
        for number in range(faulty.first, faulty.last + 1):
            if number not in known:
                raise DatasetError(
                    f"the labels name frame {number} of {faulty.tracklet}, which has "
                    + (f"frames {min(known)} to {max(known)}" if known else "no numbered frames")
                )
            if known[number] in of_tracklet:
                raise DatasetError(f"frame {number} of {faulty.tracklet} has two labels; remove one of them")
            of_tracklet[known[number]] = faulty.fault
    return faults


def importance_by_fault(weights: NDArray[np.floating], faults: NDArray[np.str_]) -> Mapping[str, FaultImportance]:
    """Return how well low weight detects damaged clips, for each fault and for all faults together (`ANY`).

    Args:
        weights: (T, M) weights of the clips of labelled tracklets; each row sums to 1.
        faults: (T, M) faults from `clip_fault`.

    Returns:
        One entry for `ANY` and for each fault that a clip has; empty if no clip is damaged.
    """
    relative = weights * weights.shape[1]
    clean = faults == ""
    found: dict[str, FaultImportance] = {}
    for names in (np.where(clean, "", ANY), faults):
        for fault, one in auroc_by_fault(relative, names).items():
            damaged = names == fault
            both = damaged.any(1) & clean.any(1)
            means = [float(relative[both][part[both]].mean()) if both.any() else None for part in (damaged, clean)]
            found[fault] = FaultImportance(one.auroc, one.damaged, one.clean, int(both.sum()), *means)
    return found
