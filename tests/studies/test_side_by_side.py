from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch

from resight.errors import RecipeError
from resight.studies.side_by_side import side_by_side


def facts(subject: Path, number: int) -> tuple[int, str, int]:
    return number, str(subject), torch.get_num_threads()


def wait_for_other(subject: Path, own: str, other: str) -> int:
    (subject / own).touch()
    while not (subject / other).exists():
        time.sleep(0.01)
    return os.getpid()


def fail(subject: Path) -> None:
    raise RecipeError("this task fails")


def test_each_task_gets_the_subject_and_its_share_of_the_cores(tmp_path: Path) -> None:
    found = sorted(side_by_side(tmp_path, [partial(facts, number=n) for n in range(5)], jobs=2))
    threads = max(1, (os.cpu_count() or 1) // 2)
    assert found == [(n, str(tmp_path), threads) for n in range(5)]


def test_two_tasks_run_at_once(tmp_path: Path) -> None:
    tasks = [partial(wait_for_other, own="a", other="b"), partial(wait_for_other, own="b", other="a")]
    assert len(set(side_by_side(tmp_path, tasks, jobs=2))) == 2


def test_an_exception_of_a_task_is_raised(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="this task fails"):
        list(side_by_side(tmp_path, [fail], jobs=1))


def wait_for_ever(subject: Path) -> None:
    (subject / "pid").write_text(str(os.getpid()))
    time.sleep(600)


def wait_in_another(folder: Path) -> None:
    list(side_by_side(folder, [wait_for_ever], jobs=1))


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_workers_end_with_their_parent_process(tmp_path: Path) -> None:
    parent = multiprocessing.get_context("spawn").Process(target=wait_in_another, args=(tmp_path,))
    parent.start()
    pid = tmp_path / "pid"
    wait_until(lambda: pid.is_file() and pid.read_text() != "")
    parent.kill()
    parent.join()
    wait_until(lambda: not is_running(int(pid.read_text())))


def wait_until(holds: Callable[[], bool]) -> None:
    for _ in range(6000):
        if holds():
            return
        time.sleep(0.01)
    raise AssertionError("a minute was not enough")


def is_running(pid: int) -> bool:
    state = Path(f"/proc/{pid}/stat")
    return state.is_file() and state.read_text().split()[2] != "Z"
