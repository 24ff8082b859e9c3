"""What every back end of a gallery refuses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from resight.errors import DamagedError, GalleryError
from resight.gallery.types import Header, StoredTracklet


def check_features(tracklets: Sequence[StoredTracklet], dim: int) -> None:
    """Check that tracklets can be stored.

    Raises:
        GalleryError: If features have another dimension, or are not finite.
    """
    for tracklet in tracklets:
        if tracklet.features.ndim != 2 or tracklet.features.shape[1] != dim or tracklet.mean.shape != (dim,):
            raise GalleryError(
                f"{tracklet.id!r} has features {tracklet.features.shape}, expected (M, {dim}) as in the gallery"
            )
        if not (np.isfinite(tracklet.features).all() and np.isfinite(tracklet.mean).all()):
            raise GalleryError(f"{tracklet.id!r} has features that are not finite numbers: check the model")


def damaged_tracklets(place: Path | str, ids: Sequence[str]) -> DamagedError:
    """Return the error that stored tracklets do not match their checksums."""
    return DamagedError(
        f"{ids[0]!r} in the gallery {place} is damaged: remove it and add it again, or restore the gallery from a "
        "copy; `resight gallery verify` lists all damage",
        tuple(ids),
    )


def not_stored(folder: Path | str, id_: str) -> GalleryError:
    """Return the error that there is no tracklet of an id."""
    return GalleryError(f"the gallery {folder} has no tracklet {id_!r}")


def other_model(folder: Path | str, stored: Header, given: Header) -> GalleryError:
    """Return the error of opening a gallery with another model than its own."""
    return GalleryError(
        f"the gallery {folder} holds features of the model {stored.model}, not of {given.model}: use that model, or "
        f"run `resight gallery rebuild {folder} --model {given.model}` to encode everything again"
    )
