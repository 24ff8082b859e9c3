"""Division of work into tiles, and execution of one tile per core."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch

CACHE = 4 * 2**20
"""Working memory of one tile in bytes: roughly a core's second-level cache and its share of the third-level cache."""

THIN = 32
"""Number of tracklet pairs below which a matrix product is far from its full rate."""

_Job = TypeVar("_Job")
_starting = threading.Lock()


@dataclass(frozen=True)
class Tiling:
    """Division of work into tiles.

    Attributes:
        workers: Tiles that are processed at once.
        pairs: Tracklet pairs per tile, at most.
    """

    workers: int
    pairs: int


def tiling(total: int, *, working: int, held: int, each: int, fixed: int, budget: int, threads: int) -> Tiling:
    """Return tiles that fit in the cache and in the memory budget, with one tile per thread.

    Args:
        total: Number of tracklet pairs.
        working: Bytes per tracklet pair that every step passes over.
        held: Bytes per tracklet pair that a tile needs in total.
        each: Bytes that a tile needs regardless of its size.
        fixed: Bytes shared by all tiles.
        budget: Memory budget in bytes; a tile has at least one pair, whatever the budget.
        threads: Largest number of tiles to process at once.
    """
    # Prefer fewer tiles at once to tiles that are too thin for the matrix product.
    workers = max(1, min(threads, total, (budget - fixed) // (each + THIN * held)))
    pairs = max(1, min(CACHE // working, ((budget - fixed) // workers - each) // held))
    rounds = math.ceil(total / (workers * pairs))
    return Tiling(workers, max(1, math.ceil(total / (workers * rounds))) if total else 1)


def work_off(
    work: Callable[[_Job], int], jobs: Iterable[_Job], workers: int, done: Callable[[int], None] | None = None
) -> None:
    """Do all jobs, several at once, each in one thread.

    Args:
        work: Function that does one job and returns its size.
        jobs: Jobs; taken from the iterable as they are needed.
        workers: Number of jobs at once; with 1, jobs run in this thread, each with all cores.
        done: Called in this thread after each job with the sum of the sizes so far.
    """
    total = 0
    for size in map(work, jobs) if workers == 1 else _finished(work, jobs, workers):
        total += size
        if done is not None:
            done(total)


def _finished(work: Callable[[_Job], int], jobs: Iterable[_Job], workers: int) -> Iterator[int]:
    with _single_threaded(workers) as pool:
        running: set[Future[int]] = set()
        for job in jobs:
            running.add(pool.submit(work, job))
            if len(running) == 2 * workers:
                finished, running = wait(running, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in finished)
        while running:
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in finished)


@contextmanager
def _single_threaded(workers: int) -> Iterator[ThreadPoolExecutor]:
    """A pool of threads in each of which torch uses one core.

    Cores that share a product wait for each other after each of thousands of operations, and if one of them is
    interrupted, all wait. Each thread has its own number of torch threads, but setting it also changes the default for
    threads started later. Therefore the original number is set again as soon as the pool has started.
    """
    with ThreadPoolExecutor(workers) as pool:
        with _starting:
            threads = torch.get_num_threads()
            started = threading.Barrier(workers + 1)

            def start() -> None:
                torch.get_num_threads()  # otherwise the first operation in this thread resets it to the default
                torch.set_num_threads(1)
                started.wait()

            for _ in range(workers):
                pool.submit(start)
            started.wait()
            torch.set_num_threads(threads)
        try:
            yield pool
        finally:
            pool.shutdown(cancel_futures=True)
