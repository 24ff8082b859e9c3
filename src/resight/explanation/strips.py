"""Frames of tracklets as small images, for figures and pages."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from resight.data.corruption import corrupt_frame
from resight.data.frames import Pixels, read_frame, resize_frame
from resight.data.pictures import decode_picture
from resight.errors import FrameError
from resight.features.types import PADDING
from resight.tracklet import Tracklet

TILE_SIZE = (128, 64)
"""Height and width of a small image in pixels: half the input size of the paper's encoder."""

JPEG_QUALITY = 82


@dataclass(frozen=True, eq=False)
class Tile:
    """One frame as a small image.

    Attributes:
        pixels: (h, w, 3) RGB uint8.
        label: Description, such as tracklet and frame number.
        missing: Whether the frame could not be read and `pixels` is a placeholder.
    """

    pixels: Pixels
    label: str
    missing: bool = False

    @property
    def uri(self) -> str:
        """``data:`` address with the image as JPEG."""
        encoded = simplejpeg.encode_jpeg(
            np.ascontiguousarray(self.pixels), quality=JPEG_QUALITY, colorspace="RGB", colorsubsampling="420"
        )
        return data_uri(encoded, "image/jpeg")


@dataclass(frozen=True, slots=True, eq=False)
class PicturedTracklet(Tracklet):
    """A tracklet of which only some frames are at hand, as small pictures; the others are not shown.

    Attributes:
        pictures: Encoded pictures by frame number.
    """

    pictures: Mapping[int, bytes] = field(default_factory=dict)


def load_tiles(
    tracklet: Tracklet, numbers: Sequence[int], *, corrupted: bool = False, size: tuple[int, int] = TILE_SIZE
) -> tuple[Tile, ...]:
    """Return frames of a tracklet as small images.

    A frame that is missing or cannot be decoded becomes a labelled placeholder. The numbers on a page were computed
    when the frame was available, so they are still valid.

    Args:
        tracklet: Tracklet to read frames from.
        numbers: Frame numbers, counted from 0.
        corrupted: Whether to corrupt the frames (paper, Sec. 4.4), as in the model's input.
        size: (height, width) of an image; frames are stretched to it, as in the model's input.

    Returns:
        The images. Of a `PicturedTracklet`, only those that it has, or the nearest one.
    """
    if isinstance(tracklet, PicturedTracklet) and tracklet.pictures:
        middle = numbers[len(numbers) // 2]
        nearest = min(tracklet.pictures, key=lambda number: abs(number - middle))
        numbers = [number for number in numbers if number in tracklet.pictures] or [nearest]
    tiles: dict[int, Tile] = {}
    for number in numbers:
        if number not in tiles:
            tiles[number] = _load_tile(tracklet, number, corrupted, size)
    return tuple(tiles[number] for number in numbers)


def _load_tile(tracklet: Tracklet, number: int, corrupted: bool, size: tuple[int, int]) -> Tile:
    label = f"{tracklet.id}, frame {number + 1} of {len(tracklet)}"
    try:
        if isinstance(tracklet, PicturedTracklet):
            frame = decode_picture(tracklet.pictures[number])
        else:
            frame = read_frame(tracklet.frame(number))
    except (FrameError, KeyError, ValueError, OSError):
        return Tile(placeholder(size), f"{label}: cannot be read", missing=True)
    return Tile(resize_frame(corrupt_frame(frame) if corrupted else frame, size), label)


def clip_frames(clip: NDArray[np.int64], most: int = 8) -> list[int]:
    """Return at most `most` frame numbers of a clip, (L,), evenly spaced and without padding."""
    return _thin([n for n in clip.tolist() if n != PADDING], most)


def clip_middles(tracklet: Tracklet, clips: NDArray[np.int64], corrupted: NDArray[np.bool_]) -> tuple[Tile, ...]:
    """Return the middle frame of each clip, (M, L); clips flagged in `corrupted`, (M,), are shown corrupted."""
    middles = []
    for clip, is_corrupted in zip(clips, corrupted.tolist(), strict=True):
        numbers = [n for n in clip.tolist() if n != PADDING]
        middles.append(load_tiles(tracklet, [numbers[len(numbers) // 2]], corrupted=is_corrupted)[0])
    return tuple(middles)


def tracklet_frames(tracklet: Tracklet, most: int = 8) -> list[int]:
    """Return at most `most` frame numbers of a tracklet, evenly spaced, including the first and the last."""
    if isinstance(tracklet, PicturedTracklet):
        return _thin(sorted(tracklet.pictures), most)
    return _thin(list(range(len(tracklet))), most)


def placeholder(size: tuple[int, int]) -> Pixels:
    """Return a grey image with a cross that stands for a missing frame, (height, width, 3)."""
    height, width = size
    rows, columns = np.mgrid[:height, :width]
    falling = np.abs(rows / height - columns / width)
    rising = np.abs(rows / height + columns / width - 1)
    grey = np.where(np.minimum(falling, rising) < 0.02, 150, 205).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


def data_uri(content: bytes, media_type: str) -> str:
    """Return a ``data:`` address with these bytes."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"


def _thin(numbers: list[int], most: int) -> list[int]:
    if len(numbers) <= most:
        return numbers
    return [numbers[i] for i in np.linspace(0, len(numbers) - 1, most).round().astype(int).tolist()]
