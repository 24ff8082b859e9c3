from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from experiments.open_set import open_set, rates_between_groups

from resight.checkpoints import Checkpoint, save_checkpoint
from resight.evaluation.protocols import PROTOCOLS, Labels
from resight.models.aggregators import MeanPair
from resight.models.i3d import I3D
from resight.recipe import ClipSpec, Recipe


def test_the_table_has_desired_and_measured_rates(
    make_tracklets: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_tracklets(persons=6)
    recipe = replace(Recipe(), clips=ClipSpec(length=4, count=2, height=32, width=16), validation_share=0.5)
    recipe = replace(recipe, stage1=replace(recipe.stage1, encoder_width=0.125))
    checkpoint = Checkpoint(I3D(width=0.125), MeanPair(), recipe, {"aggregator": "mean-pair"})
    save_checkpoint(tmp_path / "model.safetensors", checkpoint)
    open_set(f"folder:{tmp_path / 'tracklets'}", model=tmp_path / "model.safetensors", draws=2, workers=0)
    lines = capsys.readouterr().out.splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:6]]
    assert [row[:2] for row in rows] == [
        ["5 %", "6 tracklets"], ["5 %", "6 tracklets"], ["10 %", "6 tracklets"], ["10 %", "6 tracklets"]
    ]  # fmt: skip
    assert all(row[2].endswith(" %") and row[3].endswith(" %") for row in rows)
    assert "protocol standard" in lines[7] and "2 clips of 4 frames" in lines[7] and "2 draws" in lines[7]
    assert [re.findall(r"desired rate (\d+) %", line) for line in lines[9:]] == [["5"], ["10"]]
    assert lines[8].startswith("Area under the ROC: ")


def test_thresholds_from_few_persons_keep_the_rate_only_if_impostors_are_similar() -> None:
    persons, cameras = np.repeat(np.arange(1, 41), 2), np.tile([1, 2], 40)
    labels = Labels(tuple(f"{p}-{c}" for p, c in zip(persons, cameras, strict=True)), persons, cameras)
    noise = np.random.default_rng(0).random((80, 80))
    few = rates_between_groups(noise, labels, labels, PROTOCOLS["standard"], persons=4)
    many = rates_between_groups(noise, labels, labels, PROTOCOLS["standard"], persons=20)
    assert few.shape == (2, 200)
    assert abs(many[1].mean() - 0.1) < 0.03
    assert few[0].mean() > many[0].mean() and few[0].std() > 2 * many[0].std()
