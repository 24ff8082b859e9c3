"""Workers on a Ray cluster, or on this machine (extra ``cluster``): jobs are given out, and repeated if one is lost."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from resight.errors import ClusterError, ResightError
from resight.progress import note
from resight.words import counted

LOCAL = "local"
"""Instead of an address, here and for Ray: start workers on this machine only."""

AHEAD = 2
"""Jobs that a worker has at once: one that it does, and one that waits. No further result is kept, however slowly the
caller takes them."""

ATTEMPTS = 3
"""A job whose worker is lost so often is given up: it may be what ends the workers."""

_PATIENCE = 600
"""Seconds until the first worker must have started."""

HEALTH_CHECKS = {
    "health_check_initial_delay_ms": 30_000,
    "health_check_timeout_ms": 60_000,
    "health_check_failure_threshold": 10,
    "worker_niceness": 0,
}
"""Settings of Ray on a machine whose cores are all busy: a process that answers late is not taken for dead, and workers
get as much time as other programs, where Ray would let nearly all of them go first."""

_Item = TypeVar("_Item")


@dataclass(eq=False)
class Job(Generic[_Item]):
    """A call of a method of a worker.

    Attributes:
        item: By what the caller recognises the job.
        method: Name of the method.
        arguments: Its arguments; references to objects of Ray are replaced by the objects.
        losses: How many workers were lost while they did it.
    """

    item: _Item
    method: str
    arguments: tuple[Any, ...]
    losses: int = 0


@dataclass(frozen=True)
class Done(Generic[_Item]):
    """A job that is done, or given up.

    Attributes:
        item: That of the job.
        method: The method that was called.
        result: What it returned; None if the job was given up.
        given_up: Whether `ATTEMPTS` workers were lost while they did this job.
    """

    item: _Item
    method: str
    result: Any
    given_up: bool = False


class Workers:
    """Workers that do jobs, each with one core, or with one GPU.

    Args:
        ray: The module Ray, connected to a cluster.
        kind: Class of the workers.
        arguments: Arguments of its constructor.
        count: Number of workers.
        gpu: Whether each needs a GPU.

    Raises:
        ClusterError: If no worker can be started.
    """

    def __init__(self, ray: Any, kind: type, arguments: tuple[Any, ...], count: int, gpu: bool = False) -> None:
        self._ray = ray
        actor = ray.remote(num_cpus=1, num_gpus=int(gpu), max_restarts=0)(kind)
        self._start: Callable[[], list[Any]] = lambda: self._ready([actor.remote(*arguments) for _ in range(count)])
        self._alive = self._start()
        self._running: dict[Any, tuple[Any, Job[Any]]] = {}

    def do(
        self, jobs: Iterable[Job[_Item]], then: Callable[[Done[_Item]], Job[_Item] | None] | None = None
    ) -> Iterator[Done[_Item]]:
        """Do jobs, and yield what is done, in any order. The jobs of a lost worker are given to the others.

        Args:
            jobs: The jobs, taken when a worker is free.
            then: Returns the job that follows on one that is done, which is then not yielded; or None.

        Raises:
            ClusterError: If a worker failed by an unexpected error.
            ResightError: What a worker raised.
        """
        coming, waiting = iter(jobs), deque[Job[_Item]]()
        while True:
            for worker in self._free():
                job = waiting.popleft() if waiting else next(coming, None)
                if job is None:
                    break
                self._running[getattr(worker, job.method).remote(*job.arguments)] = worker, job
            if not self._running:
                return
            (call,), _ = self._ray.wait(list(self._running), num_returns=1)
            worker, job = self._running[call]
            try:
                done = Done(job.item, job.method, self._ray.get(call))
                del self._running[call]
            except self._ray.exceptions.RayTaskError as error:
                self._running.clear()
                raise _own(error) from error
            except self._ray.exceptions.RayError as error:
                lost = self._lose(worker)
                lost[0].losses += 1  # the others only waited
                note(f"a worker was lost ({type(error).__name__}); {counted(len(lost), 'blocks')} are done again")
                waiting.extendleft(job for job in reversed(lost) if job.losses < ATTEMPTS)
                if lost[0].losses == ATTEMPTS:
                    yield Done(lost[0].item, lost[0].method, None, given_up=True)
                if not self._alive:
                    self._alive = self._start()
                continue
            following = then(done) if then is not None else None
            if following is None:
                yield done
            else:
                waiting.appendleft(following)

    def stop(self) -> None:
        """End the workers now, so that others can have their cores."""
        for worker in self._alive:
            self._ray.kill(worker)
        self._alive = []

    def _free(self) -> Iterator[Any]:
        """Yield each worker as often as it can take a job; first those that have none."""
        for most in range(1, AHEAD + 1):
            for worker in self._alive:
                if sum(other is worker for other, _ in self._running.values()) < most:
                    yield worker

    def _lose(self, worker: Any) -> list[Job[Any]]:
        """Remove a worker, and return its jobs; it was doing the first."""
        self._alive = [other for other in self._alive if other is not worker]
        lost = [call for call, (other, _) in self._running.items() if other is worker]
        return [self._running.pop(call)[1] for call in lost]

    def _ready(self, started: list[Any]) -> list[Any]:
        """Return workers when at least one is ready; the others follow when the cluster has room."""
        done, _ = self._ray.wait([worker.__ray_ready__.remote() for worker in started], timeout=_PATIENCE)
        if not done:
            raise ClusterError(
                f"the cluster started no worker within {_PATIENCE} s: it needs a free core or GPU for each"
            )
        try:
            self._ray.get(done)
        except self._ray.exceptions.RayError as error:
            # The last line names what the constructor raised; the others are where.
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            raise ClusterError(f"a worker cannot start: {lines[-1] if lines else type(error).__name__}") from error
        return started


def _own(error: Any) -> ResightError:
    return error.cause if isinstance(error.cause, ResightError) else ClusterError(f"a worker failed: {error}")


@contextmanager
def connected(cluster: str, workers: int | None = None) -> Iterator[tuple[Any, int]]:
    """Connect to a cluster; a local one ends with the context.

    Args:
        cluster: Address of a Ray cluster, or ``local``.
        workers: Number of workers to start; None: one for each core of the cluster.

    Yields:
        The module Ray, and the number of workers.

    Raises:
        ClusterError: If Ray is not installed, or the cluster cannot be reached.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere
    try:
        import ray
    except ImportError as error:
        raise ClusterError("--cluster needs Ray: pip install 'resight[cluster]'") from error
    own = not ray.is_initialized()  # else the program that uses this package has started it
    if own:
        _connect(ray, cluster, workers)
    try:
        untyped: Any = ray
        yield ray, workers or max(1, int(untyped.cluster_resources().get("CPU", 1)))
    finally:
        if own:
            ray.shutdown()


def _connect(ray: Any, cluster: str, workers: int | None) -> None:
    if cluster == LOCAL:
        _start_local(ray, workers)
        return
    try:
        ray.init(address=cluster, log_to_driver=False, logging_level=logging.CRITICAL)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise ClusterError(
            f"cannot reach a Ray cluster at {cluster!r} ({_first_line(error)}): expected its address, such as "
            "10.0.0.5:6379, or local"
        ) from error


def _start_local(ray: Any, workers: int | None) -> None:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            ray.init(
                address=LOCAL,  # else Ray connects to any cluster that it finds on this machine
                num_cpus=workers, include_dashboard=False, _node_ip_address="127.0.0.1", log_to_driver=False,
                logging_level=logging.CRITICAL, _system_config=HEALTH_CHECKS,
            )  # fmt: skip
            return
        except Exception as error:  # Ray raises a plain Exception if it has not started within 30 s
            ray.shutdown()
            if attempt == ATTEMPTS:
                raise ClusterError(
                    f"Ray does not start on this machine ({_first_line(error)}): if other programs use all cores, try "
                    "again when they have ended, or omit --cluster"
                ) from error


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
