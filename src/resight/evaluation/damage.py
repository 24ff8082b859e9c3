"""Agreement of low importance with damaged clips. Shapes: T tracklets with M clips each."""

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
    """How well low importance separates clips with a fault from clean clips.

    Attributes:
        auroc: Probability that a damaged clip has lower importance than a clean one; 0.5 is chance. None if there is no
            clean clip.
        damaged: Number of clips with the fault.
        clean: Number of clips without any fault.
    """

    auroc: float | None
    damaged: int
    clean: int


def auroc_by_fault(
    importance_per_clip: NDArray[np.floating], fault_per_clip: NDArray[np.str_]
) -> dict[str, DamageAuroc]:
    """Return how well low importance separates damaged from clean clips, for each fault.

    Positives are the clips with the fault and negatives are the clean clips; clips with other faults are ignored. Clips
    of all tracklets are compared with one another, so importance must have the same scale in all of them.

    Args:
        importance_per_clip: (T, M) importance, all finite.
        fault_per_clip: (T, M) name of each clip's fault, ``""`` if it is clean, see `clip_fault`.

    Returns:
        Fault to its figures, for the faults that occur, in alphabetical order.

    Raises:
        ShapeError: If the shapes differ or an importance is not finite.
    """
    if importance_per_clip.shape != fault_per_clip.shape:
        raise ShapeError(
            f"importance is {importance_per_clip.shape} but faults are {fault_per_clip.shape}; expected (T, M) for both"
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
    """Return the fault of a clip, or ``""`` if fewer than half of its frames have a fault.

    A clip with several faults has the most common one, and among equally common ones that of the earliest frame.

    Args:
        frame_names: L frames of the clip; a repeated frame counts each time.
        faults: Frame name to fault; clean frames are missing or have ``""``.

    >>> clip_fault(["1.jpg", "2.jpg", "3.jpg", "4.jpg"], {"2.jpg": "blur", "4.jpg": "blur"})
    'blur'
    """
    faulty = [fault for name in frame_names if (fault := faults.get(name, ""))]
    if not faulty or 2 * len(faulty) < len(frame_names):
        return ""
    return Counter(faulty).most_common(1)[0][0]
