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
from cyclopts import Parameter, run
from numpy.typing import NDArray

from resight.adaptation.adapt import DEFAULT, ENCODER, IMPORTANCE, PROJECTION, STATISTICS, STEPS, adapt_in_steps
from resight.adaptation.steps import MOST_GROUPED
from resight.adaptation.unlabelled import divide, strip_labels, thinned
from resight.checkpoints import Checkpoint, load_checkpoint
from resight.data.damage import DAMAGES, Donors
from resight.data.readers.mars import read_mars
from resight.evaluation.evaluate import evaluate_across, evaluate_among
from resight.features.damaged import DamagedFeatures
from resight.features.extract import extract_clip_features
from resight.features.store import FeatureStore
from resight.features.view import View
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

TRIALS: dict[str, tuple[str, ...]] = {
    "statistics": (STATISTICS,),
    "encoder": (ENCODER,),
    "projection": (PROJECTION,),
    "importance": (IMPORTANCE,),
    "statistics and projection": DEFAULT,
    "all": STEPS,
}
"""Steps that are tried together."""

MOST_DAMAGED = 6
"""M_c^max of the damaged test tracklets, of 8 clips."""


def main(
    folder: Path, *, model: str = "open", style: Literal["night", "campus", "streets"] = "night",
    per_camera: Annotated[tuple[int, ...], Parameter(consume_multiple=True)] = (7, 10, 20, 40, 100), seeds: int = 3,
    steps: Annotated[tuple[str, ...], Parameter(consume_multiple=True)] = tuple(TRIALS), damage: bool = True,
) -> None:  # fmt: skip
    """Print the tables.

    Args:
        folder: Folder of the worlds.
        model: Name or file of the model to adapt.
        style: Style of the world.
        per_camera: Numbers of tracklets of a camera.
        seeds: Number of seeds.
        steps: Steps to measure, of `TRIALS`; those with statistics and encoder take most of the time.
        damage: Whether to measure importance under damage.
    """
    dataset = open_world(folder, style)
    loaded = load_checkpoint(weights_of(Path(model)))
    options = RunOptions(folder / f".adapt-{style}")
    options.folder.mkdir(exist_ok=True)
    rows = projection_rows(loaded, dataset, per_camera, seeds, options)
    columns: tuple[str, ...] = ("tracklets", "kept", "mAP", "kept or not", "tracklets in groups", "groups", "purity")
    _print("Projection, mean feature", columns, rows)
    columns = (
        "kept",
        "seconds",
        "mAP, learned importance",
        "mAP, mean feature",
        "kept or not: learned",
        "mean feature",
    )
    _print("Steps", columns, step_rows(loaded, dataset, steps, seeds, options))
    if damage:
        columns = ("kept", "clean", "mixed", *DAMAGES)
        _print("Importance under damage, mAP", columns, damage_rows(loaded, dataset, seeds, options))


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
            step = report.steps[PROJECTION]
            assert step.tried is not None and step.groups is not None
            scores = [score(result, dataset, options) for result in (adapted, step.tried)]
            values.append((len(own), step.kept, *scores, step.values["grouped"], step.values["groups"],
                           purity(step.groups, thinned(own, MOST_GROUPED), tracklets)))  # fmt: skip
        count, kept, *columns = zip(*values, strict=True)
        yield Row(name, (round(float(np.mean(count))), f"{sum(kept)} of {seeds}", *columns))


def step_rows(
    model: Checkpoint, dataset: Dataset, trials: Sequence[str], seeds: int, options: RunOptions
) -> Iterator[Row]:
    """Yield the mAP of the test persons after some steps, adapted to all training persons."""
    mean = MeanFeature()
    yield Row("before", (None, None, score(model, dataset, options), score(model, dataset, options, mean), None, None))
    for name in trials:
        kept, values = [], []
        for seed in range(seeds):
            own = strip_labels(with_times(dataset.train, seed))
            started = time.process_time()
            adapted, report = adapt_in_steps(model, own, divide(own), seed, options, TRIALS[name])
            _forget_training(options.folder)
            seconds = time.process_time() - started
            tried = [step for step in report.steps.values() if step.tried is not None]
            forced = tried[-1].tried if tried and len(report.steps) == 1 else adapted
            assert forced is not None
            kept.append(" + ".join(step for step, done in report.steps.items() if done.kept) or "none")
            values.append([seconds, *(score(m, dataset, options, g) for m in (adapted, forced) for g in (None, mean))])
        yield Row(name, (", ".join(kept), *zip(*values, strict=True)))


def damage_rows(model: Checkpoint, dataset: Dataset, seeds: int, options: RunOptions) -> Iterator[Row]:
    """Yield the mAP of damaged test persons, before and after training of importance, kept or not.

    Half of the test tracklets search the other half, and are damaged by frames of other persons than those.
    """
    tracklets = sorted((t for t in dataset.gallery if t.person > 0), key=lambda t: (t.person, t.camera, t.id))
    sides = []
    for test, donors in zip((tracklets[::2], tracklets[1::2]), Donors(dataset.train).halves(), strict=True):
        clean, *damaged = (
            extract_clip_features(
                model.encoder, test, model.recipe.clips, view=View(damage=kind), donors=donors,
                store=FeatureStore(options.folder),
            ) for kind in (None, *DAMAGES)
        )  # fmt: skip
        sides.append(DamagedFeatures(clean, dict(zip(DAMAGES, damaged, strict=True))))

    def scores(aggregator: Aggregator) -> list[float]:
        first, second = sides
        return [
            100 * evaluate_across(first.mixed(most, kinds, 1), second.mixed(most, kinds, 1), aggregator)
            for most, kinds in ((0, DAMAGES), (MOST_DAMAGED, DAMAGES), *((MOST_DAMAGED, (kind,)) for kind in DAMAGES))
        ]

    yield Row("mean feature", (None, *scores(MeanFeature())))
    yield Row("importance, before", (None, *scores(model.aggregator)))
    kept, values = [], []
    for seed in range(seeds):
        own = strip_labels(with_times(dataset.train, seed))
        step = adapt_in_steps(model, own, divide(own), seed, options, (IMPORTANCE,))[1].steps[IMPORTANCE]
        _forget_training(options.folder)
        assert step.tried is not None
        kept.append(step.kept)
        values.append(scores(step.tried.aggregator))
    yield Row("importance, trained further", (f"{sum(kept)} of {seeds}", *zip(*values, strict=True)))


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


def _forget_training(folder: Path) -> None:
    """Delete the training states of a seed; features are kept."""
    for path in folder.glob("*.state.safetensors"):
        path.unlink()


def _print(title: str, columns: Sequence[str], rows: Iterator[Row]) -> None:
    """Print a table again after each row, because a row takes minutes."""
    done: list[Row] = []
    for row in rows:
        done.append(row)
        print(Table(title, tuple(columns), tuple(done)).to_markdown(), flush=True)


if __name__ == "__main__":
    run(main)
