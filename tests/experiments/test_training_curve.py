from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from experiments.training_curve import WINDOW, plot_training, read_log, training_curve

from resight.errors import CheckpointError


def write_log(path: Path, steps: int) -> None:
    lines = [{"step": i, "loss": float(i)} | ({"validation": 0.5} if i % 10 == 9 else {}) for i in range(steps)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_losses_are_averaged_and_validation_is_drawn_at_its_steps(tmp_path: Path) -> None:
    write_log(tmp_path / "log", 100)
    losses, validations = plot_training({"stage1": read_log(tmp_path / "log")}).axes
    x, y = (np.asarray(one) for one in losses.lines[0].get_data())
    assert x[0] == WINDOW - 1 and x[-1] == 99
    assert np.allclose(y, x - (WINDOW - 1) / 2)
    x, y = (np.asarray(one) for one in validations.lines[0].get_data())
    assert x.tolist() == list(range(9, 100, 10)) and (y == 50).all()


def test_a_short_run_with_both_stages_is_drawn(tmp_path: Path) -> None:
    for stage in ("stage1", "stage2"):
        write_log(tmp_path / f"{stage}.metrics.jsonl", 10)
    training_curve(tmp_path, tmp_path / "curve.png")
    assert (tmp_path / "curve.png").stat().st_size > 1000


def test_a_folder_without_logs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="has no stage1"):
        training_curve(tmp_path, tmp_path / "curve.png")
