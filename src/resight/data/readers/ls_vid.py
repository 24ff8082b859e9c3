"""Read LS-VID: 3,772 persons, fifteen indoor and outdoor cameras (Li et al., ICCV 2019)."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from resight.data.readers.layout import Layout, LayoutFile
from resight.data.readers.listing import first_few, list_folder, natural_order, read_text
from resight.data.readers.matlab import read_table
from resight.errors import DatasetError
from resight.tracklet import JUNK, Dataset, Tracklet

_LIST_FOLDER = "list_sequence"
_TRAIN_LIST = LayoutFile((f"{_LIST_FOLDER}/list_seq_train.txt",))
_TEST_LIST = LayoutFile((f"{_LIST_FOLDER}/list_seq_test.txt",))
_QUERY_TABLE = LayoutFile(("test/data/info_test.mat", "data/info_test.mat"), variable="query")
LAYOUT = Layout(
    description=(
        "an LS-VID folder contains list_sequence/list_seq_train.txt and list_seq_test.txt, the frames listed in them, "
        "and test/data/info_test.mat"
    ),
    folders=(_LIST_FOLDER,),
    files=(_TRAIN_LIST, _TEST_LIST, _QUERY_TABLE),
    shared_folders=True,
    gallery_has_queries=True,
)
_LAST = chr(0x10FFFF)
_LINE = re.compile(r"(?P<path>\S+)\s+(?P<person>-?\d+)(?:\s+(?P<camera>\d+))?")
_FRAME = re.compile(r"\d+_\d+_[cC]?(?P<camera>\d+)_[fF]?\d+\.(?:jpg|jpeg|png)", re.IGNORECASE)


@dataclass(frozen=True)
class _Line:
    """A line of a list.

    Attributes:
        path: Folder of a tracklet's frames, or the common beginning of their paths.
        person: Person number as listed.
        camera: Camera number as listed; None if the line has none.
    """

    path: str
    person: int
    camera: int | None


def read_ls_vid(root: Path) -> Dataset:
    """Read the lists and find the frames of their tracklets.

    A line holds the common beginning of the paths of a tracklet's frames, or their folder, then the person, and in some
    copies the camera. Without it, the camera is read from the frame names
    ``<person>_<tracklet>_<camera>_<frame>.jpg``. A tracklet's id is the path in its line. If persons or cameras are
    numbered from 0, 1 is added to all of them, because person 0 means a distractor.

    Queries are the test lines whose numbers (from 1) are in ``query`` of ``info_test.mat``. The gallery is *all* test
    lines, including the queries. A tracklet without frames on disk is left out, with a note in `Dataset.notes`.

    Args:
        root: The folder that contains ``list_sequence/`` and ``test/``, or one above it. Copies that keep both in
            ``info/``, as ``info/list_sequence/`` and ``info/data/``, are read too.

    Raises:
        DatasetError: If a list, the table or all frames are missing, or their contents are not consistent.
    """
    info = LAYOUT.find_home(root)
    train_lines, test_lines = (_read_list(info / file.places[0]) for file in (_TRAIN_LIST, _TEST_LIST))
    table = _QUERY_TABLE.find(root, info) or info / _QUERY_TABLE.places[0]
    rows = read_table(table, _QUERY_TABLE.variable, LAYOUT.description).ravel() - 1
    if rows.size == 0 or rows.min() < 0 or rows.max() >= len(test_lines):
        found = f"{rows.min() + 1} to {rows.max() + 1}" if rows.size else "none"
        raise DatasetError(
            f"{table}: expected lines of list_seq_test.txt, 1 to {len(test_lines)}, found {found}: {LAYOUT.description}"
        )
    notes: list[str] = []
    tracklets = _find_tracklets(info, (*train_lines, *test_lines), notes)
    train, test = tracklets[: len(train_lines)], tracklets[len(train_lines) :]
    query = [test[row] for row in rows.tolist()]
    if missing := query.count(None):
        notes.append(f"{missing} of {len(query)} queries are left out because they have no frame on disk")
    return Dataset(
        "ls-vid",
        info,
        train=tuple(t for t in train if t),
        query=tuple(t for t in query if t),
        gallery=tuple(t for t in test if t),
        notes=tuple(notes),
    )


def _read_list(path: Path) -> list[_Line]:
    if not path.is_file():
        raise DatasetError(f"there is no list {path}: {LAYOUT.description}")
    lines: list[_Line] = []
    for number, text in enumerate(read_text(path).splitlines(), start=1):
        if not text.strip():
            continue
        match = _LINE.fullmatch(text.strip())
        if match is None:
            raise DatasetError(
                f"{path}, line {number}: expected the path of a tracklet, its person and optionally its camera, found "
                f"{text!r}; use the official file"
            )
        camera = None if match["camera"] is None else int(match["camera"])
        lines.append(_Line(match["path"].rstrip("_/"), int(match["person"]), camera))
    if not lines:
        raise DatasetError(f"{path} lists no tracklet; use the official file")
    return lines


def _find_tracklets(info: Path, lines: Sequence[_Line], notes: list[str]) -> list[Tracklet | None]:
    """Return one tracklet for each line, None where no frame exists."""
    root = next((root for root in (info, info.parent) if (root / lines[0].path).parent.is_dir()), info)
    listings: dict[Path, list[str]] = {}
    frames = [_find_frames(root / line.path, listings) for line in lines]
    missing = [line.path for line, (_, names) in zip(lines, frames, strict=True) if not names]
    if len(missing) == len(lines):
        raise DatasetError(
            f"no frame of the {len(lines)} listed tracklets is in {root}, {first_few(missing)}; unpack the frames so "
            "that the paths in list_sequence/ are relative to this folder"
        )
    if missing:
        notes.append(f"{len(missing)} listed tracklets have no frame on disk and are left out, {first_few(missing)}")
    cameras = [_camera(line, folder, names) for line, (folder, names) in zip(lines, frames, strict=True)]
    # Person 0 would be taken for a distractor, and camera 0 for one outside this data set.
    person_shift = int(any(line.person == 0 for line in lines))
    camera_shift = int(any(camera == 0 for camera in cameras))
    return [
        Tracklet(
            line.path,
            line.person + person_shift if line.person >= 0 else JUNK,
            camera + camera_shift,
            folder,
            tuple(names),
        )
        if camera is not None
        else None
        for line, (folder, names), camera in zip(lines, frames, cameras, strict=True)
    ]


def _find_frames(path: Path, listings: dict[Path, list[str]]) -> tuple[Path, list[str]]:
    """Return the folder and the sorted names of a tracklet's frames: those in `path`, or whose path begins with it."""
    if path.is_dir():
        return path, list_folder(path)[1]
    folder = path.parent
    if folder not in listings:
        # Sorted as text, names with the same beginning are adjacent.
        listings[folder] = list_folder(folder, as_text=True)[1] if folder.is_dir() else []
    names = listings[folder]
    candidates = names[bisect_left(names, path.name) : bisect_left(names, path.name + _LAST)]
    # 0001_0002 must not claim the frames of 0001_00020.
    frames = [name for name in candidates if not name[len(path.name) :][:1].isdecimal()]
    # Numbers of equal width are sorted already. Skipping the sort matters for three million frames.
    return folder, frames if len({*map(len, frames)}) == 1 else sorted(frames, key=natural_order)


def _camera(line: _Line, folder: Path, names: Sequence[str]) -> int | None:
    """Return the camera of a tracklet, None if it has no frame."""
    if line.camera is not None or not names:
        return line.camera if names else None
    matches = [_FRAME.fullmatch(name) for name in names]
    cameras = {match["camera"] for match in matches if match}
    if len(cameras) != 1 or None in matches:
        raise DatasetError(
            f"{folder} must hold the frames of {line.path} as <person>_<tracklet>_<camera>_<frame>.jpg, all of one "
            f"camera, found {names[0]!r} … {names[-1]!r}; use the official files"
        )
    return int(cameras.pop())
