"""Jobs of workers, given out by hand: which are repeated, and which are given up."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from resight.cluster import AHEAD, ATTEMPTS, LOCAL, Done, Job, Workers, connected
from resight.errors import ClusterError, GalleryError


class RayError(Exception):
    """A worker was lost."""


class RayTaskError(RayError):
    """A worker raised."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


class Handle:
    """An actor whose calls run when their results are asked for."""

    def __init__(self, worker: Any) -> None:
        self._worker = worker
        self.__ray_ready__ = SimpleNamespace(remote=lambda: lambda: None)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._worker, name)
        return SimpleNamespace(remote=lambda *arguments: lambda: method(*arguments))


def fake_ray(most: list[int]) -> Any:
    """Return what stands for Ray: it does the call that was made first, and notes how many wait at once."""

    def wait(calls: list[Callable[[], Any]], **options: Any) -> Any:
        most.append(len(calls))
        return [calls[0]], calls[1:]

    def get(call: Any) -> Any:
        return [get(each) for each in call] if isinstance(call, list) else call()

    def start(kind: type, *arguments: Any) -> Any:
        try:
            return Handle(kind(*arguments))
        except GalleryError as error:
            message = f"The actor died in its creation task\n  File ...\nresight.errors.GalleryError: {error}\n"
            return SimpleNamespace(__ray_ready__=SimpleNamespace(remote=lambda: lambda: lose(message)))

    def remote(**options: Any) -> Any:
        return lambda kind: SimpleNamespace(remote=lambda *arguments: start(kind, *arguments))

    return SimpleNamespace(
        remote=remote, wait=wait, get=get, exceptions=SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)
    )


def lose(message: str) -> None:
    raise RayError(message)


class Unwilling:
    """A worker that cannot start."""

    def __init__(self) -> None:
        raise GalleryError("another model")


class Doubler:
    """Doubles numbers; a worker that doubles a number of `deadly` is lost, and is lost for good."""

    def __init__(self, deadly: list[int]) -> None:
        self.deadly, self.dead = deadly, False

    def double(self, number: int) -> int:
        if self.dead or number in self.deadly:
            if number in self.deadly:
                self.deadly.remove(number)
            self.dead = True
            raise RayError("lost")
        return 2 * number

    def fail(self, cause: Exception) -> None:
        raise RayTaskError(cause)


def test_a_lost_worker_costs_only_the_jobs_that_it_had(capsys: pytest.CaptureFixture[str]) -> None:
    waiting: list[int] = []
    workers = Workers(fake_ray(waiting), Doubler, ([4],), 2)
    done = list(workers.do(Job(n, "double", (n,)) for n in range(10)))
    assert sorted((each.item, each.result) for each in done) == [(n, 2 * n) for n in range(10)]
    assert max(waiting) == 2 * AHEAD, "more jobs were given out than workers can take"
    assert "a worker was lost (RayError); 2 blocks are done again" in capsys.readouterr().err


def test_all_workers_may_be_lost_but_one_job_ends_at_most_three() -> None:
    workers = Workers(fake_ray([]), Doubler, ([3] * 100,), 1)
    done = list(workers.do(Job(n, "double", (n,)) for n in range(6)))
    assert [each.item for each in done if each.given_up] == [3]
    assert sorted(each.result for each in done if not each.given_up) == [0, 2, 4, 8, 10]
    assert ATTEMPTS == 3


def test_a_job_can_be_followed_by_another() -> None:
    def again(done: Done[int]) -> Job[int] | None:
        return Job(done.item, "double", (done.result,)) if done.result < 50 else None

    workers = Workers(fake_ray([]), Doubler, ([],), 2)
    assert sorted(each.result for each in workers.do([Job(n, "double", (n,)) for n in (3, 7)], again)) == [56, 96]


def test_errors_of_a_worker_are_raised() -> None:
    for cause, expected in ((GalleryError("another model"), GalleryError), (ValueError("odd"), ClusterError)):
        workers = Workers(fake_ray([]), Doubler, ([],), 1)
        with pytest.raises(expected, match=str(cause)):
            list(workers.do([Job(0, "fail", (cause,))]))


def test_a_worker_that_cannot_start_says_why() -> None:
    with pytest.raises(ClusterError, match=r"^a worker cannot start: resight\.errors\.GalleryError: another model$"):
        Workers(fake_ray([]), Unwilling, (), 2)


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(ClusterError, match=r"resight\[cluster\]"), connected(LOCAL):
        raise AssertionError
