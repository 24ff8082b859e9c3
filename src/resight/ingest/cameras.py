"""Read which cameras to ingest, from a TOML file or from one video named on the command line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from resight.data.readers.listing import decode_text, read_file
from resight.errors import DatasetError

_NAME = re.compile(r"\w[\w.-]*")
_LARGEST_FRAME = 2**31
_FORM = (
    'expected [[camera]] tables with name = "door" and video = "door.mp4"; tracks = "door.txt" is optional (without '
    "tracks, people are detected)"
)
_TYPES: dict[str, tuple[tuple[type, ...], str]] = {
    "name": ((str,), "text"),
    "video": ((str, list), "text, or a list of files in order"),
    "tracks": ((str,), "text"),
    "start": ((datetime,), "a date and time such as 2024-05-01T10:00:00Z"),
    "rate": ((int, float), "a number"),
    "first_frame": ((int,), "a whole number"),
    "numbers": ((str,), "text"),
    "columns": ((str, list), "text such as frame,id,x1,y1,x2,y2"),
    "classes": ((str, int, list), "a list of names or numbers"),
}
"""Types allowed for each key of a camera's table, and their description for error messages."""


@dataclass(frozen=True)
class Source:
    """Video of one camera, with optional tracks and timing.

    Attributes:
        name: Camera name: letters, digits, ``_``, ``.`` and ``-``. It is also used as a folder name.
        video: Video file, several files in order, a folder of video files, or a folder of images.
        tracks: Boxes of a tracker in any format that `read_tracks` reads: tracks, or detections with id -1, which are
            then tracked. None: people are detected and tracked.
        start: Time of the first video frame. None: unknown, and times are relative to the first video frame.
        rate: Frame rate at which the tracker processed the video, in frames per second. None: the tracker's frame n is
            the n-th picture of a video that can be decoded. With a rate, the tracker's frame n is the picture shown at
            (n - `first_frame`) / rate seconds; use it if the tracker resampled a video of variable frame rate to a
            constant rate. For a folder of images, the rate only sets the times.
        first_frame: Number that the tracker gives to the first picture. None: in a folder whose file names have
            numbers, the number in the first name; else that of the format, 0 if there are boxes in frame 0, or 1.
        numbers: ``names``: in a folder of images, frame n is the file numbered n, if names have numbers; ``order``: it
            is the n-th image.
        columns: Names of the columns of a text without a header; empty: the format is recognised.
        classes: Names or numbers of the classes that are cut; empty: persons if classes have names, else all.
    """

    name: str
    video: Path | tuple[Path, ...]
    tracks: Path | None = None
    start: datetime | None = None
    rate: float | None = None
    first_frame: int | None = None
    numbers: str = "names"
    columns: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the values that can be checked without reading files.

        Raises:
            DatasetError: If a value is invalid.
        """
        given = (self.video,) if isinstance(self.video, (str, Path)) else tuple(self.video)
        paths = [*given, *([] if self.tracks is None else [self.tracks])]
        if not isinstance(self.name, str) or not all(isinstance(path, (str, Path)) for path in paths):
            raise DatasetError(f"camera {self.name!r}: expected a name, and paths of video and tracks, found {paths}")
        videos = tuple(map(Path, given))
        object.__setattr__(self, "video", videos[0] if len(videos) == 1 else videos)
        object.__setattr__(self, "tracks", None if self.tracks is None else Path(self.tracks))
        if not _NAME.fullmatch(self.name):
            raise DatasetError(
                f"camera name {self.name!r} is not valid: it is used as a folder name, so use only letters, digits, "
                "_, . and -, and begin with a letter, a digit or _"
            )
        for key in ("rate", "first_frame"):
            value = getattr(self, key)
            if value is not None and (not isinstance(value, _TYPES[key][0]) or isinstance(value, bool)):
                raise DatasetError(f"camera {self.name}: expected {key} to be {_TYPES[key][1]}, found {value!r}")
        if self.rate is not None and not 0 < self.rate < 10_000:
            raise DatasetError(f"camera {self.name}: expected a rate in frames per second, found {self.rate}")
        if self.first_frame is not None and abs(self.first_frame) > _LARGEST_FRAME:
            raise DatasetError(
                f"camera {self.name}: expected first_frame to be a number such as 0, 1 or 300, found {self.first_frame}"
            )
        if self.numbers not in ("names", "order"):
            raise DatasetError(f'camera {self.name}: expected numbers = "names" or "order", found {self.numbers!r}')
        if not self.files:
            raise DatasetError(
                f"camera {self.name}: expected video to be a file, a folder or a list of files, found none"
            )

    @property
    def files(self) -> tuple[Path, ...]:
        """The video files or the folder."""
        return (self.video,) if isinstance(self.video, Path) else self.video

    @property
    def place(self) -> str:
        """Where the video is, for messages."""
        return str(self.files[0]) if len(self.files) == 1 else f"{self.files[0]} to {self.files[-1].name}"


def read_cameras(path: Path) -> tuple[Source, ...]:
    """Read a camera file.

    ::

        [[camera]]
        name = "door"
        video = "door.mp4"
        tracks = "door.txt"
        start = 2024-05-01T10:00:00Z
        rate = 25

    Args:
        path: TOML file with one table per camera; its keys are the attributes of `Source`. Relative paths are relative
            to the file's folder.

    Returns:
        The cameras, in file order.

    Raises:
        DatasetError: If the file is missing or not TOML, a key is missing, unknown or of the wrong type, or two
            cameras have the same name.
    """
    sources = tuple(read_source(table, path, number) for number, table in enumerate(load_tables(path), start=1))
    check_names(sources)
    return sources


def load_tables(path: Path) -> list[dict[str, Any]]:
    """Return the ``[[camera]]`` tables of a camera file, without checking their keys.

    Raises:
        DatasetError: If the file is missing, not TOML, or contains anything else.
    """
    try:
        values = tomllib.loads(decode_text(read_file(path, "the camera file"), errors="strict"))
    except (ValueError, RecursionError) as error:  # not TOML, not UTF-8, or a date or number out of range
        raise DatasetError(f"{path} is not TOML ({error}): {_FORM}") from error
    tables = values.get("camera")
    if set(values) != {"camera"} or not isinstance(tables, list) or not all(isinstance(t, dict) for t in tables):
        raise DatasetError(f"{path}: {_FORM}, found {sorted(values) or 'nothing'}")
    return tables


def find_sources(
    path: Path,
    camera: str | None = None,
    tracks: Path | None = None,
    *,
    first_frame: int | None = None,
    classes: Sequence[str] = (),
) -> tuple[Source, ...]:
    """Return the cameras described by a path.

    Args:
        path: Camera file (TOML; see `read_cameras`), or one video file, folder of videos or folder of images.
        camera: Name of the single camera. None: the file name of the video, without its extension.
        tracks: Tracks of the single camera; see `Source`.
        first_frame: As in `Source`; for the cameras of a camera file that have none of their own.
        classes: The same.

    Raises:
        DatasetError: As for `read_cameras`, or if `camera` or `tracks` is given together with a camera file.
    """
    if path.suffix.lower() != ".toml":
        name = camera or re.sub(r"[^\w.-]+", "-", path.resolve().stem).strip("-.") or "camera"
        return (Source(name, path, tracks, first_frame=first_frame, classes=tuple(classes)),)
    if camera or tracks:
        raise DatasetError(f"a camera name or tracks cannot be given together with {path}; write them in that file")
    return tuple(
        replace(
            source,
            first_frame=first_frame if source.first_frame is None else source.first_frame,
            classes=source.classes or tuple(classes),
        )
        for source in read_cameras(path)
    )


def check_names(sources: tuple[Source, ...]) -> None:
    """Check that all camera names differ. Case is ignored, because some file systems ignore it.

    Raises:
        DatasetError: If two cameras have the same name.
    """
    names = [source.name.lower() for source in sources]
    duplicates = sorted({name for name in names if names.count(name) > 1})
    if duplicates:
        raise DatasetError(f"two cameras have the name {duplicates[0]!r}; give each camera its own name")


def read_source(table: dict[str, Any], path: Path, number: int) -> Source:
    """Return the camera described by one table of a camera file.

    Args:
        table: The table; its keys are the attributes of `Source`.
        path: Camera file, for messages and relative paths.
        number: Position of the table in the file, from 1.

    Raises:
        DatasetError: If a key is missing, unknown or of the wrong type, or a value is invalid.
    """
    where = f"{path}, camera {number}"
    unknown = sorted(set(table) - set(_TYPES))
    if unknown:
        known = ", ".join(field.name for field in fields(Source))
        raise DatasetError(f"{where}: unknown key {unknown[0]!r}; known keys: {known}")
    for key in ("name", "video"):
        if key not in table:
            raise DatasetError(f"{where} has no {key}: {_FORM}")
    for key, value in table.items():
        types, description = _TYPES[key]
        if not isinstance(value, types) or isinstance(value, bool):
            raise DatasetError(f"{where}: expected {key} to be {description}, found {value!r}")
    values = dict(table)
    for key in ("video", "columns", "classes"):
        value = values.get(key, [])
        texts = value if isinstance(value, list) else str(value).split(",") if key != "video" else [value]
        if not all(isinstance(text, (str, int)) and not isinstance(text, bool) for text in texts):
            raise DatasetError(f"{where}: expected {key} to be {_TYPES[key][1]}, found {value!r}")
        values[key] = tuple(str(text).strip() for text in texts)
    files = tuple(_beside(path, name, f"{where}, video") for name in values["video"])
    values["video"] = files[0] if len(files) == 1 else files
    if "tracks" in values:
        values["tracks"] = _beside(path, values["tracks"], f"{where}, tracks")
    return Source(**values)


def _beside(path: Path, name: str, where: str) -> Path:
    """Return a path that is relative to the folder of a camera file."""
    if not name or "\0" in name:
        raise DatasetError(f"{where}: expected a path, found {name!r}")
    try:
        return path.parent / Path(name).expanduser()
    except RuntimeError as error:  # the home of an unknown user
        raise DatasetError(f"{where}: {name!r} cannot be found ({error})") from error
