"""Open the video frames of one camera: a video file, several in order, or a folder of images."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resight.data.frames import Pixels, frame_size, read_frame
from resight.data.readers.folder import read_tracklet
from resight.data.readers.listing import list_folder, list_names
from resight.errors import DatasetError, FrameError
from resight.ingest.numbering import numbers_of_names
from resight.ingest.video import DEFAULT_RATE, Footage, Video
from resight.tracklet import Recording

VIDEOS = (
    ".3gp", ".264", ".265", ".asf", ".avi", ".dav", ".flv", ".h264", ".h265", ".hevc", ".m2ts", ".m4v", ".mjpeg",
    ".mjpg", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv",
)  # fmt: skip
"""Suffixes of the files in a folder that are taken for the parts of one recording."""

_SAMPLE = 1 << 20


def open_footage(
    video: Path | Sequence[Path], rate: float | None = None, *, in_order: bool = False, most: int | None = None
) -> Footage:
    """Open the pictures of a camera.

    Args:
        video: A video file; several files in order; a folder of video files, which are taken in the natural order of
            their names; or a folder of images.
        rate: Frame rate of a folder of images in frames per second; None: `DEFAULT_RATE`. A video file's own times are
            always used instead.
        in_order: Whether images are counted in the order of their names, instead of by the numbers in their names.
        most: Number of video frames after which the rest of each video file is ignored; None reads all of it.

    Returns:
        The footage. A video file has been decoded once, so that its number of frames is known.

    Raises:
        DatasetError: If nothing is there, it has no decodable video frame, PyAV is needed and not installed, or the
            names of the images do not tell their frame numbers.
    """
    files = video_files(video)
    if not files:
        return ImageFolder(_paths(video)[0], rate or DEFAULT_RATE, in_order=in_order)
    parts = [Video(path, most) for path in files]
    return parts[0] if len(parts) == 1 else Segments(parts)


def video_files(video: Path | Sequence[Path]) -> tuple[Path, ...]:
    """Return the video files of a camera in order; none if its frames are a folder of images.

    Raises:
        DatasetError: If nothing is there, or a folder has both videos and images.
    """
    paths = _paths(video)
    for path in paths:
        if not _exists(path):
            where = str(path)[:200]
            raise DatasetError(
                f"there is no video {where}: expected a video file or a folder of images; check the path"
            )
    if len(paths) == 1 and paths[0].is_dir():
        folder = paths[0]
        videos = [name for name in list_names(folder) if name.lower().endswith(VIDEOS)]
        folders, images = list_folder(folder)
        if videos and images:
            raise DatasetError(
                f"{folder} holds videos ({videos[0]}) and images ({images[0]}): name the video or the folder of images"
            )
        if not videos and not images:
            within = [name for name in folders if any(list_folder(folder / name)[1])]
            if within:
                raise DatasetError(f"{folder} holds no picture: perhaps the frames are in {folder / within[0]}")
        return tuple(folder / name for name in videos)
    for path in paths:
        if not path.is_file():
            kind = "a folder; the parts of a recording must all be files" if path.is_dir() else "not a regular file"
            raise DatasetError(f"{path} is {kind}")
    return paths


def fingerprint(video: Path | Sequence[Path]) -> str:
    """Return a hash that identifies the videos or the images of a camera.

    The hash covers the size, the first and the last megabyte of a video file, and the names and sizes of the images in
    a folder.

    Raises:
        DatasetError: If nothing is there.
    """
    files = video_files(video)
    if not files:
        folder = _paths(video)[0]
        names = read_tracklet(folder).names
        return hashlib.sha256("\n".join(f"{n} {(folder / n).stat().st_size}" for n in names).encode()).hexdigest()
    digests = [_hash_ends(path) for path in files]
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that is too long
        return False


def _paths(video: Path | Sequence[Path]) -> tuple[Path, ...]:
    return (video,) if isinstance(video, Path) else tuple(video)


def _hash_ends(path: Path) -> str:
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        digest.update(file.read(_SAMPLE))
        file.seek(max(0, size - _SAMPLE))
        digest.update(file.read(_SAMPLE))
    return digest.hexdigest()


class ImageFolder:
    """A folder of images as footage, in the order of the frame numbers in their names."""

    lost: int = 0

    def __init__(self, folder: Path, rate: float, *, in_order: bool = False):
        names = read_tracklet(folder).names
        numbers = None if in_order else numbers_of_names(names)
        steps = np.arange(len(names), dtype=np.float64)
        if numbers is not None:
            order = np.argsort(numbers)
            names, numbers = tuple(names[n] for n in order), numbers[order]
            # If every fifth frame is there, the rate is that of the pictures; a larger gap is a missing picture.
            usual, counts = np.unique(np.diff(numbers), return_counts=True)
            steps = (numbers - numbers[0]) / (usual[counts.argmax()] if len(usual) else 1)
        self._paths = [folder / name for name in names]
        self.numbers = numbers
        self.times: NDArray[np.float64] = steps / rate
        known = np.zeros((len(names), 2), np.int64)
        damaged: list[tuple[int, FrameError]] = []
        for index, path in enumerate(self._paths):
            try:
                known[index] = frame_size(path)
            except FrameError as error:
                damaged.append((index, error))
        if len(damaged) == len(names):
            raise damaged[0][1]
        # An image that cannot be read is left out when it is decoded, so its size only has to be a plausible one.
        known[[index for index, _ in damaged]] = known[known.any(axis=1)][0]
        self.sizes = known

    def place(self, index: int) -> Recording:
        """Return the image at an index."""
        return Recording(self._paths[index])

    def decode(self, indices: Sequence[int]) -> Iterator[tuple[int, Pixels | None]]:
        """Yield the images at the given indices; see `Footage.decode`."""
        for index in indices:
            image = None
            with suppress(FrameError):
                image = read_frame(self._paths[index])
            yield index, image


class Segments:
    """Several videos of one camera, one after the other, each beginning one frame after the end of the last."""

    numbers: NDArray[np.int64] | None = None

    def __init__(self, parts: Sequence[Video]):
        self._parts = parts
        self._starts = np.cumsum([0, *(len(part.times) for part in parts)])
        times: list[NDArray[np.float64]] = []
        begin = 0.0
        for part in parts:
            times.append(part.times + begin)
            step = float(np.median(np.diff(part.times))) if len(part.times) > 1 else 1 / DEFAULT_RATE
            begin = float(times[-1][-1]) + step
        self.times: NDArray[np.float64] = np.concatenate(times)
        self.sizes: NDArray[np.int64] = np.concatenate([part.sizes for part in parts])
        self.lost: int = sum(part.lost for part in parts)

    def place(self, index: int) -> Recording:
        """Return the video that holds a video frame, and the time of the frame since the first one of that video."""
        part = int(np.searchsorted(self._starts, index, "right")) - 1
        return self._parts[part].place(index - int(self._starts[part]))

    def decode(self, indices: Sequence[int]) -> Iterator[tuple[int, Pixels | None]]:
        """Yield the video frames at the given indices; see `Footage.decode`."""
        wanted = np.asarray(indices, np.int64)
        for part, start, end in zip(self._parts, self._starts[:-1].tolist(), self._starts[1:].tolist(), strict=True):
            own = wanted[(wanted >= start) & (wanted < end)] - start
            for index, image in part.decode(own.tolist()):
                yield index + start, image
