"""Pictures of one camera, in order, each decoded once: from a video file or from a folder of frames."""

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
"""Pictures a second of a folder of frames for which nobody said."""

_SAMPLE = 1 << 20


class Footage(Protocol):
    """What one camera saw.

    Attributes:
        times: (N,) float64 seconds from the first picture to each, ascending. A video's own presentation times: they
            need not be evenly spaced.
        size: height and width of the pictures in pixels, upright.
    """

    times: NDArray[np.float64]
    size: tuple[int, int]

    def pictures(self, wanted: Sequence[int]) -> Iterator[tuple[int, Pixels | None]]:
        """Some of the pictures.

        Args:
            wanted: places in `times`, ascending, without repeats.

        Yields:
            Each wanted place in order, with (h, w, 3) RGB uint8, or None if that picture cannot be decoded.
        """


def open_footage(path: Path, rate: float | None = None) -> Footage:
    """Open a video file, or a folder of pictures in natural order.

    Args:
        path: the file or folder.
        rate: pictures a second of a folder, `DEFAULT_RATE` unless given; a video's own times are used in any case.

    Raises:
        DatasetError: if there is nothing there, no picture in it, or PyAV is needed and missing.
    """
    if path.is_dir():
        return PictureFolder(path, rate or DEFAULT_RATE)
    if not path.is_file():
        raise DatasetError(f"there is no video {path}: expected a video file or a folder of frames; check the path")
    return Video(path)


def fingerprint(path: Path) -> str:
    """Hash that tells a video, or a folder of frames, from another: sizes, and beginning and end of a file.

    Raises:
        DatasetError: if there is nothing there.
    """
    if path.is_dir():
        names = read_tracklet(path).names
        return hashlib.sha256("\n".join(f"{n} {(path / n).stat().st_size}" for n in names).encode()).hexdigest()
    if not path.is_file():
        raise DatasetError(f"there is no video {path}: expected a video file or a folder of frames; check the path")
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        digest.update(file.read(_SAMPLE))
        file.seek(max(0, size - _SAMPLE))
        digest.update(file.read(_SAMPLE))
    return digest.hexdigest()


class PictureFolder:
    """A folder of frames; picture n is the n-th by natural order of the names."""

    def __init__(self, folder: Path, rate: float):
        self._frames = read_tracklet(folder)
        self.times: NDArray[np.float64] = np.arange(len(self._frames)) / rate
        self.size: tuple[int, int] = read_frame(self._frames.frame(0)).shape[:2]

    def pictures(self, wanted: Sequence[int]) -> Iterator[tuple[int, Pixels | None]]:
        """See `Footage.pictures`; a picture of another size than the first counts as one that cannot be decoded."""
        for place in wanted:
            picture = None
            with suppress(FrameError):
                picture = read_frame(self._frames.frame(place))
            yield place, picture if picture is not None and picture.shape[:2] == self.size else None


class Video:
    """A video file, read with PyAV.

    Pictures are numbered by presentation time, which the container knows without decoding. So a picture that cannot be
    decoded, and that a tracker may have skipped or not, does not shift the ones after it.
    """

    def __init__(self, path: Path):
        self._path = path
        with _open(path) as container:
            stream = container.streams.video[0]
            stamps = [packet.pts for packet in _packets(container, stream) if packet.size and not packet.is_discard]
            known = sorted({stamp for stamp in stamps if stamp is not None})
            # AVI knows the order of decoding only, which differs where pictures are decoded ahead of others.
            misleading = bool(stream.codec_context.has_b_frames) and stamps == known
            self._stamps: dict[int, int] | None = None
            if stream.time_base is not None and len(known) == len(stamps) and not misleading:
                self._stamps = {stamp: place for place, stamp in enumerate(known)}
                seconds = np.array(known, np.float64) * float(stream.time_base)
            else:  # raw streams and some old containers: only the order is known
                seconds = np.arange(len(stamps)) / float(stream.average_rate or DEFAULT_RATE)
        first = next((picture for _, picture in self.pictures(range(len(seconds))) if picture is not None), None)
        if first is None:
            raise DatasetError(f"{path} has no picture that can be decoded; record or copy it again")
        self.times: NDArray[np.float64] = seconds - seconds[0]
        self.size: tuple[int, int] = first.shape[:2]

    def pictures(self, wanted: Sequence[int]) -> Iterator[tuple[int, Pixels | None]]:
        """See `Footage.pictures`. Decoding starts at the beginning: places after a seek would be a guess."""
        ahead = iter(wanted)
        place = next(ahead, None)
        if place is None:
            return
        with _open(self._path) as container:
            for number, frame in self._decode(container):
                while place is not None and place < number:
                    yield place, None
                    place = next(ahead, None)
                if place is None:
                    return
                if place == number:
                    pixels = np.asarray(frame.to_ndarray(format="rgb24"))
                    # a phone held upright stores a lying picture and the turn; trackers see it turned
                    yield place, np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90)))
                    place = next(ahead, None)
        while place is not None:
            yield place, None
            place = next(ahead, None)

    def _decode(self, container: InputContainer) -> Iterator[tuple[int, VideoFrame]]:
        """Frames in order of presentation with their places; damaged packets are passed over."""
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
                place = count if self._stamps is None or frame.pts is None else self._stamps.get(frame.pts)
                count += 1
                if place is not None:
                    yield place, frame


def _packets(container: InputContainer, stream: VideoStream) -> Iterator[Packet[VideoStream]]:
    """Packets of a stream; a file that was cut off ends where it was cut."""
    from av.error import FFmpegError

    with suppress(FFmpegError):
        yield from container.demux(stream)


def _open(path: Path) -> InputContainer:
    try:
        import av
    except ImportError as error:
        raise DatasetError(
            f"reading the video {path} needs PyAV: pip install 'resight[video]', or give a folder of frames instead"
        ) from error
    try:
        container = av.open(str(path))
    except (av.error.FFmpegError, OSError) as error:
        raise DatasetError(f"{path} is not a video that can be opened ({error}); record or copy it again") from error
    if not container.streams.video:
        container.close()
        raise DatasetError(f"{path} has no video in it, only {[s.type for s in container.streams]}; check the path")
    return container
