from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from resight.errors import CheckpointError, RecipeError
from resight.models.pixel_format import PRESETS, PixelFormat
from resight.models.python_encoder import PythonEncoder

PLAIN = PixelFormat((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), size=(16, 8))


class Colours(nn.Module):
    """A network that maps the mean colour of frames or clips linearly."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 5)

    def forward(self, values: Tensor) -> Tensor:
        out: Tensor = self.layer(values.flatten(2).mean(2))
        return out


def clips(batch: int = 4, length: int = 3) -> Tensor:
    return torch.rand(batch, 3, length, 16, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_a_module_or_function_gets_frames_in_its_format() -> None:
    network = Colours().train()
    bgr = PixelFormat((10.0, 20.0, 30.0), (2.0, 3.0, 4.0), "bgr", 255.0, (16, 8))
    expected = network(((clips() + 1).flip(1) * 127.5 - torch.tensor([10.0, 20, 30]).view(3, 1, 1, 1))
                       / torch.tensor([2.0, 3, 4]).view(3, 1, 1, 1))  # fmt: skip
    for function in (network, lambda x: network(x).detach().numpy(), lambda x: network(x).double()):
        encoder = PythonEncoder(function, bgr)
        assert encoder.dim == 5 and encoder.frame_wise
        found = encoder(clips())
        assert torch.allclose(found, expected, rtol=1e-4, atol=1e-3) and found.dtype == torch.float32
    assert not network.training
    assert list(PythonEncoder(network, bgr).state_dict()) == ["function.layer.weight", "function.layer.bias"]


def test_a_function_of_clips_gets_clips() -> None:
    seen: list[tuple[int, ...]] = []

    def function(values: Tensor) -> Tensor:
        seen.append(tuple(values.shape))
        return values.amax((2, 3, 4))

    encoder = PythonEncoder(function, PixelFormat((0.0,) * 3, (1.0,) * 3, size=(16, 8), layout="nclhw", length=3))
    assert not encoder.frame_wise and encoder.length == 3
    assert torch.allclose(encoder(clips()), (clips().amax((2, 3, 4)) + 1) / 2)
    assert seen[-1] == (4, 3, 3, 16, 8)


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        ("resnet50", RecipeError, r"the encoder is a str, expected a module or function"),
        (lambda x: x, CheckpointError, r"<lambda> returned \(2, 3, 16, 8\) float32 for an input of 2, expected"),
        (lambda x: (x.mean((2, 3)),), CheckpointError, r"returned a tuple, expected a tensor or array"),
        (lambda x: x.mean((2, 3))[:1], CheckpointError, r"returned \(1, 3\)"),
        (lambda x: x.mean((2, 3)).long(), CheckpointError, r"returned \(2, 3\) int64"),
        (lambda x: x.mean((2, 3)) / 0, CheckpointError, r"not finite: check the pixel format"),
        (lambda x: x.mean((2, 3)) @ x, CheckpointError, r"failed on an input of \(2, 3, 16, 8\) RGB, values 0 to 1: "),
        (lambda x: x.mean((2, 3)) - x.mean((0, 2, 3)), RecipeError, r"depend on the other pictures of the batch"),
        (lambda x: x.mean((2, 3)) + torch.rand(1), RecipeError, r"or are random: call \.eval\(\)"),
    ],
)  # fmt: skip
def test_functions_that_cannot_be_used_are_refused(function: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        PythonEncoder(function, PLAIN)


def test_the_size_is_needed() -> None:
    with pytest.raises(RecipeError, match="size is missing"):
        PythonEncoder(Colours(), PRESETS["imagenet"])


def test_only_what_nothing_identifies_has_no_identity() -> None:
    def function(values: Tensor) -> Tensor:
        return values.mean((2, 3))

    pooling = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert PythonEncoder(function, PLAIN).identity is None
    assert PythonEncoder(pooling, PLAIN).identity is None
    identities = [
        PythonEncoder(function, PLAIN, "one").identity, PythonEncoder(function, PLAIN, "two").identity,
        PythonEncoder(pooling, PLAIN, "one").identity, PythonEncoder(Colours(), PLAIN).identity,
        PythonEncoder(Colours(), PixelFormat((0.0,) * 3, (1.0,) * 3, "bgr", size=(16, 8))).identity,
    ]  # fmt: skip
    assert None not in identities and len(set(identities)) == 5


def test_an_encoder_is_made_again_from_its_header_and_the_function() -> None:
    network = Colours()
    encoder = PythonEncoder(network, PLAIN, "net")
    again = PythonEncoder.from_architecture(encoder.architecture, copy.deepcopy(network))
    assert torch.equal(again(clips()), encoder(clips())) and again.identity == encoder.identity
    with pytest.raises(CheckpointError, match=r"returns 3 features, but the model was made for the 5 features of net"):
        PythonEncoder.from_architecture(encoder.architecture, lambda x: np.asarray(x.mean((2, 3))))
