from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from resight.api.model import load_model
from resight.checkpoints import Checkpoint, load_checkpoint, make_aggregator, save_checkpoint
from resight.errors import RecipeError
from resight.models.encoders import encode_distinct, inference_copy, is_frame_wise, join_encoders, make_encoder
from resight.models.joined_encoder import JoinedEncoder
from resight.recipe import ClipSpec, Recipe, Stage1

FIRST = Stage1(encoder="efficientnet-lite0", neck="after")
SECOND = Stage1(encoder_width=0.125, instance_norm=True)
SIZES = (64, 32), (32, 16)


@pytest.fixture(scope="module")
def joined() -> JoinedEncoder:
    torch.manual_seed(0)
    first, second = make_encoder(FIRST).eval(), make_encoder(SECOND).eval()
    return join_encoders({"a": (first, FIRST, SIZES[0]), "b": (second, SECOND, SIZES[1])}).eval()


def clips(n: int = 3) -> torch.Tensor:
    torch.manual_seed(1)
    return torch.randn(n, 3, 4, 64, 32).clamp(-1, 1)


@torch.no_grad()
def test_the_cosine_is_the_mean_of_the_cosines(joined: JoinedEncoder) -> None:
    features = joined(clips())
    assert features.shape == (3, joined.dim) and joined.dim == 512 + 128
    first = joined.parts[0](clips())
    small = torch.stack([
        F.interpolate(clip.transpose(0, 1), size=(32, 16), mode="bilinear", antialias=True).transpose(0, 1)
        for clip in clips()
    ])  # fmt: skip
    cosines = [F.cosine_similarity(own[0], own[1], dim=0) for own in (first, joined.parts[1](small))]
    assert torch.allclose(F.cosine_similarity(features[0], features[1], dim=0), sum(cosines) / 2, atol=1e-5)
    assert torch.allclose(features.norm(dim=1), torch.ones(3), atol=1e-5)


@torch.no_grad()
def test_the_copy_for_inference_and_distinct_frames_give_the_same(joined: JoinedEncoder) -> None:
    fast = inference_copy(joined)
    assert torch.allclose(fast(clips()), joined(clips()), atol=1e-4)
    assert is_frame_wise(joined)
    frames = clips(2).transpose(1, 2).flatten(0, 1)
    places = torch.tensor([[[0, 1, 2, 3], [2, 3, 4, 5]], [[4, 5, 6, 7], [0, 0, 1, 1]]])
    whole = joined(frames[places.flatten(0, 1)].transpose(1, 2)).view(2, 2, -1)
    assert torch.allclose(encode_distinct(fast, frames, places), whole, atol=1e-4)


@torch.no_grad()
def test_a_model_file_holds_all_encoders(joined: JoinedEncoder, tmp_path: Path) -> None:
    recipe = Recipe(clips=ClipSpec(height=64, width=32), stage1=Stage1(encoder="joined:a+b"))
    made = Checkpoint(joined, make_aggregator("mean-pair", joined.dim, recipe), recipe, {"aggregator": "mean-pair"})
    save_checkpoint(tmp_path / "joined.safetensors", made)
    again = load_checkpoint(tmp_path / "joined.safetensors")
    assert torch.equal(again.encoder(clips()), joined(clips()))


def test_models_are_joined_by_name(tmp_path: Path) -> None:
    torch.manual_seed(0)
    for name, stage in (("a", FIRST), ("b", SECOND)):
        size = SIZES[name == "b"]
        recipe = Recipe(clips=ClipSpec(height=size[0], width=size[1]), stage1=stage)
        encoder = make_encoder(stage).eval()
        model = Checkpoint(
            encoder, make_aggregator("mean-pair", encoder.dim, recipe), recipe, {"aggregator": "mean-pair"}
        )
        save_checkpoint(tmp_path / f"{name}.safetensors", model)
    model = load_model(f"joined:{tmp_path}/a.safetensors+{tmp_path}/b.safetensors", keep_features=False)
    assert model.dim == 640 and (model.recipe.clips.height, model.recipe.clips.width) == (64, 32)
    features = model.encode([torch.randint(0, 255, (70, 30, 3), dtype=torch.uint8).numpy() for _ in range(5)])
    assert features.shape == (8, 640)
    with pytest.raises(RecipeError, match="found one model to join"):
        load_model(f"joined:{tmp_path}/a.safetensors")


def test_a_joined_encoder_cannot_be_trained_from_a_recipe() -> None:
    with pytest.raises(RecipeError, match="joins trained models"):
        make_encoder(Stage1(encoder="joined:a+b"))
