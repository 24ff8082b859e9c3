"""Decode the video frames of one camera in order, from a video file or from a folder of images."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from resight.data.frames import Pixels, read_frame
from resight.data.readers.folder import read_tracklet
from resight.errors import DatasetError, FrameError

if TYPE_CHECKING:
    from av import Packet, VideoFrame, VideoStream
    from av.container import InputContainer

DEFAULT_RATE = 25.0
"""Frame rate in frames per second, assumed for a folder of images and for video without time stamps."""

_SAMPLE = 1 << 20


class Footage(Protocol):
    """The video frames of one camera.

    Attributes:
        times: (N,) float64 time of each video frame in seconds since the first, ascending. A video's own presentation
            times, which need not be evenly spaced.
        size: Height and width of the video frames in pixels, after rotation to upright.
    """

    times: NDArray[np.float64]
    size: tuple[int, int]

    def decode(self, indices: Sequence[int]) -> Iterator[tuple[int, Pixels | None]]:
        """Yield the video frames at the given indices.

        Args:
            indices: Indices into `times`, ascending, without duplicates.

        Yields:
            Each index in order with its (h, w, 3) RGB uint8 image, or None if that video frame cannot be decoded.
        """


def open_footage(path: Path, rate: float | None = None) -> Footage:
    """Open a video file, or a folder of images in natural order of their names.

    Args:
        path: Video file or folder.
        rate: Frame rate of a folder of images in frames per second; None: `DEFAULT_RATE`. A video file's own times are
            always used instead.

    Returns:
        The footage. For a video file, all its packets have been read once, so that its number of frames is known.

    Raises:
        DatasetError: If nothing is there, it has no decodable video frame, or PyAV is needed and not installed.
    """
    if path.is_dir():
        return ImageFolder(path, rate or DEFAULT_RATE)
    if not path.is_file():
        raise DatasetError(f"there is no video {path}: expected a video file or a folder of images; check the path")
    return Video(path)


def fingerprint(path: Path) -> str:
    """Return a hash that identifies a video file or a folder of images.

    The hash covers the size, the first and the last megabyte of a video file, and the names and sizes of the images in
    a folder.

    Raises:
        DatasetError: If nothing is there.
    """
    if path.is_dir():
        names = read_tracklet(path).names
        return hashlib.sha256("\n".join(f"{n} {(path / n).stat().st_size}" for n in names).encode()).hexdigest()
    if not path.is_file():
        raise DatasetError(f"there is no video {path}: expected a video file or a folder of images; check the path")
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        digest.update(file.read(_SAMPLE))
        file.seek(max(0, size - _SAMPLE))
        digest.update(file.read(_SAMPLE))
    return digest.hexdigest()


class ImageFolder:
    """A folder of images as footage; video frame n is the n-th image in natural order of the names."""

    def __init__(self, folder: Path, rate: float):
        self._images = read_tracklet(folder)
        self.times: NDArray[np.float64] = np.arange(len(self._images)) / rate
        self.size: tuple[int, int] = read_frame(self._images.frame(0)).shape[:2]

    def decode(self, indices: Sequence[int]) -> Iterator[tuple[int, Pixels | None]]:
        """Yield the images at the given indices; see `Footage.decode`.

        An image whose size differs from that of the first counts as one that cannot be decoded.
        """
        for index in indices:
            image = None
            with suppress(FrameError):
                image = read_frame(self._images.frame(index))
            yield index, image if image is not None and image.shape[:2] == self.size else None


class Video:
    """A video file, read with PyAV.

    Video frames are identified by presentation time, which is known without decoding. A frame that cannot be decoded
    therefore does not shift the indices of later frames.
    """

    def __init__(self, path: Path):
        self._path = path
        with _open(path) as container:
            stream = container.streams.video[0]
            stamps = [packet.pts for packet in _packets(container, stream) if packet.size and not packet.is_discard]
            known = sorted({stamp for stamp in stamps if stamp is not None})
            # AVI only stores the decoding order, which differs from the presentation order if there are B-frames.
            decoding_order = bool(stream.codec_context.has_b_frames) and stamps == known
            self._indices: dict[int, int] | None = None
            if stream.time_base is not None and len(known) == len(stamps) and not decoding_order:
                self._indices = {stamp: index for index, stamp in enumerate(known)}
                seconds = np.array(known, np.float64) * float(stream.time_base)
            else:  # raw streams and some old containers: only the order of the frames is known
                seconds = np.arange(len(stamps)) / float(stream.average_rate or DEFAULT_RATE)
        first = next((image for _, image in self.decode(range(len(seconds))) if image is not None), None)
        if first is None:
            raise DatasetError(f"{path} has no video frame that can be decoded; copy or record it again")
        self.times: NDArray[np.float64] = seconds - seconds[0]
        self.size: tuple[int, int] = first.shape[:2]

    def decode(self, indices: Sequence[int]) -> Iterator[tuple[int, Pixels | None]]:
        """Yield the video frames at the given indices; see `Footage.decode`.

        Decoding starts at the beginning of the file, because frame indices are not reliable after a seek.
        """
        wanted = iter(indices)
        index = next(wanted, None)
        if index is None:
            return
        with _open(self._path) as container:
            for decoded, frame in self._decode(container):
                while index is not None and index < decoded:
                    yield index, None
                    index = next(wanted, None)
                if index is None:
                    return
                if index == decoded:
                    pixels = np.asarray(frame.to_ndarray(format="rgb24"))
                    # Phones store portrait video as landscape frames with a rotation, which trackers apply.
                    yield index, np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90)))
                    index = next(wanted, None)
        while index is not None:
            yield index, None
            index = next(wanted, None)

    def _decode(self, container: InputContainer) -> Iterator[tuple[int, VideoFrame]]:
        """Yield video frames in presentation order with their indices; damaged packets are skipped."""
        from av.error import FFmpegError

        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        count = 0
        for packet in _packets(container, stream):
            try:
                frames = packet.decode()
            except FFmpegError:
                continue
            for frame in frames:
                index = count if self._indices is None or frame.pts is None else self._indices.get(frame.pts)
                count += 1
                if index is not None:
                    yield index, frame


def _packets(container: InputContainer, stream: VideoStream) -> Iterator[Packet[VideoStream]]:
    """Yield the packets of a stream; a truncated file simply ends early."""
    from av.error import FFmpegError

    with suppress(FFmpegError):
        yield from container.demux(stream)


def _open(path: Path) -> InputContainer:
    try:
        import av
    except ImportError as error:
        raise DatasetError(
            f"reading the video {path} needs PyAV: pip install 'resight[video]', or use a folder of images instead"
        ) from error
    try:
        container = av.open(str(path))
    except (av.error.FFmpegError, OSError) as error:
        raise DatasetError(f"{path} is not a video that can be opened ({error}); copy or record it again") from error
    if not container.streams.video:
        container.close()
        raise DatasetError(
            f"{path} has no video stream, only {[s.type for s in container.streams]}; check that it is a video file"
        )
    return container
