"""Scores of some of the queries: by length, camera, or what is wrong with them. Nothing is scored again.

Shapes: Q queries, M clips of each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from resight.data.readers.listing import natural_order
from resight.errors import ShapeError
from resight.evaluation.metrics import Scores

CLEAN = "no fault"


def slice_scores(scores: Scores, groups: Sequence[str] | NDArray[np.str_]) -> dict[str, Scores]:
    """The scores of each group of queries.

    Args:
        scores: of Q queries.
        groups: (Q,) the group of each.

    Returns:
        Group → the scores of its queries, by natural order of the names; means over no valid query are NaN.

    Raises:
        ShapeError: if there is not one group a query.
    """
    names = np.asarray(groups, dtype=np.str_)
    if names.shape != (scores.queries,):
        raise ShapeError(f"groups are {names.shape}, expected one for each of {scores.queries} queries")
    return {name: scores.only(names == name) for name in sorted(set(names.tolist()), key=natural_order)}


def length_groups(lengths: ArrayLike, parts: int = 4) -> NDArray[np.str_]:
    """Queries by the number of their frames, in about equal parts.

    Args:
        lengths: (Q,) frames of each query.
        parts: how many groups; fewer come out where many queries are equally long.

    Returns:
        (Q,) names such as ``12-30 frames``: the shortest and the longest of the group.
    """
    frames = np.asarray(lengths, dtype=np.int64)
    edges = np.unique(np.quantile(frames, np.linspace(0, 1, parts + 1)[1:-1], method="lower"))
    group = np.searchsorted(edges, frames)
    names = np.empty(frames.shape, dtype=object)
    for number in np.unique(group):
        own = group == number
        least, most = frames[own].min(), frames[own].max()
        names[own] = f"{least} frames" if least == most else f"{least}-{most} frames"
    return names.astype(np.str_)


def camera_groups(cameras: ArrayLike) -> NDArray[np.str_]:
    """Queries by camera: (Q,) camera numbers to names such as ``camera 2``."""
    return np.array([f"camera {camera}" for camera in np.asarray(cameras).tolist()], dtype=np.str_)


def fault_groups(clip_faults: NDArray[np.str_]) -> NDArray[np.str_]:
    """Queries by what is wrong with them.

    Args:
        clip_faults: (Q, M) fault of each clip, ``""`` for a clean one: see `resight.evaluation.compare.clip_faults`.

    Returns:
        (Q,) the commonest fault among a query's clips, the earliest of equally common ones; `CLEAN` if no clip has one.
    """
    commonest = []
    for row in clip_faults.tolist():
        faults = Counter(fault for fault in row if fault)
        commonest.append(faults.most_common(1)[0][0] if faults else CLEAN)
    return np.array(commonest, dtype=np.str_)
