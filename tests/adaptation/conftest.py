"""A small model and unlabelled tracklets with times."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from resight.checkpoints import Checkpoint, make_aggregator
from resight.models.encoders import make_encoder
from resight.recipe import ClipSpec, Recipe, Stage1, Stage2
from resight.tracklet import Tracklet


@pytest.fixture
def model() -> Checkpoint:
    recipe = Recipe(
        "made", ClipSpec(length=2, count=2, height=32, width=16), Stage1(encoder_width=0.125, neck="after"),
        Stage2(hidden=8),
    )  # fmt: skip
    torch.manual_seed(0)
    encoder = make_encoder(recipe.stage1).eval()
    aggregator = make_aggregator("learned", encoder.dim, recipe).eval()
    return Checkpoint(encoder, aggregator, recipe, {"aggregator": "learned", "validation": {"stage 2 mAP": 0.5}})


@pytest.fixture
def tracklets(make_tracklets: Callable[..., list[Tracklet]]) -> list[Tracklet]:
    """32 tracklets of 16 persons under two cameras, four of which are there at the same time."""
    made = make_tracklets(persons=16, cameras=2, frames=5)
    return [
        replace(t, start=float((t.person - 1) // 4), end=(t.person - 1) // 4 + 0.5, camera_name="ab"[t.camera - 1])
        for t in made
    ]
