from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from resight.errors import CheckpointError, RecipeError
from resight.models.efficientnet import EfficientNetLite0, public_name
from resight.models.encoders import encoder_body, inference_copy, load_initial_weights, make_encoder
from resight.recipe import Stage1

STAGE = Stage1(encoder="efficientnet-lite0", neck="after")


def public_state() -> dict[str, torch.Tensor]:
    """Return random weights with the names and shapes of the public file."""
    torch.manual_seed(0)
    parts = {"expand.0": "_expand_conv", "expand.1": "_bn0", "depthwise.0": "_depthwise_conv", "depthwise.1": "_bn1",
             "project.0": "_project_conv", "project.1": "_bn2"}  # fmt: skip
    outer = {"stem.0": "_conv_stem", "stem.1": "_bn0", "head.0": "_conv_head", "head.1": "_bn1"}
    state = {"_fc.weight": torch.zeros(1000, 1280), "_fc.bias": torch.zeros(1000)}
    for name, value in EfficientNetLite0().state_dict().items():
        pieces = name.split(".")
        if pieces[0] == "blocks":
            state[f"_blocks.{pieces[1]}.{parts['.'.join(pieces[2:4])]}.{pieces[4]}"] = value
        elif pieces[0] != "embed":
            state[f"{outer['.'.join(pieces[:2])]}.{pieces[2]}"] = value
    return state


def test_the_network_has_the_published_blocks() -> None:
    network = EfficientNetLite0().eval()
    assert len(network.blocks) == 16
    # 4.65 million parameters are published, of which 1.28 million are in the classifier that is not used here.
    body = sum(p.numel() for name, p in network.named_parameters() if not name.startswith("embed"))
    assert body == 4_652_008 - 1_281_000
    frames = torch.randn(2, 3, 64, 32)
    assert network(frames).shape == (2, 512)
    deep: list[torch.Size] = []
    network.head.register_forward_hook(lambda _, inputs, __: deep.append(inputs[0].shape))
    network(frames)
    assert deep == [(2, 320, 4, 2)]  # 1/16 of the frame: the last stage does not downsample


def test_public_weights_are_loaded_under_our_names(tmp_path: Path) -> None:
    state = public_state()
    torch.save(state, tmp_path / "weights.pth")
    torch.manual_seed(1)
    encoder = make_encoder(STAGE)
    report = load_initial_weights(encoder, tmp_path / "weights.pth")
    assert set(report.missing) == {"embed.weight", "embed.bias"}
    assert set(report.unexpected) == {"_fc.weight", "_fc.bias"} and not report.wrong_shape
    weight = encoder_body(encoder).get_parameter("network.blocks.7.depthwise.0.weight")
    assert torch.equal(weight, state["_blocks.7._depthwise_conv.weight"])
    assert public_name("unknown.weight") == "unknown.weight"


def test_other_weights_are_refused(tmp_path: Path) -> None:
    torch.save({"layer1.conv.weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match=r"none of the 1 tensors in .*other\.pth fits"):
        load_initial_weights(make_encoder(STAGE), tmp_path / "other.pth")


def test_the_copy_for_inference_gives_the_same_features() -> None:
    torch.manual_seed(0)
    encoder = make_encoder(STAGE)
    clips = torch.randn(4, 3, 2, 64, 32).clamp(-1, 1)
    encoder(clips)  # running statistics other than 0 and 1
    encoder.eval()
    copied = inference_copy(encoder)
    assert not any("BatchNorm2d" in type(module).__name__ for module in copied.modules())
    with torch.no_grad():
        assert torch.allclose(copied(clips), encoder(clips), atol=1e-4)


def test_frozen_blocks_do_not_change_in_training() -> None:
    torch.manual_seed(0)
    encoder = make_encoder(replace(STAGE, frozen=2)).train()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    optimiser = torch.optim.SGD(encoder.parameters(), 0.1)
    encoder(torch.randn(4, 3, 1, 64, 32)).square().sum().backward()
    optimiser.step()
    after = encoder.state_dict()
    changed = {name for name, value in before.items() if not torch.equal(value, after[name])}
    frozen = ("body.network.stem.", "body.network.blocks.0.", "body.network.blocks.1.")
    assert not any(name.startswith(frozen) for name in changed)
    assert {"body.network.blocks.2.expand.0.weight", "body.network.blocks.2.expand.1.running_mean"} <= changed


def test_frozen_blocks_are_a_setting_of_this_network_only() -> None:
    with pytest.raises(RecipeError, match=r"frozen .*efficientnet-lite0"):
        Stage1(frozen=2)
    with pytest.raises(RecipeError, match=r"frozen"):
        Stage1(encoder="efficientnet-lite0", frozen=17)
