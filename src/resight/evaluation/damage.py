"""Does low importance point at damaged clips? Shapes: T tracklets, M clips of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resight.errors import ShapeError
from resight.evaluation.auroc import auroc


@dataclass(frozen=True)
class DamageAuroc:
    """How well low importance tells clips of one fault from clean clips.

    Attributes:
        auroc: chance that a damaged clip has lower importance than a clean one: 1 always, 0.5 no better than chance;
            None when there is no clean clip.
        damaged: number of clips with the fault.
        clean: number of clips without any fault.
    """

    auroc: float | None
    damaged: int
    clean: int


def auroc_by_fault(
    importance_per_clip: NDArray[np.floating], fault_per_clip: NDArray[np.str_]
) -> dict[str, DamageAuroc]:
    """How well low importance points at damaged clips, for each fault.

    Positives are the clips of that fault, negatives the clean clips; clips of other faults are left out. Clips of all
    tracklets are compared with one another, so importance must mean the same in each.

    Args:
        importance_per_clip: (T, M), higher is more important, all finite.
        fault_per_clip: (T, M), the name of a clip's fault, ``""`` if it is clean: see `clip_fault`.

    Returns:
        Fault → figures, for the faults that occur, by name.

    Raises:
        ShapeError: if the shapes differ or an importance is not a number.
    """
    if importance_per_clip.shape != fault_per_clip.shape:
        raise ShapeError(
            f"importance is {importance_per_clip.shape} but faults are {fault_per_clip.shape}; expected (T, M) both"
        )
    clean = fault_per_clip == ""
    figures: dict[str, DamageAuroc] = {}
    for fault in sorted(set(fault_per_clip[~clean].tolist())):
        damaged = fault_per_clip == fault
        judged = clean | damaged
        figures[fault] = DamageAuroc(
            auroc(-importance_per_clip[judged], damaged[judged]), int(damaged.sum()), int(clean.sum())
        )
    return figures


def clip_fault(frame_names: Sequence[str], faults: Mapping[str, str]) -> str:
    """The fault of a clip: that of at least half of its frames.

    A clip of which fewer than half of the frames are faulty counts as clean. Otherwise it has its commonest fault, even
    if no single one reaches half; of equally common ones, that of the earliest frame.

    Args:
        frame_names: the L frames of the clip; one that was looped counts each time.
        faults: frame name → fault; clean frames are not in it, or have ``""``.

    Returns:
        The name of the fault, or ``""``.

    >>> clip_fault(["1.jpg", "2.jpg", "3.jpg", "4.jpg"], {"2.jpg": "blur", "4.jpg": "blur"})
    'blur'
    """
    faulty = [fault for name in frame_names if (fault := faults.get(name, ""))]
    if not faulty or 2 * len(faulty) < len(frame_names):
        return ""
    return Counter(faulty).most_common(1)[0][0]
