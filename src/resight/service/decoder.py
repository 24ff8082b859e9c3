"""Decode uploaded pictures and recordings in a process of its own, with limits of memory and time.

Pictures and videos are the one thing here that a decoder written in C interprets. The process has no more than its
share of memory, can write no file, and is ended when its time is over; what it returns is pixels, nothing else.
Protocol: stdin holds the limits as a line of JSON, in which a video may be named, and then each picture with its length
before it; stdout holds, in the same form, a line of JSON (sizes or an error) and then the pixels.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from resight.errors import DatasetError, FrameError
from resight.ingest.stills import Still, read_still

LONGEST_SIDE = 1024
"""Decoded pictures are scaled down to this many pixels on their longer side, unless a caller says otherwise."""
_BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF")
"""First bytes of JPEG, PNG and WebP files."""

Box = tuple[float, float, float, float]
"""Left, upper, right and lower edge as shares of width and height, 0 … 1."""


@dataclass(frozen=True)
class Limits:
    """What decoding may cost.

    Attributes:
        pixels: Largest number of pixels of one picture.
        seconds: Longest time for all pictures.
        memory: Largest address space of the process, in bytes.
        file_bytes: Largest size of a picture that is read from a file.
        longest: Pixels on the longer side to which pictures are scaled down.
    """

    pixels: int
    seconds: float
    memory: int
    file_bytes: int = 24 << 20
    longest: int = LONGEST_SIDE


def decode_pictures(pictures: Sequence[bytes], limits: Limits, box: Box | None = None) -> list[NDArray[np.uint8]]:
    """Return pictures as (h, w, 3) uint8 RGB, upright.

    Args:
        pictures: Contents of JPEG, PNG or WebP files.
        limits: What it may cost.
        box: Part of every picture to keep; None keeps all.

    Raises:
        FrameError: If a picture is of another type, damaged or too large, or takes too long.
    """
    body = b"".join(len(picture).to_bytes(8, "little") + picture for picture in pictures)
    return _decode_apart({"box": box}, body, limits)[0]


def decode_video(video: Path, at: float, limits: Limits, box: Box | None = None) -> Still:
    """Return the picture of a video at a time, see `resight.ingest.stills.read_still`.

    Args:
        video: An existing file.
        at: Seconds since the first picture.
        limits: What it may cost.
        box: Part of the picture to keep; None keeps all.

    Raises:
        FrameError: If it is no video, or the picture cannot be decoded within the limits.
    """
    (pixels,), times = _decode_apart({"box": box, "video": str(video), "at": at}, b"", limits)
    return Still(pixels, *times)


def _decode_apart(task: dict[str, Any], body: bytes, limits: Limits) -> tuple[list[NDArray[np.uint8]], list[Any]]:
    """Return the pictures and the times that the process answers."""
    head = json.dumps(task | asdict(limits)).encode() + b"\n"
    command = [sys.executable, "-m", "resight.service.decoder"]
    seconds = limits.seconds
    try:
        done = subprocess.run(command, input=head + body, capture_output=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        raise FrameError(f"decoding takes longer than {seconds:g} s; use smaller or fewer pictures") from None
    line, _, values = done.stdout.partition(b"\n")
    if done.returncode or not line:
        raise FrameError("the pictures cannot be decoded within the limits of memory and time; use smaller ones")
    answer = json.loads(line)
    if "error" in answer:
        raise FrameError(answer["error"])
    decoded, at = [], 0
    for height, width in answer["sizes"]:
        end = at + height * width * 3
        decoded.append(np.frombuffer(values[at:end], np.uint8).reshape(height, width, 3))
        at = end
    return decoded, answer["times"]


def main() -> None:
    """Decode the pictures on stdin, see the module."""
    source = sys.stdin.buffer
    limits = json.loads(source.readline())
    _restrict(limits["memory"], limits["seconds"])
    decoded: list[NDArray[np.uint8]] = []
    times: list[float | None] = []
    try:
        if "video" in limits:
            picture, times = _decode_still(limits)
            decoded.append(picture)
        while length := source.read(8):
            number = len(decoded) + 1
            decoded.append(_decode(source, int.from_bytes(length, "little"), number, limits))
    except (FrameError, DatasetError) as error:
        sys.stdout.buffer.write(json.dumps({"error": str(error)}).encode() + b"\n")
        return
    sizes = [picture.shape[:2] for picture in decoded]
    sys.stdout.buffer.write(json.dumps({"sizes": sizes, "times": times}).encode() + b"\n")
    for picture in decoded:
        sys.stdout.buffer.write(picture.tobytes())


def _decode(source: IO[bytes], length: int, number: int, limits: dict[str, Any]) -> NDArray[np.uint8]:
    """Return one picture.

    Raises:
        FrameError: If it cannot be used.
    """
    from PIL import Image

    from resight.data.pictures import decode_picture, upright_size

    data = source.read(length)
    if not data:
        raise FrameError(f"picture {number} is empty")
    if not data.startswith(_BEGINNINGS):
        raise FrameError(f"picture {number} is not a JPEG, PNG or WebP file")
    try:
        height, width = upright_size(io.BytesIO(data), len(data))
        if height * width > limits["pixels"]:
            raise FrameError(
                f"picture {number} has {height * width:,} pixels, expected at most {limits['pixels']:,}: scale it down"
            )
        picture = Image.fromarray(decode_picture(data))
    except (ValueError, OSError, MemoryError) as error:
        raise FrameError(f"picture {number} cannot be decoded: {' '.join(str(error).split())[:160]}") from error
    return _fitted(picture, limits, number)


def _decode_still(limits: dict[str, Any]) -> tuple[NDArray[np.uint8], list[float | None]]:
    """Return one picture of a video, with its time, the usual step and the length of the video."""
    from PIL import Image

    try:
        still = read_still(Path(limits["video"]), limits["at"], most_pixels=limits["pixels"])
    except (OSError, MemoryError) as error:
        raise FrameError(f"the recording cannot be decoded: {' '.join(str(error).split())[:160]}") from error
    return _fitted(Image.fromarray(still.pixels), limits, 1), [still.seconds, still.step, still.duration]


def _fitted(picture: Any, limits: dict[str, Any], number: int) -> NDArray[np.uint8]:
    """Return the wanted part of a picture, no larger than wanted."""
    if limits["box"] is not None:
        picture = _cropped(picture, limits["box"], number)
    picture.thumbnail((limits["longest"], limits["longest"]))
    return np.asarray(picture)


def _cropped(picture: Any, box: Box, number: int) -> Any:
    left, upper, right, lower = (
        round(edge * size) for edge, size in zip(box, (*picture.size, *picture.size), strict=True)
    )
    if right - left < 8 or lower - upper < 16:
        raise FrameError(
            f"the box is {right - left} × {lower - upper} pixels of picture {number}, expected at least 8 × 16"
        )
    return picture.crop((left, upper, right, lower))


def _restrict(memory: int, seconds: float) -> None:
    """Limit memory, processor time and files of this process, where the system can."""
    try:
        import resource
    except ImportError:  # Windows: the time limit of the parent and the checks of sizes remain
        return
    cpu = max(1, round(seconds))
    limits = ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CPU, cpu), (resource.RLIMIT_FSIZE, 0))
    for kind, value in limits:
        resource.setrlimit(kind, (value, value))


if __name__ == "__main__":
    main()
