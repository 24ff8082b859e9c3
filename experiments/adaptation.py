"""Adapt a model to a synthetic world of a style that it has not seen, without labels, and test it on other persons.

``python -m experiments.adaptation FOLDER`` renders the world into FOLDER, and prints the table of docs/adaptation.md.
The training persons of the world are those to adapt to, and the test persons those to test on. Tracklets get times, so
that six of a camera are there at once.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Literal

import numpy as np
from cyclopts import Parameter, run

from resight.adaptation.adapt import adapt_model
from resight.adaptation.statistics import adapt_statistics
from resight.adaptation.unlabelled import strip_labels
from resight.checkpoints import Checkpoint, load_checkpoint
from resight.data.readers.mars import read_mars
from resight.evaluation.evaluate import evaluate_among
from resight.features.extract import extract_clip_features
from resight.features.store import FeatureStore
from resight.shipped import weights_of
from resight.synthetic.plan import WorldScale
from resight.synthetic.style import CAMPUS, STREETS
from resight.synthetic.world import make_world
from resight.tables import Cell, Row, Table
from resight.tracklet import Dataset, Tracklet
from resight.training.loop import RunOptions

STYLES = {"campus": (CAMPUS, 31), "streets": (STREETS, 32)}
"""Style and seed of each world."""

SHARES = (0.1, 0.2, 0.5)
"""Fixed shares of own statistics, to compare with the chosen one."""

TOGETHER = 6
"""Number of tracklets that are in a camera at once."""


def main(
    folder: Path, *, model: str = "open-small", style: Literal["campus", "streets"] = "campus",
    per_camera: Annotated[tuple[int, ...], Parameter(consume_multiple=True)] = (8, 16), seeds: int = 3,
) -> None:  # fmt: skip
    """Print the table.

    Args:
        folder: Folder of the worlds.
        model: Name or file of the model to adapt.
        style: Style of the world.
        per_camera: Numbers of tracklets of a camera for the table of statistics.
        seeds: Number of seeds.
    """
    dataset = open_world(folder, style)
    loaded = load_checkpoint(weights_of(Path(model)))
    options = RunOptions(folder / f".adapt-{style}")
    rows = []
    for row in statistics_rows(loaded, dataset, per_camera, seeds, options):
        rows.append(row)
        columns = ("tracklets", "kept", "seconds", "share chosen", *(f"{share:.0%}" for share in SHARES))
        print(Table("", columns, tuple(rows)).to_markdown(), flush=True)


def open_world(folder: Path, style: str) -> Dataset:
    """Return a world with six cameras: 42 persons to adapt to, and 30 others to test on."""
    chosen, seed = STYLES[style]
    if not (folder / style / "info" / "world.json").is_file():
        scale = WorldScale(
            style, 160, 42, 30, (2, 3), 1.0, 0, 0, median_frames=9, spread=0.2, max_frames=14, style=chosen
        )  # fmt: skip
        make_world(folder / style, scale, seed, workers=1)
    return read_mars(folder / style)


def with_times(tracklets: Sequence[Tracklet], seed: int) -> list[Tracklet]:
    """Return tracklets with times at which `TOGETHER` random tracklets of a camera are there at once."""
    timed = []
    for camera in sorted({tracklet.camera for tracklet in tracklets}):
        own = [tracklet for tracklet in tracklets if tracklet.camera == camera]
        for place, number in enumerate(np.random.default_rng([seed, camera]).permutation(len(own)).tolist()):
            start = float(place // TOGETHER)
            timed.append(replace(own[number], start=start, end=start + 0.5))
    return timed


def adapted(
    model: Checkpoint, tracklets: Sequence[Tracklet], seed: int, options: RunOptions
) -> tuple[Checkpoint, bool]:
    """Return the adapted model, and whether adaptation helped without labels."""
    with TemporaryDirectory() as folder:
        result, report = adapt_model(model, tracklets, "world", Path(folder) / "m", seed, options)
    return result, report.kept


def statistics_rows(
    model: Checkpoint, dataset: Dataset, per_camera: Sequence[int], seeds: int, options: RunOptions
) -> Iterator[Row]:
    """Yield the mAP of the test persons without damage, for shares chosen by adaptation and for fixed ones."""
    yield Row("before", (None, None, None, clean_score(model, dataset), *(None for _ in SHARES)))
    for number in per_camera:
        chosen, kept, used, seconds = [], 0, 0, []
        fixed: list[list[float]] = [[] for _ in SHARES]
        for seed in range(seeds):
            tracklets = with_times(few_of_each_camera(dataset.train, number, seed), seed)
            started = time.perf_counter()
            result, helped = adapted(model, tracklets, seed, options)
            seconds.append(time.perf_counter() - started)
            used, kept = len(tracklets), kept + helped
            chosen.append(clean_score(result, dataset))
            for scores_of_share, share in zip(fixed, SHARES, strict=True):
                with TemporaryDirectory() as folder:
                    encoder, _ = adapt_statistics(
                        model.encoder, strip_labels(tracklets), model.recipe.clips, Path(folder),
                        half=round(number / share - number),
                    )  # fmt: skip
                scores_of_share.append(clean_score(replace(model, encoder=encoder), dataset))
        cells: tuple[Cell, ...] = (
            used,
            f"{kept} of {seeds}",
            tuple(seconds),
            tuple(chosen),
            *(tuple(values) for values in fixed),
        )
        yield Row(f"{number} tracklets per camera", cells)


def clean_score(model: Checkpoint, dataset: Dataset) -> float:
    """Return the mAP of the test persons, searched among each other, in percent."""
    test = [tracklet for tracklet in dataset.gallery if tracklet.person > 0]
    features = extract_clip_features(model.encoder, test, model.recipe.clips, store=FeatureStore())
    return 100 * evaluate_among(features, model.aggregator)


def few_of_each_camera(tracklets: Sequence[Tracklet], number: int, seed: int) -> list[Tracklet]:
    """Return at most `number` random tracklets of each camera."""
    order = np.random.default_rng([seed, 7]).permutation(len(tracklets)).tolist()
    chosen: dict[int, list[Tracklet]] = {}
    for place in order:
        chosen.setdefault(tracklets[place].camera, []).append(tracklets[place])
    return [tracklet for own in chosen.values() for tracklet in own[:number]]


if __name__ == "__main__":
    run(main)
