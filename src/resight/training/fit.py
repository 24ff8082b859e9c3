"""Train the importance network for any encoder on synthetic people, without data of the user."""

from __future__ import annotations

import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from resight.checkpoints import Checkpoint, save_checkpoint
from resight.data.damage import DAMAGES
from resight.errors import RecipeError
from resight.evaluation.damage import MIXED, damage_table
from resight.evaluation.open_set import calibrate_threshold
from resight.outputs import replace_file
from resight.progress import progress_bar
from resight.recipe import Recipe
from resight.recipes import importance
from resight.synthetic.world import RENDERER
from resight.tables import Table, mean_of
from resight.tensor_files import content_hash
from resight.tracklet import fingerprint
from resight.training.fit_worlds import FitSize, fit_split
from resight.training.loop import RunOptions
from resight.training.run_files import open_run_folder
from resight.training.stage2_importance import train_importance

SOURCE = "synthetic persons"
"""Whom the threshold of a fitted model is calibrated on."""

LEAST_DIM = 8
"""Fewest features per clip that an importance network is trained for."""

FIT: dict[str, Any] = {"epochs": 60, "learning_rate": 1e-3, "validate_every": 10}
"""Settings of the optimisation that differ from the recipe `importance`."""

NETWORK: dict[str, Any] = {"aggregator": "clip-agreement", "hidden": 64, "dropout": 0.3}
"""What is trained. On few synthetic persons it is ahead of the paper's network, see docs/fit.md."""

_DAMAGED_SHARE = 0.75
"""M_c^max as a share of the clips of a tracklet: 6 of 8."""


def fit_importance(encoder: Checkpoint, path: Path, size: FitSize, seed: int, options: RunOptions) -> Checkpoint:
    """Train an importance network on the encoder of a model, and write encoder and network to a model file.

    Worlds, features and training states are kept, so that an interrupted call continues where it stopped. A call with
    another encoder or other settings starts the training again.

    Args:
        encoder: A model whose encoder and clip settings are used; its aggregator is not.
        path: The model file to write.
        size: Number of synthetic persons.
        seed: Seed of the training.
        options: Device and so on. Its folder holds the state of the run, and is deleted at the end.

    Returns:
        The contents of the model file. The metadata has the scores under each kind of damage as ``damage`` (a `Table`),
        and what they mean as ``verdict``.

    Raises:
        RecipeError: If the encoder has too few features, or cuts tracklets into too few clips.
        CacheError: If the worlds cannot be written.
        DatasetError: If another run is rendering the same world.
    """
    recipe = fit_recipe(encoder, seed)
    open_run_folder(options.folder, {
        "recipe": recipe.to_json(), "encoder": content_hash(encoder.encoder.state_dict()), "size": asdict(size),
        "renderer": RENDERER,
    })  # fmt: skip
    split = fit_split(size, recipe.clips, workers=max(1, options.workers), progress=options.progress)
    network = encoder.encoder.to(options.compute.torch_device)
    aggregator, data, best = train_importance(network, split, recipe, options)
    first, second = data.validation
    with progress_bar("scoring", "scores", options.progress) as progress:
        table = damage_table(
            aggregator, first, second, recipe.stage2.max_corrupted, recipe.seed, compute=options.compute,
            progress=progress,
        )  # fmt: skip
    clean = first.clean.joined_with(second.clean)
    metadata = {
        "aggregator": aggregator.kind,
        "trained_on": fingerprint(split.train),
        "validated_on": fingerprint(split.validation),
        "validation": {"stage 2 mAP": best},
        "damage": table.to_json(),
        "verdict": verdict(table),
        "threshold": calibrate_threshold(clean, aggregator, source=SOURCE).to_json(),
    }
    fitted = Checkpoint(network, aggregator, recipe, metadata)
    with replace_file(path) as temporary:
        save_checkpoint(temporary, fitted)
    shutil.rmtree(options.folder, ignore_errors=True)
    return fitted


def fit_recipe(encoder: Checkpoint, seed: int) -> Recipe:
    """Return the recipe `importance` with all kinds of damage, for the encoder of a model.

    Raises:
        RecipeError: If the encoder has too few features, or cuts tracklets into too few clips.
    """
    clips, dim = encoder.recipe.clips, encoder.encoder.dim
    if dim < LEAST_DIM:
        raise RecipeError(
            f"the encoder returns {dim} features per clip, expected at least {LEAST_DIM}: use features from before the "
            "last layers of the network"
        )
    if clips.count < 2:
        raise RecipeError(
            f"the encoder cuts a tracklet into {clips.count} clip, expected at least 2: importance compares clips"
        )
    base = importance()
    optimisation = replace(base.stage2.optimisation, **FIT)
    stage2 = replace(
        base.stage2, **NETWORK, optimisation=optimisation, damages=DAMAGES,
        max_corrupted=max(1, round(_DAMAGED_SHARE * clips.count)),
    )  # fmt: skip
    return replace(base, name="fit", clips=clips, stage1=encoder.recipe.stage1, stage2=stage2, seed=seed)


def verdict(table: Table) -> str:
    """Return a sentence on whether learned importance helps, by the mixed column of `damage_table`."""
    place = table.columns.index(MIXED)
    scores = {row.name: value for row in table.rows if (value := mean_of(row.cells[place])) is not None}
    *others, learned = scores
    best = max(others, key=scores.__getitem__)
    gain = scores[learned] - scores[best]
    if gain <= 0:
        return (
            f"Learned importance does not help this encoder: {gain:+.1f} mAP against {best} under {MIXED} damage of "
            f"synthetic tracklets. Search by {best} instead."
        )
    return f"Learned importance gains {gain:+.1f} mAP over {best} under {MIXED} damage of synthetic tracklets."
