"""Do synthetic worlds rank encoders as real people do? Several encoders, evaluated on both.

``RESIGHT_WALKERS=WALKERS python -m experiments.encoder_ranking open open-small --worlds.streets W1 --worlds.campus W2``
prints a table, and the rank correlation of its columns. WALKERS is the folder described in `experiments.walkers`.

Walkers are re-associated across a gap: a part of the first 40 % of a track is the query, and a part of the last 40 %
must be found among the same parts of all tracks that were present at the same time, who are certainly other persons.
Both directions are averaged. These scores are reported, and never used to choose a model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from cyclopts import Parameter, run
from scipy.stats import spearmanr
from torch import nn

from resight.api.model import load_model
from resight.data.readers.folder import read_folder
from resight.data.readers.mars import read_mars
from resight.evaluation.evaluate import evaluate_among
from resight.features.extract import extract_clip_features
from resight.features.types import ClipFeatures
from resight.models.aggregators import MeanFeature
from resight.models.colour_histogram import ColourHistogram
from resight.models.encoders import make_encoder
from resight.recipe import ClipSpec
from resight.scoring.all_pairs import score_all_pairs
from resight.shipped import DEFAULT
from resight.tables import Row, Table
from resight.tracklet import Tracklet, by_person

GAPS = {"short gap": (2, 0), "middle gap": (1, 1), "long gap": (0, 2)}
"""Column to the third of the first 40 % and the third of the last 40 % of a track that are compared."""


def encoder_ranking(
    *models: str,
    worlds: dict[str, Path],
    tracklets: Annotated[Path, Parameter(env_var="RESIGHT_WALKERS")],
    workers: int = 0,
) -> None:
    """Print mAP by encoder on synthetic worlds and on walkers, and how well the columns agree.

    Args:
        models: Names or files of models, and ``onnx:FILE#PRESET``; their mean features are compared. A colour histogram
            and an untrained network are added.
        worlds: Folders of synthetic worlds by name; their test persons are evaluated.
        tracklets: Folder with the tracklets of the walkers.
        workers: Processes that decode frames.
    """
    encoders: dict[str, tuple[nn.Module, ClipSpec]] = {}
    for name in models or (DEFAULT,):
        model = load_model(name, keep_features=False)
        encoders[name] = model.checkpoint.encoder, model.recipe.clips
    first = load_model(DEFAULT, keep_features=False)
    torch.manual_seed(0)
    encoders["untrained"] = make_encoder(load_model("open-small").recipe.stage1), load_model("open-small").recipe.clips
    encoders["colour histogram"] = ColourHistogram(), first.recipe.clips
    tests = {
        name: [t for own in by_person(read_mars(path).gallery).values() for t in own] for name, path in worlds.items()
    }
    walkers = read_folder(tracklets).gallery
    scores: dict[str, tuple[float, ...]] = {}
    for name, (encoder, clips) in encoders.items():
        values = [
            100 * evaluate_among(extract_clip_features(encoder, test, clips, workers=workers), MeanFeature())
            for test in tests.values()
        ]
        for early, late in GAPS.values():
            parts = {1: [third(t, early) for t in walkers if t.camera == 1],
                     2: [third(t, late) for t in walkers if t.camera == 2]}  # fmt: skip
            features = {
                camera: extract_clip_features(encoder, own, clips, workers=workers) for camera, own in parts.items()
            }
            values.append(100 * reassociation(features[1], features[2], tracks(walkers)))
        scores[name] = tuple(values)
        print(name, *(f"{value:.1f}" for value in values), flush=True)
    columns = (*tests, *(f"walkers, {gap}" for gap in GAPS))
    print(Table("mAP, percent", columns, tuple(Row(name, own) for name, own in scores.items())).to_markdown())
    by_column = np.array(list(scores.values())).T
    for a, b in combinations(range(len(columns)), 2):
        print(f"rank correlation of {columns[a]} and {columns[b]}: {spearmanr(by_column[a], by_column[b])[0]:.2f}")


def third(tracklet: Tracklet, number: int) -> Tracklet:
    """Return the first (0), middle (1) or last (2) third of the frames of a tracklet."""
    bounds = np.linspace(0, len(tracklet), 4).round().astype(int)
    start = min(bounds[number], len(tracklet) - 1)
    names = tracklet.names[start : max(bounds[number + 1], start + 1)]
    return replace(tracklet, id=f"{tracklet.id}/{number}", names=names)


def tracks(walkers: Sequence[Tracklet]) -> dict[str, tuple[int, int, int]]:
    """Return the person, the first and the last frame of the video for each track, from the names of its crops."""
    found: dict[str, tuple[int, int, int]] = {}
    for tracklet in walkers:
        numbers = [int(Path(name).stem) for name in tracklet.names]
        person, low, high = found.get(tracklet.folder.name, (tracklet.person, 10**9, 0))
        found[tracklet.folder.name] = person, min(low, *numbers, low), max(high, *numbers, high)
    return found


def reassociation(first: ClipFeatures, second: ClipFeatures, of_tracks: Mapping[str, tuple[int, int, int]]) -> float:
    """Return the mean of 1 / rank of the same track, 0 to 1, among tracks present at the same time; both directions.

    Args:
        first: Features of the first parts, one for each track.
        second: Features of the second parts.
        of_tracks: Person, first and last frame of each track.
    """
    similarity = score_all_pairs(first.values, second.values, MeanFeature())
    names = [[id_.split("/")[-2] for id_ in features.ids] for features in (first, second)]
    scores = []
    for table, queries, gallery in ((similarity, names[0], names[1]), (similarity.T, names[1], names[0])):
        for row, query in zip(table, queries, strict=True):
            person, begin, end = of_tracks[query]
            own = row[gallery.index(query)]
            others = [
                value
                for value, name in zip(row, gallery, strict=True)
                if of_tracks[name][0] != person and of_tracks[name][1] <= end and of_tracks[name][2] >= begin
            ]
            if others:
                scores.append(1 / (1 + sum(value >= own for value in others)))
    return float(np.mean(scores))


if __name__ == "__main__":
    run(encoder_ranking)
