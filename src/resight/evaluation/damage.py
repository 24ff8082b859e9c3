"""Scores under each kind of damage, and agreement of low importance with damaged clips.

Shapes: T tracklets with M clips each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resight.compute import Compute
from resight.errors import ShapeError
from resight.evaluation.auroc import auroc
from resight.evaluation.evaluate import evaluate_across
from resight.features.damaged import DamagedFeatures
from resight.models.aggregators import Aggregator, MeanFeature, MeanPair, TopShare
from resight.progress import Progress
from resight.tables import Row, Table

CLEAN, MIXED = "clean", "mixed"
"""Columns without damage, and with all kinds: each damaged clip has one of them."""

SHARES = (10, 20, 30, 40, 50, 60, 70, 80, 90)
"""Values of t of which the best is compared with, in percent."""


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


def damage_table(
    learned: Aggregator,
    first: DamagedFeatures,
    second: DamagedFeatures,
    max_damaged: int,
    seed: int,
    *,
    compute: Compute = Compute(),
    progress: Progress | None = None,
) -> Table:
    """Return the mAP of learned importance and of simple aggregators, in percent, under each kind of damage.

    Both sides are damaged: of each tracklet, 0 to M_c^max clips. The sides search each other, see `evaluate_across`.
    Of the shares of `SHARES`, the best under mixed damage is in the table.

    Args:
        learned: Aggregator to compare with the others.
        first: Features of one side.
        second: Features of the other side, with the same kinds of damage.
        max_damaged: M_c^max.
        seed: Seed of the choice of clips and kinds.
        compute: Device and precision of scoring.
        progress: Called with (scores done, all).
    """
    kinds = tuple(first.damaged)
    columns: dict[str, tuple[str, ...]] = {CLEAN: (), **{kind: (kind,) for kind in kinds}, MIXED: kinds}
    damaged = {
        name: tuple(side.mixed(max_damaged, own, seed) if own else side.clean for side in (first, second))
        for name, own in columns.items()
    }
    done, total = 0, len(SHARES) + 4 * len(columns)

    def score(aggregator: Aggregator, column: str) -> float:
        nonlocal done
        one, other = damaged[column]
        value = 100 * evaluate_across(one, other, aggregator, compute)
        done += 1
        if progress is not None:
            progress(done, total)
        return value

    share = max(SHARES, key=lambda share: score(TopShare(share), MIXED))
    compared = (MeanFeature(), MeanPair(), TopShare(share), learned)
    rows = [Row(each.label, tuple(score(each, column) for column in columns)) for each in compared]
    rows += [Row(f"gain over {row.name}", _differences(rows[3], row)) for row in rows[1:3]]
    note = (
        f"both sides damaged: 0 to {max_damaged} of the {first.clean.values.shape[1]} clips of a tracklet; "
        f"{len(first.clean) + len(second.clean)} tracklets of {len(set(first.clean.persons.tolist()))} persons"
    )
    return Table("mAP in percent", tuple(columns), tuple(rows), "method", note, best=tuple(range(len(columns))))


def _differences(row: Row, other: Row) -> tuple[str, ...]:
    return tuple(f"{a - b:+.1f}" for a, b in zip(row.cells, other.cells, strict=True))  # type: ignore[operator]
