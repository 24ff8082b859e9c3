"""Run tasks in several processes, each with its share of the cores.

A small training run does not use two cores well: two runs in parallel with one thread each take two thirds of the time
of two runs in sequence with two threads.
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

_subject: list[Any] = []
"""The subject of this worker process."""


def side_by_side(subject: T, tasks: Sequence[Callable[[T], R]], jobs: int) -> Iterator[R]:
    """Apply tasks to a subject in several processes; yield the results in the order of completion.

    Args:
        subject: Pickled once for each process, which keeps it between tasks.
        tasks: Picklable functions of the subject, started in this order.
        jobs: Number of processes. Each uses its share of the cores, at least one thread.

    Raises:
        Exception: If a task fails, its exception; tasks that have not started are cancelled.
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
    _subject[:] = [subject]


def _do(task: Callable[[Any], R]) -> R:
    return task(_subject[0])


def _end_with_parent() -> None:
    """Exit when the parent process ends; otherwise a worker whose parent was killed would wait forever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
