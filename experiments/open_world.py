"""What each setting of the world `open-small`, and of its training, is worth, by leaving it out.

``python -m experiments.open_world`` renders small worlds of the style `anywhere`, each without one of its settings,
trains a small encoder on each, and asks it for persons of two other worlds: six streets, plainer than what it was
trained on, and anywhere, with all settings on. Whoever trains without a setting meets it there for the first time. A
setting that is left out brings a world nearer to the streets, so these alone would always praise that. No real person
has a say. Worlds and trainings are kept: run again, and it goes on where it stopped.
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

from resight.checkpoints import replace_file
from resight.data.batches import some_persons
from resight.data.readers.mars import read_mars
from resight.evaluation.evaluate import evaluate_among
from resight.evaluation.metrics import AP_KIND
from resight.evaluation.protocols import PROTOCOLS
from resight.features.extract import extract_clip_features
from resight.models.aggregators import MeanPair
from resight.models.encoders import make_encoder
from resight.progress import progress_bar
from resight.recipe import ClipSpec, Recipe, open_small
from resight.studies.outcome import Outcome, Row, StudyTable
from resight.studies.side_by_side import side_by_side
from resight.synthetic.world import SCALES, WorldScale, make_world
from resight.training.loop import RunOptions
from resight.training.stage1_clips import train_encoder

NAME = "open-world"
STEPS = 1200
PERSONS = 600
JUDGES = 7
"""Seed of the worlds whose persons are asked for; those that choose the weights that ship have another."""


@dataclass(frozen=True)
class Variant:
    """World and training of `open_small`, but for something.

    Attributes:
        name: what is different.
        style: settings of the world's style that are.
        stage1: settings of stage 1 that are.
        together: persons who are drawn in a run.
        persons: to train on.
    """

    name: str
    style: Mapping[str, Any] = field(default_factory=dict)
    stage1: Mapping[str, Any] = field(default_factory=dict)
    together: int = 1
    persons: int = PERSONS

    def scale(self) -> WorldScale:
        """The world to train on; variants that look alike share one."""
        base = SCALES["open-small"]
        return replace(
            base, name=NAME, height=96, train_persons=max(self.persons, PERSONS), test_persons=2,
            style=replace(base.style, **self.style),
        )  # fmt: skip

    def recipe(self, seed: int, steps: int) -> Recipe:
        """A quarter of the width at 64 × 32, the same number of steps for all, validated once at the end."""
        base = open_small()
        before = base.stage1.optimisation
        epochs = max(1, round(steps / (self.persons // before.persons)))
        optimisation = replace(before, epochs=epochs, validate_every=epochs, together=self.together)
        stage1 = replace(base.stage1, encoder_width=0.25, optimisation=optimisation, **self.stage1)
        return replace(base, name=self.name, clips=ClipSpec(height=64, width=32), stage1=stage1, seed=seed)


COLUMNS = ("", ", beside everything")
EVERYTHING = Variant("everything")
NO_PLACES = {"places": 0, "backgrounds": False, "light": False, "optics": False}
VARIANTS = (
    EVERYTHING,
    Variant("six streets, one for each camera", NO_PLACES),
    Variant("streets only behind the people", {"backgrounds": False}),
    Variant("light as in the streets", {"light": False}),
    Variant("one kind of optics", {"optics": False}),
    Variant("colours of the palette only", {"dyes": 0.0}),
    Variant("garments of one colour or striped", {"patterns": False}),
    Variant("bodies and gaits of the streets", {"bodies": 0.0}),
    Variant("boxes as steady as in the streets", {"shake": 1.0}),
    Variant("no tracking faults, nothing in front", {"faults": 0.0}),
    Variant("nobody dressed alike", {"alike": 0.0}),
    Variant("those dressed alike in one batch", together=4),
    Variant("150 persons", persons=150),
    Variant("300 persons", persons=300),
    Variant("1,200 persons", persons=1200),
    Variant("no instance norm", stage1={"instance_norm": False}),
    Variant("no contrast in the batch", stage1={"contrast_weight": 0.0}),
    Variant("no erasing", stage1={"erasing": 0.0}),
    Variant("no colour change in training", stage1={"colour": 0.0}),
)


def judges() -> dict[str, WorldScale]:
    """The worlds whose training persons are asked for; nobody trains on them."""
    anywhere = replace(SCALES["open-small"], name="anywhere", height=96, train_persons=120, test_persons=2)
    return {"streets": SCALES["demo"], "anywhere": anywhere}


def open_world(
    *, out: Path = Path("runs/open-world"), seeds: int = 1, steps: int = STEPS, workers: int = os.cpu_count() or 1
) -> None:
    """Render, train, and write OUT/results/open-world.json, .csv and .md.

    Args:
        out: Folder for worlds, trainings and results.
        seeds: Number of trainings of each variant, with seeds 0, 1, …
        steps: Of each training.
        workers: Processes: each renders, or trains with one thread.
    """
    asked = {name: _world(out / name, scale, JUDGES, workers) for name, scale in judges().items()}
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
    with progress_bar("training", "trainings") as progress:
        for name, seed, result in side_by_side(asked, tasks, workers):
            done[name, seed] = result
            progress(len(done), len(tasks))
    outcome(done, steps).save(out / "results")
    print(f"wrote {out / 'results' / NAME}.md")


def outcome(done: Mapping[tuple[str, int], Mapping[str, float]], steps: int) -> Outcome:
    """The table of what is done, best in both worlds first; what a variant brings is measured seed by seed."""
    seeds = tuple(sorted({seed for _, seed in done}))
    rows = []
    for name in dict.fromkeys(name for name, _ in done):
        own = {seed: done[name, seed] for seed in seeds if (name, seed) in done}
        cells: list[tuple[float, ...]] = []
        for judge in judges():
            scores = {seed: 100 * result[judge] for seed, result in own.items()}
            whole = {seed: 100 * done[EVERYTHING.name, seed][judge] for seed in own}
            cells += [tuple(scores.values()), tuple(scores[seed] - whole[seed] for seed in own)]
        rows.append(Row(name, tuple(cells)))
    rows.sort(key=lambda row: -(fmean(row.cells[0]) + fmean(row.cells[2])))
    return Outcome(
        NAME,
        "What each setting is worth",
        (StudyTable("mAP, percent", "", tuple(judge + what for judge in judges() for what in COLUMNS), tuple(rows)),),
        conditions=(
            "mean of pairs; every tracklet of the 120 training persons of the world demo (streets), and of as many of "
            f"a world like open-small (anywhere), both of seed {JUDGES}, asks all others of its world: "
            f"{PROTOCOLS['standard'].name} protocol, AP: {AP_KIND}, no damage, no re-ranking"
        ),
        notes=(
            f"{PERSONS} persons where no other number stands, {steps:,} steps of 64 clips, width ¼, 64 × 32, one world "
            "for all seeds of a variant.",
        ),
        command=f"python -m experiments.open_world --seeds {len(seeds)}",
        seeds=seeds,
        seconds={f"{name} {seed}": result["seconds"] for (name, seed), result in done.items()},
        machine=f"one of {os.cpu_count()} cores each, {platform.machine()}",
    )


def _world_of(variant: Variant, out: Path, workers: int) -> Path:
    """Its world; named by what is different from the others."""
    parts = [f"{name}-{value}" for name, value in variant.style.items()]
    parts += [f"persons-{variant.persons}"] * (variant.persons > PERSONS)
    return _world(out / "-".join(["world", *parts]), variant.scale(), 0, workers)


def _world(path: Path, scale: WorldScale, seed: int, workers: int) -> Path:
    if not path.exists():
        with progress_bar(f"rendering {path.name}", "frames") as progress:
            make_world(path, scale, seed, workers=workers, progress=progress)
    return path


def _train(
    asked: Mapping[str, Path], variant: Variant, recipe: Recipe, world: Path, folder: Path
) -> tuple[str, int, dict[str, float]]:
    """What one training reached in the worlds asked, 0 … 1, and its seconds; from its file if it is done."""
    result = folder / "result.json"
    if not result.is_file():
        torch.manual_seed(recipe.seed)
        begun = time.perf_counter()
        others = {name: read_mars(path).train for name, path in asked.items()}
        encoder, _ = train_encoder(
            make_encoder(recipe.stage1), some_persons(read_mars(world).train, variant.persons, 0), recipe,
            RunOptions(folder), others=next(iter(others.values())),
        )  # fmt: skip
        scores = {
            name: evaluate_among(extract_clip_features(encoder, tracklets, recipe.clips), MeanPair())
            for name, tracklets in others.items()
        }
        with replace_file(result) as temporary:
            temporary.write_text(json.dumps({**scores, "seconds": time.perf_counter() - begun}), encoding="utf-8")
    return variant.name, recipe.seed, json.loads(result.read_text(encoding="utf-8"))


if __name__ == "__main__":
    run(open_world)
