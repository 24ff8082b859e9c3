"""Training in several processes, which talk through gloo on this machine, against training in one."""

from __future__ import annotations

import functools
import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import resight
from resight.data.transforms import prepare_clips
from resight.errors import RecipeError, TrainingError
from resight.models.aggregators import Learned
from resight.models.norm_calls import SharedBatchNorm
from resight.processes import ONE_PROCESS, Processes, joined_processes
from resight.recipe import ClipSpec, Optimisation, Recipe, Stage1, Stage2
from resight.tensor_files import read_tensors
from resight.tracklet import Dataset, Tracklet
from resight.training import loop, stage1_clips
from resight.training.launch import run_in_processes, split_devices
from resight.training.run_files import STATE_KIND

MakeTracklets = Callable[..., list[Tracklet]]
BATCH = Optimisation(epochs=3, learning_rate=1e-3, persons=2, tracklets=3, validate_every=2)
RECIPE = Recipe(
    clips=ClipSpec(length=2, count=2, height=32, width=16),
    stage1=Stage1(BATCH, encoder_width=0.125, triplet_weight=0.1, neck="before"),
    stage2=Stage2(replace(BATCH, margin=1.0), hidden=8, max_corrupted=1, variants=2, random_order=True),
    validation_share=0.3,
)


@pytest.fixture
def data(make_tracklets: MakeTracklets) -> Dataset:
    tracklets = make_tracklets(persons=7, tracklets=2)
    return Dataset("folder", tracklets[0].folder, tuple(tracklets), (), ())


def train_in_double_precision(encoder: Any, *rest: Any) -> tuple[Any, float]:
    """Train a clip encoder in double precision.

    BatchNorm of six small clips, hard triplets and Adam multiply every rounding error by about a hundred per step. In
    double precision a difference between runs is an error of the program.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage1_clips, "prepare_clips", lambda pixels: prepare_clips(pixels).double())
        torch.set_default_dtype(torch.float64)
        try:
            encoder, best = stage1_clips.train_encoder(encoder.double(), *rest)
        finally:
            torch.set_default_dtype(torch.float32)
    return encoder.float(), best


def train(say: object = None, *, die_at: int | None = None, **arguments: Any) -> None:
    """Train; of several processes, the second is killed before step `die_at` of stage 2."""
    step = loop._train_step

    def step_or_death(task: loop.Task, *rest: Any) -> dict[str, Any]:
        if die_at is not None and task.name == "stage2" and rest[4] == die_at and os.environ["RANK"] == "1":
            os.kill(os.getpid(), signal.SIGKILL)
        return step(task, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "_train_step", step_or_death)
        patch.setattr("resight.training.train.train_encoder", train_in_double_precision)
        if arguments["out"].name == "two":  # blocks are also computed again in the backward pass
            patch.setattr("resight.models.checkpointed.free_memory", lambda device: 1000)
        # Steps of Adam with this eps depend smoothly on gradients near 0.
        patch.setattr(torch.optim, "Adam", functools.partial(torch.optim.Adam, eps=1e-3))
        patch.setattr("resight.training.loop.time.monotonic", iter(range(10**9)).__next__)  # a checkpoint in every step
        patch.setattr(loop.RunOptions, "checkpoint_seconds", 0.0)
        resight.train(**arguments, progress=False)


def log_of(folder: Path, stage: str) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / f"{stage}.metrics.jsonl").read_text().splitlines()]


def assert_same_run(one: Path, other: Path) -> None:
    for stage in ("stage1", "stage2"):
        first, second = log_of(one, stage), log_of(other, stage)
        assert [line["step"] for line in first] == [line["step"] for line in second] == list(range(6))
        for key in ("loss", "active", "validation"):
            values = [np.array([line[key] for line in log if key in line]) for log in (first, second)]
            np.testing.assert_allclose(
                values[0], values[1], rtol=1e-6 if stage == "stage1" else 1e-4, err_msg=f"{stage} {key}"
            )
        states = [read_tensors(folder / f"{stage}.state.safetensors", STATE_KIND)[0] for folder in (one, other)]
        assert states[0].keys() == states[1].keys()
        for name, tensor in states[0].items():
            if name.startswith("module."):
                torch.testing.assert_close(tensor, states[1][name], rtol=1e-3, atol=1e-5, msg=f"{stage} {name}")


def test_two_processes_equal_one_and_a_run_continues_after_one_was_killed(data: Dataset, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    train(dataset=data, recipe=RECIPE, out=one, device="cpu")
    arguments: dict[str, Any] = {"dataset": data, "recipe": RECIPE, "device": "cpu", "out": two}
    with pytest.raises(TrainingError, match=r"process 1 of 2 was killed by signal 9 .* same command continues"):
        run_in_processes(train, arguments | {"die_at": 4}, 2, None)
    assert len(log_of(two, "stage1")) == 6 and len(log_of(two, "stage2")) == 4
    train(**arguments)  # the rest in one process
    assert_same_run(one, two)


def test_two_processes_encode_the_clips_of_every_step(data: Dataset, tmp_path: Path) -> None:
    recipe = replace(RECIPE, stage2=replace(RECIPE.stage2, variants=0))
    arguments: dict[str, Any] = {"dataset": data, "recipe": recipe, "device": "cpu"}
    train(**arguments, out=tmp_path / "one")
    run_in_processes(train, arguments | {"out": tmp_path / "two"}, 2, None)
    assert_same_run(tmp_path / "one", tmp_path / "two")


def network() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 5),
                         nn.BatchNorm1d(5, affine=False)).double()  # fmt: skip


def loss_of(features: Tensor) -> Tensor:
    """A loss that depends on every pair of rows."""
    return torch.cdist(features, features).pow(3).sum() + features.pow(2)[:, 0].sum()


def check_exchange(say: object) -> None:
    """Compare gradients, statistics and shares of three processes with those of one."""
    x = torch.randn(7, 3, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    whole, part = network(), network()
    torch.autograd.backward(loss_of(whole(x)))
    with joined_processes("cpu") as processes:
        assert processes.values(processes.rank) == [0, 1, 2]
        assert [processes.any(flag) for flag in (processes.rank == 1, False)] == [True, False]
        assert processes.from_first(lambda: processes.rank) == 0
        with pytest.raises(RecipeError, match="fault of the first"):
            processes.from_first(fault)
        own = x[processes.share(7)]
        assert [len(rows) for rows in processes.values(own)] == [2, 2, 3]
        with SharedBatchNorm(processes):
            features = part(own)
        torch.autograd.backward(loss_of(processes.gather(features, 7)))
        for (name, mine), expected in zip(part.named_parameters(), whole.parameters(), strict=True):
            assert mine.grad is not None and expected.grad is not None
            torch.testing.assert_close(processes.total(mine.grad) / 3, expected.grad, rtol=1e-9, atol=1e-9, msg=name)
        for (name, buffer), other in zip(part.named_buffers(), whole.buffers(), strict=True):
            torch.testing.assert_close(buffer, other, rtol=1e-9, atol=1e-12, msg=name)
        check_importance(processes)


def fault() -> None:
    raise RecipeError("fault of the first")


def check_importance(processes: Processes) -> None:
    """Compare steps of the importance network: similarities, gradients and statistics."""
    features = torch.randn(7, 3, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    runs = []
    for used in (ONE_PROCESS, processes):
        torch.manual_seed(4)
        aggregator = Learned(16, 8).double()
        aggregator.processes = used
        for step in range(4):  # the first steps normalise by their own batch
            torch.manual_seed(step)
            aggregator.zero_grad()
            similarities = aggregator(features, features)
            torch.autograd.backward(similarities[:, :2].pow(2).sum())
            gradients = [used.total(p.grad.clone()) / used.count for p in aggregator.parameters() if p.grad is not None]
        runs.append([similarities.detach(), *gradients, *aggregator.buffers()])
    assert len(runs[0]) > 10
    for one, several in zip(*runs, strict=True):
        torch.testing.assert_close(several, one, rtol=1e-7, atol=1e-10)


def test_gradients_and_statistics_of_three_processes_are_those_of_one() -> None:
    run_in_processes(check_exchange, {}, 3, None)


def raise_in_the_second(say: Callable[[str], None] | None) -> None:
    if say is not None:
        say("hello")
    with joined_processes("cpu") as processes:
        if processes.rank == 1:
            raise RecipeError("the reason")
        processes.wait()


def test_the_error_of_the_process_that_failed_is_reported_and_the_first_speaks() -> None:
    said: list[str] = []
    with pytest.raises(RecipeError, match="the reason"):
        run_in_processes(raise_in_the_second, {}, 2, said.append)
    assert said == ["hello"]


def test_a_batch_must_have_a_tracklet_for_every_process(data: Dataset, tmp_path: Path) -> None:
    task: Any = type("Task", (), {"optimisation": BATCH})
    with pytest.raises(RecipeError, match="7 processes cannot share a batch of 6 tracklets"):
        loop.run_training(task, RECIPE, loop.RunOptions(tmp_path, processes=Processes(count=7)))


def test_devices_are_a_number_and_a_kind() -> None:
    assert split_devices("4xcuda") == (4, "cuda") and split_devices("2xCPU") == (2, "cpu")
    assert split_devices("cuda:1") == (1, "cuda:1") and split_devices("auto") == (1, "auto")
    for wrong in ("0xcpu", "2xcuda:1", "3xfoo"):
        with pytest.raises(RecipeError, match="such as 4xcuda"):
            split_devices(wrong)
