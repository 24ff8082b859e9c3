"""Measure what the shortlist of a gallery's search loses against comparing everything, on synthetic worlds.

``python -m experiments.gallery_shortlist FOLDER mars:WORLD ...`` keeps features in FOLDER, and prints the table of
docs/gallery.md. Every tracklet is a query for those of other cameras, first among the tracklets of its world, and then
among those of all worlds together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from cyclopts import run
from numpy.typing import NDArray

from experiments.gallery_calibration import features_of
from resight.api.model import load_model
from resight.evaluation.evaluate import labels_of
from resight.evaluation.metrics import score_similarities
from resight.evaluation.protocols import PROTOCOLS
from resight.features.types import ClipFeatures
from resight.gallery.describe import unit_mean
from resight.models.aggregators import Aggregator
from resight.ranking import best_first
from resight.scoring.all_pairs import score_all_pairs
from resight.tables import Row, Table

LENGTHS = (25, 50, 100, 200, 400)
"""Lengths of the shortlist."""

K = 10
"""Best answers that the shortlist has to contain."""

RULES = PROTOCOLS["standard"]

TOGETHER = "all together"


def main(folder: Path, *worlds: str, persons: int = 60) -> None:
    """Print the table of recall and mAP by the length of the shortlist.

    Args:
        folder: Folder for the features.
        worlds: Data sets as KIND:PATH.
        persons: Most persons of each world, drawn at random.
    """
    model = load_model(keep_features=False)
    sets = {}
    for name in worlds:
        label = Path(name.partition(":")[2]).name
        sets[label] = features_of(folder / f"{label}.safetensors", name, model, persons)
    print(table(sets, model.checkpoint.aggregator).to_markdown())


def table(sets: Mapping[str, ClipFeatures], aggregator: Aggregator) -> Table:
    """Return recall and mAP of shortlists in percent.

    Args:
        sets: Features of each world.
        aggregator: Aggregator of the model.
    """
    galleries = {**sets, TOGETHER: joined(list(sets.values()))} if len(sets) > 1 else dict(sets)
    rows = []
    for name, features in galleries.items():
        exact = score_all_pairs(features.values, features.values, aggregator)
        means = np.stack([unit_mean(values) for values in features.values])
        recall, scores = curve(features, exact, means @ means.T)
        rows.append(Row(f"{name}, recall", (len(features), *(100 * value for value in recall), 100.0)))
        rows.append(Row(f"{name}, mAP", (len(features), *(100 * value for value in scores))))
    columns = ("tracklets", *(f"{length}" for length in LENGTHS), "exact")
    return Table("Recall of the exact best 10, and mAP, in percent", columns, tuple(rows), head="world")


def curve(
    features: ClipFeatures, exact: NDArray[np.float32], cosine: NDArray[np.float32]
) -> tuple[list[float], list[float]]:
    """Return recall by length of the shortlist, and mAP by length with that of comparing everything at the end.

    Recall is the share of the exact best `K` tracklets that are on the shortlist, the query itself left out. What is
    not on the shortlist follows behind it, in the order of the mean features.

    Args:
        features: Features of T tracklets.
        exact: (T, T) similarities.
        cosine: (T, T) cosines of the mean features.
    """
    own = np.eye(len(features), dtype=bool)
    rank = np.empty(cosine.shape, np.int64)
    order = best_first(np.where(own, np.float32(-2), cosine))[0]
    np.put_along_axis(rank, order, np.broadcast_to(np.arange(len(features)), order.shape), axis=1)
    best = best_first(np.where(own, np.float32(-2), exact), K)[0]
    rank_of_best = np.take_along_axis(rank, best, axis=1)
    recall = [float((rank_of_best < length).mean()) for length in LENGTHS]
    labels = labels_of(features)
    mixed = (np.where(rank < length, exact, cosine - np.float32(3)) for length in LENGTHS)
    return recall, [score_similarities(scores, labels, labels, RULES).map for scores in (*mixed, exact)]


def joined(sets: Sequence[ClipFeatures]) -> ClipFeatures:
    """Return the features of several worlds as those of one gallery: their persons and cameras are different ones."""
    persons, cameras = [], []
    for number, features in enumerate(sets):
        persons.append(np.where(features.persons > 0, features.persons + 10_000 * number, features.persons))
        cameras.append(features.cameras + 100 * number)
    return ClipFeatures(
        tuple(f"{number}/{id_}" for number, features in enumerate(sets) for id_ in features.ids),
        np.concatenate(persons), np.concatenate(cameras), np.concatenate([features.values for features in sets]),
        np.concatenate([features.frame_numbers for features in sets]),
    )  # fmt: skip


if __name__ == "__main__":
    run(main)
