"""The facts about a data set's folder that its reader relies on. `resight doctor` checks the same facts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from resight.data.readers.listing import PICTURES, list_folder
from resight.errors import DatasetError

MAX_DEPTH = 2
"""Levels of folders below the given path in which a reader looks for its data set."""


@dataclass(frozen=True)
class LayoutFile:
    """A table or list that belongs to a data set.

    Attributes:
        places: Paths where the file may be, relative to the data set's folder, in order of preference.
        variable: Name of the MATLAB variable in a table; empty for a text file.
        required: Whether the reader fails without the file.
        nearby: Whether `places` are also tried relative to the folder that the user named, and to the folder above
            the data set's.
    """

    places: tuple[str, ...]
    variable: str = ""
    required: bool = True
    nearby: bool = False

    def candidates(self, root: Path, home: Path) -> list[Path]:
        """Return every path that is tried, in order and without repetition.

        Args:
            root: The folder that the user named.
            home: The data set's folder: `root` or a folder below it.
        """
        folders = (root, home, home.parent) if self.nearby else (home,)
        return list(dict.fromkeys(folder / place for folder in folders for place in self.places))

    def find(self, root: Path, home: Path) -> Path | None:
        """Return the first candidate that exists, or None."""
        return next((path for path in self.candidates(root, home) if path.is_file()), None)


@dataclass(frozen=True)
class Layout:
    """What the folder of a data set contains.

    Attributes:
        description: The expected layout in one sentence, for error messages.
        folders: Required folders, relative to the data set's folder; empty if any names are allowed.
        files: Tables and lists.
        numbered_folders: Those of `folders` in which every person's folder must have a four-digit number.
        suffixes: Suffixes of frames.
        any_case: Whether `suffixes` are accepted in upper case too.
        frame_number: Regular expression for the end of a frame's name without suffix, in any case. Its group
            ``frame`` is the frame number.
        shared_folders: Whether a folder may hold the frames of several tracklets. A tracklet is then named by the
            part of the frame's name before `frame_number`.
        gallery_has_queries: Whether every query is in the gallery too.
    """

    description: str
    folders: tuple[str, ...] = ()
    files: tuple[LayoutFile, ...] = ()
    numbered_folders: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = PICTURES
    any_case: bool = True
    frame_number: str = r"(?P<frame>\d+)\D*"
    shared_folders: bool = False
    gallery_has_queries: bool = False

    def find_home(self, root: Path) -> Path:
        """Return the folder that holds the data set: `root`, or one up to `MAX_DEPTH` levels below it.

        Archives often unpack into a folder of their own, sometimes into two.

        Args:
            root: The folder that the user named.

        Raises:
            DatasetError: If no such folder exists, or more than one.
        """
        if not root.is_dir():
            raise DatasetError(f"there is no folder {root}: {self.description}")
        level = [root]
        for depth in range(MAX_DEPTH + 1):
            homes = [folder for folder in level if all((folder / name).is_dir() for name in self.folders)]
            if len(homes) > 1:
                raise DatasetError(
                    f"{root} contains more than one such data set, {homes[0]} and {homes[1]}; give the path of one"
                )
            if homes:
                return homes[0]
            if depth < MAX_DEPTH:
                below = [(folder, name) for folder in level for name in list_folder(folder)[0]]
                level = [folder / name for folder, name in below]
        missing = next(name for name in self.folders if not (root / name).is_dir())
        raise DatasetError(f"there is no folder {root / missing}: {self.description}")
