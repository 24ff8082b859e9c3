"""What hides the real walkers, labelled by hand, and whether low importance points at it.

walker_faults.csv lists stretches of frames in which about a quarter of the person or more is hidden by a thing (the
sign and its post), covered by somebody else, or cut off by the box. One labeller looked at every third frame of all 38
tracklets, then at every frame around what had caught the eye, before any importance was computed; nobody else did.
What hides most gives a stretch its name. Less is not listed: feet behind a stone or somebody's head, the legs of a
tripod, people who pass behind, softness far away. A box that goes over to somebody else (``switched``) was not seen.
Ends of stretches are right to a frame or two.
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
    """Consecutive frames of a real tracklet with one fault.

    Attributes:
        tracklet: its id.
        first: number of the first frame, as at the end of its file name.
        last: number of the last.
        fault: one of `FAULTS`.
    """

    tracklet: str
    first: int
    last: int
    fault: str


@dataclass(frozen=True)
class FaultImportance:
    """How much clips of one fault count. A weight of 1 is an even share.

    Attributes:
        auroc: of low weight, against clean clips; None if there is none.
        damaged: clips with this fault.
        clean: clean clips of all labelled tracklets.
        tracklets: those that have clips of this fault and clean ones.
        damaged_weight: mean weight of their clips of this fault; None without such tracklets.
        clean_weight: mean weight of their clean clips.
    """

    auroc: float | None
    damaged: int
    clean: int
    tracklets: int
    damaged_weight: float | None
    clean_weight: float | None


def read_faulty_frames(path: Path) -> list[FaultyFrames]:
    """The stretches of a label file.

    Raises:
        DatasetError: if the header is another one, or a line is not a tracklet, two frames in order, and a fault.
    """
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    if not rows or rows[0] != HEADER:
        raise DatasetError(f"{path} must begin with the line {','.join(HEADER)!r}, found {rows[:1]}")
    for number, row in enumerate(rows[1:], 2):
        numbers = row[1:3]
        if len(row) != 4 or not all(one.isdecimal() for one in numbers) or int(numbers[0]) > int(numbers[1]):
            raise DatasetError(
                f"{path}, line {number}: expected a tracklet, its first and its last faulty frame, and the fault, "
                f"found {row}"
            )
        if row[3] not in FAULTS:
            raise DatasetError(f"{path}, line {number}: {row[3]!r} is no fault, expected one of {', '.join(FAULTS)}")
    return [FaultyFrames(row[0], int(row[1]), int(row[2]), row[3]) for row in rows[1:]]


def faults_of_frames(stretches: Sequence[FaultyFrames], tracklets: Sequence[Tracklet]) -> dict[str, dict[str, str]]:
    """Tracklet id to frame name to fault, of the tracklets that are labelled.

    Raises:
        DatasetError: if a tracklet is not among `tracklets`, lacks a frame, or a frame has two labels.
    """
    frames = {t.id: {int(found[1]): n for n in t.names if (found := _NUMBER.search(n))} for t in tracklets}
    faults: dict[str, dict[str, str]] = {}
    for stretch in stretches:
        if stretch.tracklet not in frames:
            raise DatasetError(f"labels name {stretch.tracklet!r}, but there is no such tracklet, only {[*frames]}")
        known, own = frames[stretch.tracklet], faults.setdefault(stretch.tracklet, {})
        for number in range(stretch.first, stretch.last + 1):
            if number not in known:
                raise DatasetError(
                    f"labels name frame {number} of {stretch.tracklet}, which has "
                    + (f"frames {min(known)} to {max(known)}" if known else "no numbered frames")
                )
            if known[number] in own:
                raise DatasetError(f"frame {number} of {stretch.tracklet} has two labels; leave one")
            own[known[number]] = stretch.fault
    return faults


def importance_by_fault(weights: NDArray[np.floating], faults: NDArray[np.str_]) -> Mapping[str, FaultImportance]:
    """How well low weight points at damaged clips, by fault, and of all together as `ANY`.

    Args:
        weights: (T, M) of labelled tracklets' clips; rows sum to 1.
        faults: (T, M) from `clip_fault`.

    Returns:
        For `ANY` and every fault that a clip has; empty if no clip is damaged.
    """
    even = weights * weights.shape[1]
    clean = faults == ""
    found: dict[str, FaultImportance] = {}
    for names in (np.where(clean, "", ANY), faults):
        for fault, one in auroc_by_fault(even, names).items():
            damaged = names == fault
            both = damaged.any(1) & clean.any(1)
            means = [float(even[both][part[both]].mean()) if both.any() else None for part in (damaged, clean)]
            found[fault] = FaultImportance(one.auroc, one.damaged, one.clean, int(both.sum()), *means)
    return found
