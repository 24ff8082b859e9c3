"""The code in docs/encoders.md runs, and its table of presets is the one of the package."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.onnx_files import mean_colours

from resight.models.pixel_format import PRESETS, read_pixel_format

TEXT = (Path(__file__).parents[1] / "docs" / "encoders.md").read_text(encoding="utf-8")


def test_the_code_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime", exc_type=ImportError, reason="ONNX encoders need onnxruntime")
    for number, (person, camera) in enumerate((p, c) for p in ("anna", "ben") for c in ("door", "hall")):
        folder = tmp_path / "crops" / person / camera / "0001"
        folder.mkdir(parents=True)
        for frame in range(5):
            picture = np.random.default_rng([number, frame]).integers(0, 255, (64, 32, 3), dtype=np.uint8)
            Image.fromarray(picture).save(folder / f"{frame}.jpg")
    (tmp_path / "osnet.onnx").write_bytes(mean_colours((1, 3, 32, 16)))
    monkeypatch.chdir(tmp_path)
    values: dict[str, Any] = {}
    for block in re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL):
        exec(compile(block, "docs/encoders.md", "exec"), values)
    assert len(values["answers"]) == 2  # the other camera
    assert values["features"].values.shape == (2, 8, 3) and values["features"].ids == ("1", "2")


def test_toml_files_of_the_page_are_valid(tmp_path: Path) -> None:
    blocks = re.findall(r"^```toml\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        (tmp_path / "net.toml").write_text(block)
        read_pixel_format(tmp_path / "net.toml")


def test_the_table_lists_the_presets() -> None:
    rows = re.findall(r"^\| `([\w-]+)` \| .*? \| (RGB|BGR) \| 0 to (\d+) \|", TEXT, re.MULTILINE)
    assert [(name, pixels.channels.upper(), f"{pixels.value_range:g}") for name, pixels in PRESETS.items()] == rows
