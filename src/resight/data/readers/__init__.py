"""Read data sets: one function per layout, which takes a folder and returns a `Dataset` for each official split."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from resight.data.readers import duke_video, folder, ls_vid, manifest, mars, two_camera
from resight.data.readers.layout import Layout
from resight.data.readers.packed import Reader, packed_splits_file, reads_packs, reads_whole_packs
from resight.errors import DatasetError
from resight.tracklet import Dataset

_READ: dict[str, Reader] = {
    "duke-video": duke_video.read_duke_video,
    "folder": folder.read_folder_splits,
    "ilids-vid": two_camera.read_ilids_vid,
    "ls-vid": ls_vid.read_ls_vid,
    "manifest": manifest.read_manifest_splits,
    "mars": mars.read_mars,
    "prid2011": two_camera.read_prid2011,
}
READERS: dict[str, Reader] = {kind: reads_packs(kind, read) for kind, read in _READ.items()}
"""Kind of data set → its reader. To add a layout, write a function and add a line here and in `LAYOUTS`."""

LAYOUTS: Mapping[str, Layout] = MappingProxyType(
    {
        "mars": mars.LAYOUT,
        "duke-video": duke_video.LAYOUT,
        "ls-vid": ls_vid.LAYOUT,
        "prid2011": two_camera.PRID2011,
        "ilids-vid": two_camera.ILIDS_VID,
        "folder": folder.LAYOUT,
        "manifest": manifest.LAYOUT,
    }
)
"""Kind of data set → what its folder contains."""


@dataclass(frozen=True)
class OwnData:
    """A kind of data set for your own tracklets.

    Attributes:
        read: Reads all tracklets, each in every role, without splits.
        splits_file: Returns the path of the file that lists the splits of a data set.
    """

    read: Callable[[Path], Dataset]
    splits_file: Callable[[Path], Path]


OWN_DATA: Mapping[str, OwnData] = MappingProxyType(
    {
        kind: OwnData(reads_whole_packs(kind, read), packed_splits_file(splits_file))
        for kind, read, splits_file in (
            ("folder", folder.read_folder, folder.folder_splits_file),
            ("manifest", manifest.read_manifest, manifest.manifest_splits_file),
        )
    }
)
"""Kinds of data set that have no official splits."""


def read_splits(name: str) -> tuple[Dataset, ...]:
    """Read every split of a data set.

    Most data sets have one split. If a data set has several, ``prid2011:/data/prid2011#3`` selects the third.
    Your own data may have splits that you drew; ``folder:crops#all`` still reads all tracklets in every role.

    Args:
        name: ``KIND:PATH``, ``KIND:PATH#NUMBER`` or, for a ``folder`` or ``manifest``, ``KIND:PATH#all``. KIND is a
            key of `READERS`; ``~`` in the path is your home folder.

    Raises:
        DatasetError: If the name has another form, the kind is unknown, the split does not exist, or the data at the
            path is not of that kind.
    """
    if not isinstance(name, str):
        raise DatasetError(f"expected the name of a data set as text, KIND:PATH, found {name!r}")
    kind, colon, path = name.partition(":")
    known = ", ".join(sorted(READERS))
    if not colon or not path:
        raise DatasetError(
            f"expected the name of a data set as KIND:PATH, such as mars:/data/MARS, found {name!r}; kinds: {known}"
        )
    if kind not in READERS:
        raise DatasetError(f"{kind!r} in {name!r} is not a kind of data set; known: {known}")
    try:
        root, number = split_path(kind, path)
        root.exists()
    except (OSError, RuntimeError) as error:  # a name that is too long, or the home of an unknown user
        raise DatasetError(f"there is no data set {path[:80]!r} ({error.args[-1]})") from error
    if number == "all":
        return (OWN_DATA[kind].read(root),)
    splits = _read(kind, root)
    if not number:
        return splits
    chosen = tuple(split for split in splits if split.number == int(number))
    if not chosen:
        available = f"splits 1 to {len(splits)}" if splits[0].number else "one split, and no number"
        raise DatasetError(f"{name!r} selects split {number}, but the {kind} data set in {root} has {available}")
    return chosen


def read_whole(name: str) -> tuple[str, tuple[Dataset, ...], Path | None]:
    """Read a data set to copy it: all its splits; your own data without splits, and the file that lists them.

    Args:
        name: ``KIND:PATH``.

    Returns:
        Kind, data sets, and the file of splits if there is one.

    Raises:
        DatasetError: As `read_splits`, or if the name selects a split.
    """
    kind, _, path = name.partition(":")
    if kind in READERS and path and split_path(kind, path)[1]:
        raise DatasetError(f"{name!r} selects a split, expected a whole data set: omit # and the number")
    if kind not in OWN_DATA:
        return kind, read_splits(name), None
    root = Path(path).expanduser()
    read_splits(name)  # refuses what is wrong with the splits
    listed = OWN_DATA[kind].splits_file(root)
    return kind, (OWN_DATA[kind].read(root),), listed if listed.is_file() else None


def split_path(kind: str, path: str) -> tuple[Path, str]:
    """Separate a path from the number of a split: ``/data/prid2011#3`` gives ``/data/prid2011`` and ``3``.

    Args:
        kind: A key of `READERS`.
        path: A path, optionally followed by ``#NUMBER``, or by ``#all`` for a kind in `OWN_DATA`.

    Returns:
        The path, with ``~`` replaced by your home folder; and the number, ``all``, or ``""`` if there is none.
    """
    whole = Path(path).expanduser()
    base, hash_, number = path.rpartition("#")
    is_number = number.isdecimal() or (number == "all" and kind in OWN_DATA)
    # The name of a folder may end in #2.
    if hash_ and is_number and not whole.exists():
        return Path(base).expanduser(), number
    return whole, ""


def read_dataset(name: str) -> Dataset:
    """Read one split of a data set, such as ``mars:/data/MARS``.

    If the data set has several splits and the name has no number, the first split is read, with a note in
    `Dataset.notes`.

    Args:
        name: As in `read_splits`.

    Raises:
        DatasetError: As `read_splits`.
    """
    first, *more = read_splits(name)
    if not more:
        return first
    note = f"this is split 1 of {len(more) + 1}; {name}#2 selects the second"
    return replace(first, notes=(*first.notes, note))


def _read(kind: str, root: Path) -> tuple[Dataset, ...]:
    datasets = READERS[kind](root)
    return datasets if isinstance(datasets, tuple) else (datasets,)
