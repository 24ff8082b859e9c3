"""DukeMTMC-VideoReID: 1,812 people, eight cameras, tracklets cut by hand (Wu et al., CVPR 2018).

Its source was withdrawn in 2019. This reads a copy that you have; nothing here fetches one.
"""

from __future__ import annotations

import re
from pathlib import Path

from resight.data.readers.listing import find_layout, first_few, list_folder
from resight.errors import DatasetError
from resight.tracklet import Dataset, Tracklet

# 0001_C6_F0099_X30823.jpg, and the older form 0001C6F0099X30823.jpg
_FRAME = re.compile(r"(?P<person>\d{4})_?C(?P<camera>\d)_?F(?P<frame>\d+)_?X\d+\.(?:jpg|jpeg|png)", re.IGNORECASE)
_LAYOUT = (
    "a DukeMTMC-VideoReID folder holds train/, query/ and gallery/, each with <person>/<tracklet>/<frame>.jpg, such as "
    "train/0001/0012/0001_C6_F0099_X30823.jpg; its authors withdrew it in 2019, so use a copy that you are allowed to "
    "use: there is nowhere to send you"
)


def read_duke_video(root: Path) -> Dataset:
    """Read the layout, with frame names of either form.

    A tracklet's id is ``query/0005/0112``. The people whom no query asks for keep their numbers.

    Args:
        root: the folder of ``train/``, ``query/`` and ``gallery/``, or one above it.

    Raises:
        DatasetError: if a folder is missing or holds no tracklet, or a frame's name is of no known form or belongs
            into another folder.
    """
    root = find_layout(root, ("train", "query", "gallery"), _LAYOUT)
    notes: list[str] = []
    train, query, gallery = (_read_role(root, role, notes) for role in ("train", "query", "gallery"))
    return Dataset("duke-video", root, train, query, gallery, tuple(notes))


def _read_role(root: Path, role: str, notes: list[str]) -> tuple[Tracklet, ...]:
    tracklets: list[Tracklet] = []
    strange: list[str] = []
    empty: list[str] = []
    for person in list_folder(root / role)[0]:
        if not person.isdecimal():
            strange.append(f"{role}/{person}")
            continue
        for name in list_folder(root / role / person)[0]:
            tracklet_id = f"{role}/{person}/{name}"
            _, pictures = list_folder(root / tracklet_id, as_text=True)
            if pictures:
                tracklets.append(_tracklet(root, tracklet_id, int(person), pictures))
            else:
                empty.append(tracklet_id)
    if not tracklets:
        raise DatasetError(f"no tracklet in {root / role}: {_LAYOUT}")
    if strange:
        notes.append(
            f"{role}: {len(strange)} folders are not named by a person's number and are ignored, " + first_few(strange)
        )
    if empty:
        notes.append(f"{role}: {len(empty)} tracklets hold no picture and are left out, {first_few(empty)}")
    return tuple(tracklets)


def _tracklet(root: Path, tracklet_id: str, person: int, pictures: list[str]) -> Tracklet:
    folder = root / tracklet_id
    numbered: list[tuple[int, str]] = []
    cameras: set[int] = set()
    for name in pictures:
        match = _FRAME.fullmatch(name)
        if match is None:
            raise DatasetError(
                f"{folder / name} is not named like a frame, such as 0001_C6_F0099_X30823.jpg: {_LAYOUT}"
            )
        cameras.add(int(match["camera"]))
        if int(match["person"]) != person or len(cameras) > 1:
            raise DatasetError(
                f"{folder} must hold frames of person {person} under one camera, but {name!r} is among them; copy the "
                "data set again"
            )
        numbered.append((int(match["frame"]), name))
    return Tracklet(tracklet_id, person, cameras.pop(), folder, tuple(name for _, name in sorted(numbered)))
