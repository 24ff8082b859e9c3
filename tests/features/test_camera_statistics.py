from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from resight.checkpoints import Checkpoint, load_checkpoint, make_aggregator, save_checkpoint
from resight.errors import CheckpointError
from resight.features.extract import extract_clip_features
from resight.features.store import FeatureStore
from resight.models.camera_encoder import CameraEncoder, read_statistics
from resight.models.encoders import encoder_body, make_encoder
from resight.models.i3d import I3D
from resight.recipe import ClipSpec, Recipe, Stage1
from resight.tensor_files import read_tensors, write_tensors
from resight.tracklet import Tracklet

MakeTracklets = Callable[..., list[Tracklet]]
SPEC = ClipSpec(length=2, count=2, height=32, width=16)
STAGE = Stage1(encoder_width=0.125, neck="after")


@pytest.fixture
def adapted() -> CameraEncoder:
    """An encoder that knows the cameras gate and door, and not hall."""
    torch.manual_seed(1)
    encoder = make_encoder(STAGE).eval()
    trained = read_statistics(encoder)
    return CameraEncoder(encoder, {"gate": trained * 1.5 + 0.1, "door": trained * 0.5 - 0.1})


def named(tracklets: list[Tracklet]) -> list[Tracklet]:
    names = ["gate", "hall", "door"]
    return [replace(tracklet, camera_name=names[tracklet.camera - 1]) for tracklet in tracklets]


def test_each_tracklet_has_the_statistics_of_its_camera(adapted: CameraEncoder, make_tracklets: MakeTracklets) -> None:
    tracklets = named(make_tracklets(persons=3, cameras=3))
    together = extract_clip_features(adapted, tracklets, SPEC, batch=2).values
    for row, tracklet in enumerate(tracklets):
        alone = extract_clip_features(adapted.of_camera(tracklet.camera_name), [tracklet], SPEC).values[0]
        np.testing.assert_allclose(together[row], alone, rtol=1e-4, atol=1e-5)
    trained = extract_clip_features(adapted.trained, tracklets, SPEC).values
    same = np.isclose(together, trained, rtol=1e-3, atol=1e-3).all((1, 2))
    assert same.tolist() == [False, True, False] * 3


def test_stored_features_are_those_of_the_camera(
    adapted: CameraEncoder, make_tracklets: MakeTracklets, tmp_path: Path
) -> None:
    gate = named(make_tracklets(persons=1, cameras=1))[0]
    store = FeatureStore(tmp_path / "store")
    moved = replace(gate, camera_name="door")
    unknown = replace(gate, camera_name="roof")
    first = [extract_clip_features(adapted, [t], SPEC, store=store).values for t in (gate, moved, unknown)]
    assert not np.allclose(first[0], first[1], atol=1e-3) and not np.allclose(first[0], first[2], atol=1e-3)
    again = [extract_clip_features(adapted, [t], SPEC, store=store).values for t in (gate, moved, unknown)]
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    # A camera that is not known shares the entries of the model before adaptation.
    before = store.info().tracklets
    extract_clip_features(adapted.trained, [unknown], SPEC, store=store)
    assert store.info().tracklets == before
    # Other statistics give other entries.
    other = CameraEncoder(adapted.trained, {"gate": adapted.values[1] * 1.1})
    assert not np.allclose(extract_clip_features(other, [gate], SPEC, store=store).values, first[0], atol=1e-3)
    assert store.info().tracklets == before + 1


def saved(adapted: CameraEncoder, path: Path) -> Checkpoint:
    recipe = Recipe("small", SPEC, STAGE)
    model = Checkpoint(adapted, make_aggregator("mean-pair", adapted.dim, recipe), recipe, {"aggregator": "mean-pair"})
    save_checkpoint(path, model)
    return model


def test_a_model_file_holds_the_statistics(
    adapted: CameraEncoder, make_tracklets: MakeTracklets, tmp_path: Path
) -> None:
    saved(adapted, tmp_path / "m.safetensors")
    again = load_checkpoint(tmp_path / "m.safetensors").encoder
    assert isinstance(again, CameraEncoder) and again.cameras == ("gate", "door")
    assert isinstance(encoder_body(again), I3D)
    tracklets = named(make_tracklets(persons=2, cameras=3))
    expected = extract_clip_features(adapted, tracklets, SPEC).values
    assert np.array_equal(extract_clip_features(again, tracklets, SPEC).values, expected)


def test_statistics_that_do_not_fit_are_refused(adapted: CameraEncoder, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    saved(adapted, path)
    tensors, header = read_tensors(path, "resight model")
    plain = {key: json.loads(value) for key, value in header.items() if key not in ("kind", "hash")}
    write_tensors(path, tensors | {"cameras": tensors["cameras"][:, :, 1:]}, "resight model", plain)
    with pytest.raises(CheckpointError, match=r"statistics of cameras .* have the shape .* expected \(2, 2, "):
        load_checkpoint(path)
