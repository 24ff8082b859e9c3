"""Several processes at once, each with its own share of the cores.

A small training does not fill two cores: two of them side by side, with one thread each, take two thirds of the time
that they take one after the other with two threads.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any, TypeVar

import torch

T = TypeVar("T")
R = TypeVar("R")

_told: list[Any] = []
"""What this process works with."""


def side_by_side(subject: T, tasks: Sequence[Callable[[T], R]], jobs: int) -> Iterator[R]:
    """What each task makes of the subject, as they end; they are begun in their order.

    Args:
        subject: pickled once for each process, which keeps it from task to task.
        tasks: to be pickled, too.
        jobs: processes; each has as many threads as there are cores for it, one at least.

    Raises:
        Exception: what the first task that fails raises; those not begun are left.
    """
    threads = max(1, (os.cpu_count() or 1) // jobs)
    pool = ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), _begin, (subject, threads))
    try:
        for future in as_completed([pool.submit(_do, task) for task in tasks]):
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(subject: object, threads: int) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    _told[:] = [subject]


def _do(task: Callable[[Any], R]) -> R:
    return task(_told[0])


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for its next task for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
