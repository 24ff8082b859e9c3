from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.onnx_files import mean_colours

from resight.checkpoints import MODEL_KIND, Checkpoint, load_checkpoint, make_aggregator, save_checkpoint
from resight.errors import CheckpointError
from resight.models.aggregators import AGGREGATORS
from resight.models.encoders import NeckedEncoder, make_encoder
from resight.models.i3d import I3D
from resight.models.pixel_format import PRESETS
from resight.models.python_encoder import PythonEncoder
from resight.outputs import replace_file
from resight.recipe import ClipSpec, Neck, Recipe, Stage1, Stage2
from resight.tensor_files import content_hash, read_tensors, write_tensors

RECIPE = Recipe(
    name="small", clips=ClipSpec(height=32, width=16), stage1=Stage1(encoder_width=0.125), stage2=Stage2(hidden=8)
)


def small_model(kind: str = "learned") -> Checkpoint:
    torch.manual_seed(1)
    encoder = I3D(width=0.125)
    return Checkpoint(encoder, make_aggregator(kind, encoder.dim, RECIPE), RECIPE, {"aggregator": kind, "note": "α"})


@pytest.mark.parametrize("kind", AGGREGATORS)
def test_a_model_is_loaded_as_it_was_saved(tmp_path: Path, kind: str) -> None:
    model = small_model(kind)
    save_checkpoint(tmp_path / "m.safetensors", model)
    again = load_checkpoint(tmp_path / "m.safetensors")
    clips = torch.randn(2, 3, 4, 32, 16).clamp(-1, 1)
    with torch.no_grad():
        assert torch.equal(again.encoder(clips), model.encoder.eval()(clips))
    assert content_hash(again.aggregator.state_dict()) == content_hash(model.aggregator.state_dict())
    sizes = {value.shape[0] for value in model.aggregator.state_dict().values() if value.ndim == 2}
    assert sizes <= {1, RECIPE.stage2.hidden, model.encoder.dim}  # hidden units as the recipe says
    assert again.recipe == RECIPE
    assert again.metadata["note"] == "α" and "version" in again.metadata


@pytest.mark.parametrize("neck", ["before", "after"])
def test_a_model_with_a_neck_is_loaded_as_it_was_saved(tmp_path: Path, neck: Neck) -> None:
    recipe = replace(RECIPE, stage1=replace(RECIPE.stage1, neck=neck))
    encoder = make_encoder(recipe.stage1)
    assert isinstance(encoder, NeckedEncoder)
    encoder.neck.running_mean = torch.linspace(0, 1, encoder.dim)
    model = Checkpoint(encoder, make_aggregator("mean-pair", encoder.dim, recipe), recipe, {"aggregator": "mean-pair"})
    save_checkpoint(tmp_path / "m.safetensors", model)
    again = load_checkpoint(tmp_path / "m.safetensors")
    clips = torch.randn(2, 3, 4, 32, 16).clamp(-1, 1)
    with torch.no_grad():
        assert torch.equal(again.encoder(clips), encoder.eval()(clips))


def test_a_model_with_a_frame_encoder_needs_no_other_file(tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="frame encoders need the extra `encoders`")
    config = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 16, "patch_size": 8}
    architecture = {"network": "Dinov2Model", "config": config, "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.4]}
    recipe = replace(RECIPE, stage1=Stage1(encoder="frames:/no/such/folder", neck="after"))
    encoder = make_encoder(recipe.stage1, architecture)
    model = Checkpoint(encoder, make_aggregator("mean-pair", 8, recipe), recipe, {"aggregator": "mean-pair"})
    save_checkpoint(tmp_path / "m.safetensors", model)
    again = load_checkpoint(tmp_path / "m.safetensors")
    clips = torch.randn(2, 3, 4, 32, 16).clamp(-1, 1)
    with torch.no_grad():
        assert torch.equal(again.encoder(clips), encoder.eval()(clips))
    save_checkpoint(tmp_path / "again.safetensors", again)
    assert load_checkpoint(tmp_path / "again.safetensors").encoder.dim == 8


def test_a_model_with_an_onnx_network_needs_no_other_file(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", exc_type=ImportError, reason="ONNX encoders need onnxruntime")
    (tmp_path / "net.onnx").write_bytes(mean_colours((1, 3, 32, 16)))
    recipe = replace(RECIPE, stage1=Stage1(encoder=f"onnx:{tmp_path}/net.onnx#open-model-zoo"))
    encoder = make_encoder(recipe.stage1)
    recipe = replace(recipe, stage1=Stage1(encoder="onnx:net.onnx"))
    model = Checkpoint(encoder, make_aggregator("learned", encoder.dim, recipe), recipe, {"aggregator": "learned"})
    path = tmp_path / "m.safetensors"
    save_checkpoint(path, model, half=True)
    (tmp_path / "net.onnx").unlink()
    again = load_checkpoint(path)
    clips = torch.randn(2, 3, 4, 32, 16).clamp(-1, 1)
    assert torch.equal(again.encoder(clips), encoder(clips)) and again.encoder.dim == 3
    expected = clips.mean((2, 3, 4)).flip(1).add(1).mul(127.5)
    assert torch.allclose(again.encoder(clips), expected, atol=1e-3)
    tensors, header = read_tensors(path, MODEL_KIND)
    assert tensors["encoder.onnx"].dtype == torch.uint8 and str(tmp_path) not in str(header)
    assert bytes(tensors["encoder.onnx"].numpy()) == mean_colours((1, 3, 32, 16))
    save_checkpoint(path, again, half=True)
    assert read_tensors(path, MODEL_KIND)[1]["hash"] == header["hash"]
    with pytest.raises(CheckpointError, match="holds its encoder: load it without the argument encoder"):
        load_checkpoint(path, lambda x: x)


def test_a_model_with_a_python_object_needs_it_again(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    encoder = PythonEncoder(network, replace(PRESETS["imagenet"], size=(32, 16)), "net")
    recipe = replace(RECIPE, stage1=Stage1(encoder="python:net"))
    model = Checkpoint(encoder, make_aggregator("learned", 8, recipe), recipe, {"aggregator": "learned"})
    path = tmp_path / "m.safetensors"
    save_checkpoint(path, model)
    assert not [name for name in read_tensors(path, MODEL_KIND)[0] if name.startswith("encoder.")]
    with pytest.raises(CheckpointError, match=r"encoder net, which is a Python object .*load_model\(FILE, encoder="):
        load_checkpoint(path)
    again = load_checkpoint(path, network)
    clips = torch.randn(2, 3, 4, 32, 16).clamp(-1, 1)
    with torch.no_grad():
        assert torch.equal(again.encoder(clips), encoder(clips))
    assert content_hash(again.aggregator.state_dict()) == content_hash(model.aggregator.state_dict())
    other = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    with pytest.raises(CheckpointError, match="other weights than net, which the importance network"):
        load_checkpoint(path, other)
    with pytest.raises(CheckpointError, match="returns 3 features"):
        load_checkpoint(path, lambda frames: frames.mean((2, 3)))


def rewritten(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Write the model file again with a changed recipe in its header."""
    tensors, header = read_tensors(path, MODEL_KIND)
    recipe = json.loads(header["recipe"])
    change(recipe)
    write_tensors(path, tensors, MODEL_KIND, {"recipe": recipe, "card": json.loads(header["card"])})


def test_a_model_from_before_a_setting_was_known_still_loads(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    save_checkpoint(path, small_model())

    def as_in_version_0_1(recipe: dict[str, Any]) -> None:
        for name in (
            "encoder",
            "neck",
            "triplet_features",
            "triplet_distance",
            "reduction",
            "label_smoothing",
            "erasing",
        ):
            del recipe["stage1"][name]
        del recipe["clips"]["stride"], recipe["stage2"]["damages"]

    rewritten(path, as_in_version_0_1)
    assert load_checkpoint(path).recipe == RECIPE


def test_a_model_of_a_later_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    save_checkpoint(path, small_model())
    rewritten(path, lambda recipe: recipe["stage1"].update(unknown_setting=1.0))
    with pytest.raises(CheckpointError, match=r"written by version .* unknown setting 'unknown_setting'"):
        load_checkpoint(path)


def test_damaged_or_foreign_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    with pytest.raises(CheckpointError, match="no file"):
        load_checkpoint(path)
    save_checkpoint(path, small_model())
    good = path.read_bytes()
    path.write_bytes(good[: len(good) // 2])
    with pytest.raises(CheckpointError, match="damaged"):
        load_checkpoint(path)
    path.write_bytes(good[:-4] + b"\x00\x01\x02\x03")
    with pytest.raises(CheckpointError, match="do not match the hash in its header"):
        load_checkpoint(path)
    write_tensors(path, {"x": torch.ones(2)}, "something else", {})
    with pytest.raises(CheckpointError, match="is a something else, expected a resight model"):
        load_checkpoint(path)


def test_weights_that_do_not_fit_their_recipe_are_refused(tmp_path: Path) -> None:
    model = small_model()
    save_checkpoint(tmp_path / "m.safetensors", model)
    tensors, header = read_tensors(tmp_path / "m.safetensors", MODEL_KIND)
    del tensors["encoder.Conv3d_1a_7x7.bn.bias"]
    write_tensors(tmp_path / "m.safetensors", tensors, MODEL_KIND, {"recipe": RECIPE.to_json(), "card": model.metadata})
    with pytest.raises(CheckpointError, match=r"Conv3d_1a_7x7\.bn\.bias"):
        load_checkpoint(tmp_path / "m.safetensors")
    assert "hash" in header


def test_a_failed_write_keeps_the_former_file(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.txt"
    with replace_file(path) as temporary:
        temporary.write_text("first")
    with pytest.raises(RuntimeError), replace_file(path) as temporary:
        temporary.write_text("second, half")
        raise RuntimeError
    assert path.read_text() == "first"
    assert [p.name for p in path.parent.iterdir()] == ["file.txt"]


def test_the_hash_depends_on_names_shapes_types_and_values() -> None:
    base = {"a": torch.arange(4.0)}
    others = [{"b": torch.arange(4.0)}, {"a": torch.arange(4.0).view(2, 2)}, {"a": torch.arange(4)}, {"a": -base["a"]}]
    assert len({content_hash(t) for t in (base, *others)}) == 5
    assert content_hash(base) == content_hash({"a": torch.arange(8.0)[:4]})


def test_float16_weights_give_nearly_the_same_model(tmp_path: Path) -> None:
    model = small_model()
    for half in (False, True):
        save_checkpoint(tmp_path / f"{half}.safetensors", model, half=half)
    stored, _ = read_tensors(tmp_path / "True.safetensors", MODEL_KIND)
    whole = {name for name, tensor in stored.items() if tensor.dtype == torch.int64}
    assert whole == {name for name in stored if name.endswith("num_batches_tracked")} != set()
    assert {tensor.dtype for name, tensor in stored.items() if name not in whole} == {torch.float16}
    sizes = [(tmp_path / f"{half}.safetensors").stat().st_size for half in (False, True)]
    assert sizes[1] < 0.6 * sizes[0]
    again = load_checkpoint(tmp_path / "True.safetensors")
    for name, tensor in again.encoder.state_dict().items():
        expected = model.encoder.state_dict()[name]
        assert tensor.dtype == expected.dtype
        torch.testing.assert_close(tensor, expected, rtol=2**-10, atol=2**-24)
    save_checkpoint(tmp_path / "again.safetensors", again, half=True)
    assert read_tensors(tmp_path / "again.safetensors", MODEL_KIND)[1]["hash"] == content_hash(stored)


@pytest.mark.parametrize("value", [7e4, -7e4, float("nan")])
def test_weights_too_large_for_float16_are_refused(tmp_path: Path, value: float) -> None:
    model = small_model()
    with torch.no_grad():
        next(model.encoder.parameters()).view(-1)[0] = value
    with pytest.raises(CheckpointError, match=r"encoder\.\S+ has a magnitude of (70000|nan), expected at most 65504"):
        save_checkpoint(tmp_path / "m.safetensors", model, half=True)
    assert not list(tmp_path.iterdir())
