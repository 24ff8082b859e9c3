"""One function per data set layout: folder in, `Dataset` out, or one for each official split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from resight.data.readers.duke_video import read_duke_video
from resight.data.readers.folder import read_folder, read_folder_splits
from resight.data.readers.ls_vid import read_ls_vid
from resight.data.readers.manifest import read_manifest, read_manifest_splits
from resight.data.readers.mars import read_mars
from resight.data.readers.two_camera import read_ilids_vid, read_prid2011
from resight.errors import DatasetError
from resight.tracklet import Dataset

READERS: dict[str, Callable[[Path], Dataset | tuple[Dataset, ...]]] = {
    "duke-video": read_duke_video,
    "folder": read_folder_splits,
    "ilids-vid": read_ilids_vid,
    "ls-vid": read_ls_vid,
    "manifest": read_manifest_splits,
    "mars": read_mars,
    "prid2011": read_prid2011,
}
"""Kind of data set → its reader. To add a layout, write a function and add a line."""

_WHOLE: dict[str, Callable[[Path], Dataset]] = {"folder": read_folder, "manifest": read_manifest}


def read_splits(name: str) -> tuple[Dataset, ...]:
    """Read every split of the data set that a name such as ``prid2011:/data/prid2011`` says.

    Most data sets have one. Of those that have more, a number at the end, ``prid2011:/data/prid2011#3``, chooses one.
    Your own data may have splits that you drew; ``folder:crops#all`` is then still all of it in every role.

    Args:
        name: ``KIND:PATH``, ``KIND:PATH#NUMBER`` or, of a ``folder`` or ``manifest``, ``KIND:PATH#all``, with a
            kind from `READERS`; ``~`` in the path is your home.

    Raises:
        DatasetError: if the name has another form, the kind is not known, there is no split of that number, or what
            lies at the path is not of that kind.
    """
    kind, colon, path = name.partition(":")
    known = ", ".join(sorted(READERS))
    if not colon or not path:
        raise DatasetError(f"a data set is named KIND:PATH, such as mars:/data/MARS, found {name!r}; kinds: {known}")
    if kind not in READERS:
        raise DatasetError(f"{kind!r} in {name!r} is not a kind of data set; known: {known}")
    whole = Path(path).expanduser()
    folder, hash_, number = path.rpartition("#")
    # A folder may be called crops#2.
    if not (hash_ and (number.isdecimal() or (number == "all" and kind in _WHOLE))) or whole.exists():
        return _read(kind, whole)
    if number == "all":
        return (_WHOLE[kind](Path(folder).expanduser()),)
    splits = _read(kind, Path(folder).expanduser())
    chosen = tuple(split for split in splits if split.number == int(number))
    if not chosen:
        has = f"splits 1 to {len(splits)}" if splits[0].number else "one split, and no number"
        raise DatasetError(f"{name!r} names split {number}, but the {kind} data set in {folder} has {has}")
    return chosen


def read_dataset(name: str) -> Dataset:
    """Read the data set that a name such as ``mars:/data/MARS`` says, as `read_splits`, and one split of it.

    Of a data set with several splits and a name without a number this is the first, and its notes say so.

    Raises:
        DatasetError: as `read_splits`.
    """
    first, *more = read_splits(name)
    if not more:
        return first
    note = f"this is split 1 of {len(more) + 1}; {name}#2 names the second"
    return replace(first, notes=(*first.notes, note))


def _read(kind: str, root: Path) -> tuple[Dataset, ...]:
    found = READERS[kind](root)
    return found if isinstance(found, tuple) else (found,)
