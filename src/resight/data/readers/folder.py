"""Read your own tracklets from folders: ``<person>/<camera>/<tracklet>/<frame>.jpg``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from resight.data.readers.layout import Layout
from resight.data.readers.listing import PICTURES, list_folder, other_pictures
from resight.data.readers.names import describe_special, number_persons, numbered, one_spelling
from resight.data.readers.own_splits import apply_own_splits
from resight.errors import DatasetError
from resight.packs import packed_names
from resight.tracklet import DISTRACTOR, JUNK, Dataset, Tracklet
from resight.words import counted

PATTERN = "<person>/<camera>/<tracklet>/<frame>.jpg"
DEPTH = 3
"""Levels of folders between the data set's folder and the frames."""

LAYOUT = Layout(description=f"expected {PATTERN}, such as anna/door/0001/000001.jpg")

_ROLES = {
    "train", "test", "query", "gallery", "val", "valid", "validation", "probe", "train_all", "bbox_train", "bbox_test",
    "bounding_box_train", "bounding_box_test",
}  # fmt: skip
_CAMERA = re.compile(r"cam(era)?[ _.-]?\w{1,3}", re.IGNORECASE)
_PERSON = re.compile(r"(person|pid|id|people)[ _.-]?\d+", re.IGNORECASE)


def read_folder(root: Path) -> Dataset:
    """Read tracklets from nested folders. Every tracklet is in the training set, the queries and the gallery.

    Folders and frames are sorted in natural order (``frame9`` before ``frame10``). Persons are numbered 1, 2, … in
    that order, and so are the cameras of the whole data set. A tracklet's id is ``person/camera/tracklet``. Hidden
    files, system folders and files that are not pictures are ignored. A tracklet folder without pictures is left out,
    with a note. If the folder holds only pictures, each is a tracklet of one frame of an unknown person, under a camera
    of its own. Persons named ``junk``, ``-1``, ``distractors`` or ``0000`` are marked as such, with a note.

    Args:
        root: The folder that contains the persons' folders.

    Raises:
        DatasetError: If the folder does not exist or has no tracklet, a picture lies at another depth, or the names
            of folders show that the levels are others.
    """
    if not root.is_dir():
        raise DatasetError(f"there is no folder {root}: {LAYOUT.description}")
    folders, pictures = list_folder(root)
    if pictures and not folders:
        return _read_flat(root, pictures)
    listed: list[tuple[str, str, str, tuple[str, ...]]] = []
    notes: list[str] = []
    for person in _folders_above_tracklets(root):
        for camera in _folders_above_tracklets(root / person):
            for tracklet in _folders_above_tracklets(root / person / camera):
                folders, pictures = list_folder(root / person / camera / tracklet)
                if pictures:
                    listed.append((person, camera, tracklet, tuple(pictures)))
                elif folders:
                    raise DatasetError(
                        f"{root / person / camera / tracklet} should hold the frames of one tracklet but holds folders "
                        f"({folders[0]}): {LAYOUT.description}; perhaps the data set is {root / person}"
                    )
                else:
                    unread = other_pictures(root / person / camera / tracklet)
                    notes.append(f"{person}/{camera}/{tracklet} holds no picture{unread} and is left out")
    if not listed:
        raise DatasetError(f"no tracklet in {root}: {LAYOUT.description}{'; ' + notes[0] if notes else ''}")
    _check_levels(root, [(person, camera, tracklet) for person, camera, tracklet, _ in listed])
    persons = number_persons(person for person, _, _, _ in listed)
    cameras = numbered(camera for _, camera, _, _ in listed)
    notes += describe_special(person for person, _, _, _ in listed)
    tracklets = tuple(
        Tracklet(
            f"{person}/{camera}/{tracklet}",
            persons[one_spelling(person)],
            cameras[one_spelling(camera)],
            root / person / camera / tracklet,
            names,
            camera_name=one_spelling(camera),
        )
        for person, camera, tracklet, names in listed
    )
    return Dataset("folder", root, tracklets, tracklets, tracklets, tuple(notes), camera_names=tuple(cameras))


def _read_flat(root: Path, pictures: Sequence[str]) -> Dataset:
    """Return the pictures of a folder as tracklets of one frame."""
    tracklets = tuple(
        Tracklet(name, JUNK, camera, root, (name,)) for camera, name in enumerate(pictures, start=1)
    )  # fmt: skip
    note = (
        f"{root} holds {counted(len(pictures), 'pictures')} and no folder: each is read as a tracklet of one frame of "
        f"an unknown person, to be searched, not for training or evaluation. Tracklets are {PATTERN}"
    )
    return Dataset("folder", root, tracklets, tracklets, tracklets, (note,))


def read_folder_splits(root: Path) -> tuple[Dataset, ...]:
    """Read the splits listed in the folder's ``splits.json``; without this file, return what `read_folder` reads.

    Raises:
        DatasetError: As `read_folder`, or if the splits do not match the tracklets.
    """
    return apply_own_splits(read_folder(root), folder_splits_file(root), f"folder:{root}")


def folder_splits_file(root: Path) -> Path:
    """Return the path of the file that lists the splits of a folder of tracklets."""
    return root / "splits.json"


def read_tracklet(folder: Path) -> Tracklet:
    """Read one folder of frames as a query.

    The tracklet's id is the folder's name. Its person is `DISTRACTOR` and its camera is 0, because neither is known.
    No gallery tracklet has camera 0, so that no protocol excludes gallery tracklets of the query's camera.

    Raises:
        DatasetError: If the folder does not exist or holds no picture.
    """
    packed = packed_names(folder)
    if not packed and not folder.is_dir():
        raise DatasetError(f"there is no folder {folder}: expected one that holds the frames of one tracklet")
    pictures = list(packed) or list_folder(folder)[1]
    if not pictures:
        raise DatasetError(
            f"{folder} holds no picture{other_pictures(folder)}: expected the frames of one tracklet, "
            f"{', '.join(PICTURES)}"
        )
    return Tracklet(folder.resolve().name, DISTRACTOR, 0, folder, tuple(pictures))


def _check_levels(root: Path, listed: Sequence[tuple[str, str, str]]) -> None:
    """Refuse folders whose names show that persons, cameras and tracklets are at other levels."""
    persons, cameras, tracklets = ({names[level] for names in listed} for level in range(DEPTH))
    problem = ""
    if all(name.lower() in _ROLES for name in persons):
        part = min(persons)
        problem = (
            f"{part} is a part of a data set, not a person: perhaps the data set is {root / part}, or it has another "
            "layout, which `resight doctor` recognises"
        )
    elif len(persons) > 1 and all(map(_CAMERA.fullmatch, persons)) and not any(map(_CAMERA.fullmatch, cameras)):
        problem = f"{min(persons)} is a camera, not a person: put the persons above the cameras"
    elif all(map(_CAMERA.fullmatch, cameras)) and all(map(_PERSON.fullmatch, tracklets)):
        problem = (
            f"{min(tracklets)} is a person, not a tracklet: perhaps it is prid2011 or ilids-vid, or put the persons "
            "above the cameras"
        )
    if problem:
        raise DatasetError(f"{root}: {problem}. {LAYOUT.description.capitalize()}; a manifest allows any layout")


def _folders_above_tracklets(folder: Path) -> list[str]:
    folders, pictures = list_folder(folder)
    if pictures:
        raise DatasetError(
            f"the picture {folder / pictures[0]} is not deep enough in the folders: {LAYOUT.description}; or list the "
            "tracklets in a manifest"
        )
    return folders
