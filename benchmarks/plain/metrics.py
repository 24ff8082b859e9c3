"""Plain CMC and AP: sort one query at a time, remove junk, compute precision at every rank."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from resight.evaluation.protocols import Labels
from resight.tracklet import JUNK


class Means(NamedTuple):
    """Mean AP of both kinds and the CMC up to rank 50, over the queries with a match."""

    map: float
    map_trapezoid: float
    cmc: NDArray[np.float64]


def score_in_loops(
    similarity: NDArray[np.float32], query: Labels, gallery: Labels, order: NDArray[np.int32] | None = None
) -> Means:
    """Return scores by counting ranks in Python, as the evaluation code of most toolkits does.

    Args:
        similarity: (Q, G).
        query: Labels of Q tracklets.
        gallery: Labels of G tracklets.
        order: (Q, G) gallery positions, best first, if already sorted.
    """
    aps, areas, curves = [], [], []
    for q in range(len(similarity)):
        hits = _hits(q, similarity, query, gallery, order)
        if not hits.any():
            continue
        found = hits.cumsum()
        curves.append(np.minimum(found, 1)[:50])
        precision = [count / (place + 1) for place, count in enumerate(found)]
        aps.append((np.asarray(precision) * hits).sum() / hits.sum())
        areas.append(_area(hits.tolist()))
    return Means(float(np.mean(aps)), float(np.mean(areas)), np.mean(curves, axis=0))


def score_by_arrays(
    similarity: NDArray[np.float32], query: Labels, gallery: Labels, order: NDArray[np.int32] | None = None
) -> Means:
    """Return scores by array operations inside a loop over queries. Arguments as `score_in_loops`."""
    aps, areas, curves = [], [], []
    for q in range(len(similarity)):
        hits = _hits(q, similarity, query, gallery, order)
        if not hits.any():
            continue
        curves.append(np.minimum(hits.cumsum(), 1)[:50])
        ranks = np.flatnonzero(hits) + 1
        number = np.arange(1, len(ranks) + 1)
        before = np.where(ranks == 1, 1, (number - 1) / np.maximum(ranks - 1, 1))
        aps.append((number / ranks).mean())
        areas.append((number / ranks + before).mean() / 2)
    return Means(float(np.mean(aps)), float(np.mean(areas)), np.mean(curves, axis=0))


def _hits(
    q: int, similarity: NDArray[np.float32], query: Labels, gallery: Labels, order: NDArray[np.int32] | None
) -> NDArray[np.bool_]:
    row = np.argsort(-similarity[q], kind="stable") if order is None else order[q]
    persons, cameras = gallery.persons[row], gallery.cameras[row]
    same_person = persons == query.persons[q]
    keep = (persons != JUNK) & ~(same_person & (cameras == query.cameras[q]))
    hits: NDArray[np.bool_] = same_person[keep]
    return hits


def _area(hits: list[bool]) -> float:
    total, found, area, recall, precision = sum(hits), 0, 0.0, 0.0, 1.0
    for rank, hit in enumerate(hits, start=1):
        found += hit
        now = found / total
        area += (now - recall) * (precision + found / rank) / 2
        recall, precision = now, found / rank
        if found == total:
            break
    return area
