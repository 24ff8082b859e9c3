"""Packed data sets: the frames of a data set in a few large files.

A pack is a folder whose name ends in ``.pack``. It holds ``index.json`` (the data set as its reader returned it, and
the names of the frames), ``rows.npy`` (place, size, checksum and time of each frame) and ``frames-0000.bin`` and so on:
the files of the frames, unchanged, one after the other, in the order of the tracklets.

A frame in a pack has a path as if the pack were the folder that was packed: ``MARS.pack/bbox_train/0001/...jpg``.
`packed_frame` finds it; nothing else has to know whether a data set is packed.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resight.errors import DatasetError, FrameError
from resight.tracklet import Dataset, Tracklet

SUFFIX = ".pack"
INDEX, ROWS = "index.json", "rows.npy"
FORMAT = 1
"""Version of the format; raised when older versions of this package cannot read it any more."""

ROW = np.dtype([("file", "<u2"), ("offset", "<u8"), ("size", "<u4"), ("crc", "<u4"), ("mtime_ns", "<i8")])
"""A frame: number of its file, offset and size in bytes, CRC-32, and the time at which it was last modified."""

_REPAIR = "copy the pack again, or pack the data set again"


def frames_file(number: int) -> str:
    """Return the name of a file of frames in a pack."""
    return f"frames-{number:04d}.bin"


@dataclass(frozen=True)
class PackedFrame:
    """One frame in a pack.

    Attributes:
        pack: The pack.
        row: Its row in `Pack.rows`.
    """

    pack: Pack
    row: int

    @property
    def size(self) -> int:
        """Bytes of the frame's file."""
        return int(self.pack.rows["size"][self.row])

    @property
    def mtime_ns(self) -> int:
        """Time at which the frame's file was last modified before it was packed, in nanoseconds since 1970."""
        return int(self.pack.rows["mtime_ns"][self.row])

    def read(self) -> bytes:
        """Return the content of the frame's file.

        Raises:
            FrameError: If the pack is damaged there.
        """
        return self.pack.read(self.row)


class Pack:
    """An open pack. It can be shared with worker processes.

    Args:
        root: Folder of the pack.

    Attributes:
        root: The same.
        kind: Kind of the data set, such as ``mars``.
        rows: Array of `ROW`, one for each frame.

    Raises:
        DatasetError: If it is not a pack of a format that this version reads, or a file is missing or too short.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        try:
            index = json.loads((root / INDEX).read_text(encoding="utf-8"))
            if index["format"] != FORMAT:
                raise DatasetError(
                    f"{root} has format {index['format']} of packs, expected {FORMAT}: use the version of this package "
                    "that wrote it, or pack the data set again"
                )
            self.kind: str = index["kind"]
            self._index: dict[str, Any] = index
            self.rows: NDArray[np.void] = np.load(root / ROWS, mmap_mode="r")
            sizes = [(root / frames_file(number)).stat().st_size for number in range(len(index["files"]))]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DatasetError(f"{root} is not a complete pack ({error}): {_REPAIR}") from error
        if self.rows.dtype != ROW or len(self.rows) != index["frames"] or sizes != index["files"]:
            raise DatasetError(f"{root} is not a complete pack (a file has another size than in {INDEX}): {_REPAIR}")
        self._open: dict[int, int] = {}
        self._names = [name for _, _, names in index["runs"] for name in names.split("/")]
        self._runs: dict[str, list[tuple[int, int]]] = {}
        for folder, first, names in index["runs"]:
            self._runs.setdefault(folder, []).append((first, first + names.count("/") + 1))
        self._places: dict[str, dict[str, int]] = {}

    def datasets(self) -> tuple[Dataset, ...]:
        """Return the data set: what its reader returned for the folder that was packed, with paths in the pack."""
        tracklets = [self._tracklet(values) for values in self._index["tracklets"]]
        return tuple(
            Dataset(
                values["name"],
                self.root,
                train=tuple(tracklets[place] for place in values["train"]),
                query=tuple(tracklets[place] for place in values["query"]),
                gallery=tuple(tracklets[place] for place in values["gallery"]),
                notes=tuple(values["notes"]),
                number=values["number"],
                camera_names=tuple(values["camera_names"]),
            )
            for values in self._index["datasets"]
        )

    def folders(self) -> Iterator[tuple[str, dict[str, int]]]:
        """Yield the folders with frames, relative to the pack, and the row of each frame by its name."""
        for folder in self._runs:
            yield folder, self._of_folder(folder)

    def frame(self, path: str) -> PackedFrame | None:
        """Return a frame by its path relative to the pack, or None."""
        folder, _, name = path.rpartition("/")
        row = self._of_folder(folder).get(name)
        return None if row is None else PackedFrame(self, row)

    def read(self, row: int) -> bytes:
        """Return the content of a frame's file; see `PackedFrame.read`."""
        number, offset, size, crc, _ = self.rows[row].tolist()
        try:
            if number not in self._open:
                self._open[number] = os.open(self.root / frames_file(number), os.O_RDONLY | getattr(os, "O_BINARY", 0))
            content = os.pread(self._open[number], size, offset)
        except OSError as error:
            raise FrameError(f"cannot read {self.root / frames_file(number)}: {error.strerror}; {_REPAIR}") from error
        if len(content) != size or zlib.crc32(content) != crc:
            raise FrameError(
                f"frame {self._names[row]} (byte {offset} of {self.root / frames_file(number)}) is damaged: {_REPAIR}"
            )
        return content

    def _of_folder(self, folder: str) -> dict[str, int]:
        if folder not in self._places:
            runs = self._runs.get(folder, ())
            self._places[folder] = {self._names[row]: row for first, end in runs for row in range(first, end)}
        return self._places[folder]

    def _tracklet(self, values: list[Any]) -> Tracklet:
        id_, person, camera, camera_name, start, end, folder, frames = values
        if isinstance(frames[0], int):
            first, count = frames
            frames = self._names[first : first + count]
        return Tracklet(id_, person, camera, self.root / folder, tuple(frames), camera_name, start, end)


def is_pack(path: Path) -> bool:
    """Return whether a path is a pack, complete or not."""
    return path.suffix == SUFFIX and path.is_dir()


def open_pack(root: Path) -> Pack:
    """Open a pack anew.

    Raises:
        DatasetError: If it is not a complete pack.
    """
    _opened.cache_clear()
    return _opened(root)


def packed_frame(path: PurePath) -> PackedFrame | None:
    """Return the frame of a path if it leads into a pack, else None.

    Raises:
        DatasetError: If the pack is not complete.
        FrameError: If the pack has no such frame.
    """
    place = _place(path)
    if place is None:
        return None
    pack, inside = place
    frame = pack.frame(inside)
    if frame is None:
        raise FrameError(f"there is no frame {inside} in {pack.root}: use the paths of the folder that was packed")
    return frame


def packed_names(folder: PurePath) -> tuple[str, ...]:
    """Return the names of the frames in a folder of a pack, in their order there; empty if it is no such folder."""
    place = _place(folder / "_")
    return () if place is None else tuple(place[0]._of_folder(place[1].rpartition("/")[0]))


def _place(path: PurePath) -> tuple[Pack, str] | None:
    """Return the pack that a path leads into, and the rest of the path."""
    if SUFFIX + os.sep not in os.fspath(path):  # nearly every path outside of packs
        return None
    parts = path.parts
    for number, part in enumerate(parts[:-1], 1):
        if part.endswith(SUFFIX):
            root = Path(*parts[:number])
            if (root / INDEX).is_file():
                return _opened(root), "/".join(parts[number:])
    return None


@lru_cache(maxsize=16)
def _opened(root: Path) -> Pack:
    return Pack(root)
