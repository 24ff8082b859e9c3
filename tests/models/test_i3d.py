import copy
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks.plain.encoder import PlainI3D
from torch import Tensor, nn

from resight.errors import CheckpointError, ShapeError
from resight.models.i3d import I3D
from resight.models.kinetics import load_public_weights

GOLDEN = os.environ.get("RESIGHT_I3D_GOLDEN")


@pytest.fixture(scope="module", params=[False, True], ids=["batch", "instance"])
def small(request: pytest.FixtureRequest) -> I3D:
    torch.manual_seed(0)
    model = I3D(width=0.125, instance_norm=request.param).double()
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm3d):
            assert layer.running_mean is not None and layer.running_var is not None
            layer.running_mean.normal_(0, 0.1)
            layer.running_var.uniform_(0.5, 1.5)
            nn.init.normal_(layer.weight, 1, 0.1)
            nn.init.normal_(layer.bias, 0, 0.1)
    return model


@pytest.mark.parametrize("length", range(1, 10))
def test_equals_the_plain_network_in_evaluation(small: I3D, length: int) -> None:
    height, width = [(32, 16), (33, 17), (47, 19), (8, 5), (1, 2)][length % 5]
    clips = torch.rand(2, 3, length, height, width, dtype=torch.float64) * 2 - 1
    small.eval()
    with torch.no_grad():
        torch.testing.assert_close(small(clips), PlainI3D(small).eval()(clips), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("length", [1, 2, 4, 5])
def test_equals_the_plain_network_in_training_with_its_gradients(small: I3D, length: int) -> None:
    clips = torch.rand(3, 3, length, 39, 34, dtype=torch.float64) * 2 - 1
    direction = torch.randn(3, small.dim, dtype=torch.float64)
    start = copy.deepcopy(small.state_dict())
    gradients, statistics = [], []
    for network in (small.train(), PlainI3D(small).train()):
        small.load_state_dict(start)
        small.zero_grad()
        (network(clips) * direction).sum().backward()
        statistics.append({name: buffer.clone() for name, buffer in small.named_buffers()})
        gradients.append({name: p.grad.clone() for name, p in small.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys() == dict(small.named_parameters()).keys()
    for name, expected in gradients[1].items():
        torch.testing.assert_close(gradients[0][name], expected, rtol=1e-6, atol=1e-8)
    for name, expected in statistics[1].items():
        torch.testing.assert_close(statistics[0][name], expected, rtol=1e-9, atol=1e-12)
        assert not torch.equal(statistics[0][name], start[name])


@pytest.mark.parametrize("instance_norm", [False, True])
def test_mixed_precision_is_as_accurate_as_in_the_plain_network(instance_norm: bool) -> None:
    torch.manual_seed(0)
    model = I3D(0.25, instance_norm=instance_norm).train()
    clips = torch.rand(8, 3, 4, 64, 32) * 2 - 1
    plain = PlainI3D(model).train()
    expected = plain(clips)
    with torch.autocast("cpu", torch.bfloat16):
        features, plain_features = model(clips), plain(clips)
    assert features.dtype == torch.float32  # the mean over a clip is not computed in bfloat16
    difference, plain_difference = ((f - expected).norm() for f in (features, plain_features))
    assert 1e-5 * expected.norm() < difference < 1.5 * plain_difference
    features.sum().backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in model.parameters())


def test_instance_norm_does_not_change_names_or_shapes_of_parameters() -> None:
    torch.manual_seed(0)
    off = I3D(0.125)
    on = I3D(0.125, instance_norm=True)
    assert {k: v.shape for k, v in on.state_dict().items()} == {k: v.shape for k, v in off.state_dict().items()}
    on.load_state_dict(off.state_dict())
    clips = torch.rand(2, 3, 4, 32, 16) * 2 - 1
    assert not torch.allclose(on.eval()(clips), off.eval()(clips), rtol=0.1)
    on.normalised.clear()
    assert not off.normalised and torch.equal(on(clips), off(clips))


def test_normalised_channels_of_the_first_layer_are_invariant_to_contrast() -> None:
    torch.manual_seed(0)
    model = I3D(0.25, instance_norm=True).double().eval()
    clips = torch.rand(2, 3, 4, 64, 32, dtype=torch.float64) * 2 - 1
    with torch.no_grad():
        seen, dim = (model._unit(c.permute(0, 3, 4, 2, 1), "Conv3d_1a_7x7") for c in (clips, clips * 0.5))
    normalised, others = (dim - seen).tensor_split([8], -1)
    assert normalised.norm() < 0.02 * seen[..., :8].norm()  # because of EPS
    assert others.norm() == pytest.approx(0.5 * seen[..., 8:].norm())  # ReLU is linear in positive factors


def test_published_width_has_1024_features_and_narrow_ones_are_multiples_of_8() -> None:
    with torch.device("meta"):
        assert I3D().dim == 1024
        assert I3D(0.25).dim == 256
        assert I3D(0.01).dim == 32


def test_initial_features_vary_and_are_bounded() -> None:
    torch.manual_seed(0)
    model = I3D(0.125).train()
    features = model(torch.rand(4, 3, 4, 64, 32) * 2 - 1)
    assert features.std(0).mean() > 1e-3 and features.abs().max() < 100


def test_rejects_clips_in_another_layout(small: I3D) -> None:
    with pytest.raises(ShapeError, match=r"\(B, 3, L, H, W\)"):
        small(torch.zeros(1, 4, 3, 32, 16))


def test_load_public_weights_reports_every_name(tmp_path: Path) -> None:
    source, target = I3D(0.125), I3D(0.125)
    weights = {f"module.{name}": value for name, value in source.state_dict().items()}
    del weights["module.Mixed_5c.b0.bn.weight"]
    weights["module.Mixed_5b.b0.bn.bias"] = torch.zeros(3)
    weights["module.logits.conv3d.bias"] = torch.zeros(400)
    torch.save(weights, tmp_path / "weights.pt")

    report = load_public_weights(target, tmp_path / "weights.pt")

    assert report.missing == ("Mixed_5c.b0.bn.weight",)
    assert report.wrong_shape == ("Mixed_5b.b0.bn.bias",)
    assert report.unexpected == ("logits.conv3d.bias",)
    counted = [n for n in target.state_dict() if not n.endswith("num_batches_tracked")]
    assert len(report.matched) == len(counted) - 2
    name = "Mixed_4c.b1b.conv3d.weight"
    assert torch.equal(target.get_parameter(name), source.get_parameter(name))
    for words in ("tensors loaded", "1 missing", "logits.conv3d.bias", "Mixed_5b.b0.bn.bias"):
        assert words in str(report)


@pytest.mark.parametrize("content", ["nothing", "text", "list", "foreign"])
def test_load_public_weights_rejects_other_files(tmp_path: Path, content: str) -> None:
    path = tmp_path / "weights.pt"
    if content == "text":
        path.write_text("not weights")
    elif content == "list":
        torch.save([torch.zeros(3)], path)
    elif content == "foreign":
        torch.save({"layer1.0.conv1.weight": torch.zeros(64, 64, 3, 3)}, path)
    with pytest.raises(CheckpointError, match=r"weights\.pt"):
        load_public_weights(I3D(0.125), path)


def published_weights(shapes: dict[str, list[int]]) -> dict[str, Tensor]:
    """Return the weights that the golden features were computed with, as described in the README of their folder."""
    rng = np.random.RandomState(0)
    weights = {}
    for name in sorted(n for n in shapes if not n.endswith("num_batches_tracked")):
        x = rng.standard_normal(shapes[name])
        if name.endswith("running_var"):
            x = 1 + 0.5 * x**2
        elif name.endswith("bn.weight"):
            x = 1 + 0.1 * x
        elif name.endswith(("running_mean", "bias")):
            x = 0.1 * x
        else:
            x = x * np.sqrt(2 / np.prod(shapes[name][1:]))
        weights[name] = torch.from_numpy(x).float()
    return weights


@pytest.mark.skipif(GOLDEN is None, reason="RESIGHT_I3D_GOLDEN names no folder with features.npz of the public port")
def test_gives_the_features_of_the_public_port(tmp_path: Path) -> None:
    folder = Path(str(GOLDEN))
    torch.save(published_weights(json.loads((folder / "state_dict_shapes.json").read_text())), tmp_path / "port.pt")
    model = I3D().eval()
    report = load_public_weights(model, tmp_path / "port.pt")
    assert not report.missing and not report.wrong_shape
    assert report.unexpected == ("logits.conv3d.bias", "logits.conv3d.weight")
    features = np.load(folder / "features.npz")
    for length in (1, 4, 8, 16):
        pixels = np.random.RandomState(length).uniform(-1, 1, (2, 3, length, 16, 8)).repeat(16, 3).repeat(16, 4)
        with torch.inference_mode():
            found = model(torch.from_numpy(pixels).float()).numpy()
        expected = features[f"L{length}"]
        assert np.linalg.norm(found - expected) <= 1e-4 * np.linalg.norm(expected)
