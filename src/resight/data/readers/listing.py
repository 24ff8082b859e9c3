"""List folders and read texts in an order that does not depend on the file system."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from resight.errors import DatasetError

PICTURES = (".jpg", ".jpeg", ".png")
"""Suffixes of frames, in upper or lower case."""

ARCHIVE_METADATA = "__MACOSX"
"""A folder that macOS adds to archives. It repeats the names of the real folders without their content."""

_SHOWN = 3


def list_folder(folder: Path, *, as_text: bool = False) -> tuple[list[str], list[str]]:
    """Return the names of the folders and of the pictures in a folder, without hidden ones.

    Args:
        folder: The folder to list.
        as_text: Sort by character instead of by natural order.

    Raises:
        DatasetError: If the folder cannot be listed.
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
        raise DatasetError(f"cannot list {error.filename or folder}: {error.strerror}; repair or delete it") from error
    key = None if as_text else natural_order
    return sorted(folders, key=key), sorted(pictures, key=key)


def read_text(path: Path) -> str:
    """Return the content of a UTF-8 file, with or without the byte order mark that Windows programs write.

    Raises:
        DatasetError: If the file cannot be read or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror}; check the file and its permissions") from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is not UTF-8 text ({error}); convert it to UTF-8") from error


def natural_order(name: str) -> tuple[list[str | int], str]:
    """Return a sorting key that compares runs of digits as numbers.

    Names that differ only in leading zeros are compared as text.

    >>> sorted(["frame10.png", "frame9.png"], key=natural_order)
    ['frame9.png', 'frame10.png']
    """
    # Splitting at digits puts text at even positions and numbers at odd ones, so that only like types are compared.
    parts = re.split(r"([0-9]+)", name)
    return [int(part) if position % 2 else part for position, part in enumerate(parts)], name


def first_few(items: Sequence[str]) -> str:
    """Return the first few names of a long list, for a message."""
    return f"the first: {', '.join(items[:_SHOWN])}"


def numbered(names: Iterable[str]) -> dict[str, int]:
    """Number distinct names 1, 2, … in natural order."""
    return {name: number for number, name in enumerate(sorted(set(names), key=natural_order), start=1)}
