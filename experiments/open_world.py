"""What each setting of the world `open-small`, and of its training, is worth, by leaving it out.

``python -m experiments.open_world`` renders small worlds of the style `anywhere`, each without one of its settings,
trains a small encoder on each, and asks it for persons of another style: six streets, other colours, other cameras.
No real person has a say. Worlds and trainings are kept: run again, and it goes on where it stopped.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import platform
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import repeat
from pathlib import Path
from typing import Any

import torch
from cyclopts import run

from resight.checkpoints import replace_file
from resight.data.batches import some_persons
from resight.data.readers.mars import read_mars
from resight.evaluation.metrics import AP_KIND
from resight.evaluation.protocols import PROTOCOLS
from resight.models.encoders import make_encoder
from resight.progress import progress_bar
from resight.recipe import ClipSpec, Recipe, open_small
from resight.reproduce.outcome import Outcome, Row, StudyTable
from resight.synthetic.world import SCALES, WorldScale, make_world
from resight.training.loop import RunOptions
from resight.training.stage1_clips import train_encoder

NAME = "open-world"
STEPS = 1200
PERSONS = 600
JUDGES = 7
"""Seed of the streets whose persons are asked for; those that choose the weights that ship have another."""


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
    judges = _world(out / "streets", SCALES["demo"], JUDGES, workers)
    worlds = {variant.name: _world_of(variant, out, workers) for variant in VARIANTS}
    todo = [(variant, seed) for seed in range(seeds) for variant in VARIANTS]
    done: dict[tuple[str, int], dict[str, float]] = {}
    with (
        progress_bar("training", "trainings") as progress,
        ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool,
    ):
        results = pool.map(
            _train,
            [variant.recipe(seed, steps) for variant, seed in todo],
            [variant.persons for variant, _ in todo],
            [worlds[variant.name] for variant, _ in todo],
            [out / "trainings" / f"{variant.name}, seed {seed}, {steps} steps" for variant, seed in todo],
            repeat(judges),
        )
        for (variant, seed), result in zip(todo, results, strict=True):
            done[variant.name, seed] = result
            progress(len(done), len(todo))
            outcome(done, steps).save(out / "results")
    print(f"wrote {out / 'results' / NAME}.md")


def outcome(done: Mapping[tuple[str, int], Mapping[str, float]], steps: int) -> Outcome:
    """The table of what is done, best first; a variant's cost is its mAP beside that of everything, seed by seed."""
    scores: dict[str, dict[int, float]] = {}
    for (name, seed), result in done.items():
        scores.setdefault(name, {})[seed] = 100 * result["map"]
    whole = scores[EVERYTHING.name]
    rows = [
        Row(name, (tuple(own.values()), tuple(value - whole[seed] for seed, value in own.items())))
        for name, own in scores.items()
    ]
    rows.sort(key=lambda row: -sum(row.cells[0]) / len(row.cells[0]))
    seeds = tuple(sorted(whole))
    return Outcome(
        NAME,
        "What each setting is worth",
        (StudyTable("mAP, percent", "", ("mAP", "beside everything"), tuple(rows)),),
        conditions=(
            f"mean of pairs; every tracklet of the training persons of the world demo, seed {JUDGES}, asks all others: "
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


def _train(recipe: Recipe, persons: int, world: Path, folder: Path, judges: Path) -> dict[str, float]:
    """What one training reached, 0 … 1, and its seconds; from its file if it is done."""
    result = folder / "result.json"
    if not result.is_file():
        torch.set_num_threads(1)
        torch.manual_seed(recipe.seed)
        begun = time.perf_counter()
        _, best = train_encoder(
            make_encoder(recipe.stage1), some_persons(read_mars(world).train, persons, 0), recipe,
            RunOptions(folder), others=read_mars(judges).train,
        )  # fmt: skip
        with replace_file(result) as temporary:
            temporary.write_text(json.dumps({"map": best, "seconds": time.perf_counter() - begun}), encoding="utf-8")
    found: dict[str, float] = json.loads(result.read_text(encoding="utf-8"))
    return found


if __name__ == "__main__":
    run(open_world)
