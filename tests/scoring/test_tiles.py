import threading

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from resight.scoring.tiles import CACHE, THIN, tiling, work_off

some = st.integers(1, 10**7)


@given(
    total=some,
    working=some,
    more=some,
    each=some,
    fixed=some,
    budget=st.integers(0, 10**10),
    threads=st.integers(1, 64),
)
def test_tiles_fit_in_budget_and_cache(
    total: int, working: int, more: int, each: int, fixed: int, budget: int, threads: int
) -> None:
    held = working + more
    found = tiling(total, working=working, held=held, each=each, fixed=fixed, budget=budget, threads=threads)
    assert 1 <= found.workers <= threads and 1 <= found.pairs <= total
    alone = found.workers == found.pairs == 1
    assert alone or fixed + found.workers * (each + found.pairs * held) <= budget
    assert found.pairs == 1 or found.pairs * working <= CACHE


def test_work_is_shared_evenly() -> None:
    sizes = {"working": 16_384, "held": 300_000, "each": 2**22, "fixed": 2**24, "budget": 2**30}
    assert tiling(512, **sizes, threads=2).pairs == 256
    assert tiling(520, **sizes, threads=2).pairs == 130, "four tiles, not two and a small rest"
    assert tiling(10, **sizes, threads=4).pairs == 3
    scarce = tiling(10**6, **sizes | {"budget": 2**24 + 3 * (2**22 + THIN * 300_000)}, threads=16)
    assert scarce.workers == 3 and scarce.pairs == THIN


@pytest.fixture
def four_threads() -> object:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


def test_jobs_run_in_threads_that_use_one_core_each(four_threads: None) -> None:
    seen: set[tuple[int, int]] = set()
    told: list[int] = []
    meeting = threading.Barrier(3, timeout=30)

    def work(job: int) -> int:
        if job < 3:
            meeting.wait()  # fails unless three jobs run at once
        seen.add((threading.get_ident(), torch.get_num_threads()))
        return job

    work_off(work, range(20), 3, told.append)
    assert {cores for _, cores in seen} == {1} and len(seen) == 3
    assert told == sorted(told) and len(told) == 20 and told[-1] == sum(range(20))
    assert torch.get_num_threads() == 4
    later: list[int] = []
    thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert later == [4], "threads of the caller keep their cores"


def test_one_worker_runs_in_the_calling_thread(four_threads: None) -> None:
    seen = []

    def work(job: int) -> int:
        seen.append((threading.get_ident(), torch.get_num_threads()))
        return job

    work_off(work, range(3), 1)
    assert seen == [(threading.get_ident(), 4)] * 3


def test_an_error_in_a_job_is_raised_and_stops_the_work(four_threads: None) -> None:
    done = []

    def work(job: int) -> int:
        if job == 5:
            raise ValueError("five")
        done.append(job)
        return 1

    with pytest.raises(ValueError, match="five"):
        work_off(work, range(10**9), 2)
    assert len(done) < 100 and torch.get_num_threads() == 4
