"""Read DukeMTMC-VideoReID: 1,812 persons, eight cameras, tracklets cut by hand (Wu et al., CVPR 2018).

The authors withdrew the data set in 2019. This module reads an existing copy and downloads nothing.
"""

from __future__ import annotations

import re
from pathlib import Path

from resight.data.readers.layout import Layout
from resight.data.readers.listing import first_few, list_folder
from resight.errors import DatasetError
from resight.tracklet import Dataset, Tracklet

LAYOUT = Layout(
    description=(
        "a DukeMTMC-VideoReID folder contains train/, query/ and gallery/, each with "
        "<person>/<tracklet>/<frame>.jpg, such as train/0001/0012/0001_C6_F0099_X30823.jpg; its authors withdrew it "
        "in 2019, so you need a copy that you are allowed to use"
    ),
    folders=("train", "query", "gallery"),
    frame_number=r"F(?P<frame>\d+)_?X\d+",
)
# 0001_C6_F0099_X30823.jpg, and the older form 0001C6F0099X30823.jpg
_FRAME = re.compile(
    rf"(?P<person>\d{{4}})_?C(?P<camera>\d)_?{LAYOUT.frame_number}\.(?:jpg|jpeg|png)",
    re.IGNORECASE,
)


def read_duke_video(root: Path) -> Dataset:
    """Read the data set, with either form of frame names.

    A tracklet's id is its path, such as ``query/0005/0112``. Persons without a query keep their numbers.

    Args:
        root: The folder that contains ``train/``, ``query/`` and ``gallery/``, or one above it.

    Raises:
        DatasetError: If a folder is missing or has no tracklet, or a frame's name has an unknown form or belongs in
            another folder.
    """
    root = LAYOUT.find_home(root)
    notes: list[str] = []
    train, query, gallery = (_read_role(root, role, notes) for role in LAYOUT.folders)
    return Dataset("duke-video", root, train, query, gallery, tuple(notes))


def _read_role(root: Path, role: str, notes: list[str]) -> tuple[Tracklet, ...]:
    tracklets: list[Tracklet] = []
    not_numbers: list[str] = []
    empty: list[str] = []
    for person in list_folder(root / role)[0]:
        if not person.isdecimal():
            not_numbers.append(f"{role}/{person}")
            continue
        for name in list_folder(root / role / person)[0]:
            tracklet_id = f"{role}/{person}/{name}"
            _, pictures = list_folder(root / tracklet_id, as_text=True)
            if pictures:
                tracklets.append(_tracklet(root, tracklet_id, int(person), pictures))
            else:
                empty.append(tracklet_id)
    if not tracklets:
        raise DatasetError(f"no tracklet in {root / role}: {LAYOUT.description}")
    if not_numbers:
        notes.append(
            f"{role}: {len(not_numbers)} folders are ignored because their names are not person numbers, "
            + first_few(not_numbers)
        )
    if empty:
        notes.append(f"{role}: {len(empty)} tracklets are left out because they hold no picture, {first_few(empty)}")
    return tuple(tracklets)


def _tracklet(root: Path, tracklet_id: str, person: int, pictures: list[str]) -> Tracklet:
    folder = root / tracklet_id
    frames: list[tuple[int, str]] = []
    cameras: set[int] = set()
    for name in pictures:
        match = _FRAME.fullmatch(name)
        if match is None:
            raise DatasetError(
                f"{folder / name} does not have the name of a frame, such as 0001_C6_F0099_X30823.jpg: "
                f"{LAYOUT.description}"
            )
        cameras.add(int(match["camera"]))
        if int(match["person"]) != person or len(cameras) > 1:
            raise DatasetError(
                f"{folder} must hold frames of person {person} under one camera, but {name!r} is different; copy the "
                "data set again"
            )
        frames.append((int(match["frame"]), name))
    return Tracklet(tracklet_id, person, cameras.pop(), folder, tuple(name for _, name in sorted(frames)))
