"""Continue the training of the encoder of `open` on the worlds of both shipped models.

``python -m experiments.open_training worlds/open worlds/open-small --model runs/open/model.safetensors --validate-on
worlds/campus --out runs/open-both`` trains 600 steps on the persons of both worlds, who look different and are rendered
differently, and writes OUT/model.safetensors. An interrupted run continues where it stopped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cyclopts import run

from resight.checkpoints import Checkpoint, load_checkpoint, make_aggregator, save_checkpoint
from resight.data.readers.mars import read_mars
from resight.data.split import TrainingSplit
from resight.outputs import replace_file
from resight.tracklet import Tracklet, fingerprint
from resight.training.loop import RunOptions
from resight.training.stage1_clips import train_encoder

EPOCHS, LEARNING_RATE = 4, 3e-4
AVERAGING = 0.99
"""Decay of the moving average of the weights, for fewer steps than those of the first training run."""


def open_training(*worlds: Path, model: Path, validate_on: Path, out: Path, workers: int = 1) -> None:
    """Train, and write OUT/model.safetensors.

    Args:
        worlds: Synthetic worlds, whose training persons are used.
        model: Model file whose encoder is trained further.
        validate_on: Synthetic world whose training persons select the best epoch.
        out: Folder of the run.
        workers: Processes that decode frames.
    """
    checkpoint = load_checkpoint(model)
    recipe = checkpoint.recipe
    optimisation = replace(recipe.stage1.optimisation, epochs=EPOCHS, learning_rate=LEARNING_RATE, validate_every=1)
    recipe = replace(recipe, stage1=replace(recipe.stage1, averaging=AVERAGING, optimisation=optimisation))
    people = joined([read_mars(world).train for world in worlds])
    split = TrainingSplit.with_validation(people, read_mars(validate_on).train)
    encoder, best = train_encoder(checkpoint.encoder, split, recipe, RunOptions(out, workers, progress=True))
    metadata = {
        "aggregator": "mean-pair",
        "trained_on": fingerprint(split.train),
        "validated_on": fingerprint(split.validation),
        "validation": {"stage 1 mAP": best},
    }
    trained = Checkpoint(encoder, make_aggregator("mean-pair", encoder.dim, recipe), recipe, metadata)
    with replace_file(out / "model.safetensors") as temporary:
        save_checkpoint(temporary, trained)
    print(f"wrote {out / 'model.safetensors'}, validation mAP {100 * best:.1f}")


def joined(worlds: Sequence[Sequence[Tracklet]]) -> tuple[Tracklet, ...]:
    """Return the tracklets of several worlds, with different persons, cameras and ids."""
    everybody: list[Tracklet] = []
    for number, tracklets in enumerate(worlds):
        persons = max((t.person for t in everybody), default=0)
        cameras = max((t.camera for t in everybody), default=0)
        everybody += [
            replace(t, id=f"{number}/{t.id}", person=t.person + persons, camera=t.camera + cameras) for t in tracklets
        ]
    return tuple(everybody)


if __name__ == "__main__":
    run(open_training)
