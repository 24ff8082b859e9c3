"""Add tracklets to a gallery with workers on a Ray cluster, or on this machine (extra ``cluster``).

Workers read and encode frames; only this process writes the gallery. It stores each block of tracklets as soon as it
arrives, and a stored tracklet is recognised by the hash of its frames. Hence every tracklet is stored once, even if a
worker is lost after it was encoded, or the run is repeated: what is stored is the record of what is done.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from resight.api.gallery_encoding import Keyed, encode_keyed, header_of, keyed
from resight.api.model import Model, load_model
from resight.api.sources import ArrayTracklet
from resight.errors import FrameError, GalleryError, ResightError
from resight.gallery.contract import GalleryStore
from resight.gallery.types import Header, StoredTracklet
from resight.progress import note
from resight.tracklet import Tracklet
from resight.words import counted

LOCAL = "local"
"""Instead of an address: start workers on this machine only."""

_PATIENCE = 600
"""Seconds until the first worker must have started."""

AHEAD = 2
"""Blocks that a worker has at once: one that it encodes, and one that waits. No further block is read or kept, however
slowly the gallery is written."""

ATTEMPTS = 3
"""A block whose worker is lost so often is reported as failed: its frames may be what ends the workers."""

Named = tuple[Tracklet | ArrayTracklet, str]
"""A tracklet and the name of its camera."""


@dataclass
class Block:
    """Some tracklets that a worker encodes at once.

    Attributes:
        tracklets: The tracklets.
        attempts: How often it was given to a worker.
        wanted: Keys of the tracklets that are not stored yet; None until the keys are known.
    """

    tracklets: Sequence[Named]
    attempts: int = 0
    wanted: frozenset[bytes] | None = None


@dataclass
class Worked:
    """What workers did with a block.

    Attributes:
        stored: The new tracklets.
        failed: Id and reason of each tracklet whose frames cannot be read.
        size: Number of tracklets of the block.
    """

    stored: list[StoredTracklet]
    failed: list[tuple[str, str]]
    size: int


class Encoder:
    """What a worker does; an actor of Ray.

    Args:
        model: Name or file of the model.
        header: What the gallery expects of it.
        source: Where the tracklets come from.
        device: Device of the worker.
    """

    def __init__(self, model: str, header: Header, source: str, device: str) -> None:
        self._model = load_model(model, device=device, keep_features=False, workers=0)
        self._source = source
        if not header.fits(header_of(self._model)):
            raise GalleryError(f"{model} is another model on this worker: give all machines the same file")

    def keys(self, tracklets: Sequence[Named]) -> list[bytes]:
        """Return the keys of the tracklets whose frames can be read."""
        return [item.key for item in self._keyed(tracklets)[0]]

    def encode(self, tracklets: Sequence[Named], wanted: frozenset[bytes]) -> Worked:
        """Return the tracklets with these keys encoded, one by one if the frames of some cannot be decoded."""
        items, failed = self._keyed(tracklets)
        chosen = [item for item in items if item.key in wanted]
        try:
            return Worked(encode_keyed(self._model, chosen), failed, len(tracklets))
        except FrameError:
            stored = []
            for item in chosen:
                try:
                    stored += encode_keyed(self._model, [item])
                except FrameError as error:
                    failed.append((item.id, str(error)))
            return Worked(stored, failed, len(tracklets))

    def _keyed(self, tracklets: Sequence[Named]) -> tuple[list[Keyed], list[tuple[str, str]]]:
        items: dict[bytes, Keyed] = {}
        failed = []
        for tracklet, camera in tracklets:
            try:
                item = keyed(self._model, tracklet, self._source, camera)
                items.setdefault(item.key, item)
            except FrameError as error:
                failed.append((getattr(tracklet, "id", "frames"), str(error)))
        return list(items.values()), failed


@dataclass
class Pool:
    """Workers, and the blocks that they have.

    Attributes:
        workers: The actors that are alive.
        running: Running call → its worker, block, and whether it returns keys.
    """

    workers: list[Any]
    running: dict[Any, tuple[Any, Block, bool]] = field(default_factory=dict)

    def give(self, worker: Any, block: Block) -> None:
        """Give a block to a worker: first for its keys, then to be encoded."""
        if block.wanted is None:
            self.running[worker.keys.remote(block.tracklets)] = worker, block, True
        else:
            self.running[worker.encode.remote(block.tracklets, block.wanted)] = worker, block, False

    def free(self) -> Iterator[Any]:
        """Yield each worker as often as it can take a block."""
        for worker in self.workers:
            yield from [worker] * (AHEAD - sum(other is worker for other, _, _ in self.running.values()))

    def lose(self, worker: Any) -> list[Block]:
        """Remove a worker, and return the blocks that it has not finished."""
        self.workers = [other for other in self.workers if other is not worker]
        lost = [call for call, (other, _, _) in self.running.items() if other is worker]
        return [self.running.pop(call)[1] for call in lost]


def encode_on_cluster(
    store: GalleryStore, model: Model, source: str, blocks: Sequence[Sequence[Named]], cluster: str, workers: int
) -> Iterator[Worked]:
    """Yield the new tracklets of blocks, encoded by workers; in any order.

    The caller stores what was yielded before it asks for more.

    Args:
        store: The gallery, which is asked what it has.
        model: Model of the gallery, from a file that all workers can read, or one that comes with the package.
        source: Where the tracklets come from.
        blocks: Tracklets whose frames all workers can read, with the names of their cameras.
        cluster: Address of a Ray cluster, or ``local``.
        workers: Number of workers.

    Raises:
        GalleryError: If Ray is not installed, the cluster cannot be reached, or no worker can be started.
    """
    with _connected(cluster, workers) as ray:
        pool = Pool(_start(ray, model, store.header, source, workers))
        waiting = deque(Block(tracklets) for tracklets in blocks)
        while waiting or pool.running:
            for worker in pool.free():
                if waiting:
                    block = waiting.popleft()
                    block.attempts += block.wanted is None
                    pool.give(worker, block)
            (call,), _ = ray.wait(list(pool.running), num_returns=1)
            worker, block, returns_keys = pool.running.pop(call)
            try:
                result = ray.get(call)
            except ray.exceptions.RayTaskError as error:
                cause = error.cause if isinstance(error.cause, ResightError) else None
                raise GalleryError(str(cause or error)) from error
            except ray.exceptions.RayError as error:
                lost = [block, *pool.lose(worker)]
                note(f"a worker was lost ({type(error).__name__}); {counted(len(lost), 'blocks')} are encoded again")
                for again in reversed(lost):
                    again.wanted = None
                    if again.attempts < ATTEMPTS:
                        waiting.appendleft(again)
                    else:
                        reason = f"{ATTEMPTS} workers were lost while they encoded its block"
                        ids = [getattr(tracklet, "id", "frames") for tracklet, _ in again.tracklets]
                        yield Worked([], [(id_, reason) for id_ in ids], len(ids))
                if not pool.workers and waiting:
                    pool.workers = _start(ray, model, store.header, source, workers)
                continue
            if returns_keys:
                block.wanted = frozenset(result) - store.known(result).keys()
                pool.give(worker, block)
            else:
                yield result


def _start(ray: Any, model: Model, header: Header, source: str, workers: int) -> list[Any]:
    """Start workers, and return them when at least one is ready; the others follow when the cluster has room."""
    device = "cuda" if model.compute.device.startswith("cuda") else "cpu"
    actor = ray.remote(num_cpus=1, num_gpus=1 if device == "cuda" else 0, max_restarts=0)(Encoder)
    started = [actor.remote(model.name, header, source, device) for _ in range(workers)]
    ready = {worker.keys.remote([]): worker for worker in started}
    done, _ = ray.wait(list(ready), num_returns=1, timeout=_PATIENCE)
    if not done:
        raise GalleryError(f"the cluster started no worker within {_PATIENCE} s: it needs a free core or GPU for each")
    try:
        ray.get(done)
    except ray.exceptions.RayTaskError as error:
        raise GalleryError(str(error.cause)) from error
    except ray.exceptions.RayError as error:
        raise GalleryError(f"a worker cannot start: {next(iter(str(error).splitlines()), error)}") from error
    return started


@contextmanager
def _connected(cluster: str, workers: int) -> Iterator[Any]:
    """Yield Ray, connected to a cluster; a local one ends with the context."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere
    try:
        import ray
    except ImportError as error:
        raise GalleryError("--cluster needs Ray: pip install 'resight[cluster]'") from error
    if ray.is_initialized():  # by the program that uses this package
        yield ray
        return
    try:
        if cluster == LOCAL:
            ray.init(
                num_cpus=workers, include_dashboard=False, _node_ip_address="127.0.0.1", log_to_driver=False,
                logging_level=logging.ERROR,
            )  # fmt: skip
        else:
            ray.init(address=cluster, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise GalleryError(
            f"cannot reach a Ray cluster at {cluster!r} ({next(iter(str(error).splitlines()), '')}): expected its "
            "address, such as 10.0.0.5:6379, or local"
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()
