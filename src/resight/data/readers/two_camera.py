"""Read PRID2011 and iLIDS-VID: one tracklet per person in each of two cameras, ten official splits into halves.

PRID2011: Hirzer et al., SCIA 2011. iLIDS-VID, and the splits of both: Wang et al., ECCV 2014.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from resight.data.readers.layout import Layout, LayoutFile
from resight.data.readers.listing import first_few, list_folder
from resight.data.readers.matlab import read_table
from resight.errors import DatasetError
from resight.tracklet import Dataset, Tracklet

PRID2011_SPLITS = "splits_prid2011.json"
ILIDS_VID_SPLITS = "train_test_splits_ilidsvid.mat"

_PERSON = re.compile(r"person_?(\d+)")
_PRID2011_SPLITS_FILE = LayoutFile((PRID2011_SPLITS,), nearby=True)
PRID2011 = Layout(
    description=(
        "a PRID2011 folder contains prid_2011/multi_shot/cam_a/person_0001/0001.png and so on, and, beside or in "
        f"prid_2011/, {PRID2011_SPLITS}"
    ),
    folders=("multi_shot/cam_a", "multi_shot/cam_b"),
    files=(_PRID2011_SPLITS_FILE,),
)
_PRID2011_SPLITS_SOURCE = (
    "the archive of the frames does not contain it. It lists the ten splits of 178 persons that published results "
    "use; public re-identification toolkits, such as torchreid, describe where to get it"
)
_ILIDS_VID_SPLITS_FILE = LayoutFile(
    (ILIDS_VID_SPLITS, f"train-test people splits/{ILIDS_VID_SPLITS}"), variable="ls_set", nearby=True
)
ILIDS_VID = Layout(
    description=(
        "an iLIDS-VID folder contains i-LIDS-VID/sequences/cam1/person001/*.png and so on, and "
        f"'train-test people splits/{ILIDS_VID_SPLITS}'"
    ),
    folders=("sequences/cam1", "sequences/cam2"),
    files=(_ILIDS_VID_SPLITS_FILE,),
)
_ILIDS_VID_SPLITS_SOURCE = "it is part of the data set's own archive; unpack the whole archive"


@dataclass(frozen=True)
class Halves:
    """Folder names of the persons of one split, in the order of the list."""

    train: tuple[str, ...]
    test: tuple[str, ...]


def read_prid2011(root: Path) -> tuple[Dataset, ...]:
    """Read all official splits. Queries are from camera a (1), the gallery is camera b (2).

    Persons in no split are not read. A tracklet's id is ``cam_a/person_0001``.

    Args:
        root: The folder that contains ``prid_2011/``, that folder itself, or one above. ``splits_prid2011.json`` is
            searched for in `root`, beside ``multi_shot/`` and one folder above that.

    Raises:
        DatasetError: If a folder, the splits or a listed person is missing.
    """
    home = PRID2011.find_home(root)
    splits = _find_splits(_PRID2011_SPLITS_FILE, root, home, _PRID2011_SPLITS_SOURCE)
    return _make_splits("prid2011", home / "multi_shot", ("cam_a", "cam_b"), read_prid2011_splits(splits), splits)


def read_ilids_vid(root: Path) -> tuple[Dataset, ...]:
    """Read all official splits. Queries are from camera 1, the gallery is camera 2.

    ``ls_set`` has one row per split: positions, from 1, in the sorted list of persons. The first half of a row is for
    testing, the second for training. A tracklet's id is ``cam1/person001``.

    Args:
        root: The folder that contains ``i-LIDS-VID/``, that folder itself, or one above.
            ``train_test_splits_ilidsvid.mat`` is searched for in `root`, beside ``sequences/`` and one folder above
            that, and in ``train-test people splits/`` in each of these.

    Raises:
        DatasetError: If a folder or the splits are missing, or are not consistent.
    """
    home = ILIDS_VID.find_home(root)
    splits = _find_splits(_ILIDS_VID_SPLITS_FILE, root, home, _ILIDS_VID_SPLITS_SOURCE)
    first, second = (_person_folders(home / "sequences" / camera) for camera in ("cam1", "cam2"))
    if first != second:
        unpaired = sorted({*first} ^ {*second})
        raise DatasetError(
            f"{home / 'sequences'} has {len(unpaired)} persons in one camera only, {first_few(unpaired)}; "
            f"{splits.name} refers to positions in the list of all persons, so copy the data set again"
        )
    variable = _ILIDS_VID_SPLITS_FILE.variable
    rows = read_table(splits, variable, ILIDS_VID.description)
    everyone = list(range(1, len(first) + 1))
    numbers = f"numbers {rows.min()} to {rows.max()}" if rows.size else "no number"
    if rows.ndim != 2 or rows.size == 0 or len(first) % 2 or any(sorted(row) != everyone for row in rows.tolist()):
        raise DatasetError(
            f"{splits}: {variable} must have {len(first)} columns, the number of persons in {home / 'sequences'}, and "
            f"every row must contain each person once, found an array of shape {rows.shape} with {numbers}; use the "
            "official file and all person folders"
        )
    half = len(first) // 2
    persons = [tuple(first[position - 1] for position in row) for row in rows.tolist()]
    halves = [Halves(train=row[half:], test=row[:half]) for row in persons]
    return _make_splits("ilids-vid", home / "sequences", ("cam1", "cam2"), halves, splits)


def read_prid2011_splits(path: Path) -> list[Halves]:
    """Read ``splits_prid2011.json``: a list of ``{"train": [...], "test": [...]}`` with names of person folders.

    Raises:
        DatasetError: If it has another form, or a person is in both halves or twice in one.
    """
    try:
        splits = json.loads(path.read_text(encoding="utf-8"))
        halves = [Halves(*(tuple(str(name) for name in split[role]) for role in ("train", "test"))) for split in splits]
    except (ValueError, TypeError, KeyError) as error:
        raise DatasetError(
            f'{path}: expected a list of {{"train": [...], "test": [...]}} with folder names such as person_0001 '
            f"({type(error).__name__}: {error}); use the official file"
        ) from error
    for number, split in enumerate(halves, start=1):
        persons = (*split.train, *split.test)
        if not split.train or not split.test or len(set(persons)) < len(persons):
            raise DatasetError(
                f"{path}: expected split {number} to have training and test persons, each listed once; use the "
                "official file"
            )
    if not halves:
        raise DatasetError(f"{path} lists no split; use the official file")
    return halves


def _find_splits(file: LayoutFile, root: Path, home: Path, source: str) -> Path:
    path = file.find(root, home)
    if path is None:
        folders = ", ".join(str(candidate.parent) for candidate in file.candidates(root, home))
        raise DatasetError(f"there is no {file.places[0]} in any of {folders}; {source}")
    return path


def _person_folders(folder: Path) -> list[str]:
    return [name for name in list_folder(folder)[0] if _PERSON.fullmatch(name)]


def _make_splits(
    name: str, root: Path, cameras: tuple[str, str], halves: Sequence[Halves], source: Path
) -> tuple[Dataset, ...]:
    """Return one `Dataset` for each pair of halves. They share their tracklets."""
    persons = sorted({person for split in halves for person in (*split.train, *split.test)})
    first, second = (
        {person: _tracklet(root, camera, number, person, source) for person in persons}
        for number, camera in enumerate(cameras, start=1)
    )
    return tuple(
        Dataset(
            name,
            root,
            train=tuple(camera[person] for person in sorted(split.train) for camera in (first, second)),
            query=tuple(first[person] for person in sorted(split.test)),
            gallery=tuple(second[person] for person in sorted(split.test)),
            number=number,
        )
        for number, split in enumerate(halves, start=1)
    )


def _tracklet(root: Path, camera: str, number: int, person: str, source: Path) -> Tracklet:
    folder = root / camera / person
    match = _PERSON.fullmatch(person)
    if match is None:
        raise DatasetError(f"{source} lists {person!r}: expected a folder such as person_0001; use the official file")
    pictures = list_folder(folder)[1] if folder.is_dir() else []
    if not pictures:
        raise DatasetError(f"{source} lists {person}, but {folder} holds no frame; copy the data set again")
    return Tracklet(f"{camera}/{person}", int(match[1]), number, folder, tuple(pictures))
