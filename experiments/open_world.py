"""The effect of each setting of the world `open-small`, and of training on it, measured by leaving it out.

``python -m experiments.open_world`` renders small worlds of the style `anywhere`, each without one of its settings,
and trains a small encoder on each. The encoders are evaluated on persons of two other worlds: one of the style
`streets`, which is simpler than the training worlds, and one of the style `anywhere` with all settings on. The second
one is needed because leaving out a setting makes a training world more similar to `streets`. No real persons are used
for the choice. Worlds and training runs are kept, so that an interrupted study can be continued.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from cyclopts import run

from resight.data.readers.mars import read_mars
from resight.data.split import TrainingSplit
from resight.evaluation.evaluate import evaluate_among
from resight.evaluation.metrics import AP_KIND
from resight.evaluation.protocols import PROTOCOLS
from resight.features.extract import extract_clip_features
from resight.models.aggregators import MeanPair
from resight.models.encoders import make_encoder
from resight.outputs import replace_file
from resight.progress import progress_bar
from resight.recipe import ClipSpec, Recipe
from resight.recipes import open_small
from resight.studies.framework.outcome import Outcome, values_of
from resight.studies.side_by_side import side_by_side
from resight.synthetic.world import SCALES, WorldScale, make_world
from resight.tables import Row, Table
from resight.training.loop import RunOptions
from resight.training.stage1_clips import train_encoder

NAME = "open-world"
STEPS = 1200
PERSONS = 600
JUDGES = 7
"""Seed of the evaluation worlds; it differs from the seed of the validation persons of the shipped model."""


@dataclass(frozen=True)
class Variant:
    """World and training run of `open_small` with some settings changed.

    Attributes:
        name: Description of the change.
        style: Changed settings of the style of the world.
        stage1: Changed settings of stage 1.
        together: Number of consecutive persons that are drawn together, see `Optimisation`.
        persons: Number of training persons.
    """

    name: str
    style: Mapping[str, Any] = field(default_factory=dict)
    stage1: Mapping[str, Any] = field(default_factory=dict)
    together: int = 1
    persons: int = PERSONS

    def scale(self) -> WorldScale:
        """Return the settings of the training world; variants with the same world share it."""
        base = SCALES["open-small"]
        return replace(
            base, name=NAME, height=96, train_persons=max(self.persons, PERSONS), test_persons=2,
            style=replace(base.style, **self.style),
        )  # fmt: skip

    def recipe(self, seed: int, steps: int) -> Recipe:
        """Return the recipe: width ¼, frames of 64 × 32, validated once at the end.

        Args:
            seed: Seed of the training run.
            steps: Number of steps, rounded to whole epochs.
        """
        base = open_small()
        optimisation = base.stage1.optimisation
        epochs = max(1, round(steps / (self.persons // optimisation.persons)))
        optimisation = replace(optimisation, epochs=epochs, validate_every=epochs, together=self.together)
        stage1 = replace(base.stage1, encoder_width=0.25, optimisation=optimisation, **self.stage1)
        return replace(base, name=self.name, clips=ClipSpec(height=64, width=32), stage1=stage1, seed=seed)


COLUMNS = ("", ", difference to all settings")
EVERYTHING = Variant("all settings")
NO_PLACES = {"places": 0, "backgrounds": False, "light": False, "optics": False}
VARIANTS = (
    EVERYTHING,
    Variant("six fixed streets, one per camera", NO_PLACES),
    Variant("street backgrounds only", {"backgrounds": False}),
    Variant("light of the streets", {"light": False}),
    Variant("one kind of optics", {"optics": False}),
    Variant("palette colours only", {"dyes": 0.0}),
    Variant("no patterned garments", {"patterns": False}),
    Variant("bodies and gaits of the streets", {"bodies": 0.0}),
    Variant("steady boxes", {"shake": 1.0}),
    Variant("no tracking faults, no occluders", {"faults": 0.0}),
    Variant("no similarly dressed people", {"alike": 0.0}),
    Variant("similarly dressed people in one batch", together=4),
    Variant("150 persons", persons=150),
    Variant("300 persons", persons=300),
    Variant("1,200 persons", persons=1200),
    Variant("no instance norm", stage1={"instance_norm": False}),
    Variant("no contrast in the batch", stage1={"contrast_weight": 0.0}),
    Variant("no erasing", stage1={"erasing": 0.0}),
    Variant("no colour change in training", stage1={"colour": 0.0}),
)


def judges() -> dict[str, WorldScale]:
    """Return the evaluation worlds by name; their training persons are the queries and the gallery."""
    anywhere = replace(SCALES["open-small"], name="anywhere", height=96, train_persons=120, test_persons=2)
    return {"streets": SCALES["demo"], "anywhere": anywhere}


def open_world(
    *, out: Path = Path("runs/open-world"), seeds: int = 1, steps: int = STEPS, workers: int = os.cpu_count() or 1
) -> None:
    """Render, train, and write OUT/results/open-world.json, .csv and .md.

    Args:
        out: Folder for worlds, training runs and results.
        seeds: Number of training runs of each variant, with seeds 0, 1, …
        steps: Number of steps of each run.
        workers: Number of processes that render, or train with one thread each.
    """
    evaluation = {name: _world(out / name, scale, JUDGES, workers) for name, scale in judges().items()}
    worlds = {variant.name: _world_of(variant, out, workers) for variant in VARIANTS}
    tasks = [
        partial(
            _train, variant=variant, recipe=variant.recipe(seed, steps), world=worlds[variant.name],
            folder=out / "trainings" / f"{variant.name}, seed {seed}, {steps} steps",
        )
        for seed in range(seeds)
        for variant in VARIANTS
    ]  # fmt: skip
    done: dict[tuple[str, int], dict[str, float]] = {}
    with progress_bar("training", "runs") as progress:
        for name, seed, result in side_by_side(evaluation, tasks, workers):
            done[name, seed] = result
            progress(len(done), len(tasks))
    outcome(done, steps).save(out / "results")
    print(f"wrote {out / 'results' / NAME}.md")


def outcome(done: Mapping[tuple[str, int], Mapping[str, float]], steps: int) -> Outcome:
    """Return the table of results, the best mean of both worlds first; differences are computed for each seed.

    Args:
        done: For each variant and seed, mAP by evaluation world (0 … 1) and seconds.
        steps: Number of steps of each run.
    """
    seeds = tuple(sorted({seed for _, seed in done}))
    rows = []
    for name in dict.fromkeys(name for name, _ in done):
        results = {seed: done[name, seed] for seed in seeds if (name, seed) in done}
        cells: list[tuple[float, ...]] = []
        for judge in judges():
            scores = {seed: 100 * result[judge] for seed, result in results.items()}
            everything = {seed: 100 * done[EVERYTHING.name, seed][judge] for seed in results}
            cells += [tuple(scores.values()), tuple(scores[seed] - everything[seed] for seed in results)]
        rows.append(Row(name, tuple(cells)))
    rows.sort(key=lambda row: -(fmean(values_of(row.cells[0])) + fmean(values_of(row.cells[2]))))
    return Outcome(
        NAME,
        "What each setting is worth",
        (Table("mAP, percent", tuple(judge + what for judge in judges() for what in COLUMNS), tuple(rows)),),
        conditions=(
            "mean of pairs; queries and gallery are all tracklets of the 120 training persons of the world demo "
            f"(streets), or of 120 persons of a world like open-small (anywhere), both with seed {JUDGES}: "
            f"{PROTOCOLS['standard'].name} protocol, AP: {AP_KIND}, no damage, no re-ranking"
        ),
        notes=(
            f"{PERSONS} training persons unless stated otherwise, {steps:,} steps of 64 clips, width ¼, 64 × 32, one "
            "world for all seeds of a variant.",
        ),
        command=f"python -m experiments.open_world --seeds {len(seeds)}",
        seeds=seeds,
        seconds={f"{name} {seed}": result["seconds"] for (name, seed), result in done.items()},
        machine=f"one of {os.cpu_count()} cores each, {platform.machine()}",
    )


def _world_of(variant: Variant, out: Path, workers: int) -> Path:
    """Return the folder of the training world of a variant, rendered if it does not exist."""
    parts = [f"{name}-{value}" for name, value in variant.style.items()]
    parts += [f"persons-{variant.persons}"] * (variant.persons > PERSONS)
    return _world(out / "-".join(["world", *parts]), variant.scale(), 0, workers)


def _world(path: Path, scale: WorldScale, seed: int, workers: int) -> Path:
    if not path.exists():
        with progress_bar(f"rendering {path.name}", "frames") as progress:
            make_world(path, scale, seed, workers=workers, progress=progress)
    return path


def _train(
    evaluation: Mapping[str, Path], variant: Variant, recipe: Recipe, world: Path, folder: Path
) -> tuple[str, int, dict[str, float]]:
    """Train a variant and return its name, seed, and mAP by evaluation world (0 … 1) with the seconds of the run.

    A finished run is read from its file.
    """
    result = folder / "result.json"
    if not result.is_file():
        torch.manual_seed(recipe.seed)
        begun = time.perf_counter()
        tracklets = {name: read_mars(path).train for name, path in evaluation.items()}
        split = TrainingSplit.with_validation(read_mars(world).train, next(iter(tracklets.values())))
        encoder, _ = train_encoder(
            make_encoder(recipe.stage1), split.limit_persons(variant.persons, 0), recipe, RunOptions(folder)
        )
        scores = {
            name: evaluate_among(extract_clip_features(encoder, own, recipe.clips), MeanPair())
            for name, own in tracklets.items()
        }
        with replace_file(result) as temporary:
            temporary.write_text(json.dumps({**scores, "seconds": time.perf_counter() - begun}), encoding="utf-8")
    return variant.name, recipe.seed, json.loads(result.read_text(encoding="utf-8"))


if __name__ == "__main__":
    run(open_world)
