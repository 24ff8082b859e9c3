"""One function per data set layout: folder in, `Split` out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from resight.data.readers.folder import read_folder
from resight.data.readers.mars import read_mars
from resight.errors import DatasetError
from resight.tracklet import Split

READERS: dict[str, Callable[[Path], Split]] = {
    "folder": read_folder,
    "mars": read_mars,
}
"""Kind of data set → its reader. To add a layout, write a function and add a line."""


def read_dataset(name: str) -> Split:
    """Read the data set that a name such as ``mars:/data/MARS`` says.

    Args:
        name: ``KIND:PATH``, with a kind from `READERS`; ``~`` in the path is your home.

    Raises:
        DatasetError: if the name has another form, the kind is not known, the path is not a folder, or what lies there
            is not of that kind.
    """
    kind, colon, path = name.partition(":")
    known = ", ".join(sorted(READERS))
    if not colon or not path:
        raise DatasetError(f"a data set is named KIND:PATH, such as mars:/data/MARS, found {name!r}; kinds: {known}")
    if kind not in READERS:
        raise DatasetError(f"{kind!r} in {name!r} is not a kind of data set; known: {known}")
    root = Path(path).expanduser()
    if not root.is_dir():
        raise DatasetError(f"there is no folder {root}, which {name!r} names; check the path")
    return READERS[kind](root)
