from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from resight.checkpoints import Checkpoint, load_checkpoint, make_aggregator, save_checkpoint
from resight.errors import CheckpointError
from resight.features.extract import extract_clip_features
from resight.features.store import FeatureStore
from resight.models.camera_encoder import CameraEncoder, read_statistics
from resight.models.encoders import ClipEncoder, encoder_body, inference_copy, make_encoder
from resight.models.projected_encoder import ProjectedEncoder
from resight.recipe import ClipSpec, Recipe, Stage1
from resight.tensor_files import read_tensors, write_tensors
from resight.tracklet import Tracklet

SPEC = ClipSpec(length=2, count=2, height=32, width=16)
STAGES = {
    "i3d": Stage1(encoder_width=0.125, neck="after"),
    "frames": Stage1(encoder="efficientnet-lite0", neck="after"),
}


def projected(stage: Stage1) -> tuple[ClipEncoder, ProjectedEncoder]:
    torch.manual_seed(0)
    encoder = make_encoder(stage).eval()
    return encoder, ProjectedEncoder(encoder, torch.randn(encoder.dim, encoder.dim) / 20).eval()


@pytest.mark.parametrize("kind", STAGES)
def test_features_are_multiplied(kind: str, make_tracklets: Callable[..., list[Tracklet]], tmp_path: Path) -> None:
    plain, encoder = projected(STAGES[kind])
    tracklets, store = make_tracklets(persons=2, cameras=1), FeatureStore(tmp_path / "store")
    expected = extract_clip_features(plain, tracklets, SPEC, store=store).values @ encoder.matrix.numpy()
    found = extract_clip_features(encoder, tracklets, SPEC, store=store).values
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    clips = torch.rand(2, 3, 2, 32, 16) * 2 - 1
    with torch.inference_mode():
        torch.testing.assert_close(inference_copy(encoder)(clips), encoder(clips), rtol=1e-4, atol=1e-4)
    assert encoder_body(encoder) is encoder_body(plain)


@pytest.mark.parametrize("cameras", [False, True])
def test_a_model_file_holds_the_matrix(cameras: bool, tmp_path: Path) -> None:
    stage = STAGES["i3d"]
    _, inner = projected(stage)
    encoder: ClipEncoder = CameraEncoder(inner, {"gate": read_statistics(inner) + 1}) if cameras else inner
    recipe = Recipe("small", SPEC, stage)
    path = tmp_path / "m.safetensors"
    aggregator = make_aggregator("mean-pair", encoder.dim, recipe)
    save_checkpoint(path, Checkpoint(encoder, aggregator, recipe, {"aggregator": "mean-pair"}))
    loaded = load_checkpoint(path).encoder
    if cameras:
        assert isinstance(loaded, CameraEncoder) and loaded.cameras == ("gate",)
        loaded = loaded.trained
    assert isinstance(loaded, ProjectedEncoder) and torch.equal(loaded.matrix, inner.matrix)
    tensors, header = read_tensors(path, "resight model")
    plain = {key: json.loads(value) for key, value in header.items() if key not in ("kind", "hash")}
    write_tensors(path, tensors | {"projection": tensors["projection"][1:]}, "resight model", plain)
    with pytest.raises(CheckpointError, match=r"the projection in .* has the shape"):
        load_checkpoint(path)
