import pytest
import torch
from benchmarks.plain.encoder import PlainI3D
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from resight.errors import ShapeError
from resight.models.i3d import I3D
from resight.models.i3d_inference import inference_encoder


def trained_like(width: float, instance_norm: bool = False) -> I3D:
    """Return an encoder whose running statistics and affine weights differ from their initial values."""
    torch.manual_seed(0)
    encoder = I3D(width, instance_norm=instance_norm).eval()
    for layer in encoder.modules():
        if isinstance(layer, nn.BatchNorm3d):
            assert layer.running_mean is not None and layer.running_var is not None
            layer.running_mean.normal_(0, 0.1)
            layer.running_var.uniform_(0.5, 1.5)
            nn.init.normal_(layer.weight, 1, 0.1)
            nn.init.normal_(layer.bias, 0, 0.1)
    return encoder


@pytest.fixture(scope="module")
def encoder() -> I3D:
    return trained_like(0.125)


def relative_difference(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 3), st.integers(1, 12), st.integers(1, 40), st.integers(1, 40), st.integers(0, 99))
def test_gives_the_features_of_the_plain_network(
    encoder: I3D, n: int, length: int, height: int, width: int, seed: int
) -> None:
    clips = torch.rand(n, 3, length, height, width, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    fast = inference_encoder(encoder)
    with torch.no_grad():
        expected = PlainI3D(encoder).eval()(clips)
    assert relative_difference(fast(clips), expected) <= 1e-5


def test_one_copy_accepts_clips_of_any_length(encoder: I3D) -> None:
    fast = inference_encoder(encoder)
    for length in (4, 1, 8, 4):
        clips = torch.rand(2, 3, length, 33, 18) * 2 - 1
        with torch.no_grad():
            assert relative_difference(fast(clips), encoder(clips)) <= 1e-5


def test_the_copy_includes_instance_norm() -> None:
    encoder = trained_like(0.125, instance_norm=True)
    fast = inference_encoder(encoder)
    for length, height, width in ((4, 64, 32), (1, 33, 17), (7, 9, 5), (2, 1, 1)):
        clips = torch.rand(3, 3, length, height, width) * 2 - 1
        with torch.no_grad():
            assert relative_difference(fast(clips), encoder(clips)) <= 1e-5


@pytest.mark.parametrize("instance_norm", [False, True])
def test_features_in_bfloat16_have_the_same_direction(instance_norm: bool) -> None:
    encoder = trained_like(0.25, instance_norm)
    clips = torch.rand(4, 3, 4, 64, 32) * 2 - 1
    with torch.no_grad():
        found, expected = inference_encoder(encoder, torch.bfloat16)(clips), encoder(clips)
    assert found.dtype == torch.float32
    assert torch.cosine_similarity(found, expected).min() >= 0.9995
    assert relative_difference(found, expected) > 1e-6  # it was computed in bfloat16


def test_later_training_does_not_change_the_copy() -> None:
    encoder = trained_like(0.125)
    clips = torch.rand(2, 3, 4, 16, 8)
    fast = inference_encoder(encoder)
    before = fast(clips)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.mul_(2)
    assert torch.equal(fast(clips), before)
    assert not list(fast.parameters()) and not fast.state_dict()
    assert not before.requires_grad


def test_rejects_clips_in_another_layout(encoder: I3D) -> None:
    with pytest.raises(ShapeError, match=r"\(B, 3, L, H, W\)"):
        inference_encoder(encoder)(torch.zeros(1, 4, 3, 32, 16))
