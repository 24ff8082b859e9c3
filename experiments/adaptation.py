"""Adapt a model to a synthetic world of a style that it has not seen, without labels, and test it on other persons.

``python -m experiments.adaptation FOLDER`` renders the world into FOLDER, and prints the tables of docs/adaptation.md.
The training persons of the world are those to adapt to, and the test persons those to test on. Tracklets get times, so
that six of a camera, of different persons, are there at once.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from cyclopts import Parameter, run
from numpy.typing import NDArray

from resight.adaptation.adapt import adapt_in_steps
from resight.adaptation.steps import MOST_GROUPED, PROJECTION, STATISTICS
from resight.adaptation.unlabelled import divide, strip_labels, thinned
from resight.checkpoints import Checkpoint, load_checkpoint
from resight.data.readers.mars import read_mars
from resight.evaluation.evaluate import evaluate_among
from resight.features.extract import extract_clip_features
from resight.features.store import FeatureStore
from resight.models.aggregators import Aggregator, MeanFeature
from resight.models.camera_encoder import CameraEncoder
from resight.models.projected_encoder import ProjectedEncoder
from resight.shipped import weights_of
from resight.synthetic.plan import WorldScale
from resight.synthetic.style import CAMPUS, STREETS, Style
from resight.synthetic.world import make_world
from resight.tables import Row, Table
from resight.tracklet import Dataset, Tracklet
from resight.training.loop import RunOptions

NIGHT = Style(
    "night", faults=0.3, alike=0.3, wardrobe="campus", uniforms=0.05, riders=0.1, carried=0.2, scenery=1.0, indoor=0.34,
    sun=0.2, night=0.6, clutter=0.9, camera_height=(3.5, 8.0), capture=1.0, distant=0.15, box_errors=0.2, groups=0.15,
    passing=0.35,
)  # fmt: skip
"""Six cameras, most of them at night or inside. No rule of the adaptation was worked out on worlds of this style."""

STYLES = {"night": (NIGHT, 41), "campus": (CAMPUS, 31), "streets": (STREETS, 32)}
"""Style and seed of each world."""

TOGETHER = 6
"""Number of tracklets that are in a camera at once."""

SWITCHED = (0.1, 0.3)
"""Shares of tracklets whose second half shows another person, as after an identity switch of a tracker."""

STEPS = {
    "statistics": (STATISTICS,),
    "projection": (PROJECTION,),
    "both": (STATISTICS, PROJECTION),
}


def main(
    folder: Path, *, model: str = "open", style: Literal["night", "campus", "streets"] = "night",
    per_camera: Annotated[tuple[int, ...], Parameter(consume_multiple=True)] = (7, 10, 20, 40, 100), seeds: int = 3,
    statistics: bool = True,
) -> None:  # fmt: skip
    """Print the tables.

    Args:
        folder: Folder of the worlds.
        model: Name or file of the model to adapt.
        style: Style of the world.
        per_camera: Numbers of tracklets of a camera.
        seeds: Number of seeds.
        statistics: Whether to measure the statistics of cameras too, which take most of the time.
    """
    dataset = open_world(folder, style)
    loaded = load_checkpoint(weights_of(Path(model)))
    options = RunOptions(folder / f".adapt-{style}")
    options.folder.mkdir(exist_ok=True)
    rows = projection_rows(loaded, dataset, per_camera, seeds, options)
    columns: tuple[str, ...] = ("tracklets", "kept", "mAP", "kept or not", "tracklets in groups", "groups", "purity")
    _print("Projection, mean feature", columns, rows)
    if statistics:
        columns = ("kept", "seconds", "mAP, learned importance", "mAP, mean feature")
        _print("Steps", columns, step_rows(loaded, dataset, seeds, options))


def open_world(folder: Path, style: str) -> Dataset:
    """Return a world with six cameras: 60 persons to adapt to, and 40 others to test on."""
    chosen, seed = STYLES[style]
    if not (folder / style / "info" / "world.json").is_file():
        scale = WorldScale(
            style, 128, 60, 40, (2, 4), 1.4, 0, 0, median_frames=9, spread=0.2, max_frames=12, style=chosen
        )  # fmt: skip
        make_world(folder / style, scale, seed, workers=1)
    return read_mars(folder / style)


def with_times(tracklets: Sequence[Tracklet], seed: int) -> list[Tracklet]:
    """Return tracklets with times at which up to `TOGETHER` random tracklets of a camera are there at once.

    They show different persons, as in real video.
    """
    timed = []
    for camera in sorted({tracklet.camera for tracklet in tracklets}):
        own = [tracklet for tracklet in tracklets if tracklet.camera == camera]
        groups: list[list[Tracklet]] = []
        for number in np.random.default_rng([seed, camera]).permutation(len(own)).tolist():
            free = (g for g in groups if len(g) < TOGETHER and all(t.person != own[number].person for t in g))
            group = next(free, None)
            if group is None:
                groups.append(group := [])
            group.append(own[number])
        for start, group in enumerate(groups):
            timed += [replace(tracklet, start=float(start), end=start + 0.5) for tracklet in group]
    return timed


def switched(tracklets: Sequence[Tracklet], share: float, seed: int) -> list[Tracklet]:
    """Return tracklets of which a share shows another person of the same camera in its second half."""
    rng = np.random.default_rng([seed, 9])
    changed = []
    for tracklet in tracklets:
        others = [t for t in tracklets if t.camera == tracklet.camera and t.person != tracklet.person]
        other = others[int(rng.integers(len(others)))]
        if rng.random() < share:
            root, half = tracklet.folder.parent, len(tracklet) // 2
            names = [f"{tracklet.folder.name}/{name}" for name in tracklet.names[:half]]
            names += [f"{other.folder.name}/{name}" for name in other.names[-half:]]
            tracklet = replace(tracklet, folder=root, names=tuple(names))
        changed.append(tracklet)
    return changed


def projection_rows(
    model: Checkpoint, dataset: Dataset, per_camera: Sequence[int], seeds: int, options: RunOptions
) -> Iterator[Row]:
    """Yield the mAP of the test persons by the mean feature, and the quality of the groups."""
    plain = replace(model, aggregator=MeanFeature())
    yield Row("before", (None, None, score(plain, dataset, options), None, None, None, None))
    cases = [(f"at most {n} tracklets per camera", n, 0.0, True) for n in per_camera]
    cases += [(f"all, {share:.0%} with an identity switch", 10_000, share, True) for share in SWITCHED]
    cases += [("all, without times", 10_000, 0.0, False)]
    for name, number, share, timed in cases:
        values: list[tuple[float, ...]] = []
        for seed in range(seeds):
            tracklets = with_times(few_of_each_camera(dataset.train, number, seed), seed)
            tracklets = switched(tracklets, share, seed)
            if not timed:
                tracklets = [replace(tracklet, start=None, end=None) for tracklet in tracklets]
            own = strip_labels(tracklets)
            adapted, report = adapt_in_steps(plain, own, divide(own), seed, options, (PROJECTION,))
            step = report.projection
            assert step.projection is not None
            forced = replace(plain, encoder=ProjectedEncoder(plain.encoder, torch.from_numpy(step.projection.matrix)))
            scores = [score(result, dataset, options) for result in (adapted, forced)]
            values.append((len(own), step.kept, *scores, step.values["grouped"], step.values["groups"],
                           purity(step.projection.groups, thinned(own, MOST_GROUPED), tracklets)))  # fmt: skip
        count, kept, *columns = zip(*values, strict=True)
        yield Row(name, (round(float(np.mean(count))), f"{sum(kept)} of {seeds}", *columns))


def step_rows(model: Checkpoint, dataset: Dataset, seeds: int, options: RunOptions) -> Iterator[Row]:
    """Yield the mAP of the test persons after one step and both, adapted to all training persons."""
    mean = MeanFeature()
    yield Row("before", (None, None, score(model, dataset, options), score(model, dataset, options, mean)))
    for name, chosen in STEPS.items():
        kept, values = [], []
        for seed in range(seeds):
            own = strip_labels(with_times(dataset.train, seed))
            started = time.perf_counter()
            adapted, report = adapt_in_steps(model, own, divide(own), seed, options, chosen)
            seconds = time.perf_counter() - started
            kept.append("+".join(step for step in chosen if getattr(report, step).kept) or "none")
            values.append((seconds, score(adapted, dataset, options), score(adapted, dataset, options, mean)))
        yield Row(name, (", ".join(kept), *zip(*values, strict=True)))


def score(model: Checkpoint, dataset: Dataset, options: RunOptions, aggregator: Aggregator | None = None) -> float:
    """Return the mAP of the test persons, searched among each other, in percent.

    Features are kept without the projection, which is applied to them here.
    """
    encoder, matrix = model.encoder, None
    if isinstance(encoder, CameraEncoder) and isinstance(encoder.trained, ProjectedEncoder):
        matrix, cameras = encoder.trained.matrix, dict(zip(encoder.cameras, encoder.values, strict=True))
        encoder = CameraEncoder(encoder.trained.trained, cameras).eval()
    elif isinstance(encoder, ProjectedEncoder):
        matrix, encoder = encoder.matrix, encoder.trained
    test = [tracklet for tracklet in dataset.gallery if tracklet.person > 0]
    features = extract_clip_features(encoder, test, model.recipe.clips, store=FeatureStore(options.folder))
    if matrix is not None:
        features = replace(features, values=features.values @ matrix.numpy())
    return 100 * evaluate_among(features, aggregator or model.aggregator)


def purity(groups: NDArray[np.int64], grouped: Sequence[Tracklet], tracklets: Sequence[Tracklet]) -> float:
    """Return the share of tracklets in groups that show the most frequent person of their group, in percent.

    Args:
        groups: (T,).
        grouped: T tracklets without labels.
        tracklets: The same with labels, in any order.
    """
    persons = {strip_labels([tracklet])[0].id: tracklet.person for tracklet in tracklets}
    person = np.array([persons[tracklet.id] for tracklet in grouped])
    large = [person[groups == group] for group in np.unique(groups) if (groups == group).sum() > 1]
    return 100 * sum(int(np.bincount(group).max()) for group in large) / max(1, sum(map(len, large)))


def few_of_each_camera(tracklets: Sequence[Tracklet], number: int, seed: int) -> list[Tracklet]:
    """Return at most `number` random tracklets of each camera."""
    order = np.random.default_rng([seed, 7]).permutation(len(tracklets)).tolist()
    chosen: dict[int, list[Tracklet]] = {}
    for place in order:
        chosen.setdefault(tracklets[place].camera, []).append(tracklets[place])
    return [tracklet for own in chosen.values() for tracklet in own[:number]]


def _print(title: str, columns: Sequence[str], rows: Iterator[Row]) -> None:
    """Print a table again after each row, because a row takes minutes."""
    done: list[Row] = []
    for row in rows:
        done.append(row)
        print(Table(title, tuple(columns), tuple(done)).to_markdown(), flush=True)


if __name__ == "__main__":
    run(main)
