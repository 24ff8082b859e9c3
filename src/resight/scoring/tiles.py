"""How a large piece of work is cut into tiles, and how one tile a core is worked on."""

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
"""Bytes of working memory of one tile: about what a core has of second-level cache and of its share of the third."""

THIN = 32
"""Tracklet pairs below which a matrix product is far from its full rate."""

_Job = TypeVar("_Job")
_starting = threading.Lock()


@dataclass(frozen=True)
class Tiling:
    """How many tiles are worked on at once, and how many tracklet pairs each has at most."""

    workers: int
    pairs: int


def tiling(total: int, *, working: int, held: int, each: int, fixed: int, budget: int, threads: int) -> Tiling:
    """Tiles that stay in the cache, within the budget, and as many at once as there are threads.

    Args:
        total: number of tracklet pairs.
        working: bytes per tracklet pair that every step goes through.
        held: bytes per tracklet pair that a tile takes in all.
        each: bytes that a tile takes whatever its size.
        fixed: bytes that all tiles share.
        budget: bytes that all may take; one tile of one pair is made, whatever it says.
        threads: number of tiles that may be worked on at once.
    """
    # Rather fewer tiles at once than tiles too thin for the matrix product.
    workers = max(1, min(threads, total, (budget - fixed) // (each + THIN * held)))
    pairs = max(1, min(CACHE // working, ((budget - fixed) // workers - each) // held))
    rounds = math.ceil(total / (workers * pairs))
    return Tiling(workers, max(1, math.ceil(total / (workers * rounds))) if total else 1)


def work_off(
    work: Callable[[_Job], int], jobs: Iterable[_Job], workers: int, done: Callable[[int], None] | None = None
) -> None:
    """Do all jobs, several at once, each in one thread.

    Args:
        work: does one job and returns its size.
        jobs: taken one by one, as they are needed.
        workers: how many at once; 1 is in this thread, with all its cores for each job.
        done: called in this thread after each job with the sum of the sizes so far.
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
    """Threads in each of which torch uses one core.

    Cores that share a product wait for each other after each of thousands of operations, and when one of them is busy
    elsewhere, all wait. torch's number of threads belongs to the thread that sets it; that of threads still to come
    changes with it, and is set right at once.
    """
    with ThreadPoolExecutor(workers) as pool:
        with _starting:
            threads = torch.get_num_threads()
            started = threading.Barrier(workers + 1)

            def start() -> None:
                torch.get_num_threads()  # else torch takes the number of new threads at its first operation here
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
