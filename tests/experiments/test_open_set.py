from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from experiments.open_set import open_set

from resight.checkpoints import Model, save_model
from resight.models.aggregators import MeanPair
from resight.models.i3d import I3D
from resight.recipe import ClipSpec, Recipe


def test_the_table_says_what_was_asked_and_what_came(
    make_tracklets: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_tracklets(persons=6)
    recipe = replace(Recipe(), clips=ClipSpec(length=4, count=2, height=32, width=16), validation_share=0.5)
    recipe = replace(recipe, stage1=replace(recipe.stage1, encoder_width=0.125))
    save_model(tmp_path / "model.safetensors", Model(I3D(width=0.125), MeanPair(), recipe, {"aggregator": "mean-pair"}))
    open_set(f"folder:{tmp_path / 'tracklets'}", model=tmp_path / "model.safetensors", draws=2, workers=0)
    lines = capsys.readouterr().out.splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:6]]
    assert [row[:2] for row in rows] == [
        ["5 %", "6 tracklets"], ["5 %", "6 tracklets"], ["10 %", "6 tracklets"], ["10 %", "6 tracklets"]
    ]  # fmt: skip
    assert all(row[2].endswith(" %") and row[3].endswith(" %") for row in rows)
    assert "protocol standard" in lines[-1] and "2 clips of 4 frames" in lines[-1] and "2 draws" in lines[-1]
