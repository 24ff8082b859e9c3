from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from resight.errors import CheckpointError, RecipeError, ShapeError
from resight.models.frame_encoder import FrameEncoder

needs_transformers = pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None, reason="frame encoders need the extra `encoders`"
)
MEAN, STD = [0.48, 0.46, 0.41], [0.27, 0.26, 0.28]
CONFIGS: dict[str, dict[str, Any]] = {
    "CLIPVisionModel": {
        "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
        "image_size": 32, "patch_size": 8,
    },
    "Dinov2Model": {
        "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 32, "patch_size": 8,
    },
    "ResNetModel": {"embedding_size": 4, "hidden_sizes": [4, 8, 12, 16], "depths": [1, 1, 1, 2]},
}  # fmt: skip


class Corner(nn.Module):
    """An image network that returns the first pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.ones(3))

    def forward(self, pictures: Tensor) -> Tensor:
        return pictures[:, :, 0, 0] * self.factor


def clips(*size: int) -> Tensor:
    return torch.rand(*size, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_frames_are_normalised_for_the_network_and_averaged() -> None:
    seen = clips(2, 3, 4, 8, 6)
    found = FrameEncoder(Corner(), 3, MEAN, STD)(seen)
    for b in range(2):
        for channel in range(3):
            values = [(seen[b, channel, n, 0, 0].item() / 2 + 0.5 - MEAN[channel]) / STD[channel] for n in range(4)]
            assert found[b, channel].item() == pytest.approx(sum(values) / 4, abs=1e-5)


def test_rejects_other_axes() -> None:
    with pytest.raises(ShapeError, match="RGB axis second"):
        FrameEncoder(Corner(), 3, MEAN, STD)(clips(2, 4, 3, 8, 6))


@needs_transformers
@pytest.mark.parametrize("network", CONFIGS)
def test_networks_accept_frames_that_are_not_square_and_load_from_a_folder(network: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    made = FrameEncoder.from_architecture({"network": network, "config": CONFIGS[network], "mean": MEAN, "std": STD})
    made.eval()
    features = made(clips(2, 3, 3, 64, 32))
    assert features.shape == (2, made.dim) == (2, 16)
    write_folder(made, tmp_path)
    again = FrameEncoder.from_folder(tmp_path).eval()
    assert torch.equal(again(clips(2, 3, 3, 64, 32)), features)
    twin = FrameEncoder.from_architecture(json.loads(json.dumps(again.architecture))).eval()
    twin.load_state_dict(again.state_dict())
    assert torch.equal(twin(clips(2, 3, 3, 64, 32)), features)


@needs_transformers
def test_the_vision_model_of_a_whole_clip_model_is_loaded(tmp_path: Path) -> None:
    from transformers import CLIPConfig, CLIPModel

    vision = CONFIGS["CLIPVisionModel"]
    text = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    whole = CLIPModel(CLIPConfig(text_config=text, vision_config=vision)).eval()
    whole.save_pretrained(tmp_path)
    write_pixels(tmp_path)
    encoder = FrameEncoder.from_folder(tmp_path).eval()
    seen = clips(1, 3, 1, 32, 32)
    normed = (seen[:, :, 0] / 2 + 0.5 - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    with torch.no_grad():
        expected = whole.vision_model(pixel_values=normed).pooler_output
    assert torch.allclose(encoder(seen), expected, atol=1e-5)


@needs_transformers
def test_a_resnet_keeps_its_last_resolution() -> None:
    made = FrameEncoder.from_architecture(
        {"network": "ResNetModel", "config": CONFIGS["ResNetModel"], "mean": MEAN, "std": STD}
    )
    maps: list[Tensor] = []
    stages = made.get_submodule("network.model.encoder")
    stages.register_forward_hook(lambda _, __, out: maps.append(out.last_hidden_state))
    made(clips(1, 3, 1, 64, 32))
    assert maps[0].shape == (1, 16, 4, 2)  # 1/16 of the frame, not 1/32


@needs_transformers
def test_rejects_weights_that_do_not_fit(tmp_path: Path) -> None:
    made = FrameEncoder.from_architecture(
        {"network": "Dinov2Model", "config": CONFIGS["Dinov2Model"], "mean": MEAN, "std": STD}
    )
    write_folder(made, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 2}))
    with pytest.raises(CheckpointError, match="do not fit its config"):
        FrameEncoder.from_folder(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="hf download"):
        FrameEncoder.from_folder(tmp_path)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, r"no config.json in .*hf download"),
        ({"config.json": "{"}, r"config.json is not JSON"),
        ({"config.json": "[]"}, r"config.json holds a list"),
        ({"config.json": '{"model_type": "bert"}'}, r"model_type 'bert', expected one of clip"),
        ({"config.json": '{"model_type": "clip"}'}, r"no preprocessor_config.json"),
        (
            {"config.json": '{"model_type": "clip"}', "preprocessor_config.json": '{"image_mean": [1]}'},
            r"image_mean is \[1\] and image_std is None, expected three",
        ),
    ],
)
def test_rejects_invalid_folders(tmp_path: Path, files: dict[str, str], message: str) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(RecipeError, match=message):
        FrameEncoder.from_folder(tmp_path)


def test_a_model_file_cannot_name_any_class() -> None:
    with pytest.raises(RecipeError, match="unknown image network 'Trainer'"):
        FrameEncoder.from_architecture({"network": "Trainer", "config": {}})


def write_pixels(folder: Path) -> None:
    (folder / "preprocessor_config.json").write_text(json.dumps({"image_mean": MEAN, "image_std": STD}))


def write_folder(encoder: FrameEncoder, folder: Path) -> None:
    encoder.network.model.save_pretrained(folder)  # type: ignore[operator, union-attr]
    write_pixels(folder)
