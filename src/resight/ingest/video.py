"""Decode the video frames of one video file in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from resight.errors import DatasetError
from resight.tracklet import Recording

if TYPE_CHECKING:
    from av import Packet, VideoFrame, VideoStream
    from av.container import InputContainer

    from resight.data.frames import Pixels

DEFAULT_RATE = 25.0
"""Frame rate in frames per second, assumed for a folder of images and for video without time stamps."""

_UNUSABLE = 0.02
"""Largest share of time stamps that may be missing or decreasing for the others to be used."""


class Footage(Protocol):
    """The video frames of one camera.

    Attributes:
        times: (N,) float64 time of each video frame in seconds since the first, ascending. A video's own presentation
            times, which need not be evenly spaced.
        sizes: (N, 2) int64 height and width of each video frame in pixels, after rotation to upright.
        numbers: (N,) int64 frame numbers in the names of the images of a folder, ascending; None if there are none.
        lost: Number of pictures that are stored in a video but cannot be decoded. They are not counted.
    """

    times: NDArray[np.float64]
    sizes: NDArray[np.int64]
    numbers: NDArray[np.int64] | None
    lost: int

    def place(self, index: int) -> Recording:
        """Return the file that holds a video frame, and the time of the frame in it."""

    def decode(self, indices: Sequence[int]) -> Iterator[tuple[int, Pixels | None]]:
        """Yield the video frames at the given indices.

        Args:
            indices: Indices into `times`, ascending, without duplicates.

        Yields:
            Each index in order with its (h, w, 3) RGB uint8 image, or None if that video frame cannot be decoded.
        """


class Video:
    """A video file, read with PyAV.

    Video frames are those that the decoder returns, in that order, as OpenCV and FFmpeg count them. Packets before the
    first key frame, damaged packets and packets without a picture are not counted, and two fields are one video frame.
    The file is therefore decoded once when it is opened.

    Args:
        path: The file.
        most: Number of video frames after which the rest of the file is ignored; None reads all of it.
    """

    numbers: NDArray[np.int64] | None = None

    def __init__(self, path: Path, most: int | None = None):
        self._path = path
        stamps: list[int | None] = []
        sizes: list[tuple[int, int]] = []
        with open_container(path) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            packets: list[tuple[int | None, bool]] = []
            for frame in decoded_frames(container, stream, packets):
                stamps.append(frame.pts)
                upright = round(frame.rotation / 90) % 2 == 0
                sizes.append((frame.height, frame.width) if upright else (frame.width, frame.height))
                if len(stamps) == most:
                    break
            step = 1 / float(stream.average_rate or DEFAULT_RATE)
            base = float(stream.time_base or 0)
        if not stamps:
            raise DatasetError(f"{path} has no video frame that can be decoded; copy or record it again")
        self.times: NDArray[np.float64] = _times(stamps, base, step)
        self.sizes: NDArray[np.int64] = np.array(sizes, np.int64)
        self.lost: int = _count_lost(packets, stamps)

    def place(self, index: int) -> Recording:
        """Return the file, and the time of a video frame since the first one."""
        return Recording(self._path, float(self.times[index]))

    def decode(self, indices: Sequence[int]) -> Iterator[tuple[int, Pixels | None]]:
        """Yield the video frames at the given indices; see `Footage.decode`.

        Decoding starts at the beginning of the file, because frame indices are not reliable after a seek.
        """
        wanted = iter(indices)
        index = next(wanted, None)
        if index is None:
            return
        with open_container(self._path) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            for number, frame in enumerate(decoded_frames(container, stream)):
                if index is None:
                    return
                if number == index:
                    yield index, upright(frame)
                    index = next(wanted, None)
        while index is not None:
            yield index, None
            index = next(wanted, None)


def upright(frame: VideoFrame) -> Pixels:
    """Return a decoded picture as (h, w, 3) RGB uint8, upright.

    Phones store portrait video as landscape frames with a rotation, which trackers apply.
    """
    pixels = np.asarray(frame.to_ndarray(format="rgb24"))
    return np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90)))


def decoded_frames(
    container: InputContainer, stream: VideoStream, packets: list[tuple[int | None, bool]] | None = None
) -> Iterator[VideoFrame]:
    """Yield what the decoder returns, in its order; damaged packets are skipped.

    Args:
        container: The open file.
        stream: Its video stream.
        packets: Receives the time stamp of every packet to be shown, and whether the decoder accepted it.
    """
    from av.error import FFmpegError

    for packet in _packets(container, stream):
        try:
            frames, accepted = packet.decode(), True
        except FFmpegError:
            frames, accepted = [], False
        if packets is not None and packet.size and not packet.is_discard:
            packets.append((packet.pts, accepted))
        yield from frames


def _packets(container: InputContainer, stream: VideoStream) -> Iterator[Packet[VideoStream]]:
    """Yield the packets of a stream; a truncated file simply ends early."""
    from av.error import FFmpegError

    with suppress(FFmpegError):
        yield from container.demux(stream)


def _times(stamps: Sequence[int | None], base: float, step: float) -> NDArray[np.float64]:
    """Return ascending times in seconds since the first video frame.

    A missing or decreasing time stamp, as after a broken connection, counts as one step. If there are many, only the
    order of the frames is known: raw streams have no times, and AVI stores those of the decoding order.

    Args:
        stamps: Time stamps of the video frames.
        base: Seconds per unit of the time stamps; 0 if unknown.
        step: Usual time between two video frames in seconds.
    """
    values = np.array([np.nan if stamp is None else stamp for stamp in stamps], np.float64) * base
    steps = np.diff(values)
    unusable = ~(steps > 0)  # also true for NaN
    if base <= 0 or np.isnan(values[0]) or unusable.mean() > _UNUSABLE if len(steps) else True:
        return np.arange(len(stamps), dtype=np.float64) * step
    return np.asarray(np.concatenate([[0.0], np.where(unusable, step, steps).cumsum()]), np.float64)


def _count_lost(packets: Sequence[tuple[int | None, bool]], stamps: Sequence[int | None]) -> int:
    """Return how many stored pictures cannot be decoded: those before the first key frame, and damaged ones.

    A packet without a picture of its own, such as the second field of a picture, is not one of them.
    """
    decoded = set(stamps)
    leading = 0
    for stamp, _ in packets:
        if stamp is None or stamp in decoded:
            break
        leading += 1
    rest = packets[leading:]
    are_fields = len(rest) > 0 and abs(len(rest) - 2 * len(stamps)) <= 0.1 * len(rest)
    damaged = sum(not accepted for _, accepted in rest)
    return (leading // 2 if are_fields else leading) + damaged


def open_container(path: Path, file: BinaryIO | None = None) -> InputContainer:
    """Open a video file that has a video stream.

    Args:
        path: The file.
        file: The same file, open. FFmpeg then reads nothing else, even if the file names other files or addresses.

    Raises:
        DatasetError: If PyAV is missing, or this is no video.
    """
    try:
        import av
    except ImportError as error:
        raise DatasetError(
            f"reading the video {path} needs PyAV: pip install 'resight[video]', or use a folder of images instead"
        ) from error
    try:
        options = {"protocol_whitelist": "none"} if file else {}
        container = av.open(file or str(path), "r", options=options)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise DatasetError(f"{path} is not a video that can be opened ({error}); copy or record it again") from error
    if not container.streams.video:
        container.close()
        raise DatasetError(
            f"{path} has no video stream, only {[s.type for s in container.streams]}; check that it is a video file"
        )
    return container
