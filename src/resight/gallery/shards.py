"""Search a gallery whose tracklets are divided among workers of a Ray cluster, each with one shard.

A shard holds the facts and means of its tracklets, and reads clip features from the Lance table when it compares them.
The result is that of a search on one machine:

* With a shortlist, every shard lists its tracklets with the most similar means. The best of all lists are the
  shortlist, and each shard compares its own tracklets on it.
* An exact search compares what bounds do not rule out. The k best similarities of all shards so far are kept by one
  more worker, so that a good answer of one shard spares work in the others.

A shard that is lost is made again from the table, and asked again. If this takes too long, the answers are those of the
other shards, and say so.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resight.compute import Compute
from resight.errors import ClusterError, ResightError
from resight.gallery.describe import unit_mean
from resight.gallery.lance_store import LanceStore
from resight.gallery.search import Candidate, Candidates, Floor, search_all, search_listed
from resight.gallery.types import Filter
from resight.models.aggregators import Aggregator
from resight.progress import note

STRIPE = 256
"""Tracklets with neighbouring numbers that belong to one shard. The next ones belong to the next shard, so that all
shards grow, and a tracklet never changes its shard."""

PATIENCE = 60.0
"""Seconds that a search waits for a shard, also for one that is made again."""

_FLOOR_PATIENCE = 5.0
"""Seconds that a shard waits for the floor of all shards, before it goes on with its own."""

_SEARCHES = 16
"""Searches whose floors are kept."""

ATTEMPTS = 3
"""How often a shard is lost in one search before the search goes on without it."""

START = 600.0
"""Seconds until all shards must have started."""

Numbered = tuple[Candidate, int]
"""A candidate, and its number in the gallery, by which equal similarities are ordered."""


@dataclass(frozen=True)
class Part:
    """The answer of a shard.

    Attributes:
        best: Its best candidates.
        scored: Number of tracklets that it compared by their clip pairs.
        searched: Number of its tracklets that meet the conditions.
    """

    best: tuple[Numbered, ...]
    scored: int
    searched: int


class Shard:
    """One shard of a gallery; an actor of Ray.

    Args:
        address: The gallery.
        number: Number of the shard, from 0.
        count: Number of shards.
        aggregator: Aggregator in evaluation mode.
        compute: Device and precision.
    """

    def __init__(self, address: str, number: int, count: int, aggregator: Aggregator, compute: Compute) -> None:
        self._address, self._mine = address, partial(belongs, shard=number, shards=count)
        self._aggregator, self._compute = aggregator, compute

    @cached_property
    def _store(self) -> LanceStore:
        """The gallery; opened by the first call, because Ray does not pass on what a constructor raises."""
        return LanceStore(self._address, mine=self._mine)

    def load(self) -> int:
        """Read the means, and return the number of tracklets."""
        return len(self._store.means()[0])

    def nearest(self, mean: NDArray[np.float32], size: int, where: Filter) -> list[tuple[float, int, str]]:
        """Return minus the cosine, the number and the id of the tracklets with the most similar means."""
        ids, cosines = self._store.nearest(mean[None], size, where)[0]
        return sorted(zip((-cosines).tolist(), self._store.numbers(ids), ids, strict=True))

    def compare(self, query: NDArray[np.float32], ids: Sequence[str], k: int, where: Filter) -> Part:
        """Return the best of some of its tracklets."""
        found = search_listed(self._store, query, ids, self._aggregator, k, self._compute)
        return self._part(found, where)

    def search(self, query: NDArray[np.float32], where: Filter, shared: SharedFloor) -> Part:
        """Return the best of all its tracklets."""
        floor = _OwnAndShared(shared)
        found = search_all(self._store, query, self._aggregator, shared.k, where, self._compute, floor)
        return self._part(found, where)

    def _part(self, found: Candidates, where: Filter) -> Part:
        numbers = self._store.numbers([candidate.tracklet.id for candidate in found.best])
        return Part(tuple(zip(found.best, numbers, strict=True)), found.scored, self._store.count(where))


class Floors:
    """The floors of the latest searches; an actor of Ray. If it is made again, floors begin anew, which is correct."""

    def __init__(self) -> None:
        self._floors: dict[int, Floor] = {}

    def raise_by(self, search: int, k: int, found: Mapping[str, float]) -> float:
        """Raise the floor of a search, see `Floor.raise_by`."""
        if search not in self._floors:
            self._floors = dict([*self._floors.items()][-_SEARCHES:])
        return self._floors.setdefault(search, Floor(k)).raise_by(found)


@dataclass(frozen=True)
class SharedFloor:
    """Where the floor of one search is: it is raised by the answers of all shards.

    Attributes:
        floors: The actor.
        search: Number of the search.
        k: Number of answers.
    """

    floors: Any
    search: int
    k: int


class _OwnAndShared(Floor):
    def __init__(self, shared: SharedFloor) -> None:
        super().__init__(shared.k)
        self._shared = shared

    def raise_by(self, found: Mapping[str, float]) -> float:
        import ray

        own, shared = super().raise_by(found), self._shared
        try:
            call = shared.floors.raise_by.remote(shared.search, shared.k, dict(found))
            return max(own, float(ray.get(call, timeout=_FLOOR_PATIENCE)))
        except ray.exceptions.RayError:
            return own  # this shard compares more than it needs to


class Shards:
    """The shards of a gallery, on a cluster.

    Args:
        ray: The module Ray, connected to a cluster.
        address: The gallery, which all machines of the cluster can read under this address.
        count: Number of shards; each takes one core, or one GPU.
        aggregator: Aggregator in evaluation mode.
        compute: Device and precision of the shards.
        patience: Seconds that a search waits for a shard.

    Raises:
        ClusterError: If the shards cannot be started.
        ResightError: If they cannot read the gallery.
    """

    def __init__(
        self, ray: Any, address: str, count: int, aggregator: Aggregator, compute: Compute, patience: float = PATIENCE
    ) -> None:
        self._ray, self._count, self._patience = ray, count, patience
        self._searches = itertools.count()
        self._floors = ray.remote(Floors).options(num_cpus=0, max_restarts=-1).remote()
        model = ray.put(aggregator)
        self._make: Callable[[int, int], Any] = lambda number, cores: (
            ray.remote(Shard)
            .options(num_cpus=cores, num_gpus=int(compute.device.startswith("cuda")), scheduling_strategy="SPREAD")
            .remote(address, number, count, model, compute)
        )
        self._shards = [self._make(number, 1) for number in range(count)]
        loaded = self._ask({n: lambda shard: shard.load.remote() for n in range(count)}, START)
        if len(loaded) < count:
            raise ClusterError(
                f"{len(loaded)} of {count} shards started within {START:g} s: each needs a free core or GPU, and must "
                f"reach {address}"
            )

    def search(self, query: NDArray[np.float32], k: int, *, where: Filter, shortlist: int | None) -> Candidates:
        """Return the k best tracklets of all shards, see `search_store`.

        Raises:
            ResightError: What a shard raised.
        """
        if shortlist is None:
            parts = self._all(query, k, where, range(self._count))
            if len(parts) < self._count:  # what the lost shards found may have ruled out answers of the others
                parts = self._all(query, k, where, parts)
        else:
            parts = self._shortlisted(query, k, where, max(shortlist, k))
        best = sorted((pair for part in parts.values() for pair in part.best), key=_by_similarity)[:k]
        return Candidates(
            tuple(candidate for candidate, _ in best), sum(part.scored for part in parts.values()),
            sum(part.searched for part in parts.values()), (len(parts), self._count),
        )  # fmt: skip

    def _all(self, query: NDArray[np.float32], k: int, where: Filter, numbers: Iterable[int]) -> dict[int, Part]:
        shared = SharedFloor(self._floors, next(self._searches), k)
        return self._ask({n: lambda shard: shard.search.remote(query, where, shared) for n in numbers}, self._patience)

    def _shortlisted(self, query: NDArray[np.float32], k: int, where: Filter, size: int) -> dict[int, Part]:
        mean = unit_mean(query)
        lists = self._ask(
            {n: lambda shard: shard.nearest.remote(mean, size, where) for n in range(self._count)}, self._patience
        )  # fmt: skip
        listed = sorted((*item, number) for number, items in lists.items() for item in items)[:size]
        ids: dict[int, list[str]] = {number: [] for number in lists}
        for _, _, id_, number in listed:
            ids[number].append(id_)
        return self._ask(
            {n: partial(_compare, query=query, ids=ids[n], k=k, where=where) for n in lists}, self._patience
        )  # fmt: skip

    def _ask(self, calls: dict[int, Callable[[Any], Any]], patience: float) -> dict[int, Any]:
        """Call shards by their number, and return what those return that answer in time."""
        until = time.monotonic() + patience
        running = {call(self._shards[number]): number for number, call in calls.items()}
        answers: dict[int, Any] = {}
        losses: dict[int, int] = {}
        while running and (left := until - time.monotonic()) > 0:
            done, _ = self._ray.wait(list(running), timeout=left)
            for reference in done:
                number = running.pop(reference)
                try:
                    answers[number] = self._ray.get(reference)
                except self._ray.exceptions.RayError as error:
                    cause = getattr(error, "cause", None)  # what the shard raised, also when it started
                    if isinstance(cause, ResightError):
                        raise cause from error
                    if isinstance(error, self._ray.exceptions.RayTaskError):
                        raise ClusterError(f"shard {number + 1} failed: {cause!r}") from error
                    losses[number] = losses.get(number, 0) + 1
                    if losses[number] == ATTEMPTS:
                        continue
                    note(f"shard {number + 1} was lost ({type(error).__name__}), and is made again from the gallery")
                    # Without a core of its own, so that it has a place beside another one on what is left.
                    self._shards[number] = self._make(number, 0)
                    running[calls[number](self._shards[number])] = number
        return answers

    def close(self) -> None:
        """End the shards."""
        for actor in (*self._shards, self._floors):
            self._ray.kill(actor)


def belongs(numbers: NDArray[np.int64], shard: int, shards: int) -> NDArray[np.bool_]:
    """Return which tracklets belong to a shard, by their numbers."""
    mine: NDArray[np.bool_] = numbers // STRIPE % shards == shard
    return mine


def _by_similarity(pair: Numbered) -> tuple[float, int]:
    return -pair[0].similarity, pair[1]


def _compare(shard: Any, **arguments: Any) -> Any:
    return shard.compare.remote(**arguments)
