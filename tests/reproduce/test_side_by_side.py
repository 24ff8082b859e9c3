from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path

import pytest
import torch

from resight.errors import RecipeError
from resight.reproduce.side_by_side import side_by_side


def facts(subject: Path, number: int) -> tuple[int, str, int]:
    return number, str(subject), torch.get_num_threads()


def wait_for_other(subject: Path, own: str, other: str) -> int:
    (subject / own).touch()
    while not (subject / other).exists():
        time.sleep(0.01)
    return os.getpid()


def fail(subject: Path) -> None:
    raise RecipeError("this task fails")


def test_every_task_gets_the_subject_and_its_share_of_the_cores(tmp_path: Path) -> None:
    found = sorted(side_by_side(tmp_path, [partial(facts, number=n) for n in range(5)], jobs=2))
    threads = max(1, (os.cpu_count() or 1) // 2)
    assert found == [(n, str(tmp_path), threads) for n in range(5)]


def test_two_tasks_run_at_once(tmp_path: Path) -> None:
    tasks = [partial(wait_for_other, own="a", other="b"), partial(wait_for_other, own="b", other="a")]
    assert len(set(side_by_side(tmp_path, tasks, jobs=2))) == 2


def test_what_a_task_raises_is_raised(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="this task fails"):
        list(side_by_side(tmp_path, [fail], jobs=1))
