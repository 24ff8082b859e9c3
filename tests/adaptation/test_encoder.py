from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from resight.adaptation import encoder as training
from resight.adaptation.encoder import TEMPERATURE, GroupContrast, train_round
from resight.checkpoints import Checkpoint
from resight.models.camera_encoder import CameraEncoder, read_statistics
from resight.tracklet import Tracklet
from resight.training.loop import RunOptions


def test_the_loss_is_that_of_plain_loops(model: Checkpoint) -> None:
    means, clips = torch.randn(3, model.encoder.dim), torch.rand(4, 3, 2, 32, 16) * 2 - 1
    groups = [2, 0, 0, 1]
    loss = GroupContrast(model.encoder, means)(clips, ["a"] * 4, torch.tensor(groups))
    features, total = model.encoder(clips).detach(), 0.0
    for feature, group in zip(features, groups, strict=True):
        cosines = [float(feature @ mean / feature.norm() / mean.norm()) / TEMPERATURE for mean in means]
        total += math.log(sum(math.exp(cosine - cosines[group]) for cosine in cosines))
    assert loss.item() == pytest.approx(total / 4, rel=1e-4)


def test_clips_get_the_statistics_of_their_camera_with_gradients(model: Checkpoint) -> None:
    values = read_statistics(model.encoder)
    encoder = CameraEncoder(model.encoder, {"a": values * 1.5, "b": values * 0.7}).eval()
    clips = torch.rand(5, 3, 2, 32, 16) * 2 - 1
    cameras = ["b", "a", "unknown", "b", "a"]
    features = encoder.of_cameras(clips, cameras)
    for clip, camera, feature in zip(clips, cameras, features, strict=True):
        torch.testing.assert_close(encoder.of_camera(camera)(clip[None])[0], feature, rtol=1e-4, atol=1e-5)
    torch.autograd.backward(features.square().sum())
    gradients = [p.grad for p in model.encoder.parameters() if p.grad is not None]
    assert sum(float(gradient.abs().sum()) for gradient in gradients) > 0
    assert torch.equal(read_statistics(model.encoder), values), "the trained statistics stay"


def test_a_round_pulls_clips_to_their_groups(
    model: Checkpoint, make_tracklets: Callable[..., list[Tracklet]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "STEPS", 30)
    monkeypatch.setattr(training, "RATE", 1e-3)
    tracklets = make_tracklets(persons=4, cameras=2, frames=4)
    groups = np.array([tracklet.person - 1 for tracklet in tracklets])
    features = np.eye(4, model.encoder.dim, dtype=np.float32)[groups]

    def losses() -> Tensor:
        log = (tmp_path / "encoder, round 1.metrics.jsonl").read_text().splitlines()
        return torch.tensor([float(line.split('"loss": ')[1].split(",")[0]) for line in log])

    before = read_statistics(model.encoder)
    train_round(model.encoder, tracklets, groups, features, model.recipe, RunOptions(tmp_path), 0)
    assert losses()[-5:].mean() < 0.5 * losses()[:3].mean()
    assert torch.equal(read_statistics(model.encoder), before), "BatchNorm keeps its statistics"
