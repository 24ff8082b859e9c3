from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.onnx_files import FLOAT16, UINT8, Node, Shape, mean_colours, onnx_file

from resight.errors import CheckpointError, RecipeError
from resight.models.onnx_encoder import OnnxEncoder
from resight.models.pixel_format import PRESETS, PixelFormat

pytest.importorskip("onnxruntime", exc_type=ImportError, reason="ONNX encoders need onnxruntime")
PLAIN = PixelFormat((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), size=(16, 8))


def clips(batch: int = 5, length: int = 3, seed: int = 0) -> torch.Tensor:
    return torch.rand(batch, 3, length, 16, 8, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def levels(values: torch.Tensor) -> torch.Tensor:
    """Mean levels of each clip from 0 to 1, RGB."""
    return (values.mean((2, 3, 4)) + 1) / 2


@pytest.mark.parametrize(
    ("shape", "axes", "layout"),
    [
        ((1, 3, 16, 8), (2, 3), "nchw"),
        ((4, 3, 16, 8), (2, 3), "nchw"),
        (("n", 3, 16, 8), (2, 3), "nchw"),
        (("n", 3, "h", "w"), (2, 3), "nchw"),
        (("n", "c", "h", "w"), (2, 3), "nchw"),
        ((2, 16, 8, 3), (1, 2), "nhwc"),
        (("n", 3, 4, 16, 8), (2, 3, 4), "nclhw"),
        (("n", 3, "l", 16, 8), (2, 3, 4), "nclhw"),
        ((1, 4, 3, 16, 8), (1, 3, 4), "nlchw"),
    ],
)
def test_every_layout_and_batch_gives_the_same_features(shape: Shape, axes: tuple[int, ...], layout: str) -> None:
    encoder = OnnxEncoder(mean_colours(shape, axes), PLAIN, "net.onnx")
    assert encoder.pixels.layout == layout and encoder.size == (16, 8) and encoder.dim == 3
    assert encoder.frame_wise == (len(shape) == 4) and encoder.length == 4
    seen = clips(5, 4)
    assert torch.allclose(encoder(seen), levels(seen), atol=1e-6)
    if encoder.frame_wise:
        assert torch.allclose(encoder.frame_features(seen[:, :, 0]), levels(seen[:, :, :1]), atol=1e-6)


@pytest.mark.parametrize("name", PRESETS)
def test_pixels_are_converted_as_the_format_says(name: str) -> None:
    pixels, seen = PRESETS[name], clips()
    found = OnnxEncoder(mean_colours((1, 3, 16, 8)), pixels, name)(seen)
    expected = levels(seen).flip(1) if pixels.channels == "bgr" else levels(seen)
    expected = (expected * pixels.value_range - torch.tensor(pixels.mean)) / torch.tensor(pixels.std)
    assert torch.allclose(found, expected, atol=1e-4)


def test_a_file_is_opened_with_a_preset_its_toml_or_its_metadata(tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(mean_colours((1, 3, 16, 8)))
    for refused in (path, tmp_path / "net.onnx"):
        with pytest.raises(RecipeError, match=r"onnx:net\.onnx#PRESET, one of torchreid, .*write net\.toml"):
            OnnxEncoder.from_file(refused)
    assert OnnxEncoder.from_file(path, "transreid").pixels.mean == (0.5, 0.5, 0.5)
    assert OnnxEncoder.from_file(tmp_path / "net.onnx#fast-reid").pixels.value_range == 255
    with pytest.raises(RecipeError, match=r"preset is 'nothing', expected one of"):
        OnnxEncoder.from_file(tmp_path / "net.onnx#nothing")
    path.with_suffix(".toml").write_text("preset = 'open-model-zoo'")
    assert OnnxEncoder.from_file(path).pixels.channels == "bgr"
    assert OnnxEncoder.from_file(path, "torchreid").pixels.channels == "rgb"
    assert f"using preset torchreid instead of {path.with_suffix('.toml')}" in capsys.readouterr().err
    other = tmp_path / "other.onnx"
    metadata = {"Image.BitmapPixelFormat": "Bgr8", "Image.NominalPixelRange": "NominalRange_0_255"}
    other.write_bytes(mean_colours((1, 3, 16, 8), metadata=metadata))
    assert OnnxEncoder.from_file(other).pixels.channels == "bgr"


def test_weights_in_a_second_file_are_taken_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    onnxruntime: Any = pytest.importorskip("onnxruntime")
    weight = np.arange(3 * 512, dtype=np.float32).reshape(3, 512)
    (tmp_path / "whole.onnx").write_bytes(mean_colours(("n", 3, 16, 8), weight=weight))
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.optimized_model_filepath = str(tmp_path / "split.onnx")
    options.add_session_config_entry("session.optimized_model_external_initializers_file_name", "split.bin")
    options.add_session_config_entry("session.optimized_model_external_initializers_min_size_in_bytes", "16")
    onnxruntime.InferenceSession(str(tmp_path / "whole.onnx"), options)
    assert (tmp_path / "split.bin").stat().st_size >= weight.nbytes
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    encoder = OnnxEncoder.from_file(tmp_path / "split.onnx", "torchreid")
    expected = OnnxEncoder.from_file(tmp_path / "whole.onnx", "torchreid")
    again = OnnxEncoder(encoder.onnx.numpy().tobytes(), encoder.pixels, "again")
    assert torch.allclose(again(clips()), expected(clips()))
    (tmp_path / "split.bin").write_bytes((tmp_path / "split.bin").read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=r"split\.bin is too short"):
        OnnxEncoder.from_file(tmp_path / "split.onnx", "torchreid")
    (tmp_path / "split.bin").unlink()
    with pytest.raises(CheckpointError, match=r"weights are in 'split\.bin', expected that file in"):
        OnnxEncoder.from_file(tmp_path / "split.onnx", "torchreid")


def test_the_size_of_a_network_without_one_must_be_given() -> None:
    content = mean_colours(("n", 3, "h", "w"))
    assert OnnxEncoder(content, PRESETS["torchreid"], "net").size == (256, 128)
    with pytest.raises(RecipeError, match=r"net has no fixed size of frames: write size = \[height, width\]"):
        OnnxEncoder(content, PRESETS["timm"], "net")
    assert OnnxEncoder(mean_colours(("n", 3, 16, 8)), PRESETS["torchreid"], "net").size == (16, 8)


def test_the_features_are_the_only_vector_or_the_named_output() -> None:
    nodes: list[Node] = [
        ("ReduceMean", ("images",), "pooled", {"axes": [2, 3], "keepdims": 1}),
        ("ReduceMean", ("images",), "low", {"axes": [2, 3], "keepdims": 0}),
        ("Relu", ("images",), "map", {}),
    ]
    shapes: dict[str, Shape] = {"map": ("n", 3, 16, 8), "pooled": ("n", 3, 1, 1), "low": ("n", 3)}
    inputs: dict[str, Shape] = {"images": ("n", 3, 16, 8)}

    def network(*names: str) -> bytes:
        return onnx_file(nodes, inputs, {name: shapes[name] for name in names})

    named = PixelFormat((0.0,) * 3, (1.0,) * 3, output="low")
    for content, pixels in (
        (network("map", "pooled"), PLAIN), (network("map", "low"), PLAIN), (network("map", "low", "pooled"), named),
        (network("pooled"), PLAIN),
    ):  # fmt: skip
        assert torch.allclose(OnnxEncoder(content, pixels, "net")(clips()), levels(clips()), atol=1e-6)
    with pytest.raises(RecipeError, match=r"several outputs \(map .*pooled .*low .*\): name the features as output"):
        OnnxEncoder(network("map", "pooled", "low"), PLAIN, "net")
    with pytest.raises(RecipeError, match=r"no output 'low', its outputs are map"):
        OnnxEncoder(network("map", "pooled"), named, "net")
    with pytest.raises(CheckpointError, match=r"returned \(1, 3, 16, 8\) float32 for an input of 1, expected \(1, D\)"):
        OnnxEncoder(network("map"), PLAIN, "net")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no network", r"net is not a network that onnxruntime [\d.]+ can run: "),
        (mean_colours((1, 3, 16, 8))[:-20], r"net is not a network"),
        (mean_colours((1, 3, 16, 8), opset=99), r"net is not a network .*opset"),
        (
            mean_colours((1, 1, 16, 8), weight=np.ones((1, 3), np.float32)),
            r"is \[1, 1, 16, 8\], expected frames .* with three channels",
        ),
        (onnx_file([("Relu", ("a",), "f", {})], {"a": (1, 3)}, {"f": (1, 3)}), r"expected frames \(N, 3, H, W\)"),
        (
            onnx_file([("Cast", ("a",), "b", {"to": 1}), ("ReduceMean", ("b",), "f", {"axes": [2, 3], "keepdims": 0})],
                      {"a": (1, 3, 16, 8)}, {"f": (1, 3)}, type_=UINT8),
            r"the input 'a' of net is tensor\(uint8\), expected tensor\(float\)",
        ),
        (
            onnx_file([("Add", ("a", "b"), "c", {}), ("ReduceMean", ("c",), "f", {"axes": [2, 3], "keepdims": 0})],
                      {"a": (1, 3, 16, 8), "b": (1, 3, 16, 8)}, {"f": (1, 3)}),
            r"net has 2 inputs \(a, b\), expected one",
        ),
        (
            onnx_file([("Log", ("images",), "l", {}), ("ReduceMean", ("l",), "f", {"axes": [2, 3], "keepdims": 0})],
                      {"images": (1, 3, 16, 8)}, {"f": (1, 3)}),
            r"not finite: check the pixel format \(RGB",
        ),
        (
            onnx_file([("ReduceMean", ("images",), "all", {"axes": [0, 2, 3]}),
                       ("Sub", ("images", "all"), "d", {}),
                       ("ReduceMean", ("d",), "f", {"axes": [2, 3], "keepdims": 0})],
                      {"images": ("n", 3, 16, 8)}, {"f": ("n", 3)}),
            r"depend on the other pictures of a batch: export the network in evaluation mode",
        ),
    ],
)  # fmt: skip
def test_networks_that_cannot_be_used_are_refused_in_one_line(content: bytes, message: str) -> None:
    with pytest.raises(CheckpointError, match=message) as failure:
        OnnxEncoder(content, PixelFormat((0.5,) * 3, (0.5,) * 3), "net")
    assert "\n" not in str(failure.value)


def test_a_clip_network_of_three_frames_needs_its_layout() -> None:
    content = mean_colours((1, 3, 3, 16, 8), (2, 3, 4))
    with pytest.raises(RecipeError, match=r"layout can be nclhw or nlchw: write layout"):
        OnnxEncoder(content, PLAIN, "net")
    pixels = PixelFormat((0.0,) * 3, (1.0,) * 3, layout="nclhw")
    encoder = OnnxEncoder(content, pixels, "net")
    assert encoder.length == 3 and torch.allclose(encoder(clips()), levels(clips()), atol=1e-6)


def test_a_network_whose_inner_shapes_have_a_batch_of_one_gets_one_at_a_time() -> None:
    nodes: list[Node] = [
        ("ReduceMean", ("images",), "means", {"axes": [2, 3], "keepdims": 0}),
        ("Reshape", ("means", "shape"), "features", {}),
    ]
    weights = {"shape": np.array([1, 3], np.int64)}
    content = onnx_file(nodes, {"images": ("n", 3, 16, 8)}, {"features": ("n", 3)}, weights)
    assert torch.allclose(OnnxEncoder(content, PLAIN, "net")(clips()), levels(clips()), atol=1e-6)


def test_half_precision_networks_get_half_precision_input() -> None:
    nodes: list[Node] = [
        ("ReduceMean", ("images",), "means", {"axes": [2, 3], "keepdims": 0}),
        ("Cast", ("means",), "features", {"to": 1}),
    ]
    content = onnx_file(nodes, {"images": (1, 3, 16, 8)}, {"features": (1, 3)}, type_=FLOAT16)
    assert torch.allclose(OnnxEncoder(content, PLAIN, "net")(clips()), levels(clips()), atol=1e-2)


def test_copies_open_their_own_session() -> None:
    encoder = OnnxEncoder(mean_colours(("n", 3, 16, 8)), PLAIN, "net")
    expected = encoder(clips())
    assert [key[0] for key in encoder._sessions] == [os.getpid()]
    twin = copy.deepcopy(encoder)
    assert twin._sessions == {} and torch.equal(twin(clips()), expected)
    assert list(encoder.state_dict()) == ["onnx"]


@pytest.mark.parametrize("batch", ["n", 1, 3])
def test_the_number_of_threads_does_not_change_the_features(batch: str | int) -> None:
    encoder = OnnxEncoder(mean_colours((batch, 3, 16, 8)), PLAIN, "net")
    many = torch.rand(50, 3, 16, 8) * 2 - 1
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        expected = encoder.frame_features(many)
        torch.set_num_threads(3)
        assert torch.equal(encoder.frame_features(many), expected)
    finally:
        torch.set_num_threads(threads)
    assert torch.allclose(expected, (many / 2 + 0.5).mean((2, 3)), atol=1e-5)
