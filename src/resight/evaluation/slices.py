"""Scores of groups of queries: by length, camera or fault, computed from the scores of each query.

Shapes: Q queries with M clips each.
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
    """Return the scores of each group of queries.

    Args:
        scores: Scores of Q queries.
        groups: (Q,) name of each query's group.

    Returns:
        Group to the scores of its queries, in natural order of the names; means over no valid query are NaN.

    Raises:
        ShapeError: If there is not one group per query.
    """
    names = np.asarray(groups, dtype=np.str_)
    if names.shape != (scores.queries,):
        raise ShapeError(f"groups are {names.shape}, expected one for each of {scores.queries} queries")
    return {name: scores.only(names == name) for name in sorted(set(names.tolist()), key=natural_order)}


def length_groups(lengths: ArrayLike, parts: int = 4) -> NDArray[np.str_]:
    """Return groups of queries of similar length and about equal size.

    Args:
        lengths: (Q,) number of frames of each query.
        parts: Number of groups; there are fewer if many queries are equally long.

    Returns:
        (Q,) names such as ``12-30 frames``: the shortest and the longest query of the group.
    """
    frames = np.asarray(lengths, dtype=np.int64)
    edges = np.unique(np.quantile(frames, np.linspace(0, 1, parts + 1)[1:-1], method="lower"))
    group = np.searchsorted(edges, frames)
    names = np.empty(frames.shape, dtype=object)
    for number in np.unique(group):
        members = group == number
        least, most = frames[members].min(), frames[members].max()
        names[members] = f"{least} frames" if least == most else f"{least}-{most} frames"
    return names.astype(np.str_)


def camera_groups(cameras: ArrayLike) -> NDArray[np.str_]:
    """Return groups of queries by camera: (Q,) names such as ``camera 2`` of (Q,) camera numbers."""
    return np.array([f"camera {camera}" for camera in np.asarray(cameras).tolist()], dtype=np.str_)


def fault_groups(clip_faults: NDArray[np.str_]) -> NDArray[np.str_]:
    """Return groups of queries by their most common fault.

    Args:
        clip_faults: (Q, M) fault of each clip, ``""`` if it is clean, see `resight.evaluation.compare.clip_faults`.

    Returns:
        (Q,) most common fault among a query's clips, the earliest of equally common ones; `CLEAN` if no clip has one.
    """
    most_common = []
    for row in clip_faults.tolist():
        faults = Counter(fault for fault in row if fault)
        most_common.append(faults.most_common(1)[0][0] if faults else CLEAN)
    return np.array(most_common, dtype=np.str_)
