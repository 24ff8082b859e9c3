"""Your own tracklets, as folders: ``<person>/<camera>/<tracklet>/<frame>.jpg``."""

from __future__ import annotations

from pathlib import Path

from resight.data.readers.listing import PICTURES, list_folder, numbered
from resight.data.readers.own_splits import apply_own_splits
from resight.errors import DatasetError
from resight.tracklet import DISTRACTOR, Dataset, Tracklet

_LAYOUT = "expected <person>/<camera>/<tracklet>/<frame>.jpg (or .jpeg, .png), such as anna/door/0001/000001.jpg"


def read_folder(root: Path) -> Dataset:
    """Read tracklets from nested folders; every tracklet is train, query and gallery at once.

    Folders and frames go by natural order (``frame9`` before ``frame10``). Persons are numbered 1, 2, … in that order,
    and so are cameras, over the whole set; an id is ``person/camera/tracklet``. Hidden files and files that are no
    pictures are ignored; a tracklet folder without pictures is left out, with a note.

    Args:
        root: the folder of the person folders.

    Raises:
        DatasetError: if there is no such folder, no tracklet in it, or a picture lies at another depth.
    """
    if not root.is_dir():
        raise DatasetError(f"there is no folder {root}: {_LAYOUT}")
    found: list[tuple[str, str, str, tuple[str, ...]]] = []
    notes: list[str] = []
    for person in _folders_above_tracklets(root):
        for camera in _folders_above_tracklets(root / person):
            for tracklet in _folders_above_tracklets(root / person / camera):
                folders, pictures = list_folder(root / person / camera / tracklet)
                if pictures:
                    found.append((person, camera, tracklet, tuple(pictures)))
                elif folders:
                    raise DatasetError(
                        f"{root / person / camera / tracklet} should hold the frames of one tracklet but holds folders "
                        f"({folders[0]}): {_LAYOUT}; perhaps {root / person} is the folder to read"
                    )
                else:
                    notes.append(f"{person}/{camera}/{tracklet} holds no picture and is left out")
    if not found:
        raise DatasetError(f"no tracklet in {root}: {_LAYOUT}")
    persons = numbered(person for person, _, _, _ in found)
    cameras = numbered(camera for _, camera, _, _ in found)
    tracklets = tuple(
        Tracklet(
            f"{person}/{camera}/{tracklet}",
            persons[person],
            cameras[camera],
            root / person / camera / tracklet,
            names,
        )
        for person, camera, tracklet, names in found
    )
    return Dataset("folder", root, tracklets, tracklets, tracklets, tuple(notes), camera_names=tuple(cameras))


def read_folder_splits(root: Path) -> tuple[Dataset, ...]:
    """Read the splits that ``splits.json`` in the folder lists, or as `read_folder` if there is no such file.

    Raises:
        DatasetError: as `read_folder`, or if the splits do not fit the tracklets.
    """
    return apply_own_splits(read_folder(root), folder_splits_file(root), f"folder:{root}")


def folder_splits_file(root: Path) -> Path:
    """Where the splits of a folder of tracklets are listed."""
    return root / "splits.json"


def read_tracklet(folder: Path) -> Tracklet:
    """Read one folder of frames, to search with.

    Its id is the folder's name. Who it is and which camera saw it is not known: person `DISTRACTOR`, and camera 0,
    which is no gallery tracklet's camera, so that no protocol takes anything from the gallery for its sake.

    Raises:
        DatasetError: if there is no such folder or no picture in it.
    """
    if not folder.is_dir():
        raise DatasetError(f"there is no folder {folder}: expected one that holds the frames of one tracklet")
    _, pictures = list_folder(folder)
    if not pictures:
        raise DatasetError(f"{folder} holds no picture: expected the frames of one tracklet, {', '.join(PICTURES)}")
    return Tracklet(folder.resolve().name, DISTRACTOR, 0, folder, tuple(pictures))


def _folders_above_tracklets(folder: Path) -> list[str]:
    folders, pictures = list_folder(folder)
    if pictures:
        raise DatasetError(f"the picture {folder / pictures[0]} lies too high in the folders: {_LAYOUT}")
    return folders
