from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from resight.clip_losses import clip_loss
from resight.data.split import TrainingSplit
from resight.losses import stage2_loss
from resight.models.aggregators import Learned
from resight.models.i3d import I3D
from resight.recipe import ClipSpec, Optimisation, Recipe, Stage1, Stage2
from resight.studies.joint import Joint, JointModel, train_jointly
from resight.tensor_files import content_hash
from resight.tracklet import Tracklet
from resight.training.loop import RunOptions

MakeTracklets = Callable[..., list[Tracklet]]
BATCH = Optimisation(epochs=2, learning_rate=1e-3, persons=2, tracklets=2, validate_every=1, margin=1.0)
RECIPE = Recipe(
    clips=ClipSpec(length=2, count=2, height=32, width=16),
    stage1=Stage1(BATCH, encoder_width=0.125, triplet_weight=0.1),
    stage2=Stage2(BATCH, hidden=8, max_corrupted=1, variants=2),
    validation_share=0.3,
)
SETTINGS = Joint(BATCH, chunk=3)
TARGETS = torch.tensor([0, 0, 1, 1])


def joint_model(chunk: int) -> JointModel:
    """Return a model after the first training steps of g."""
    torch.manual_seed(0)
    encoder = I3D(0.125)
    model = JointModel(encoder, Learned(encoder.dim, 8), n_persons=2, chunk=chunk)
    model.aggregator.importance.first_norm.steps.fill_(5)  # type: ignore[union-attr, operator]
    return model.train()


def gradients(model: JointModel, pixels: Tensor) -> dict[str, Tensor]:
    torch.manual_seed(1)  # dropout
    similarities, features, logits = model(pixels)
    owners = TARGETS.repeat_interleave(pixels.shape[1])
    loss = stage2_loss(similarities, TARGETS).loss + clip_loss(features, logits, owners, RECIPE.stage1).loss
    loss.backward()  # type: ignore[no-untyped-call]
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_encoding_twice_gives_the_gradients_of_the_plain_graph(chunk: int) -> None:
    pixels = torch.randint(0, 256, (4, 2, 2, 32, 16, 3), dtype=torch.uint8)
    statistics = {name: b.clone() for name, b in joint_model(0).encoder.named_buffers()}
    model, plain = joint_model(chunk), joint_model(0)
    found, expected = gradients(model, pixels), gradients(plain, pixels)
    assert found.keys() == expected.keys() == dict(plain.named_parameters()).keys()
    for name, value in expected.items():
        apart = float((found[name] - value).norm())
        assert apart < 1e-4 * float(value.norm()) + 1e-6, name
    assert float(expected["encoder.Conv3d_1a_7x7.conv3d.weight"].norm()) > 0
    for name, buffer in model.encoder.named_buffers():
        assert torch.equal(buffer, statistics[name]), f"{name} is not frozen"


def test_the_identity_layer_starts_at_the_mean_features() -> None:
    model = joint_model(1)
    features = torch.randn(2, model.encoder.dim)[TARGETS] * 5 + 0.1 * torch.randn(4, model.encoder.dim)
    model.start_from(features, TARGETS)
    logits = model.classifier(features)
    assert torch.equal(logits.argmax(1), TARGETS)
    torch.testing.assert_close(logits.max(1).values, torch.full((4,), 10.0), rtol=0.1, atol=0)


def log(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "joint.metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("clip_weight", [1.0, 0.0])
def test_trains_both_and_resumes_exactly(
    make_tracklets: MakeTracklets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clip_weight: float
) -> None:
    split = TrainingSplit.draw(make_tracklets(persons=7), RECIPE.validation_share, RECIPE.seed)
    settings = replace(SETTINGS, clip_weight=clip_weight)
    torch.manual_seed(0)
    encoder = I3D(0.125).eval()
    aggregator = Learned(encoder.dim, 8).eval()

    def run(folder: str) -> tuple[str, str, float]:
        torch.manual_seed(3)
        options = RunOptions(tmp_path / folder, checkpoint_seconds=0)
        both = train_jointly(copy.deepcopy(encoder), copy.deepcopy(aggregator), split, RECIPE, options, settings)
        assert not both[0].training and not both[1].training
        return content_hash(both[0].state_dict()), content_hash(both[1].state_dict()), both[2]

    whole = run("whole")
    assert whole[0] != content_hash(encoder.state_dict()) and whole[1] != content_hash(aggregator.state_dict())
    assert 0 < whole[2] <= 1
    records = log(tmp_path / "whole")
    assert len(records) == 4 and all(("stage1" in record) == bool(clip_weight) for record in records)

    inner, calls = JointModel.forward, 0

    def interrupted(self: JointModel, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return inner(self, pixels)

    monkeypatch.setattr(JointModel, "forward", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run("stopped")
    assert run("stopped") == whole
    assert [record["loss"] for record in log(tmp_path / "stopped")] == [record["loss"] for record in records]
