"""Similarities of pairs of a gallery, from which it is calibrated."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from resight.compute import Compute
from resight.gallery.calibration import Similarities
from resight.gallery.contract import GalleryStore
from resight.gallery.facts import half_length, one_camera, together
from resight.gallery.labels import JOINING, Groups
from resight.gallery.levels import COHORT, adjustment, levels
from resight.gallery.lifecycle import all_entries
from resight.gallery.types import Entry, StoredTracklet
from resight.models.aggregators import Aggregator
from resight.scoring.all_pairs import score_all_pairs, score_pairs

MOST_TRACKLETS = 300
"""Most tracklets that are compared with each other, 44,850 pairs. They are spread over the whole gallery."""

BLOCK = 10
"""Tracklets that follow each other in a camera and are chosen together, because they are often there at one time."""


def measure(
    store: GalleryStore, groups: Groups, aggregator: Aggregator, compute: Compute = Compute()
) -> tuple[Similarities, float]:
    """Return the similarities, adjusted by levels, and the typical level.

    Args:
        store: The gallery.
        groups: Its labels.
        aggregator: Aggregator in evaluation mode.
        compute: Device and precision.
    """
    total = store.count()
    chosen = spread(list(all_entries(store)))
    tracklets = store.fetch([entry.id for entry in chosen])
    if len(tracklets) < 2:
        nothing = np.zeros(0)
        return Similarities(nothing, nothing, nothing, nothing, np.zeros((0, 2)), len(tracklets), total), 0.0
    features = _features(tracklets)
    sample = store.spaced_means(COHORT)
    level = levels(_means(tracklets), sample)
    typical = float(np.median(level))
    scores = score_all_pairs(features, features, aggregator, compute=compute)
    similarity = scores - adjustment(level[:, None], level, typical)
    entries = [tracklet.entry for tracklet in tracklets]
    upper = np.triu(np.ones_like(similarity, bool), 1)
    inside, at_once = one_camera(entries), together(entries)
    cameras = any(entry.camera for entry in entries) and len({entry.camera for entry in entries}) > 1
    across = ~inside if cameras else ~at_once  # without names of cameras, nearly all pairs are of different persons
    known = Similarities(
        similarity[across & upper], similarity[inside & ~at_once & upper], similarity[inside & at_once & upper],
        _halves(tracklets, aggregator, compute), _labelled(store, groups, aggregator, sample, typical, compute),
        len(tracklets), total,
    )  # fmt: skip
    return known, typical


def spread(entries: Sequence[Entry], most: int = MOST_TRACKLETS) -> list[Entry]:
    """Return at most that many entries, in evenly spaced blocks of those that follow each other in a camera."""
    ordered = sorted(entries, key=lambda entry: (entry.camera, entry.start or 0.0, entry.id))
    blocks = [ordered[first : first + BLOCK] for first in range(0, len(ordered), BLOCK)]
    count = min(len(blocks), most // BLOCK)
    places = np.linspace(0, len(blocks) - 1, count).round().astype(int).tolist() if blocks else []
    return [entry for place in places for entry in blocks[place]]


def _halves(tracklets: Sequence[StoredTracklet], aggregator: Aggregator, compute: Compute) -> NDArray[np.float64]:
    by_clips: dict[int, list[StoredTracklet]] = {}
    for tracklet in tracklets:
        by_clips.setdefault(half_length(tracklet.frame_numbers), []).append(tracklet)
    results: list[NDArray[np.floating]] = [np.zeros(0)]
    for clips, some in by_clips.items():
        if clips:
            rows = np.arange(len(some))
            values = _features(some)
            results.append(score_pairs(values[:, :clips], values[:, -clips:], rows, rows, aggregator, compute=compute))
    joined: NDArray[np.float64] = np.concatenate(results).astype(np.float64)
    return joined


def _labelled(
    store: GalleryStore, groups: Groups, aggregator: Aggregator, sample: NDArray[np.float32], typical: float,
    compute: Compute,
) -> NDArray[np.float64]:  # fmt: skip
    pairs = {frozenset(event.ids): event.kind in JOINING for event in groups.active()}
    ids = sorted({id_ for pair in pairs for id_ in pair})
    stored = dict(zip(ids, store.fetch(ids), strict=True)) if ids else {}
    rows = [
        (first, second, same)
        for (first, second), same in ((sorted(pair), same) for pair, same in pairs.items())
        if stored[first].entry.camera != stored[second].entry.camera
    ]
    if not rows:
        return np.zeros((0, 2))
    left, right = [stored[first] for first, _, _ in rows], [stored[second] for _, second, _ in rows]
    places = np.arange(len(rows))
    scores = score_pairs(_features(left), _features(right), places, places, aggregator, compute=compute)
    values = scores - adjustment(levels(_means(left), sample), levels(_means(right), sample), typical)
    return np.stack([values, [float(same) for _, _, same in rows]], 1)


def _features(tracklets: Sequence[StoredTracklet]) -> NDArray[np.float32]:
    return np.stack([tracklet.features for tracklet in tracklets]).astype(np.float32)


def _means(tracklets: Sequence[StoredTracklet]) -> NDArray[np.float32]:
    return np.stack([tracklet.mean for tracklet in tracklets])
