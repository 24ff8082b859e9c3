"""Add tracklets to a gallery with workers on a Ray cluster, or on this machine (extra ``cluster``).

Workers read and encode frames; only this process writes the gallery. It stores each block of tracklets as soon as it
arrives, and a stored tracklet is recognised by the hash of its frames. Hence every tracklet is stored once, even if a
worker is lost after it was encoded, or the run is repeated: what is stored is the record of what is done.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from resight.api.gallery_encoding import Keyed, encode_keyed, header_of, keyed
from resight.api.model import Model, load_model
from resight.api.sources import ArrayTracklet
from resight.cluster import ATTEMPTS, Done, Job, Workers, connected
from resight.errors import FrameError, GalleryError
from resight.gallery.contract import GalleryStore
from resight.gallery.types import Header, StoredTracklet
from resight.tracklet import Tracklet

Named = tuple[Tracklet | ArrayTracklet, str]
"""A tracklet and the name of its camera."""


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
        ClusterError: If Ray is not installed, the cluster cannot be reached, or no worker can be started, such as one
            that has another model.
    """
    gpu = model.compute.device.startswith("cuda")

    def encode_new(done: Done[Sequence[Named]]) -> Job[Sequence[Named]] | None:
        if done.method != "keys" or done.given_up:
            return None
        wanted = frozenset(done.result) - store.known(done.result).keys()
        return Job(done.item, "encode", (done.item, wanted))

    with connected(cluster, workers) as (ray, count):
        pool = Workers(ray, Encoder, (model.name, store.header, source, "cuda" if gpu else "cpu"), count, gpu)
        for done in pool.do((Job(block, "keys", (block,)) for block in blocks), encode_new):
            if done.given_up:
                reason = f"{ATTEMPTS} workers were lost while they encoded its block"
                ids = [getattr(tracklet, "id", "frames") for tracklet, _ in done.item]
                yield Worked([], [(id_, reason) for id_ in ids], len(ids))
            else:
                yield done.result
