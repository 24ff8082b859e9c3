"""A world and a setting that are small enough to run each study in seconds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from resight.data.readers import read_dataset
from resight.recipe import ClipSpec, Optimisation, Recipe, Stage1, Stage2
from resight.studies.framework.setting import Setting
from resight.studies.framework.steps import Steps
from resight.synthetic.world import SCALES, make_world

BATCH = Optimisation(epochs=2, learning_rate=1e-3, persons=2, tracklets=2, validate_every=2)
RECIPE = Recipe(
    clips=ClipSpec(length=2, count=3, height=32, width=16),
    stage1=Stage1(BATCH, encoder_width=0.125, triplet_weight=0.1),
    stage2=Stage2(replace(BATCH, margin=1.0), hidden=8, max_corrupted=2, variants=1),
    validation_share=0.3,
)
NECKED = replace(RECIPE, name="necked", stage1=replace(RECIPE.stage1, neck="after"))
TOY = Setting(
    "toy", RECIPE, (0, 1), {2: 2, 4: 1}, test_lengths=(2, 4), counts=(1, 2, 4, 8, 16), rates=(0, 2, 3),
    matrix_rates=(0, 2), shares=(10, 20, 50, 100), trained_shares=(20, 50, 100), orders=2, joint_epochs=1,
    rivals=(NECKED, replace(NECKED, name="erased", stage1=replace(NECKED.stage1, erasing=0.5))),
)  # fmt: skip


@pytest.fixture(scope="session")
def toy() -> Setting:
    return TOY


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("reproduce") / "world"
    make_world(root, SCALES["tiny"], 0, workers=1)
    return root


@pytest.fixture(scope="session")
def steps(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Steps:
    """Return steps that all tests share, as studies do."""
    return Steps(read_dataset(f"mars:{world}"), TOY, tmp_path_factory.mktemp("steps"))
