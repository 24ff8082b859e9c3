"""PRID2011 and iLIDS-VID: one tracklet per person in each of two cameras, ten official splits into halves.

PRID2011: Hirzer et al., SCIA 2011. iLIDS-VID, and the splits of both: Wang et al., ECCV 2014.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from resight.data.readers.listing import find_layout, first_few, list_folder
from resight.data.readers.matlab import read_table
from resight.errors import DatasetError
from resight.tracklet import Dataset, Tracklet

PRID2011_SPLITS = "splits_prid2011.json"
ILIDS_VID_SPLITS = "train_test_splits_ilidsvid.mat"

_PERSON = re.compile(r"person_?(\d+)")
_PRID2011 = (
    "a PRID2011 folder holds prid_2011/multi_shot/cam_a/person_0001/0001.png and so on, and beside prid_2011/ (or in "
    f"it) {PRID2011_SPLITS}"
)
_PRID2011_SPLITS_FROM = (
    "the archive of the frames does not hold it: it names the ten halvings of 178 persons that published figures use, "
    "and public re-identification toolkits, such as torchreid, say where to get it"
)
_ILIDS_VID = (
    "an iLIDS-VID folder holds i-LIDS-VID/sequences/cam1/person001/*.png and so on, and "
    f"'train-test people splits/{ILIDS_VID_SPLITS}'"
)
_ILIDS_VID_SPLITS_FROM = "it is part of the data set's own archive; unpack the whole of it"


@dataclass(frozen=True)
class Halves:
    """Folder names of the persons of one split, as listed."""

    train: tuple[str, ...]
    test: tuple[str, ...]


def read_prid2011(root: Path) -> tuple[Dataset, ...]:
    """Read all official splits; queries are of camera a (1), the gallery is camera b (2).

    Persons in no split are not read. A tracklet's id is ``cam_a/person_0001``.

    Args:
        root: the folder of ``prid_2011/``, that folder itself, or one above. ``splits_prid2011.json`` is looked for in
            `root`, beside ``multi_shot/`` and one folder further up.

    Raises:
        DatasetError: if a folder, the splits or a listed person is missing.
    """
    base = find_layout(root, ("multi_shot/cam_a", "multi_shot/cam_b"), _PRID2011)
    splits = _find_file(PRID2011_SPLITS, (root, base, base.parent), _PRID2011_SPLITS_FROM)
    return _make_splits("prid2011", base / "multi_shot", ("cam_a", "cam_b"), read_prid2011_splits(splits), splits)


def read_ilids_vid(root: Path) -> tuple[Dataset, ...]:
    """Read all official splits; queries are of camera 1, the gallery is camera 2.

    ``ls_set`` has a row a split: positions, from 1, in the sorted list of persons; the first half of a row is for
    testing, the second for training. A tracklet's id is ``cam1/person001``.

    Args:
        root: the folder of ``i-LIDS-VID/``, that folder itself, or one above. ``train_test_splits_ilidsvid.mat`` is
            looked for in `root`, beside ``sequences/`` and one folder further up, and each time also in
            ``train-test people splits/`` there.

    Raises:
        DatasetError: if a folder or the splits are missing, or they do not fit each other.
    """
    base = find_layout(root, ("sequences/cam1", "sequences/cam2"), _ILIDS_VID)
    places = [folder / below for folder in (root, base, base.parent) for below in ("", "train-test people splits")]
    splits = _find_file(ILIDS_VID_SPLITS, places, _ILIDS_VID_SPLITS_FROM)
    first, second = (_person_folders(base / "sequences" / camera) for camera in ("cam1", "cam2"))
    if first != second:
        lonely = sorted({*first} ^ {*second})
        raise DatasetError(
            f"{base / 'sequences'} has {len(lonely)} persons in one camera only, {first_few(lonely)}; {splits.name} "
            "counts in the list of all persons, so copy the data set again"
        )
    rows = read_table(splits, "ls_set", _ILIDS_VID)
    everybody = list(range(1, len(first) + 1))
    numbers = f"numbers {rows.min()} to {rows.max()}" if rows.size else "no number"
    if rows.ndim != 2 or rows.size == 0 or len(first) % 2 or any(sorted(row) != everybody for row in rows.tolist()):
        raise DatasetError(
            f"{splits}: ls_set must have {len(first)} columns, the persons in {base / 'sequences'}, and each row "
            f"to name all of them, found an array of shape {rows.shape} with {numbers}; "
            "use the official file and all person folders"
        )
    half = len(first) // 2
    named = [tuple(first[place - 1] for place in row) for row in rows.tolist()]
    halves = [Halves(train=row[half:], test=row[:half]) for row in named]
    return _make_splits("ilids-vid", base / "sequences", ("cam1", "cam2"), halves, splits)


def read_prid2011_splits(path: Path) -> list[Halves]:
    """Read ``splits_prid2011.json``: a list of ``{"train": [...], "test": [...]}`` with names of person folders.

    Raises:
        DatasetError: if it is something else, or somebody is in both halves or twice in one.
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
                f"{path}: expected split {number} to have persons to train and to test on, each listed once; use the "
                "official file"
            )
    if not halves:
        raise DatasetError(f"{path} lists no split; use the official file")
    return halves


def _find_file(name: str, folders: Iterable[Path], origin: str) -> Path:
    places = list(dict.fromkeys(folders))
    found = next((folder / name for folder in places if (folder / name).is_file()), None)
    if found is None:
        looked = ", ".join(str(place) for place in places)
        raise DatasetError(f"there is no {name} in any of {looked}; {origin}")
    return found


def _person_folders(folder: Path) -> list[str]:
    return [name for name in list_folder(folder)[0] if _PERSON.fullmatch(name)]


def _make_splits(
    name: str, root: Path, cameras: tuple[str, str], halves: Sequence[Halves], source: Path
) -> tuple[Dataset, ...]:
    """One `Dataset` for each pair of halves; the tracklets are shared."""
    persons = sorted({person for split in halves for person in (*split.train, *split.test)})
    first, second = (
        {person: _tracklet(root, camera, number, person, source) for person in persons}
        for number, camera in enumerate(cameras, start=1)
    )
    return tuple(
        Dataset(
            name,
            root,
            train=tuple(role[person] for person in sorted(split.train) for role in (first, second)),
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
