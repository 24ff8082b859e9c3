"""Continue the training of the encoder of `open` on the worlds of both shipped models.

``python -m experiments.open_training worlds/open worlds/anywhere --model runs/open/model.safetensors --validate-on
worlds/campus --out runs/open-both`` renders the second world, trains 600 steps on the persons of both, who look
different and are rendered differently, and writes OUT/model.safetensors. An interrupted run continues where it stopped.
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
from resight.progress import progress_bar
from resight.synthetic.world import SCALES, make_world
from resight.tracklet import Tracklet, fingerprint
from resight.training.loop import RunOptions
from resight.training.stage1_clips import train_encoder

EPOCHS, LEARNING_RATE = 4, 3e-4
AVERAGING = 0.99
"""Decay of the moving average of the weights, for fewer steps than those of the first training run."""


ANYWHERE = replace(SCALES["open-small"], train_persons=800, test_persons=2)
"""The second world: a part of the one that `open-small` was trained on."""


def open_training(world: Path, anywhere: Path, *, model: Path, validate_on: Path, out: Path, workers: int = 1) -> None:
    """Train, and write OUT/model.safetensors.

    Args:
        world: Synthetic world of the scale `open`, whose training persons are used.
        anywhere: Folder of the second world, which is rendered if it does not exist.
        model: Model file whose encoder is trained further.
        validate_on: Synthetic world whose training persons select the best epoch.
        out: Folder of the run.
        workers: Processes that decode frames.
    """
    checkpoint = load_checkpoint(model)
    recipe = checkpoint.recipe
    optimisation = replace(recipe.stage1.optimisation, epochs=EPOCHS, learning_rate=LEARNING_RATE, validate_every=1)
    recipe = replace(recipe, stage1=replace(recipe.stage1, averaging=AVERAGING, optimisation=optimisation))
    if not anywhere.exists():
        with progress_bar(f"rendering {anywhere.name}", "frames") as progress:
            make_world(anywhere, ANYWHERE, 0, workers=workers, progress=progress)
    people = joined([read_mars(world).train, read_mars(anywhere).train])
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
