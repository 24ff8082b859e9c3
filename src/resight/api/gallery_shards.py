"""Shards of a gallery on a Ray cluster, which the first search starts."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from resight.api.model import Model
from resight.cluster import connected
from resight.errors import GalleryError
from resight.gallery.contract import GalleryStore
from resight.gallery.lance_address import local_folder

if TYPE_CHECKING:
    from resight.gallery.shards import Shards


class GalleryShards:
    """Where the shards of a gallery run.

    Args:
        store: The gallery.
        cluster: Address of a Ray cluster, or ``local``.
        count: Number of shards; None is one for each core of the cluster.

    Raises:
        GalleryError: If the gallery is an SQLite file, which other machines cannot read.
    """

    def __init__(self, store: GalleryStore, cluster: str, count: int | None) -> None:
        from resight.gallery.lance_store import LanceStore

        if not isinstance(store, LanceStore):
            raise GalleryError(
                "shards need a gallery at an address such as s3://bucket/site.gallery or file:///shared/site.gallery; "
                "`resight gallery merge` copies this one to a new gallery there"
            )
        folder = local_folder(store.address)
        self._address = store.address if folder is None else str(Path(folder).resolve())
        self._cluster, self._count = cluster, count
        self._open = ExitStack()
        self._shards: Shards | None = None

    def started(self, model: Model) -> Shards:
        """Return the shards, which compare tracklets with a model.

        Raises:
            ClusterError: If they cannot be started.
        """
        if self._shards is None:
            from resight.gallery.shards import Shards

            ray, count = self._open.enter_context(connected(self._cluster, self._count))
            self._shards = Shards(ray, self._address, count, model.checkpoint.aggregator, model.compute)
            self._open.callback(self._shards.close)
        return self._shards

    def close(self) -> None:
        """End the shards, and the cluster if it is local."""
        self._open.close()
        self._shards = None
