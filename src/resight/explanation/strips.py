"""Tracklets as rows of small pictures, as the model saw them, ready for a figure or to be inlined in a page."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from resight.data.corruption import corrupt_frame
from resight.data.frames import Pixels, read_frame, resize_frame
from resight.errors import FrameError
from resight.features.types import PADDING
from resight.tracklet import Tracklet

TILE_SIZE = (128, 64)
"""Height and width of a small picture, in pixels: the shape in which the model sees a person, at half its size."""

JPEG_QUALITY = 82


@dataclass(frozen=True, eq=False)
class Tile:
    """One frame, small.

    Attributes:
        pixels: (h, w, 3) RGB uint8.
        label: what it shows, in words.
        missing: the frame could not be read, and `pixels` is a placeholder.
    """

    pixels: Pixels
    label: str
    missing: bool = False

    @property
    def uri(self) -> str:
        """The picture itself as a ``data:`` address."""
        encoded = simplejpeg.encode_jpeg(
            np.ascontiguousarray(self.pixels), quality=JPEG_QUALITY, colorspace="RGB", colorsubsampling="420"
        )
        return data_uri(encoded, "image/jpeg")


def load_tiles(
    tracklet: Tracklet, numbers: Sequence[int], *, corrupted: bool = False, size: tuple[int, int] = TILE_SIZE
) -> tuple[Tile, ...]:
    """Frames of a tracklet as small pictures.

    A frame that is missing or cannot be decoded becomes a placeholder that says so: the numbers on a page were
    computed when the frame was there, and a page with a hole tells more than no page.

    Args:
        tracklet: whose frames.
        numbers: which, counted from 0.
        corrupted: show them corrupted (paper, Sec. 4.4), as the model saw them.
        size: (height, width) of a picture; frames are stretched to it, as the model's are.
    """
    tiles: dict[int, Tile] = {}
    for number in numbers:
        if number not in tiles:
            tiles[number] = _load_tile(tracklet, number, corrupted, size)
    return tuple(tiles[number] for number in numbers)


def _load_tile(tracklet: Tracklet, number: int, corrupted: bool, size: tuple[int, int]) -> Tile:
    label = f"{tracklet.id}, frame {number + 1} of {len(tracklet)}"
    try:
        frame = read_frame(tracklet.frame(number))
    except FrameError:
        return Tile(placeholder(size), f"{label}: cannot be read", missing=True)
    return Tile(resize_frame(corrupt_frame(frame) if corrupted else frame, size), label)


def clip_frames(clip: NDArray[np.int64], most: int = 8) -> list[int]:
    """Frame numbers of one clip, (L,), without padding, at most `most` of them, evenly taken."""
    return _thin([n for n in clip.tolist() if n != PADDING], most)


def clip_middles(tracklet: Tracklet, clips: NDArray[np.int64], corrupted: NDArray[np.bool_]) -> tuple[Tile, ...]:
    """The middle frame of each clip, (M, L), those of `corrupted` (M,) clips shown corrupted."""
    middles = []
    for clip, is_corrupted in zip(clips, corrupted.tolist(), strict=True):
        numbers = [n for n in clip.tolist() if n != PADDING]
        middles.append(load_tiles(tracklet, [numbers[len(numbers) // 2]], corrupted=is_corrupted)[0])
    return tuple(middles)


def tracklet_frames(tracklet: Tracklet, most: int = 8) -> list[int]:
    """At most `most` frame numbers of a tracklet, evenly taken, first and last included."""
    return _thin(list(range(len(tracklet))), most)


def placeholder(size: tuple[int, int]) -> Pixels:
    """A grey picture with a cross: here should be a frame."""
    height, width = size
    rows, columns = np.mgrid[:height, :width]
    falling = np.abs(rows / height - columns / width)
    rising = np.abs(rows / height + columns / width - 1)
    grey = np.where(np.minimum(falling, rising) < 0.02, 150, 205).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


def data_uri(content: bytes, media_type: str) -> str:
    """Bytes as an address that holds them."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"


def _thin(numbers: list[int], most: int) -> list[int]:
    if len(numbers) <= most:
        return numbers
    return [numbers[i] for i in np.linspace(0, len(numbers) - 1, most).round().astype(int).tolist()]
