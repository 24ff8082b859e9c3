"""What folders hold, in an order that does not depend on the file system."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from resight.errors import DatasetError

PICTURES = (".jpg", ".jpeg", ".png")
"""Suffixes of frames, in upper or lower case."""

_LEVELS = 3
_SHOWN = 3


def list_folder(folder: Path, *, as_text: bool = False) -> tuple[list[str], list[str]]:
    """Names of the folders and of the pictures in a folder, hidden ones left out, in natural order or as text.

    Raises:
        DatasetError: if the folder cannot be listed.
    """
    folders: list[str] = []
    pictures: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():
                    folders.append(entry.name)
                elif entry.name.lower().endswith(PICTURES):
                    pictures.append(entry.name)
    except OSError as error:
        raise DatasetError(f"cannot list {error.filename or folder}: {error.strerror}; mend or delete it") from error
    key = None if as_text else natural_order
    return sorted(folders, key=key), sorted(pictures, key=key)


def read_text(path: Path) -> str:
    """A list or table of a data set as text, with or without the mark that Windows programs put before UTF-8.

    Raises:
        DatasetError: if it cannot be read, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror}; check what it is") from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is not UTF-8 text ({error}); save it as such") from error


def natural_order(name: str) -> tuple[list[str | int], str]:
    """Sorting key: runs of digits compare as numbers; names that differ in zeros only, as text.

    >>> sorted(["frame10.png", "frame9.png"], key=natural_order)
    ['frame9.png', 'frame10.png']
    """
    # Splitting by digits gives text at even places and numbers at odd ones, so like always meets like.
    parts = re.split(r"([0-9]+)", name)
    return [int(part) if place % 2 else part for place, part in enumerate(parts)], name


def find_layout(root: Path, needed: Sequence[str], layout: str) -> Path:
    """The folder that holds a data set: `root`, or one below it.

    Archives often unpack into a folder of their own, sometimes into two. So if `root` does not hold what is needed,
    its folders are tried, and then theirs.

    Args:
        root: the folder that the user named.
        needed: folders that the data set has, relative to its own.
        layout: what to say was expected.

    Raises:
        DatasetError: if there is no such folder, or more than one to choose from.
    """
    if not root.is_dir():
        raise DatasetError(f"there is no folder {root}: {layout}")
    level = [root]
    for depth in range(_LEVELS):
        found = [folder for folder in level if all((folder / name).is_dir() for name in needed)]
        if len(found) > 1:
            raise DatasetError(f"{root} holds more than one such data set, {found[0]} and {found[1]}; name one of them")
        if found:
            return found[0]
        if depth < _LEVELS - 1:
            # __MACOSX holds the shadows of an archive's folders
            below = [(folder, name) for folder in level for name in list_folder(folder)[0]]
            level = [folder / name for folder, name in below if name != "__MACOSX"]
    missing = next(name for name in needed if not (root / name).is_dir())
    raise DatasetError(f"there is no folder {root / missing}: {layout}")


def first_few(items: Sequence[str]) -> str:
    """The first few names of a long list, for a message."""
    return f"the first: {', '.join(items[:_SHOWN])}"


def numbered(names: Iterable[str]) -> dict[str, int]:
    """Names to 1, 2, … in natural order."""
    return {name: number for number, name in enumerate(sorted(set(names), key=natural_order), start=1)}
