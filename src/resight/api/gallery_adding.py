"""Add tracklets to a gallery: only what is new is encoded, and stored while the rest is encoded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from resight.api.gallery_cluster import encode_on_cluster
from resight.api.gallery_encoding import Keyed, camera_name, encode_keyed, keyed, tracklets_of
from resight.api.model import Model
from resight.api.sources import ArrayTracklet, as_tracklets, open_dataset
from resight.errors import DatasetError, FrameError
from resight.gallery.contract import GalleryStore
from resight.gallery.types import StoredTracklet
from resight.progress import progress_bar
from resight.settings import whole_number
from resight.tracklet import Dataset, Tracklet
from resight.words import counted

_AT_ONCE = 16
"""Tracklets that are encoded, and then stored, together. A run that is killed loses no more than these."""


@dataclass(frozen=True)
class Added:
    """What a call of `Gallery.add` did.

    Attributes:
        added: Ids of the tracklets that were stored.
        known: Number of tracklets whose frames were already stored.
        failed: Id and reason of each tracklet whose frames cannot be read.
    """

    added: tuple[str, ...]
    known: int
    failed: tuple[tuple[str, str], ...]

    def to_text(self) -> str:
        """Return the result as lines of text."""
        lines = [f"added {counted(len(self.added), 'tracklets')}; {self.known:,} were already in the gallery"]
        lines += [f"not added: {id_}: {reason}" for id_, reason in self.failed]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Return the result as plain values."""
        return {"added": list(self.added), "known": self.known, "failed": [list(pair) for pair in self.failed]}


def add_tracklets(
    store: GalleryStore, model: Model, source: Any, *, camera: str = "", cluster: str | None = None, workers: int = 1,
    progress: bool = False,
) -> Added:  # fmt: skip
    """Add tracklets to a gallery, see `Gallery.add`."""
    tracklets, name, dataset = _tracklets(source)
    added: list[str] = []
    failed: list[tuple[str, str]] = []
    done = 0
    if cluster is not None:
        whole_number("workers", workers, 1)
        named = [(t, (camera_name(t, dataset) if isinstance(t, Tracklet) else "") or camera) for t in tracklets]
        blocks = [named[start : start + _AT_ONCE] for start in range(0, len(named), _AT_ONCE)]
        with progress_bar("adding", "tracklets", progress) as report:
            report(0, len(tracklets))
            for worked in encode_on_cluster(store, model, name, blocks, cluster, workers):
                added += [id_ for id_ in store.add(worked.stored) if id_ is not None]
                failed += worked.failed
                done += worked.size
                report(done, len(tracklets), f"{len(added):,} new")
        return Added(tuple(added), len(tracklets) - len(added) - len(failed), tuple(failed))
    with progress_bar("adding", "tracklets", progress) as report:
        report(0, len(tracklets))
        for start in range(0, len(tracklets), _AT_ONCE):
            part = tracklets[start : start + _AT_ONCE]
            items = list(_keyed(model, part, name, camera, dataset, failed))
            known = store.known([item.key for item in items])
            for group in _encoded(model, [item for item in items if item.key not in known], failed):
                added += [id_ for id_ in store.add(group) if id_ is not None]
            done += len(part)
            report(done, len(tracklets), f"{len(added):,} new")
    return Added(tuple(added), len(tracklets) - len(added) - len(failed), tuple(failed))


def _keyed(
    model: Model, tracklets: Sequence[Tracklet | ArrayTracklet], source: str, camera: str, dataset: Dataset | None,
    failed: list[tuple[str, str]],
) -> Iterator[Keyed]:  # fmt: skip
    """Yield tracklets with their keys; those that cannot be read are appended to `failed`."""
    seen = set()
    for tracklet in tracklets:
        name = camera_name(tracklet, dataset) if isinstance(tracklet, Tracklet) else ""
        try:
            item = keyed(model, tracklet, source, name or camera)
        except FrameError as error:
            failed.append((getattr(tracklet, "id", "frames"), str(error)))
            continue
        if item.key not in seen:
            seen.add(item.key)
            yield item


def _encoded(model: Model, items: Sequence[Keyed], failed: list[tuple[str, str]]) -> Iterator[list[StoredTracklet]]:
    """Yield the tracklets encoded; one by one if the frames of some cannot be decoded."""
    if not items:
        return
    try:
        yield encode_keyed(model, items)
    except FrameError as error:
        if len(items) == 1:
            failed.append((items[0].id, str(error)))
        else:
            for item in items:
                yield from _encoded(model, [item], failed)


def _tracklets(source: Any) -> tuple[list[Tracklet | ArrayTracklet], str, Dataset | None]:
    """Return the tracklets of a source, its name, and the data set that it is."""
    if isinstance(source, Dataset) or (
        isinstance(source, str) and ":" in source and not Path(source).expanduser().exists()
    ):
        dataset = open_dataset(source)
        name = source if isinstance(source, str) else f"{dataset.name}:{dataset.root}"
        return list(tracklets_of(dataset)), name, dataset
    if not isinstance(source, (str, PathLike)) and not hasattr(source, "__iter__") and not isinstance(source, Tracklet):
        raise DatasetError(f"expected a data set as KIND:PATH, or tracklets, found {type(source).__name__}")
    return as_tracklets(source)[0], "", None
