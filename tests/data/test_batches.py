from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset

from resight.data import batches
from resight.data.batches import (
    BatchPlan,
    ClipBatches,
    copy_ahead,
    load_batches,
)
from resight.errors import DatasetError
from resight.recipe import ClipSpec, Optimisation, Stage1
from resight.tracklet import DISTRACTOR, JUNK, Tracklet

MakeTracklets = Callable[..., list[Tracklet]]


def tracklets(persons: int, each: int) -> list[Tracklet]:
    return [
        Tracklet(f"{p}-{n}", p, 1 + n % 2, Path("nowhere"), ("1.jpg",))
        for p in (JUNK, DISTRACTOR, *range(5, 5 + persons))
        for n in range(each)
    ]


def test_an_epoch_draws_each_person_once_and_k_tracklets_of_each() -> None:
    data = tracklets(persons=11, each=6)
    plan = BatchPlan(data, Optimisation(persons=4, tracklets=3, epochs=5), seed=0)
    assert plan.steps_per_epoch == 2 and plan.n_steps == 10
    for epoch in range(5):
        drawn = [data[i] for step in range(2) for i in plan.batch(2 * epoch + step)]
        persons = [t.person for t in drawn]
        assert len(set(persons)) == 8 and min(persons) > DISTRACTOR
        assert all(persons.count(p) == 3 for p in persons)
        assert len({t.id for t in drawn}) == 24  # no repetition if there are enough tracklets
    assert plan.batch(0) != plan.batch(2)


def test_a_person_with_few_tracklets_repeats_them() -> None:
    data = tracklets(persons=2, each=3)
    plan = BatchPlan(data, Optimisation(persons=2, tracklets=4), seed=0)
    drawn = [data[i] for i in plan.batch(0)]
    for person in {t.person for t in drawn}:
        own = [t.id for t in drawn if t.person == person]
        assert len(own) == 4 and len(set(own)) == 3


def test_successive_persons_stay_together_in_groups_that_differ_by_epoch() -> None:
    data = tracklets(persons=13, each=2)
    plan = BatchPlan(data, Optimisation(persons=13, tracklets=2, together=3, epochs=8), seed=0)
    begins = set()
    for step in range(8):
        drawn = [int(plan.targets[i]) for i in plan.batch(step)[::2]]
        assert sorted(drawn) == list(range(13))
        runs = [own for before, own in zip([-1, *drawn], drawn, strict=False) if (before + 1) % 13 != own]
        assert len(runs) <= 5, "four of three, and one left over"
        begins |= {own % 3 for own in runs}
    assert len(begins) > 1


def test_targets_number_the_persons() -> None:
    data = tracklets(persons=3, each=2)
    plan = BatchPlan(data, Optimisation(persons=2, tracklets=2), seed=0)
    assert plan.targets.tolist() == [-1, -1, -1, -1, 0, 0, 1, 1, 2, 2]


def test_a_batch_depends_only_on_the_step(make_tracklets: MakeTracklets) -> None:
    data = make_tracklets(persons=4, frames=9)
    plan = BatchPlan(data, Optimisation(persons=2, tracklets=2), seed=3)
    spec = ClipSpec(length=2, count=3, height=32, width=16)
    clips = ClipBatches(data, plan, spec, Stage1(), max_corrupted=2)
    pixels, targets = clips[5]
    assert pixels.shape == (4, 3, 2, 32, 16, 3) and targets.shape == (4,)
    clips[1]
    assert (ClipBatches(data, plan, spec, Stage1(), max_corrupted=2)[5][0] == pixels).all()


def test_too_few_persons_is_an_error() -> None:
    with pytest.raises(DatasetError, match="3 persons"):
        BatchPlan(tracklets(persons=3, each=2), Optimisation(persons=4), seed=0)


CPU = torch.device("cpu")


def test_any_number_of_processes_gives_the_same_batches(make_tracklets: MakeTracklets) -> None:
    data = make_tracklets(persons=4, frames=5)
    plan = BatchPlan(data, Optimisation(persons=2, tracklets=2, epochs=3), seed=1)
    spec = ClipSpec(length=2, count=2, height=32, width=16)
    clips = ClipBatches(data, plan, spec, Stage1(colour=0.2), max_corrupted=1)
    alone = list(load_batches(clips, range(1, 6), CPU))
    assert len(alone) == 5
    for workers in (1, 2):
        together = list(load_batches(clips, range(1, 6), CPU, workers))
        for (pixels, targets), (others, same) in zip(alone, together, strict=True):
            assert torch.equal(pixels, others) and torch.equal(targets, same)
            assert others.dtype == torch.uint8 and others.untyped_storage().is_shared()


class Threads(Dataset[Tensor]):
    """Items: the number of threads of the worker process, and its id."""

    def __getitem__(self, index: int) -> Tensor:
        return torch.tensor([torch.get_num_threads(), os.getpid()])


def test_each_process_decodes_with_one_thread_and_ends_when_the_loop_is_left() -> None:
    loaded = load_batches(Threads(), range(1000), CPU, 2)
    seen = [next(loaded).tolist() for _ in range(4)]
    assert [threads for threads, _ in seen] == [1, 1, 1, 1]
    assert len({process for _, process in seen} - {os.getpid()}) == 2
    loaded.close()  # type: ignore[attr-defined]
    assert not multiprocessing.active_children()


SCRIPT = """
import os, sys, torch
import torch.utils.data._utils.worker as worker
from resight.data.batches import load_batches
worker.MP_STATUS_CHECK_INTERVAL = 0.2  # seconds between two checks of the parent process

class Processes(torch.utils.data.Dataset):
    def __getitem__(self, index):
        return torch.tensor(os.getpid())

for batch in load_batches(Processes(), range(10**9), torch.device("cpu"), 2):
    print(int(batch), flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_loop_leaves_no_process(number: signal.Signals) -> None:
    loop = subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert loop.stdout is not None and loop.stderr is not None
    workers = {int(loop.stdout.readline()) for _ in range(4)}
    assert len(workers) == 2 and all(alive(worker) for worker in workers)
    if number is signal.SIGINT:
        os.killpg(loop.pid, number)  # like Ctrl-C in a terminal, which signals all processes of the group
    else:
        os.kill(loop.pid, number)
    loop.stdout.close()
    errors = loop.stderr.read()
    loop.stderr.close()
    assert loop.wait(60) != 0
    assert errors.count("Traceback") <= 1  # from the loop, none from a worker
    deadline = time.monotonic() + 60
    while any(alive(worker) for worker in workers):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{process}/stat")
    return not (status.exists() and ") Z " in status.read_text())


def test_the_next_batch_is_copied_before_the_current_one_is_used() -> None:
    done: list[str] = []

    def source() -> Iterator[tuple[Tensor, Tensor]]:
        for n in range(3):
            done.append(f"read {n}")
            yield torch.full((n + 1,), n), torch.zeros(n)

    # The meta device copies nothing, but uses the code path of a GPU.
    for n, (pixels, targets) in enumerate(copy_ahead(source(), torch.device("meta"))):
        assert pixels.device.type == targets.device.type == "meta"
        assert pixels.shape == (n + 1,) and targets.shape == (n,)
        done.append(f"use {n}")
    assert done == ["read 0", "read 1", "use 0", "read 2", "use 1", "use 2"]
    assert [b.device.type for b in copy_ahead([torch.zeros(1)], torch.device("meta"))] == ["meta"]
    assert list(copy_ahead(iter(list[Tensor]()), torch.device("meta"))) == []


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_memory_is_pinned_only_for_a_gpu(monkeypatch: pytest.MonkeyPatch, device: str) -> None:
    asked: dict[str, Any] = {}

    def loader(dataset: Dataset[Tensor], **options: Any) -> list[Tensor]:
        asked.update(options)
        return []

    monkeypatch.setattr(batches, "DataLoader", loader)
    assert list(load_batches(Threads(), range(3), torch.device(device), 2)) == []
    assert asked["pin_memory"] == (device == "cuda") and asked["num_workers"] == 2


def test_interrupts_are_held_while_workers_start() -> None:
    with batches._interrupts_held():
        assert signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
