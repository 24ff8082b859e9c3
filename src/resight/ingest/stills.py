"""Show one picture of a video, found by its time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from resight.errors import DatasetError, FrameError
from resight.ingest.video import DEFAULT_RATE, decoded_frames, open_container, upright

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer

    from resight.data.frames import Pixels

_EARLY = 0.002
"""Seconds by which a time may be before the picture that it means: times in manifests have three decimals."""


@dataclass(frozen=True, eq=False)
class Still:
    """One picture of a video.

    Attributes:
        pixels: (h, w, 3) RGB uint8, upright.
        seconds: Time of the picture since the first one.
        step: Usual time between two pictures, in seconds.
        duration: Length of the video in seconds; None if the file does not say.
    """

    pixels: Pixels
    seconds: float
    step: float
    duration: float | None


def read_still(path: Path, seconds: float, *, most_pixels: int | None = None) -> Still:
    """Return the picture that a video shows at a time; after its end, the last one.

    The file is decoded from the last key frame before the time, or from the beginning if its times cannot be used.
    Nothing but this file is read, even if it is a playlist of others.

    Args:
        path: Video file.
        seconds: Time since the first picture, 0 or more.
        most_pixels: Largest number of pixels of a picture; None is no limit.

    Raises:
        DatasetError: If there is no such file, or it is not a video that can be opened.
        FrameError: If there is no picture that can be decoded, or it is larger than allowed.
    """
    if not path.is_file():
        raise DatasetError(f"there is no video {path} any more: put it back, or use the tracklet without it")
    with path.open("rb") as file, open_container(path, file) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"  # threads of a decoder need much address space
        step = 1 / float(stream.average_rate or DEFAULT_RATE)
        _check_size(path, stream.codec_context.height, stream.codec_context.width, most_pixels)
        frames = _timed(container, step)
        first = next(frames, None)
        if first is None:
            raise FrameError(f"{path} has no picture that can be decoded; copy or record it again")
        found, origin = first, first[0]
        if seconds > step and first[1].pts is not None:
            frames = _sought(container, step, origin, seconds)
        for time, frame in frames:
            if time - origin > seconds + _EARLY:
                break
            found = time, frame
        time, frame = found
        _check_size(path, frame.height, frame.width, most_pixels)
        return Still(upright(frame), round(time - origin, 3), step, _duration(container))


def _sought(
    container: InputContainer, step: float, origin: float, seconds: float
) -> Iterator[tuple[float, VideoFrame]]:
    """Yield pictures from the last key frame before a time; from the beginning if that does not lead before it."""
    from av.error import FFmpegError

    stream = container.streams.video[0]
    for target in (origin + seconds, origin):
        with suppress(FFmpegError):
            container.seek(int(target / (stream.time_base or 1)), stream=stream)
        frames = _timed(container, step)
        first = next(frames, None)
        if first is not None and (first[0] - origin <= seconds + _EARLY or target == origin):
            yield first
            yield from frames
            return


def _timed(container: InputContainer, step: float) -> Iterator[tuple[float, VideoFrame]]:
    """Yield pictures with their times; those without a time stamp follow at the usual distance."""
    time: float | None = None
    for frame in decoded_frames(container, container.streams.video[0]):
        if frame.pts is not None and frame.time_base:
            time = float(frame.pts * frame.time_base)
        else:
            time = 0.0 if time is None else time + step
        yield time, frame


def _duration(container: InputContainer) -> float | None:
    stream = container.streams.video[0]
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return container.duration / 1e6 if container.duration else None


def _check_size(path: Path, height: int, width: int, most: int | None) -> None:
    if most is not None and height * width > most:
        raise FrameError(f"the pictures of {path} have {height * width:,} pixels, expected at most {most:,}")
