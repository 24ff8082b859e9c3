from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from resight.errors import RecipeError
from resight.models.encoders import NeckedEncoder, encoder_body, inference_copy, load_initial_weights, make_encoder
from resight.models.frame_encoder import FrameEncoder
from resight.models.i3d import I3D
from resight.recipe import Neck, Stage1
from resight.recipes import paper

SMALL = Stage1(encoder_width=0.125)


class Colours(nn.Module):
    """An image network that maps the mean colour linearly."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 5)

    def forward(self, pictures: Tensor) -> Tensor:
        out: Tensor = self.layer(pictures.mean((2, 3)))
        return out


def clips(count: int = 6) -> Tensor:
    return torch.rand(count, 3, 2, 32, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_the_paper_s_encoder_has_no_neck() -> None:
    assert type(make_encoder(SMALL)) is I3D
    assert paper().stage1.neck == "none" and paper().stage1.encoder == "i3d"


@pytest.mark.parametrize("neck", ["none", "after"])
def test_instance_normalisation_is_passed_on(neck: Neck) -> None:
    for wanted in (False, True):
        body = encoder_body(make_encoder(replace(SMALL, neck=neck, instance_norm=wanted)))
        assert isinstance(body, I3D) and bool(body.normalised) == wanted


def test_the_neck_has_no_bias_and_selects_the_clip_feature() -> None:
    before, after = make_encoder(replace(SMALL, neck="before")), make_encoder(replace(SMALL, neck="after"))
    assert isinstance(before, NeckedEncoder) and isinstance(after, NeckedEncoder)
    assert "neck.bias" not in after.state_dict() and before.state_dict().keys() == after.state_dict().keys()
    features, normed = after.train().both(clips())
    assert normed.mean(0).abs().max() < 1e-5
    assert (normed.std(0, unbiased=False)[features.std(0) > 1e-2] - 1).abs().max() < 0.1
    before.load_state_dict(after.state_dict())
    for encoder in (before, after):  # as after some training
        encoder.neck.running_mean = torch.linspace(0, 1, encoder.dim)
        encoder.neck.running_var = torch.linspace(0.5, 2, encoder.dim)
        encoder.eval()
    with torch.no_grad():
        own = before(clips())
        assert torch.equal(own, before.body(clips()))
        expected = (own - torch.linspace(0, 1, after.dim)) / (torch.linspace(0.5, 2, after.dim) + after.neck.eps).sqrt()
        assert torch.allclose(after(clips()), expected, atol=1e-5)


@pytest.mark.parametrize("neck", ["none", "before", "after"])
def test_the_inference_copy_has_the_same_features_and_does_not_change_the_encoder(neck: Neck) -> None:
    torch.manual_seed(0)
    encoder = make_encoder(replace(SMALL, neck=neck)).train()
    with torch.no_grad():
        for _ in range(3):
            encoder(clips())  # running statistics
    encoder.eval()
    with torch.no_grad():
        expected = encoder(clips())
        fast, rough = inference_copy(encoder), inference_copy(encoder, torch.bfloat16)
        encoder.train()
        assert torch.allclose(fast(clips()), expected, rtol=1e-3, atol=1e-4)
        assert torch.cosine_similarity(rough(clips()), expected).min() > 0.99
    assert fast(clips()).dtype == rough(clips()).dtype == torch.float32
    assert encoder.training and not fast.training
    if isinstance(encoder, NeckedEncoder):
        assert encoder.neck.training


def test_frame_encoders_are_copied_in_the_requested_precision() -> None:
    encoder = FrameEncoder(Colours(), 5, [0.5] * 3, [0.5] * 3).eval()
    rough = inference_copy(encoder, torch.bfloat16)
    assert {p.dtype for p in rough.parameters()} == {torch.bfloat16}
    assert {p.dtype for p in encoder.parameters()} == {torch.float32}
    assert torch.allclose(rough(clips()), encoder(clips()), atol=0.02)
    same = inference_copy(encoder)
    assert same is not encoder and torch.equal(same(clips()), encoder(clips()))
    own = Colours()
    assert inference_copy(own) is own


def test_kinetics_weights_can_be_loaded_with_or_without_a_neck(tmp_path: Path) -> None:
    source = make_encoder(SMALL)
    torch.save(source.state_dict(), tmp_path / "weights.pt")
    necked = make_encoder(replace(SMALL, neck="after"))
    assert isinstance(necked, NeckedEncoder)
    assert not load_initial_weights(necked, tmp_path / "weights.pt").missing
    assert all(torch.equal(a, b) for a, b in zip(necked.body.parameters(), source.parameters(), strict=True))
    with pytest.raises(RecipeError, match="initial weights are for the encoders i3d and efficientnet-lite0"):
        load_initial_weights(FrameEncoder(Colours(), 5, [0.5] * 3, [0.5] * 3), tmp_path / "weights.pt")


def test_the_error_for_an_empty_folder_says_how_to_download_a_network(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"no config.json in .*hf download"):
        make_encoder(Stage1(encoder=f"frames:{tmp_path}"))
