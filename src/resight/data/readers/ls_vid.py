"""LS-VID: 3,772 people, fifteen cameras in and out of doors (Li et al., ICCV 2019)."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from resight.data.readers.listing import find_layout, first_few, list_folder, natural_order, read_text
from resight.data.readers.matlab import read_table
from resight.errors import DatasetError
from resight.tracklet import JUNK, Dataset, Tracklet

_LAYOUT = (
    "an LS-VID folder holds list_sequence/list_seq_train.txt and list_seq_test.txt, the frames that these name, and "
    "test/data/info_test.mat"
)
_TABLES = ("test/data/info_test.mat", "data/info_test.mat")
_LAST = chr(0x10FFFF)
_LINE = re.compile(r"(?P<path>\S+)\s+(?P<person>-?\d+)(?:\s+(?P<camera>\d+))?")
_FRAME = re.compile(r"\d+_\d+_[cC]?(?P<camera>\d+)_[fF]?\d+\.(?:jpg|jpeg|png)", re.IGNORECASE)


@dataclass(frozen=True)
class _Line:
    """A line of a list: where the frames of one tracklet begin, whose they are, and which camera's, if it says so."""

    path: str
    person: int
    camera: int | None


def read_ls_vid(root: Path) -> Dataset:
    """Read the lists and find their frames.

    A line names what the paths of a tracklet's frames begin with, or their folder, then the person, and in some copies
    the camera; else the camera is in the frame names, ``<person>_<tracklet>_<camera>_<frame>.jpg``. A tracklet's id is
    the path that its line begins with. Where numbers of persons or cameras begin at 0, all are counted from 1 here,
    because person 0 means somebody who is nobody's right answer.

    Query are the test lines that ``query`` in ``info_test.mat`` numbers (from 1), gallery *all* test lines, queries
    included. A tracklet without frames on disk is left out; `Dataset.notes` says so.

    Args:
        root: the folder of ``list_sequence/`` and ``test/``, or one above it. Copies that keep both in ``info/``, as
            ``info/list_sequence/`` and ``info/data/``, are read too.

    Raises:
        DatasetError: if a list, the table or all frames are missing, or something in them does not fit.
    """
    info = find_layout(root, ("list_sequence",), _LAYOUT)
    train_lines, test_lines = (
        _read_list(info / "list_sequence" / f"list_seq_{part}.txt") for part in ("train", "test")
    )
    table = next((info / name for name in _TABLES if (info / name).is_file()), info / _TABLES[0])
    rows = read_table(table, "query", _LAYOUT).ravel() - 1
    if rows.size == 0 or rows.min() < 0 or rows.max() >= len(test_lines):
        found = f"{rows.min() + 1} to {rows.max() + 1}" if rows.size else "none"
        raise DatasetError(
            f"{table}: expected lines of list_seq_test.txt, 1 to {len(test_lines)}, found {found}: {_LAYOUT}"
        )
    notes: list[str] = []
    tracklets = _find_tracklets(info, (*train_lines, *test_lines), notes)
    train, test = tracklets[: len(train_lines)], tracklets[len(train_lines) :]
    query = [test[row] for row in rows.tolist()]
    if lost := query.count(None):
        notes.append(f"{lost} of {len(query)} queries are left out: none of their frames is there")
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
        raise DatasetError(f"there is no list {path}: {_LAYOUT}")
    lines: list[_Line] = []
    for number, text in enumerate(read_text(path).splitlines(), start=1):
        if not text.strip():
            continue
        match = _LINE.fullmatch(text.strip())
        if match is None:
            raise DatasetError(
                f"{path}, line {number}: expected the path of a tracklet, its person and perhaps its camera, found "
                f"{text!r}; use the official file"
            )
        camera = None if match["camera"] is None else int(match["camera"])
        lines.append(_Line(match["path"].rstrip("_/"), int(match["person"]), camera))
    if not lines:
        raise DatasetError(f"{path} lists no tracklet; use the official file")
    return lines


def _find_tracklets(info: Path, lines: Sequence[_Line], notes: list[str]) -> list[Tracklet | None]:
    """One tracklet a line, None where there is no frame."""
    root = next((root for root in (info, info.parent) if (root / lines[0].path).parent.is_dir()), info)
    listings: dict[Path, list[str]] = {}
    found = [_find_frames(root / line.path, listings) for line in lines]
    missing = [line.path for line, (_, names) in zip(lines, found, strict=True) if not names]
    if len(missing) == len(lines):
        raise DatasetError(
            f"no frame of the {len(lines)} listed tracklets is in {root}, {first_few(missing)}; unpack the frames so "
            "that the paths in list_sequence/ begin there"
        )
    if missing:
        notes.append(f"{len(missing)} listed tracklets have no frame on disk and are left out, {first_few(missing)}")
    cameras = [_camera(line, folder, names) for line, (folder, names) in zip(lines, found, strict=True)]
    # Somebody with the number 0 would be taken for a distractor, and camera 0 for one that is not of this set.
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
        for line, (folder, names), camera in zip(lines, found, cameras, strict=True)
    ]


def _find_frames(path: Path, listings: dict[Path, list[str]]) -> tuple[Path, list[str]]:
    """The folder of a tracklet's frames and their names, in order: all that is in `path`, or begins with it."""
    if path.is_dir():
        return path, list_folder(path)[1]
    folder = path.parent
    if folder not in listings:
        # As text, so that what begins alike lies together.
        listings[folder] = list_folder(folder, as_text=True)[1] if folder.is_dir() else []
    names = listings[folder]
    some = names[bisect_left(names, path.name) : bisect_left(names, path.name + _LAST)]
    # 0001_0002 must not claim the frames of 0001_00020.
    own = [name for name in some if not name[len(path.name) :][:1].isdecimal()]
    # Numbers of one width are in order already; there are three million frames, so that this counts.
    return folder, own if len({*map(len, own)}) == 1 else sorted(own, key=natural_order)


def _camera(line: _Line, folder: Path, names: Sequence[str]) -> int | None:
    """The camera of a tracklet, None if it has no frame."""
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
