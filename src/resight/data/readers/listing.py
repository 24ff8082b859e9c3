"""List folders and read texts in an order that does not depend on the file system."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from resight.errors import DatasetError

PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".jfif")
"""Suffixes of frames, in upper or lower case."""

OTHER_PICTURES = (".avif", ".gif", ".heic", ".heif", ".jp2", ".jxl", ".pgm", ".ppm", ".raw", ".tga", ".dng", ".svg")
"""Suffixes of pictures that are not read. A folder that holds only these is refused with their names."""

SYSTEM_FOLDERS = frozenset({
    "__macosx", "@eadir", "@recycle", "@recently-snapshot", "@tmp", "@transcode", "#recycle", "#snapshot",
    "$recycle.bin", "lost+found", "network trash folder", "recycler", "system volume information", "temporary items",
    "thumbs.db",
})  # fmt: skip
"""Folders of operating systems and network storage, in lower case. macOS adds the first to archives; others hold
thumbnails, and pictures that were deleted."""

_SHOWN = 3


def is_ignored(name: str) -> bool:
    """Return whether a name is hidden or belongs to the operating system, so that no reader looks at it."""
    return name.startswith(".") or name.lower() in SYSTEM_FOLDERS


def list_folder(folder: Path, *, as_text: bool = False) -> tuple[list[str], list[str]]:
    """Return the names of the folders and of the pictures in a folder, without hidden ones and system folders.

    Args:
        folder: The folder to list.
        as_text: Sort by character instead of by natural order.

    Raises:
        DatasetError: If the folder cannot be listed, or something with the name of a picture is not a file.
    """
    folders: list[str] = []
    pictures: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if is_ignored(entry.name):
                    continue
                if entry.is_dir():
                    folders.append(entry.name)
                elif entry.name.lower().endswith(PICTURES):
                    if not (entry.is_file() or entry.is_symlink()):
                        raise DatasetError(
                            f"{entry.path} is not a regular file, but has the name of a picture: remove it"
                        )
                    pictures.append(entry.name)
    except OSError as error:
        raise DatasetError(f"cannot list {error.filename or folder}: {error.strerror}; repair or delete it") from error
    key = None if as_text else natural_order
    return sorted(folders, key=key), sorted(pictures, key=key)


def other_pictures(folder: Path) -> str:
    """Return text that names the pictures of a folder whose format is not read; empty if there are none."""
    names = [name for name in list_names(folder) if name.lower().endswith(OTHER_PICTURES)]
    return f" (pictures such as {names[0]} are not read: convert them to JPEG or PNG)" if names else ""


def list_names(folder: Path) -> list[str]:
    """Return the names of the files in a folder in natural order, without hidden ones.

    Raises:
        DatasetError: If the folder cannot be listed.
    """
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.is_file() and not is_ignored(entry.name)]
    except OSError as error:
        raise DatasetError(f"cannot list {error.filename or folder}: {error.strerror}; repair or delete it") from error
    return sorted(names, key=natural_order)


def read_file(path: Path, what: str = "the file") -> bytes:
    """Return the content of a regular file. A pipe or a device is refused, because reading it may never end.

    Args:
        path: The file.
        what: What it is, for messages.

    Raises:
        DatasetError: If it is missing, not a regular file, or cannot be read.
    """
    try:
        if path.exists() and not path.is_file():
            kind = "a directory" if path.is_dir() else "not a regular file"
            raise DatasetError(f"cannot read {what} {path}: it is {kind}, expected a file")
        return path.read_bytes()
    except OSError as error:
        raise DatasetError(
            f"cannot read {what} {path}: {error.strerror}; check the path and its permissions"
        ) from error


def decode_text(content: bytes, *, errors: str = "replace") -> str:
    """Return text as UTF-8 with or without byte order mark, or as UTF-16 or UTF-32 if it begins with that mark.

    Args:
        content: The bytes. Excel and PowerShell write UTF-16.
        errors: What to do with other bytes, as in `bytes.decode`.
    """
    if content[:4] in (b"\xff\xfe\0\0", b"\0\0\xfe\xff"):
        return content.decode("utf-32", errors)
    return content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig", errors)


def read_text(path: Path) -> str:
    """Return the content of a file as `decode_text` does.

    Raises:
        DatasetError: If the file cannot be read or is not UTF-8.
    """
    content = read_file(path)
    try:
        return decode_text(content, errors="strict")
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is not UTF-8 text ({error}); convert it to UTF-8") from error


def natural_order(name: str) -> tuple[list[str | tuple[int, str]], str]:
    """Return a sorting key that compares runs of digits as numbers.

    Names that differ only in leading zeros are compared as text.

    >>> sorted(["frame10.png", "frame9.png"], key=natural_order)
    ['frame9.png', 'frame10.png']
    """
    # Splitting at digits puts text at even positions and numbers at odd ones, so that only like types are compared.
    # A number is compared by its length and digits, because Python converts no text of more than 4,300 digits.
    parts = re.split(r"([0-9]+)", name)
    numbers = [(len(part.lstrip("0")), part.lstrip("0")) for part in parts[1::2]]
    return [numbers[position // 2] if position % 2 else part for position, part in enumerate(parts)], name


def first_few(items: Sequence[str]) -> str:
    """Return the first few names of a long list, for a message."""
    return f"the first: {', '.join(items[:_SHOWN])}"
