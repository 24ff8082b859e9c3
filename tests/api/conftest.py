"""A small model and some tracklets with times, for tests of galleries."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from resight.api.model import Model
from resight.checkpoints import Checkpoint, make_aggregator
from resight.models.encoders import make_encoder
from resight.recipe import ClipSpec, Recipe, Stage1, Stage2

MakeModel = Callable[..., Model]


@pytest.fixture
def make_model() -> MakeModel:
    """A function that returns a model with random weights."""

    def make(seed: int = 1, name: str = "small") -> Model:
        recipe = Recipe("small", ClipSpec(count=3, height=32, width=16), Stage1(encoder_width=0.125), Stage2(hidden=8))
        torch.manual_seed(seed)
        encoder = make_encoder(recipe.stage1).eval()
        aggregator = make_aggregator("learned", encoder.dim, recipe).eval()
        return Model(Checkpoint(encoder, aggregator, recipe, {"aggregator": "learned"}), name=name)

    return make


@pytest.fixture
def manifest(make_tracklets: Callable[..., object], tmp_path: Path) -> Path:
    """A manifest of eight tracklets of four persons and the cameras door and hall, a minute apart."""
    make_tracklets(persons=4, cameras=2)
    root = tmp_path / "tracklets"
    lines = []
    for number, folder in enumerate(sorted(path.parent for path in root.glob("*/*/*/000000.jpg"))):
        person, camera, _ = folder.relative_to(root).parts
        place = {"c1": "door", "c2": "hall"}[camera]
        lines.append({
            "id": f"{place}-{person}", "camera": place, "frames": str(folder.relative_to(root)),
            "start": 60.0 * number, "end": 60.0 * number + 5,
        })  # fmt: skip
    (root / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return root
