"""What a search in a gallery is for: stored tracklets, or others, which are encoded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from resight.api.gallery_encoding import encode_keyed, keyed
from resight.api.gallery_labels import LabelledGallery
from resight.api.sources import ArrayTracklet, as_tracklets, leads_somewhere
from resight.errors import GalleryError
from resight.gallery.labels import number_of
from resight.gallery.types import Filter, StoredTracklet
from resight.ingest.footage import VIDEOS
from resight.ingest.pick import FORM, cut_pick, read_pick
from resight.tracklet import Tracklet


def find_references(gallery: LabelledGallery, address: str, reference: Any) -> tuple[StoredTracklet, ...]:
    """Return the tracklets of a person that is searched for, see `Gallery.references`.

    Args:
        gallery: The gallery.
        address: Where it is, for messages.
        reference: See `Gallery.search`.
    """
    if isinstance(reference, StoredTracklet):
        return (reference,)
    if isinstance(reference, str):
        if _is_stored(gallery, reference):
            return tuple(gallery.store.fetch([reference]))
        if number_of(reference) is not None and (members := gallery.groups().members(reference)):
            return tuple(gallery.store.fetch(list(members)))
        leads = bool(reference) and leads_somewhere(reference)
        if (pick := read_pick(reference)) is not None and not leads:
            with TemporaryDirectory(prefix="resight-") as folder:
                return _encoded(gallery, cut_pick(pick, Path(folder)))
        if not leads:
            raise GalleryError(
                f"{reference[:80]!r} is neither the id of a tracklet in the gallery {address}, nor a folder of "
                f"frames, a picture, or a person in a video ({FORM})"
            )
    elif isinstance(reference, (list, tuple)):
        several = any(_is_reference(gallery, item) for item in reference)
        if several or (reference and all(isinstance(item, (list, tuple)) for item in reference)):
            return tuple(found for item in reference for found in find_references(gallery, address, item))
    return _encoded(gallery, as_tracklets(reference)[0])


def _is_stored(gallery: LabelledGallery, id_: str) -> bool:
    return gallery.store.count(Filter(ids=frozenset([id_]))) == 1


def _is_reference(gallery: LabelledGallery, item: Any) -> bool:
    """Return whether an item of a list is a reference by itself, and not one picture of a tracklet."""
    if not isinstance(item, str):
        return isinstance(item, StoredTracklet)
    return _is_stored(gallery, item) or item.lower().endswith(VIDEOS) or not leads_somewhere(item)


def _encoded(gallery: LabelledGallery, tracklets: Sequence[Tracklet | ArrayTracklet]) -> tuple[StoredTracklet, ...]:
    """Return tracklets as a gallery stores them; those that it stores are not encoded."""
    items = [keyed(gallery.model, tracklet) for tracklet in tracklets]
    known = gallery.store.known([item.key for item in items])
    return tuple(
        gallery.store.fetch([known[item.key]])[0] if item.key in known else encode_keyed(gallery.model, [item])[0]
        for item in items
    )
