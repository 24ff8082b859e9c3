"""What users pass as tracklets: tracklets, folders, lists of pictures, arrays."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from resight.data.frames import frame_state
from resight.data.readers import read_dataset
from resight.data.readers.folder import read_tracklet
from resight.data.readers.listing import natural_order
from resight.data.readers.names import one_spelling
from resight.errors import DatasetError, ShapeError
from resight.gallery.labelled import labelled_dataset
from resight.gallery.open_store import open_store
from resight.packs import packed_names
from resight.progress import note
from resight.tracklet import JUNK, Dataset, Tracklet

Frames: TypeAlias = "Sequence[NDArray[np.uint8]] | NDArray[np.uint8]"
"""Frames of one tracklet as arrays (h, w, 3), RGB, of any sizes."""

Source: TypeAlias = "Tracklet | str | PathLike[str] | Sequence[str | PathLike[str]] | Frames"
"""One tracklet: a `Tracklet`, a folder of pictures, a list of pictures, or frames as arrays."""


@dataclass(frozen=True)
class ArrayTracklet:
    """A tracklet whose frames are in memory.

    Attributes:
        frames: Frames (h, w, 3) RGB uint8.
    """

    frames: tuple[NDArray[np.uint8], ...]

    def __len__(self) -> int:
        return len(self.frames)


def as_tracklets(source: Any) -> tuple[list[Tracklet | ArrayTracklet], bool]:
    """Return the tracklets that `source` describes, and whether it describes a single one.

    Args:
        source: One `Source`, or a sequence of them. A list of pictures or of (h, w, 3) arrays is one tracklet; a list
            of folders, tracklets, (n, h, w, 3) arrays or lists is many.

    Raises:
        DatasetError: If a folder or picture does not exist, or there are no frames.
        ShapeError: If an array is not RGB uint8.
    """
    if isinstance(source, (Tracklet, str, PathLike, np.ndarray)):
        return [_one(source)], True
    items = _items(source)
    if not items:
        raise DatasetError("expected at least one tracklet or frame, found an empty list")
    if all(_is_frame(item) for item in items):
        return [_one(items)], True
    return [_one(item) for item in items], False


def open_dataset(dataset: str | Dataset) -> Dataset:
    """Return the data set of a name, and print the reader's notes to stderr; a `Dataset` is returned as it is.

    ``labels:FOLDER`` are the labelled persons of a gallery.

    Raises:
        DatasetError: If it cannot be read.
    """
    if isinstance(dataset, Dataset):
        return dataset
    kind, _, place = dataset.partition(":") if isinstance(dataset, str) else ("", "", "")
    opened = _open_labels(place) if kind == "labels" else read_dataset(dataset)
    for text in opened.notes:
        note(text)
    return opened


def _open_labels(place: str) -> Dataset:
    store = open_store(place)
    try:
        return labelled_dataset(store, Path(place))
    finally:
        store.close()


def select_cameras(dataset: Dataset, cameras: str) -> Dataset:
    """Return a data set with the queries and the gallery of some cameras.

    Args:
        dataset: Any data set.
        cameras: ``Q:G``, names or numbers of the cameras of queries and gallery; an empty one keeps all. A name may
            contain colons. A number is used if no camera has it as its name.

    Raises:
        DatasetError: If `cameras` has another form, or no query or gallery tracklet is left.
    """
    if not isinstance(cameras, str):
        raise DatasetError(f"cameras is {cameras!r}, expected text Q:G, such as 1:2, door:gate, 1: or :2")
    numbers = {one_spelling(name): number for number, name in enumerate(dataset.camera_names, start=1)}
    numbers |= {str(t.camera): t.camera for t in (*dataset.query, *dataset.gallery) if str(t.camera) not in numbers}
    parts = cameras.split(":")
    pairs = [(":".join(parts[:place]), ":".join(parts[place:])) for place in range(1, len(parts))]
    known = [pair for pair in pairs if all(not name or one_spelling(name) in numbers for name in pair)]
    if len(known) != 1:
        names = ", ".join(list(dataset.camera_names) or sorted(numbers, key=natural_order))
        problem = "is ambiguous" if known else "does not name cameras of queries and gallery"
        raise DatasetError(
            f"cameras is {cameras!r}, which {problem}: expected Q:G, such as 1:2, 1: or :2, with numbers or names; the "
            f"cameras of {dataset.root} are {names}"
        )
    query_camera, gallery_camera = (numbers[one_spelling(name)] if name else None for name in known[0])
    chosen = dataset.between_cameras(query_camera, gallery_camera)
    for role, tracklets, name in (("query", chosen.query, known[0][0]), ("gallery", chosen.gallery, known[0][1])):
        if not tracklets:
            present = sorted({tracklet.camera for tracklet in getattr(dataset, role)})
            names = ", ".join(map(dataset.camera_name, present))
            raise DatasetError(f"{dataset.root} has no {role} tracklet of camera {name}; its cameras are {names}")
    return chosen


def find_tracklet(source: Source, dataset: Dataset | None = None) -> Tracklet:
    """Return the tracklet that `source` describes.

    Args:
        source: A `Tracklet`, the id of a tracklet of the data set, a folder of pictures, one picture, or a list of
            pictures.
        dataset: Where ids are looked up. If the pictures are exactly the frames of one of its tracklets, this tracklet
            is returned, so that person and camera are known.

    Raises:
        DatasetError: If there is no such tracklet, folder or picture.
    """
    if isinstance(source, str) and source and dataset is not None:
        if (found := dataset.find(source) or _find_alike(source, dataset)) is not None:
            return found
        if not leads_somewhere(source):
            example = f" (ids look like {dataset.gallery[0].id!r})" if dataset.gallery else ""
            raise DatasetError(
                f"{source!r} is neither a folder of frames, nor a picture, nor the id of a tracklet in "
                f"{dataset.root}{example}"
            )
    tracklet = _one(source)
    if isinstance(tracklet, ArrayTracklet):
        raise DatasetError("expected a tracklet whose frames are files, found arrays: use Model.encode for arrays")
    if dataset is not None and not isinstance(source, Tracklet):
        return next((own for own in dataset.gallery if same_frames(own, tracklet)), tracklet)
    return tracklet


def same_frames(first: Tracklet, second: Tracklet) -> bool:
    """Return whether two tracklets consist of the same files in the same order."""
    return first.names == second.names and first.folder.resolve() == second.folder.resolve()


def _one(source: Any) -> Tracklet | ArrayTracklet:
    if isinstance(source, Tracklet):
        return source
    if isinstance(source, (str, PathLike)):
        if not str(source):
            raise DatasetError("expected a folder of pictures or a picture, found an empty path")
        try:
            path = Path(source).expanduser()
            return _tracklet_of_files([path]) if frame_state(path) is not None else read_tracklet(path)
        except (OSError, RuntimeError) as error:  # a name that is too long, or the home of an unknown user
            raise DatasetError(f"there is no folder or picture {str(source)[:80]!r} ({error.args[-1]})") from error
    items = _items(source)
    if not items:
        raise DatasetError("expected the frames of a tracklet, found none")
    if all(isinstance(item, (str, PathLike)) for item in items):
        return _tracklet_of_files([Path(item).expanduser() for item in items])
    return ArrayTracklet(tuple(_checked(item) for item in items))


def _items(source: Any) -> list[Any]:
    """Return the items of a list or another iterable."""
    try:
        return list(source)
    except TypeError:
        raise DatasetError(
            f"expected a tracklet, a folder of pictures, a list of pictures or arrays, found {type(source).__name__}"
        ) from None


def leads_somewhere(path: str) -> bool:
    """Return whether a text is the path of a file or folder, which may be in a pack."""
    try:
        where = Path(path).expanduser()
        return where.exists() or frame_state(where) is not None or bool(packed_names(where))
    except (OSError, ValueError, RuntimeError):  # too long, a zero byte, or the home of an unknown user
        return False


def _find_alike(name: str, dataset: Dataset) -> Tracklet | None:
    """Return the tracklet whose id is the same but for its Unicode form."""
    wanted = one_spelling(name)
    tracklets = (*dataset.query, *dataset.gallery, *dataset.train)
    return next((t for t in tracklets if not t.id.isascii() and one_spelling(t.id) == wanted), None)


def _is_frame(item: Any) -> bool:
    """Whether an item of a list is one picture rather than a tracklet."""
    if isinstance(item, np.ndarray):
        return item.ndim != 4
    return isinstance(item, (str, PathLike)) and not Path(item).expanduser().is_dir()


def _tracklet_of_files(paths: Sequence[Path]) -> Tracklet:
    """Return a tracklet of pictures in the given order; person and camera are unknown."""
    if missing := [path for path in paths if frame_state(path) is None]:
        raise DatasetError(f"there is no picture {missing[0]}; expected the frames of one tracklet")
    folder = Path(os.path.commonpath([path.absolute().parent for path in paths]))
    names = tuple(str(path.absolute().relative_to(folder)) for path in paths)
    return Tracklet(folder.name, JUNK, 0, folder, names)


def _checked(frame: Any) -> NDArray[np.uint8]:
    try:
        values = np.asarray(frame)
    except ValueError as error:  # lists of different lengths
        raise ShapeError(f"a frame is no array ({error}), expected (height, width, 3) of uint8, RGB") from error
    if values.ndim != 3 or values.shape[2] != 3 or values.dtype != np.uint8 or 0 in values.shape:
        raise ShapeError(
            f"a frame is an array {values.shape} of {values.dtype}, expected (height, width, 3) of uint8, RGB; convert "
            "grey values to three channels, and values in 0 ... 1 by (255 * frame).round().astype('uint8')"
        )
    return values
