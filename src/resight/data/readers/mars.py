"""MARS: 1,261 people on a campus, six cameras, tracklets found by a detector and a tracker.

Layout and tables: https://github.com/liangzheng06/MARS-evaluation (Zheng et al., ECCV 2016).
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resight.data.readers.listing import find_layout, first_few, list_folder, read_text
from resight.data.readers.matlab import read_table
from resight.errors import DatasetError
from resight.tracklet import JUNK, Dataset, Tracklet

_FRAME = re.compile(r"(?P<tracklet>(?:[0-9]{4}|00-1)C[0-9]T[0-9]+)F[0-9]+\.jpg")
_FRAMES = re.compile(rf"(?:{_FRAME.pattern.replace('?P<tracklet>', '?:')})*")
_LAYOUT = (
    "a MARS folder holds bbox_train/, bbox_test/ and info/ with tracks_train_info.mat, tracks_test_info.mat and "
    "query_IDX.mat (info/ comes with the authors' evaluation code)"
)
_REPAIR = (
    "frames are missing on disk, or the names belong to another table: put the official train_name.txt and "
    "test_name.txt into info/"
)


@dataclass(frozen=True)
class MarsInfo:
    """The official tables.

    Attributes:
        train: (N, 4) int64, a tracklet a row: first and last frame (from 1, inclusive, into the list of names), person,
            camera.
        test: (N', 4) int64, the same, into the list of test names; junk has person -1 and distractors person 0.
        query: (Q,) int64, rows of `test`, counted from 0.
    """

    train: NDArray[np.int64]
    test: NDArray[np.int64]
    query: NDArray[np.int64]


def read_mars(root: Path) -> Dataset:
    """Read the official layout.

    Train is every training tracklet, query the tracklets that ``query_IDX`` names, gallery *all* test tracklets:
    queries, junk (person -1) and distractors (person 0) included, as in the official protocol. A frame that is listed
    but missing on disk is left out of its tracklet, and a tracklet without frames out of the split; `Dataset.notes`
    says so.

    Args:
        root: the folder of ``bbox_train/``, ``bbox_test/`` and ``info/``. The name lists ``info/train_name.txt`` and
            ``info/test_name.txt`` are used if present, and otherwise rebuilt from the sorted folders.

    Raises:
        DatasetError: if a folder, table or list is missing, damaged, or does not fit the others.
    """
    root = find_layout(root, ("info", "bbox_train", "bbox_test"), _LAYOUT)
    info = read_mars_info(root / "info")
    train, train_notes = _read_part(root, "train", info.train)
    test, test_notes = _read_part(root, "test", info.test)
    query = [test[row] for row in info.query]
    lost = query.count(None)
    query_notes = [f"{lost} of {len(query)} queries are left out: none of their frames is there"] if lost else []
    return Dataset(
        name="mars",
        root=root,
        train=tuple(t for t in train if t),
        query=tuple(t for t in query if t),
        gallery=tuple(t for t in test if t),
        notes=(*train_notes, *test_notes, *query_notes),
    )


def read_mars_info(folder: Path) -> MarsInfo:
    """Read the three official tables; no frame is needed for it.

    Args:
        folder: where ``tracks_train_info.mat``, ``tracks_test_info.mat`` and ``query_IDX.mat`` lie.

    Raises:
        DatasetError: if a table is missing, unreadable, of another shape, or names rows that are not there.
    """
    train = _read_tracks(folder / "tracks_train_info.mat", "track_train_info")
    test = _read_tracks(folder / "tracks_test_info.mat", "track_test_info")
    path = folder / "query_IDX.mat"
    query = read_table(path, "query_IDX", _LAYOUT).ravel() - 1
    if query.size == 0 or query.min() < 0 or query.max() >= len(test):
        found = f"{query.min() + 1} to {query.max() + 1}" if query.size else "none"
        raise DatasetError(f"{path}: expected rows of tracks_test_info.mat, 1 to {len(test)}, found {found}: {_LAYOUT}")
    return MarsInfo(train, test, query)


def tracklets_from_rows(rows: NDArray[np.int64], names: Sequence[str], folder: Path) -> list[Tracklet]:
    """Turn a table of tracklets and the list of frame names that it points into, into tracklets. Reads nothing.

    A tracklet's id is what its frame names share, ``0001C1T0001``; should two rows share it, the later one is named
    after its first frame, ``0001C1T0001F017``.

    Args:
        rows: (N, 4) first and last frame (from 1, inclusive), person, camera.
        names: all frame names, in the order that `rows` counts in.
        folder: the folder of the identity folders.

    Raises:
        DatasetError: if a row points outside `names`, or at frames that are not of its person and camera.
    """
    tracklets: list[Tracklet] = []
    seen: set[str] = set()
    for number, (first, last, person, camera) in enumerate(rows.tolist(), start=1):
        if not 1 <= first <= last <= len(names):
            raise DatasetError(
                f"row {number} of the table for {folder} says frames {first} to {last}, but there are {len(names)} "
                f"names; {_REPAIR}"
            )
        frames = names[first - 1 : last]
        match = _FRAME.fullmatch(frames[0])
        label = f"{person:04d}" if person != JUNK else "00-1"
        prefix = f"{label}C{camera}T"
        as_text = sorted(frames)
        # What stands between two names that begin alike begins so too.
        if match is None or not (as_text[0].startswith(prefix) and as_text[-1].startswith(prefix)):
            wrong = next((name for name in frames if not name.startswith(prefix)), frames[0])
            raise DatasetError(
                f"row {number} of the table for {folder} is person {person}, camera {camera}, so its frames must be "
                f"named {prefix}0001F001.jpg and so on, but {wrong!r} is among them; {_REPAIR}"
            )
        tracklet_id = match["tracklet"] if match["tracklet"] not in seen else frames[0].removesuffix(".jpg")
        seen.add(tracklet_id)
        # Frame numbers are padded with zeros, so by length and then by letters is by number.
        tracklets.append(Tracklet(tracklet_id, person, camera, folder / label, tuple(sorted(as_text, key=len))))
    return tracklets


def _read_part(root: Path, part: str, rows: NDArray[np.int64]) -> tuple[list[Tracklet | None], list[str]]:
    """One tracklet a row, with the frames that exist, None where none does; and what to note about the missing ones."""
    folder = root / f"bbox_{part}"
    # One listing an identity: asking the disk for every single frame would take minutes.
    present = {name: _list_frames(folder / name) for name in sorted(list_folder(folder)[0])}
    if not any(present.values()):
        raise DatasetError(f"{folder} holds no frame such as 0001/0001C1T0001F001.jpg: {_LAYOUT}")
    name_list = root / "info" / f"{part}_name.txt"
    if not name_list.is_file():
        names = [name for person in present.values() for name in sorted(person)]
        # One frame too many or too few would shift all rows behind it, unseen where neighbours are of one person.
        if len(names) != rows[:, 1].max():
            raise DatasetError(
                f"{folder} holds {len(names)} frames, but its table counts {rows[:, 1].max()}: copy the data set again "
                f"or put the official {name_list.name} into info/, which says which ones"
            )
        return list(tracklets_from_rows(rows, names, folder)), []

    names = read_text(name_list).split()
    there = {name: set(frames) for name, frames in present.items()}
    tracklets: list[Tracklet | None] = []
    missing: list[str] = []
    left_out: list[str] = []
    for tracklet in tracklets_from_rows(rows, names, folder):
        own = there.get(tracklet.folder.name, set())
        if own.issuperset(tracklet.names):
            tracklets.append(tracklet)
            continue
        missing += (name for name in tracklet.names if name not in own)
        kept = tuple(name for name in tracklet.names if name in own)
        tracklets.append(replace(tracklet, names=kept) if kept else None)
        if not kept:
            left_out.append(tracklet.id)
    notes: list[str] = []
    if missing:
        notes.append(f"{folder.name}: {len(missing)} listed frames are missing on disk, {first_few(missing)}")
    if left_out:
        notes.append(
            f"{folder.name}: {len(left_out)} tracklets have no frame left and are left out, {first_few(left_out)}"
        )
    return tracklets, notes


def _list_frames(folder: Path) -> list[str]:
    """Names of the frames in a folder, in any order."""
    names = os.listdir(folder)  # noqa: PTH208 (a million names; paths of them would take seconds)
    # Nearly always all are frames, and one match for all of them takes a third of the time of one for each.
    return names if _FRAMES.fullmatch("".join(names)) else [name for name in names if _FRAME.fullmatch(name)]


def _read_tracks(path: Path, variable: str) -> NDArray[np.int64]:
    rows = read_table(path, variable, _LAYOUT)
    if rows.ndim != 2 or rows.shape[1] != 4 or len(rows) == 0:
        raise DatasetError(
            f"{path}: expected {variable} to have four columns (first frame, last frame, person, camera), found an "
            f"array of shape {rows.shape}; use the official file"
        )
    return rows
