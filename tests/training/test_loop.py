"""The training loop on a small task: a small network and random numbers as its input."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from resight.compute import Compute, Precision
from resight.errors import CheckpointError, TrainingError
from resight.recipe import Optimisation, Recipe
from resight.tensor_files import read_tensors, write_tensors
from resight.training.loop import Batch, RunOptions, Task, learning_rate_factor, make_fabric, run_training
from resight.training.run_files import STATE_KIND

RECIPE = Recipe()


class Numbers(Dataset[Batch]):
    def __init__(self, steps: int, stop_at: int | None = None, wait: float = 0.0) -> None:
        self.steps, self.stop_at, self.wait = steps, stop_at, wait

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> Batch:
        if step == self.stop_at:
            os.kill(os.getpid(), signal.SIGINT)
        time.sleep(self.wait)
        generator = torch.Generator().manual_seed(step)
        x = torch.randn(8, 4, generator=generator)
        return x, x.sum(1)


def make_task(epochs: int = 6, stop_at: int | None = None, wait: float = 0.0) -> Task:
    torch.manual_seed(5)
    module = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.1), nn.Linear(8, 1))

    def loss(module: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, float]]:
        return (module(batch[0]).squeeze(1) - batch[1]).square().mean(), {"active": 0.5}

    def validate() -> float:
        with torch.no_grad():
            module.eval()
            x = torch.ones(1, 4)
            return -float((module(x) - 4).abs())

    optimisation = Optimisation(epochs=epochs, learning_rate=0.05, milestones=(30,), validate_every=2)
    return Task("toy", module, Numbers(5 * epochs, stop_at, wait), loss, validate, optimisation, 5, 8, {"data": 1})


def losses(folder: Path) -> list[tuple[int, float]]:
    lines = (folder / "toy.metrics.jsonl").read_text().splitlines()
    return [(record["step"], record["loss"]) for record in map(json.loads, lines)]


def final_state(folder: Path) -> dict[str, Tensor]:
    return read_tensors(folder / "toy.state.safetensors", STATE_KIND)[0]


def assert_same_run(one: Path, other: Path) -> None:
    assert losses(one) == losses(other)
    first, second = final_state(one), final_state(other)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[k], second[k]) for k in first)


def test_training_lowers_the_loss_and_keeps_the_best(tmp_path: Path) -> None:
    task = make_task(epochs=40)
    best = run_training(task, RECIPE, RunOptions(tmp_path))
    values = [loss for _, loss in losses(tmp_path)]
    assert len(values) == 200
    assert sum(values[-50:]) / 50 < 0.5 * sum(values[:5]) / 5
    validations = [
        json.loads(line)["validation"]
        for line in (tmp_path / "toy.metrics.jsonl").read_text().splitlines()
        if "validation" in line
    ]
    assert len(validations) == 20 and best == max(validations)
    assert task.validate() == pytest.approx(best)


def test_an_interrupted_run_continues_with_the_same_losses(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run_training(make_task(), RECIPE, RunOptions(whole))
    for stop_at in (3, 17):
        with pytest.raises(KeyboardInterrupt, match="run again"):
            run_training(make_task(stop_at=stop_at), RECIPE, RunOptions(parts))
        assert len(losses(parts)) == stop_at + 1
    run_training(make_task(), RECIPE, RunOptions(parts))
    assert_same_run(whole, parts)


def test_a_finished_run_is_not_run_again(tmp_path: Path) -> None:
    best = run_training(make_task(), RECIPE, RunOptions(tmp_path))
    log = (tmp_path / "toy.metrics.jsonl").read_bytes()
    assert run_training(make_task(), RECIPE, RunOptions(tmp_path)) == best
    assert (tmp_path / "toy.metrics.jsonl").read_bytes() == log


def test_an_incomplete_log_line_is_removed(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_training(make_task(stop_at=7), RECIPE, RunOptions(tmp_path / "parts"))
    with (tmp_path / "parts" / "toy.metrics.jsonl").open("a") as log:
        log.write('{"step": 8, "loss": 1.0}\n{"step": 9, "lo')
    run_training(make_task(), RECIPE, RunOptions(tmp_path / "parts"))
    run_training(make_task(), RECIPE, RunOptions(tmp_path / "whole"))
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


def test_a_killed_run_loses_only_the_work_since_the_last_checkpoint(tmp_path: Path) -> None:
    script = f"""
import importlib.util, sys
spec = importlib.util.spec_from_file_location("loop_test", {str(Path(__file__))!r})
module = importlib.util.module_from_spec(spec)
sys.modules["loop_test"] = module
spec.loader.exec_module(module)
from pathlib import Path
module.run_training(
    module.make_task(epochs=60, wait=0.01), module.RECIPE,
    module.RunOptions(Path({str(tmp_path / "killed")!r}), checkpoint_seconds=0.0),
)
"""
    process = subprocess.Popen([sys.executable, "-c", script])
    state = tmp_path / "killed" / "toy.state.safetensors"
    deadline = time.monotonic() + 120
    while not state.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.3)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert 0 < len(complete_lines(tmp_path / "killed")) < 300
    run_training(make_task(epochs=60), RECIPE, RunOptions(tmp_path / "killed"))
    run_training(make_task(epochs=60), RECIPE, RunOptions(tmp_path / "whole"))
    assert_same_run(tmp_path / "whole", tmp_path / "killed")


def complete_lines(folder: Path) -> list[str]:
    return [line for line in (folder / "toy.metrics.jsonl").read_text().splitlines(keepends=True) if line[-1] == "\n"]


@pytest.mark.parametrize("change", ["recipe", "data or initial weights"])
def test_a_folder_with_another_run_is_refused_and_not_changed(tmp_path: Path, change: str) -> None:
    run_training(make_task(), RECIPE, RunOptions(tmp_path))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    task: Any = make_task()
    recipe = RECIPE
    if change == "recipe":
        recipe = replace(recipe, seed=9)
    else:
        task = replace(task, identity={"data": 2})
    with pytest.raises(CheckpointError, match=f"training run with a different {change}"):
        run_training(task, recipe, RunOptions(tmp_path))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_run_from_before_a_setting_existed_can_be_continued(tmp_path: Path) -> None:
    best = run_training(make_task(), RECIPE, RunOptions(tmp_path))
    state = tmp_path / "toy.state.safetensors"
    tensors, header = read_tensors(state, STATE_KIND)
    values = {key: json.loads(value) for key, value in header.items() if key not in ("kind", "hash")}
    assert values["recipe"]["stage1"].pop("erasing") == 0  # as if written by a version without it
    write_tensors(state, tensors, STATE_KIND, values)
    assert run_training(make_task(), RECIPE, RunOptions(tmp_path)) == best
    values["recipe"]["stage1"]["unknown_setting"] = 1
    write_tensors(state, tensors, STATE_KIND, values)
    with pytest.raises(CheckpointError, match="settings that this version does not know"):
        run_training(make_task(), RECIPE, RunOptions(tmp_path))


@pytest.mark.parametrize(("precision", "expected"), [("float32", "32-true"), ("half", "bf16-mixed")])
def test_fabric_gets_device_and_precision_of_compute(precision: Precision, expected: str) -> None:
    fabric = make_fabric(Compute("cpu", precision))
    assert fabric.device == torch.device("cpu")
    assert fabric._precision.precision == expected


def test_training_in_half_precision_computes_other_losses(tmp_path: Path) -> None:
    run_training(make_task(), RECIPE, RunOptions(tmp_path / "float32"))
    run_training(make_task(), replace(RECIPE, precision="half"), RunOptions(tmp_path / "half"))
    assert losses(tmp_path / "float32") != losses(tmp_path / "half")


def test_a_run_without_a_terminal_prints_its_progress(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_training(make_task(), RECIPE, RunOptions(tmp_path, progress=True))
    first, last = capsys.readouterr().err.splitlines()
    assert first == "toy: 0/30 steps" and last.startswith("toy: 30/30 steps in ")


def test_learning_rate_of_the_paper() -> None:
    paper = Recipe().stage1.optimisation
    assert [learning_rate_factor(paper, e) for e in (0, 399.9, 400, 800, 1199)] == pytest.approx(
        [1, 1, 0.1, 0.01, 0.01]
    )
    second = Recipe().stage2.optimisation
    assert learning_rate_factor(second, 7.9) == 1 and learning_rate_factor(second, 8) == pytest.approx(0.1)


def test_cosine_warms_up_and_ends_at_zero() -> None:
    optimisation = Optimisation(epochs=20, schedule="cosine", warm_up=4)
    factors = [learning_rate_factor(optimisation, e / 10) for e in range(201)]
    assert factors[:41] == sorted(factors[:41]) and factors[41:] == sorted(factors[41:], reverse=True)
    assert factors[40] == pytest.approx(1) and factors[-1] == pytest.approx(0, abs=1e-9)
    assert factors[120] == pytest.approx(0.5 * (1 + math.cos(math.pi / 2)))


def test_a_run_that_diverges_stops_and_leaves_the_last_good_state(tmp_path: Path) -> None:
    task = replace(make_task(), describe=lambda step: f"numbers {step}")
    sound = task.loss
    calls: list[int] = []

    def loss(module: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, float]]:
        calls.append(len(calls))
        value, figures = sound(module, batch)
        return value * (math.nan if len(calls) == 8 else 1), figures

    options = RunOptions(tmp_path, checkpoint_seconds=0)
    with pytest.raises(TrainingError, match=r"loss is nan in step 7 .*learning rate .*numbers 7.*after step 6\."):
        run_training(replace(task, loss=loss), RECIPE, options)
    tensors, header = read_tensors(tmp_path / "toy.state.safetensors", STATE_KIND)
    assert json.loads(header["step"]) == 6
    assert all(tensor.isfinite().all() for tensor in tensors.values() if tensor.is_floating_point())
    # A run that is resumed from there computes what it would have computed without the fault.
    run_training(make_task(), RECIPE, options)
    run_training(make_task(), RECIPE, RunOptions(tmp_path / "whole"))
    logs = [(folder / "toy.metrics.jsonl").read_text() for folder in (tmp_path, tmp_path / "whole")]
    assert logs[0] == logs[1]


@pytest.mark.parametrize("rate", [1e30, 1e38])
def test_a_learning_rate_beyond_all_is_reported_before_anything_is_kept(tmp_path: Path, rate: float) -> None:
    task = make_task()
    task = replace(task, optimisation=replace(task.optimisation, learning_rate=rate))
    with pytest.raises(TrainingError, match=r"diverged: .*the last good state, after step 0"):
        run_training(task, RECIPE, RunOptions(tmp_path))
    tensors, _ = read_tensors(tmp_path / "toy.state.safetensors", STATE_KIND)
    assert all(tensor.isfinite().all() for tensor in tensors.values() if tensor.is_floating_point())
