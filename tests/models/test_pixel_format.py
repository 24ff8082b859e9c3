from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from resight.errors import RecipeError
from resight.models.pixel_format import PRESETS, PixelFormat, find_preset, format_of_metadata, read_pixel_format


@pytest.mark.parametrize("name", PRESETS)
def test_scale_and_shift_are_the_definition(name: str) -> None:
    pixels = find_preset(name)
    for channel, (scale, shift) in enumerate(zip(*pixels.scale_and_shift, strict=True)):
        for pixel in (0, 100, 255):
            expected = (pixel * pixels.value_range / 255 - pixels.mean[channel]) / pixels.std[channel]
            assert (pixel / 127.5 - 1) * scale + shift == pytest.approx(expected, abs=1e-9)


def test_presets_are_what_the_projects_export() -> None:
    black_and_white = {
        "torchreid": (-0.485 / 0.229, (1 - 0.485) / 0.229), "imagenet": (-0.485 / 0.229, (1 - 0.485) / 0.229),
        "timm": (-0.485 / 0.229, (1 - 0.485) / 0.229), "transreid": (-1, 1), "clip-reid": (-1, 1),
        "fast-reid": (0, 255), "open-model-zoo": (0, 255),
    }  # fmt: skip
    assert black_and_white.keys() == PRESETS.keys()
    for name, (black, white) in black_and_white.items():
        scale, shift = PRESETS[name].scale_and_shift
        assert (shift[0] - scale[0], shift[0] + scale[0]) == pytest.approx((black, white), abs=1e-9)
        assert (PRESETS[name].channels == "bgr") == (name == "open-model-zoo")
        assert bool(PRESETS[name].size[0]) == (name not in ("timm", "imagenet"))


def test_a_file_completes_a_preset_or_stands_alone(tmp_path: Path) -> None:
    path = tmp_path / "net.toml"
    path.write_text("preset = 'torchreid'\nsize = [384, 128]\nchannels = 'bgr'\noutput = 'f'")
    found = read_pixel_format(path)
    assert found.size == (384, 128) and found.channels == "bgr" and found.output == "f"
    assert found.mean == PRESETS["torchreid"].mean
    path.write_text("mean = [0, 0, 0]\nstd = [1, 1, 1]\nvalue_range = 255\nlayout = 'nhwc'\nlength = 8")
    found = read_pixel_format(path)
    assert found == PixelFormat((0, 0, 0), (1, 1, 1), value_range=255.0, layout="nhwc", length=8)
    assert PixelFormat.from_json(found.to_json()) == found
    assert "BGR" in PRESETS["open-model-zoo"].describe() and "0.485" in PRESETS["timm"].describe()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("size = ", r"net\.toml is not TOML"),
        ("preset = 'resnet'", r"preset is 'resnet', expected one of torchreid, fast-reid"),
        ("preset = 'timm'\ncolour = 1", r"unknown key 'colour', expected preset, mean"),
        ("size = [256, 128]", r"there is no mean, expected mean and std, or preset"),
        ("mean = [0, 0, 0]", r"there is no std"),
        ("preset = 'timm'\nmean = 0.5", r"mean is 0\.5, expected a list"),
        ("preset = 'timm'\nmean = [0.5, 0.5]", r"expected three numbers"),
        ("preset = 'timm'\nstd = [1, 1, 0]", r"above 0"),
        ("preset = 'timm'\nchannels = 'grey'", r"channels is 'grey', expected one of 'rgb', 'bgr'"),
        ("preset = 'timm'\nlayout = 'hwc'", r"layout is 'hwc'"),
        ("preset = 'timm'\nvalue_range = 100", r"value_range is 100\.0, expected 1"),
        ("preset = 'timm'\nvalue_range = 'high'", r"value_range is 'high', expected 1"),
        ("preset = 'timm'\nsize = [256, 0]", r"expected height and width"),
        ("preset = 'timm'\nsize = 256", r"size is 256, expected a list"),
        ("preset = 'timm'\nlength = -1", r"length is -1"),
        ("mean = [123.7, 116.3, 103.5]\nstd = [58.4, 57.1, 57.4]", r"for pixels from 0 to 255, but value_range is 1"),
        (
            "mean = [0.5, 0.5, 0.5]\nstd = [0.5, 0.5, 0.5]\nvalue_range = 255",
            r"pixels from 0 to 1, but value_range",
        ),
    ],
)
def test_impossible_settings_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "net.toml").write_text(text)
    with pytest.raises(RecipeError, match=message):
        read_pixel_format(tmp_path / "net.toml")


def test_a_missing_file_or_preset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="cannot read"):
        read_pixel_format(tmp_path / "none.toml")
    with pytest.raises(RecipeError, match="preset is 'osnet'"):
        find_preset("osnet")


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"Image.BitmapPixelFormat": "Bgr8", "Image.NominalPixelRange": "NominalRange_0_255"}, ("bgr", 255, 0)),
        ({"image.bitmappixelformat": "RGB8", "image.nominalpixelrange": "Normalized_0_1"}, ("rgb", 1, 0)),
        ({"Image.BitmapPixelFormat": "Rgb8", "Image.NominalPixelRange": "Normalized_1_1"}, ("rgb", 1, 0.5)),
        ({"Image.BitmapPixelFormat": "Rgb8"}, None),
        ({"Image.BitmapPixelFormat": "Gray8", "Image.NominalPixelRange": "Normalized_0_1"}, None),
        ({}, None),
    ],
)
def test_metadata_of_the_onnx_specification_is_read(metadata: dict[str, str], expected: Any) -> None:
    found = format_of_metadata(metadata)
    assert (found and (found.channels, found.value_range, found.mean[0])) == expected
