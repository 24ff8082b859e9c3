"""Small videos of two coloured boxes that walk past each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

SIZE = (120, 160)
COLOURS = {1: (200, 40, 40), 2: (40, 60, 200)}
MakeVideo = Callable[..., Path]


def box_of(track: int, picture: int) -> tuple[int, int, int, int]:
    """Left, top, width, height of a walker in a picture, counted from 0."""
    return (10 + 3 * picture, 30, 24, 60) if track == 1 else (120 - 3 * picture, 40, 24, 60)


def draw(picture: int) -> NDArray[np.uint8]:
    """A picture; its top left corner tells its number in grey, 8 levels a picture."""
    scene = np.full((*SIZE, 3), 120, np.uint8)
    scene[:16, :16] = 8 * picture % 256
    for track, colour in COLOURS.items():
        x, y, w, h = box_of(track, picture)
        scene[y : y + h, max(0, x) : max(0, x + w)] = colour
    return scene


def number_of(pixels: NDArray[np.uint8]) -> int:
    """The number that `draw` wrote into a picture."""
    return round(float(pixels[2:14, 2:14].mean()) / 8)


def tracks_text(pictures: Sequence[int], first: int = 1) -> str:
    """What a perfect tracker writes, row by row."""
    rows = [(n + first, track, *box_of(track, n)) for n in pictures for track in COLOURS]
    return "".join(f"{frame},{track},{x},{y},{w},{h},1,-1,-1,-1\n" for frame, track, x, y, w, h in rows)


@pytest.fixture
def make_video(tmp_path: Path) -> MakeVideo:
    """A function that writes a video of the pictures `numbers`, shown at `ticks` of 1 / 25 s, turned or not.

    With `ahead`, so many pictures between two others are made from both, and decoded after the later one.
    """
    av = pytest.importorskip("av", exc_type=ImportError, reason="PyAV is not installed: pip install 'resight[video]'")

    def make(
        name: str = "door.mp4",
        count: int = 30,
        numbers: Sequence[int] | None = None,
        ticks: Sequence[int] | None = None,
        turn: int = 0,
        ahead: int = 0,
    ) -> Path:
        shown = range(count) if numbers is None else numbers
        path = tmp_path / name
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264" if ahead else "mpeg4", rate=25)
            stream.height, stream.width, stream.pix_fmt, stream.bit_rate = *SIZE, "yuv420p", 4_000_000
            if ahead:
                stream.options = {"bf": str(ahead), "x264-params": "b-adapt=0:log-level=none"}
            if turn:
                stream.set_display_rotation(turn)
            for number, tick in zip(shown, ticks or shown, strict=True):
                frame = av.VideoFrame.from_ndarray(draw(number), format="rgb24")
                frame.pts = tick
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path

    return make


@pytest.fixture
def make_pictures(tmp_path: Path) -> MakeVideo:
    """A function that writes the same as a folder of frames."""

    def make(name: str = "door", count: int = 30) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        for number in range(count):
            Image.fromarray(draw(number)).save(folder / f"{number + 1}.png", compress_level=1)
        return folder

    return make
