"""Read MARS: 1,261 persons on a campus, six cameras, tracklets made by a detector and a tracker.

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

from resight.data.readers.layout import Layout, LayoutFile
from resight.data.readers.listing import first_few, list_folder, read_text
from resight.data.readers.matlab import read_table
from resight.errors import DatasetError
from resight.tracklet import JUNK, Dataset, Tracklet


@dataclass(frozen=True)
class MarsPart:
    """Where the training or the test half of MARS lies.

    Attributes:
        frames: Folder of the persons' folders, relative to the data set's.
        table: File name of the table of tracklets, in `INFO`.
        variable: Name of the variable in that table.
        names: File name of the optional list of frame names, in `INFO`.
    """

    frames: str
    table: str
    variable: str
    names: str


INFO = "info"
"""Folder of the tables and lists."""

TRAIN = MarsPart("bbox_train", "tracks_train_info.mat", "track_train_info", "train_name.txt")
TEST = MarsPart("bbox_test", "tracks_test_info.mat", "track_test_info", "test_name.txt")
QUERY_TABLE = "query_IDX.mat"
QUERY_VARIABLE = "query_IDX"
COLUMNS = ("first frame", "last frame", "person", "camera")
"""Columns of the tables of tracklets."""

LAYOUT = Layout(
    description=(
        "a MARS folder contains bbox_train/, bbox_test/ and info/ with tracks_train_info.mat, tracks_test_info.mat "
        "and query_IDX.mat (info/ comes with the authors' evaluation code)"
    ),
    folders=(TRAIN.frames, TEST.frames, INFO),
    files=(
        LayoutFile((f"{INFO}/{TRAIN.table}",), TRAIN.variable),
        LayoutFile((f"{INFO}/{TEST.table}",), TEST.variable),
        LayoutFile((f"{INFO}/{QUERY_TABLE}",), QUERY_VARIABLE),
        LayoutFile((f"{INFO}/{TRAIN.names}",), required=False),
        LayoutFile((f"{INFO}/{TEST.names}",), required=False),
    ),
    numbered_folders=(TRAIN.frames, TEST.frames),
    suffixes=(".jpg",),
    any_case=False,
    frame_number=r"F(?P<frame>[0-9]+)",
    shared_folders=True,
    gallery_has_queries=True,
)
_FRAME = re.compile(rf"(?P<tracklet>(?:[0-9]{{4}}|00-1)C[0-9]T[0-9]+){LAYOUT.frame_number}\.jpg")
_FRAMES = re.compile(rf"(?:{re.sub(r'[?]P<[a-z]+>', '?:', _FRAME.pattern)})*")
_REPAIR = (
    "frames are missing on disk, or the names belong to another table: put the official train_name.txt and "
    "test_name.txt into info/"
)


@dataclass(frozen=True)
class MarsInfo:
    """The official tables.

    Attributes:
        train: (N, 4) int64, one row per tracklet: first and last frame (from 1, inclusive, in the list of names),
            person, camera.
        test: (N', 4) int64, the same for the list of test names; junk has person -1 and distractors person 0.
        query: (Q,) int64, rows of `test`, counted from 0.
    """

    train: NDArray[np.int64]
    test: NDArray[np.int64]
    query: NDArray[np.int64]


def read_mars(root: Path) -> Dataset:
    """Read the official layout.

    The training set is every training tracklet. The queries are the tracklets in ``query_IDX``. The gallery is *all*
    test tracklets, including queries, junk (person -1) and distractors (person 0), as in the official protocol. A
    listed frame that is missing on disk is left out of its tracklet, and a tracklet without frames is left out of the
    data set, with a note in `Dataset.notes`.

    Args:
        root: The folder that contains ``bbox_train/``, ``bbox_test/`` and ``info/``, or one above it. The lists
            ``info/train_name.txt`` and ``info/test_name.txt`` are used if present, and otherwise rebuilt from the
            sorted folders.

    Raises:
        DatasetError: If a folder, table or list is missing, damaged, or not consistent with the others.
    """
    root = LAYOUT.find_home(root)
    info = read_mars_info(root / INFO)
    train, train_notes = _read_part(root, TRAIN, info.train)
    test, test_notes = _read_part(root, TEST, info.test)
    query = [test[row] for row in info.query]
    missing = query.count(None)
    query_notes = (
        [f"{missing} of {len(query)} queries are left out because they have no frame on disk"] if missing else []
    )
    return Dataset(
        name="mars",
        root=root,
        train=tuple(t for t in train if t),
        query=tuple(t for t in query if t),
        gallery=tuple(t for t in test if t),
        notes=(*train_notes, *test_notes, *query_notes),
    )


def read_mars_info(folder: Path) -> MarsInfo:
    """Read the three official tables. No frames are needed.

    Args:
        folder: The folder of ``tracks_train_info.mat``, ``tracks_test_info.mat`` and ``query_IDX.mat``.

    Raises:
        DatasetError: If a table is missing, unreadable, has another shape, or points to rows that do not exist.
    """
    train, test = (_read_tracks(folder / part.table, part.variable) for part in (TRAIN, TEST))
    path = folder / QUERY_TABLE
    query = read_table(path, QUERY_VARIABLE, LAYOUT.description).ravel() - 1
    if query.size == 0 or query.min() < 0 or query.max() >= len(test):
        found = f"{query.min() + 1} to {query.max() + 1}" if query.size else "none"
        raise DatasetError(
            f"{path}: expected rows of {TEST.table}, 1 to {len(test)}, found {found}: {LAYOUT.description}"
        )
    return MarsInfo(train, test, query)


def tracklets_from_rows(rows: NDArray[np.int64], names: Sequence[str], folder: Path) -> list[Tracklet]:
    """Build tracklets from a table and the list of frame names that it points into. Nothing is read from disk.

    A tracklet's id is the common beginning of its frame names, ``0001C1T0001``. If two rows have the same one, the
    later row is named after its first frame, ``0001C1T0001F017``.

    Args:
        rows: (N, 4) first and last frame (from 1, inclusive), person, camera.
        names: All frame names, in the order to which `rows` refers.
        folder: The folder that contains the persons' folders.

    Raises:
        DatasetError: If a row points outside `names`, or to frames of another person or camera.
    """
    tracklets: list[Tracklet] = []
    seen: set[str] = set()
    for number, (first, last, person, camera) in enumerate(rows.tolist(), start=1):
        if not 1 <= first <= last <= len(names):
            raise DatasetError(
                f"row {number} of the table for {folder} has frames {first} to {last}, but there are {len(names)} "
                f"names; {_REPAIR}"
            )
        frames = names[first - 1 : last]
        match = _FRAME.fullmatch(frames[0])
        label = f"{person:04d}" if person != JUNK else "00-1"
        prefix = f"{label}C{camera}T"
        as_text = sorted(frames)
        # If the first and the last sorted name have this prefix, so have all names between them.
        if match is None or not (as_text[0].startswith(prefix) and as_text[-1].startswith(prefix)):
            wrong = next((name for name in frames if not name.startswith(prefix)), frames[0])
            raise DatasetError(
                f"row {number} of the table for {folder} is person {person}, camera {camera}, so its frames must be "
                f"named {prefix}0001F001.jpg and so on, but {wrong!r} is among them; {_REPAIR}"
            )
        tracklet_id = match["tracklet"] if match["tracklet"] not in seen else frames[0].removesuffix(".jpg")
        seen.add(tracklet_id)
        # Frame numbers are padded with zeros, so sorting by length and then as text sorts by number.
        tracklets.append(Tracklet(tracklet_id, person, camera, folder / label, tuple(sorted(as_text, key=len))))
    return tracklets


def person_folder(name: str) -> str:
    """Return the name of the folder in which a frame of this name lies."""
    return name[:4]


def _read_part(root: Path, part: MarsPart, rows: NDArray[np.int64]) -> tuple[list[Tracklet | None], list[str]]:
    """Return one tracklet per row with the frames that exist, None if there are none, and notes on missing frames."""
    folder = root / part.frames
    # One listing per person: checking every single frame on disk would take minutes.
    present = {name: _list_frames(folder / name) for name in sorted(list_folder(folder)[0])}
    if not any(present.values()):
        raise DatasetError(f"{folder} holds no frame such as 0001/0001C1T0001F001.jpg: {LAYOUT.description}")
    name_list = root / INFO / part.names
    if not name_list.is_file():
        names = [name for person in present.values() for name in sorted(person)]
        # One frame too many or too few would shift all later rows, unnoticed between tracklets of the same person.
        if len(names) != rows[:, 1].max():
            raise DatasetError(
                f"{folder} holds {len(names)} frames, but its table counts {rows[:, 1].max()}: copy the data set again "
                f"or put the official {name_list.name} into {INFO}/, which lists the frames"
            )
        return list(tracklets_from_rows(rows, names, folder)), []

    names = read_text(name_list).split()
    available = {name: set(frames) for name, frames in present.items()}
    tracklets: list[Tracklet | None] = []
    missing: list[str] = []
    left_out: list[str] = []
    for tracklet in tracklets_from_rows(rows, names, folder):
        frames = available.get(tracklet.folder.name, set())
        if frames.issuperset(tracklet.names):
            tracklets.append(tracklet)
            continue
        missing += (name for name in tracklet.names if name not in frames)
        kept = tuple(name for name in tracklet.names if name in frames)
        tracklets.append(replace(tracklet, names=kept) if kept else None)
        if not kept:
            left_out.append(tracklet.id)
    notes: list[str] = []
    if missing:
        notes.append(f"{folder.name}: {len(missing)} listed frames are missing on disk, {first_few(missing)}")
    if left_out:
        notes.append(
            f"{folder.name}: {len(left_out)} tracklets are left out because all of their frames are missing, "
            + first_few(left_out)
        )
    return tracklets, notes


def _list_frames(folder: Path) -> list[str]:
    """Return the names of the frames in a folder, in any order."""
    names = os.listdir(folder)  # noqa: PTH208 (for a million names, creating paths would take seconds)
    # Almost always all files are frames, and a single match over all names takes a third of the time.
    return names if _FRAMES.fullmatch("".join(names)) else [name for name in names if _FRAME.fullmatch(name)]


def _read_tracks(path: Path, variable: str) -> NDArray[np.int64]:
    rows = read_table(path, variable, LAYOUT.description)
    if rows.ndim != 2 or rows.shape[1] != len(COLUMNS) or len(rows) == 0:
        raise DatasetError(
            f"{path}: expected {variable} to have four columns ({', '.join(COLUMNS)}), found an array of shape "
            f"{rows.shape}; use the official file"
        )
    return rows
