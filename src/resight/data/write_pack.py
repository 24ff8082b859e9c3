"""Pack a data set: copy its frames into a few large files."""

from __future__ import annotations

import json
import os
import posixpath
import shutil
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from resight.data.frames import frame_content, frame_state
from resight.data.readers import read_whole
from resight.data.readers.packed import SPLITS
from resight.errors import OutputError
from resight.outputs import check_output_folder
from resight.packs import FORMAT, INDEX, ROW, ROWS, SUFFIX, frames_file
from resight.progress import Progress
from resight.tracklet import Dataset, Tracklet
from resight.words import counted

FILE_BYTES = 2**30
"""A file of frames ends with the first frame that reaches this size."""


@dataclass(frozen=True)
class PackReport:
    """What was packed.

    Attributes:
        name: Name by which the pack is read, ``KIND:PATH``.
        tracklets: Number of tracklets.
        frames: Number of frames.
        files: Number of files of frames.
        bytes: Bytes of all frames.
    """

    name: str
    tracklets: int
    frames: int
    files: int
    bytes: int

    def to_text(self) -> str:
        """Return a sentence."""
        return (
            f"{counted(self.tracklets, 'tracklets')}, {counted(self.frames, 'frames')}, {self.bytes / 1e6:,.1f} MB in "
            f"{counted(self.files, 'files')}"
        )


def pack_dataset(name: str, out: Path, *, file_bytes: int = FILE_BYTES, progress: Progress | None = None) -> PackReport:
    """Pack a data set. Frames are copied as they are; the pack appears when it is complete.

    Args:
        name: ``KIND:PATH``. All splits are packed. Splits of your own data are copied, and can be drawn anew.
        out: Folder of the pack, which must not exist; its name must end in ``.pack``.
        file_bytes: A file of frames ends with the first frame that reaches this size.
        progress: Called with (frames done, frames).

    Raises:
        DatasetError: If the data set cannot be read, or a frame is missing.
        OutputError: If the pack exists, has another suffix, or cannot be written.
    """
    if out.suffix != SUFFIX:
        raise OutputError(f"cannot write {out}: expected the name of a pack, which ends in {SUFFIX}")
    if out.exists():
        raise OutputError(f"cannot write {out}: it exists; delete it, or use another name")
    kind, datasets, splits = read_whole(name)
    tracklets = dict.fromkeys(t for d in datasets for t in (*d.train, *d.query, *d.gallery))
    check_output_folder(out.parent)
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    part.mkdir()
    writer = _Writer(part, datasets[0].root, file_bytes)
    try:
        total = sum(len(tracklet) for tracklet in tracklets)
        listed, done = [], 0
        for tracklet in tracklets:
            listed.append(writer.add(tracklet))
            done += len(tracklet)
            if progress is not None:
                progress(done, total)
        places = {tracklet: place for place, tracklet in enumerate(tracklets)}
        writer.close(kind, listed, [_described(dataset, places) for dataset in datasets])
        if splits is not None:
            shutil.copyfile(splits, part / SPLITS)
        part.rename(out)
    except OSError as error:
        raise OutputError(f"cannot write {out}: {error.strerror or error}; free space or use another place") from error
    finally:
        writer.end_file()
        shutil.rmtree(part, ignore_errors=True)
    return PackReport(f"{kind}:{out}", len(tracklets), len(writer.rows), len(writer.files), sum(writer.files))


class _Writer:
    def __init__(self, folder: Path, root: Path, file_bytes: int) -> None:
        self.rows: list[tuple[int, int, int, int, int]] = []
        self.files: list[int] = []
        self._folder, self._file_bytes = folder, file_bytes
        self._root = (root if root.is_dir() else root.parent).absolute()
        self._outside: dict[Path, str] = {}
        self._written: dict[str, int] = {}
        self._runs: list[tuple[str, int, list[str]]] = []
        self._file: BinaryIO | None = None

    def add(self, tracklet: Tracklet) -> list[Any]:
        """Write the frames of a tracklet that were not written for another one; return its line of the index."""
        folder = self._inside(tracklet.folder)
        rows = [self._add_frame(tracklet.frame(number), posixpath.normpath(posixpath.join(folder, name)))
                for number, name in enumerate(tracklet.names)]  # fmt: skip
        plain = all("/" not in name and os.sep not in name for name in tracklet.names)
        consecutive = rows == list(range(rows[0], rows[0] + len(rows)))
        return [
            tracklet.id, tracklet.person, tracklet.camera, tracklet.camera_name, tracklet.start, tracklet.end, folder,
            [rows[0], len(rows)] if plain and consecutive else list(tracklet.names),
        ]  # fmt: skip

    def close(self, kind: str, tracklets: list[list[Any]], datasets: list[dict[str, Any]]) -> None:
        """Write the index, and make sure that everything is on the disk."""
        self.end_file()
        np.save(self._folder / ROWS, np.array(self.rows, ROW))
        index = {
            "format": FORMAT, "kind": kind, "frames": len(self.rows), "files": self.files,
            "runs": [[folder, first, "/".join(names)] for folder, first, names in self._runs],
            "tracklets": tracklets, "datasets": datasets,
        }  # fmt: skip
        with (self._folder / INDEX).open("w", encoding="utf-8") as file:
            json.dump(index, file, separators=(",", ":"))
            file.flush()
            os.fsync(file.fileno())

    def _add_frame(self, path: Path, inside: str) -> int:
        if inside in self._written:
            return self._written[inside]
        content, row = frame_content(path), len(self.rows)
        state = frame_state(path)
        assert state is not None
        if self._file is None:
            self._file = (self._folder / frames_file(len(self.files))).open("wb")
            self.files.append(0)
        self.rows.append((len(self.files) - 1, self.files[-1], len(content), zlib.crc32(content), state[1]))
        self._file.write(content)
        self.files[-1] += len(content)
        if self.files[-1] >= self._file_bytes:
            self.end_file()
        folder, name = posixpath.split(inside)
        if not self._runs or self._runs[-1][0] != folder:
            self._runs.append((folder, row, []))
        self._runs[-1][2].append(name)
        self._written[inside] = row
        return row

    def end_file(self) -> None:
        """Close the file of frames that is being written, with everything on the disk."""
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._file = None

    def _inside(self, folder: Path) -> str:
        """Return the folder in the pack for a folder of frames; those outside of the data set get a number."""
        whole = folder.absolute()
        if whole.is_relative_to(self._root):
            return whole.relative_to(self._root).as_posix()
        return self._outside.setdefault(whole, f"outside/{len(self._outside) + 1:06d}")


def _described(dataset: Dataset, places: dict[Tracklet, int]) -> dict[str, Any]:
    def rows(tracklets: Iterable[Tracklet]) -> Sequence[int]:
        return [places[tracklet] for tracklet in tracklets]

    return {
        "name": dataset.name, "number": dataset.number, "notes": list(dataset.notes),
        "camera_names": list(dataset.camera_names), "train": rows(dataset.train), "query": rows(dataset.query),
        "gallery": rows(dataset.gallery),
    }  # fmt: skip
