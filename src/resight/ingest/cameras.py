"""Which cameras to ingest: one small TOML file, or one video named on the command line."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from resight.errors import DatasetError

_NAME = re.compile(r"\w[\w.-]*")
_LARGEST_FRAME = 2**31
_FORM = 'expected [[camera]] tables with name = "door", video = "door.mp4" and, unless people are detected, tracks'


@dataclass(frozen=True)
class Source:
    """One camera's video, and what is known about it.

    Attributes:
        name: of the camera; letters, digits, ``_``, ``.`` and ``-``. It becomes a folder's name.
        video: a video file or a folder of frames.
        tracks: a tracker's boxes as MOT-challenge text, or a detector's, with ids of -1, which are tracked then. None:
            people are detected too.
        start: when the first picture was taken; None: not known, and times count from the first picture.
        rate: pictures a second that the tracker saw. None: the n-th picture of the video is its frame n. With a rate,
            its frame n is the picture shown at (n - `first_frame`) / rate seconds: right for a tracker that was fed at
            an even rate from a video whose own rate varies. For a folder of frames it only says the times.
        first_frame: the number that the tracker gave to the first picture, by the MOT Challenge 1.
    """

    name: str
    video: Path
    tracks: Path | None = None
    start: datetime | None = None
    rate: float | None = None
    first_frame: int = 1

    def __post_init__(self) -> None:
        """Check what can be checked without the files.

        Raises:
            DatasetError: if a value cannot work.
        """
        if not _NAME.fullmatch(self.name):
            raise DatasetError(
                f"a camera's name becomes a folder's: expected letters, digits, _, . and -, found {self.name!r}"
            )
        if self.rate is not None and not 0 < self.rate < 10_000:
            raise DatasetError(f"camera {self.name}: expected a rate in pictures a second, found {self.rate}")
        if abs(self.first_frame) > _LARGEST_FRAME:
            raise DatasetError(
                f"camera {self.name}: expected first_frame to be such as 0 or 1, found {self.first_frame}"
            )


def read_cameras(path: Path) -> tuple[Source, ...]:
    """Read a file of cameras; paths in it are relative to its folder.

    ::

        [[camera]]
        name = "door"
        video = "door.mp4"
        tracks = "door.txt"
        start = 2024-05-01T10:00:00Z
        rate = 25

    Args:
        path: the TOML file; a table for each camera, the keys are the attributes of `Source`.

    Raises:
        DatasetError: if the file is missing or not TOML, a key is missing, unknown or of the wrong type, or two
            cameras have one name.
    """
    sources = tuple(read_source(table, path, number) for number, table in enumerate(load_tables(path), start=1))
    check_names(sources)
    return sources


def load_tables(path: Path) -> list[dict[str, Any]]:
    """The ``[[camera]]`` tables of a file, as they stand there.

    Raises:
        DatasetError: if the file is missing or not TOML, or holds something else.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DatasetError(f"cannot read the cameras {path}: {error.strerror}; {_FORM}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} is not TOML ({error}): {_FORM}") from error
    tables = values.get("camera")
    if set(values) != {"camera"} or not isinstance(tables, list) or not all(isinstance(t, dict) for t in tables):
        raise DatasetError(f"{path}: {_FORM}, found {sorted(values) or 'nothing'}")
    return tables


def find_sources(path: Path, camera: str | None = None, tracks: Path | None = None) -> tuple[Source, ...]:
    """The cameras that a person means who names one path.

    Args:
        path: a TOML file for `read_cameras`, or one video or folder of frames.
        camera: name of the one camera; None: the name of the video without its ending.
        tracks: of the one camera; see `Source`.

    Raises:
        DatasetError: as `read_cameras`; or if the other arguments come with a TOML file, which says all that itself.
    """
    if path.suffix.lower() != ".toml":
        name = camera or re.sub(r"[^\w.-]+", "-", path.resolve().stem).strip("-.") or "camera"
        return (Source(name, path, tracks),)
    if camera or tracks:
        raise DatasetError(f"{path} names cameras and tracks itself; write them there")
    return read_cameras(path)


def check_names(sources: tuple[Source, ...]) -> None:
    """Insist that every camera has a name of its own.

    Raises:
        DatasetError: if two share one. Upper and lower case are not told apart: some file systems do not either.
    """
    names = [source.name.lower() for source in sources]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DatasetError(f"two cameras are called {twice[0]!r}; give each its own name")


def read_source(table: dict[str, Any], path: Path, number: int) -> Source:
    """One camera from its table.

    Args:
        table: keys are the attributes of `Source`.
        path: the file, to which paths are relative.
        number: of the table in the file, from 1.

    Raises:
        DatasetError: if a key is missing, unknown, or of the wrong type.
    """
    kinds: dict[str, tuple[type, ...]] = {
        "name": (str,), "video": (str,), "tracks": (str,), "start": (datetime,),
        "rate": (int, float), "first_frame": (int,),
    }  # fmt: skip
    where = f"{path}, camera {number}"
    unknown = sorted(set(table) - set(kinds))
    if unknown:
        known = ", ".join(field.name for field in fields(Source))
        raise DatasetError(f"{where}: {unknown[0]!r} is not a key; known: {known}")
    for key in ("name", "video"):
        if key not in table:
            raise DatasetError(f"{where} has no {key}: {_FORM}")
    for key, value in table.items():
        if not isinstance(value, kinds[key]) or isinstance(value, bool):
            wanted = {str: "text", datetime: "a date and time such as 2024-05-01T10:00:00Z", int: "a whole number"}.get(
                kinds[key][0] if len(kinds[key]) == 1 else float, "a number"
            )
            raise DatasetError(f"{where}: expected {key} to be {wanted}, found {value!r}")
    for key in ("video", "tracks"):
        if key in table:
            table = {**table, key: path.parent / Path(table[key]).expanduser()}
    return Source(**table)
