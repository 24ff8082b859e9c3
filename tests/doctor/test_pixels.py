"""The check of pixel formats, on fewer and smaller people than the command uses."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.onnx_files import mean_colours
from torch import Tensor

from resight.cli import main
from resight.doctor import pixels as module
from resight.doctor.pixels import FORMATS, WORLD, EncoderCheck, check_encoder
from resight.models.colour_histogram import ColourHistogram
from resight.models.onnx_encoder import OnnxEncoder
from resight.models.pixel_format import PixelFormat
from resight.models.python_encoder import PythonEncoder

SMALL = replace(WORLD, height=64, test_persons=12)


def histogram(values: Tensor) -> Tensor:
    """A network that expects values from 0 to 1: larger ones are all alike."""
    features: Tensor = ColourHistogram()((values if values.ndim == 5 else values[:, :, None]) * 2 - 1)
    return features


@pytest.mark.parametrize("layout", ["nchw", "nclhw"])
def test_a_wrong_value_range_is_noticed(layout: str) -> None:
    plain = PixelFormat((0.0,) * 3, (1.0,) * 3, size=(64, 32), layout=layout)
    right = check_encoder(PythonEncoder(histogram, plain), scale=SMALL)
    assert right.better == () and right.problems == () and "no other format is clearly better" in right.to_text()
    assert "BGR, values 0 to 1" in right.level and right.scores[right.OWN].map > 0.5
    assert right.scores[right.OWN].map == pytest.approx(right.scores[right.HISTOGRAM].map)
    assert "RGB, values 0 to 1" not in right.scores and len(right.scores) == len(FORMATS) + 1
    wrong = check_encoder(PythonEncoder(histogram, replace(plain, value_range=255.0)), scale=SMALL)
    assert {"RGB, values 0 to 1", "BGR, values 0 to 1"} <= set(wrong.better)
    assert len(wrong.problems) == 1 and "RGB, values 0 to 1 (+" in wrong.to_text()
    assert json.loads(json.dumps(wrong.to_json()))["better"] == list(wrong.better)


def test_features_that_know_less_than_colours_are_noticed() -> None:
    def brightness(values: Tensor) -> Tensor:
        return torch.stack([values.mean((1, 2, 3)), values.var((1, 2, 3))], 1)

    plain = PixelFormat((0.0,) * 3, (1.0,) * 3, size=(64, 32))
    check = check_encoder(PythonEncoder(brightness, plain), scale=SMALL)
    assert check.scores[EncoderCheck.OWN].map < check.scores[EncoderCheck.HISTOGRAM].map and check.problems


def test_the_command_prints_the_table_and_fails_if_a_format_is_better(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxruntime", exc_type=ImportError, reason="ONNX encoders need onnxruntime")
    monkeypatch.setattr(module, "check_encoder", partial(check_encoder, scale=SMALL))
    (tmp_path / "net.onnx").write_bytes(mean_colours((1, 3, 64, 32)))
    name = f"onnx:{tmp_path / 'net.onnx'}"
    # Mean colours have nearly the same direction unless a mean is subtracted.
    with pytest.raises(SystemExit) as status:
        main(["doctor", "--model", name, "--preset", "fast-reid", "--out", str(tmp_path / "out"), "--json"])
    printed: Any = json.loads(capsys.readouterr().out)
    assert bool(status.value.code) == bool(printed["problems"]) and status.value.code == 1
    assert json.loads((tmp_path / "out" / "doctor.json").read_text()) == printed
    for arguments, message in (
        (["doctor"], "either the name of a data set, or --model"),
        (["doctor", "mars:x", "--model", name], "either the name"),
        (["doctor", "--model", name], "pixel format of"),
        (["doctor", "--model", str(tmp_path / "no.onnx")], "there is no file"),
        (["doctor", "--model", "onnx:no.onnx"], "no ONNX file no.onnx"),
    ):
        with pytest.raises(SystemExit) as status:
            main(arguments)
        error = capsys.readouterr().err
        assert status.value.code == 1 and message in error and error.count("\n") == 1


@pytest.mark.skipif("RESIGHT_OSNET" not in os.environ, reason="RESIGHT_OSNET does not name an OSNet as ONNX file")
def test_mistakes_with_a_real_network_are_noticed() -> None:
    encoder = OnnxEncoder.from_file(Path(os.environ["RESIGHT_OSNET"]), "torchreid")
    check = check_encoder(encoder)
    assert check.problems == () and check.scores[check.OWN].map > check.scores[check.HISTOGRAM].map + 0.1
    swapped = replace(encoder.pixels, channels="bgr")
    bytes_ = replace(encoder.pixels, mean=(0.0,) * 3, std=(1.0,) * 3, value_range=255.0)
    for wrong in (swapped, bytes_):
        other = OnnxEncoder.from_file(Path(os.environ["RESIGHT_OSNET"]), "torchreid")
        other.pixels = wrong
        assert "RGB, ImageNet mean and std" in check_encoder(other).better
