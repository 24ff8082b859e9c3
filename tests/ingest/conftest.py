"""Fixtures that write small videos of two coloured boxes that walk past each other."""

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


def box_of(track: int, index: int) -> tuple[int, int, int, int]:
    """Return left, top, width and height of a walker in the video frame of the given index."""
    return (10 + 3 * index, 30, 24, 60) if track == 1 else (120 - 3 * index, 40, 24, 60)


def draw(index: int) -> NDArray[np.uint8]:
    """Return a video frame; the grey level of its top left corner, divided by 8, encodes its index."""
    scene = np.full((*SIZE, 3), 120, np.uint8)
    scene[:16, :16] = 8 * index % 256
    for track, colour in COLOURS.items():
        x, y, w, h = box_of(track, index)
        scene[y : y + h, max(0, x) : max(0, x + w)] = colour
    return scene


def index_of(pixels: NDArray[np.uint8]) -> int:
    """Return the index that `draw` encoded in a video frame."""
    return round(float(pixels[2:14, 2:14].mean()) / 8)


def tracks_text(indices: Sequence[int], first: int = 1) -> str:
    """Return the tracks that a perfect tracker writes for some video frames, as MOT Challenge text."""
    rows = [(index + first, track, *box_of(track, index)) for index in indices for track in COLOURS]
    return "".join(f"{frame},{track},{x},{y},{w},{h},1,-1,-1,-1\n" for frame, track, x, y, w, h in rows)


@pytest.fixture
def make_video(tmp_path: Path) -> MakeVideo:
    """Return a function that writes a video.

    It contains the frames that `draw` returns for `indices`, shown at `ticks` of 1/25 s, rotated by `rotation` degrees,
    with `b_frames` B-frames between two other frames.
    """
    av = pytest.importorskip("av", exc_type=ImportError, reason="PyAV is not installed: pip install 'resight[video]'")

    def make(
        name: str = "door.mp4",
        count: int = 30,
        indices: Sequence[int] | None = None,
        ticks: Sequence[int] | None = None,
        rotation: int = 0,
        b_frames: int = 0,
    ) -> Path:
        shown = range(count) if indices is None else indices
        path = tmp_path / name
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264" if b_frames else "mpeg4", rate=25)
            stream.height, stream.width, stream.pix_fmt, stream.bit_rate = *SIZE, "yuv420p", 4_000_000
            if b_frames:
                stream.options = {"bf": str(b_frames), "x264-params": "b-adapt=0:log-level=none"}
            if rotation:
                stream.set_display_rotation(rotation)
            for index, tick in zip(shown, ticks or shown, strict=True):
                frame = av.VideoFrame.from_ndarray(draw(index), format="rgb24")
                frame.pts = tick
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path

    return make


@pytest.fixture
def make_images(tmp_path: Path) -> MakeVideo:
    """Return a function that writes the same video frames as a folder of images."""

    def make(name: str = "door", count: int = 30) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        for index in range(count):
            Image.fromarray(draw(index)).save(folder / f"{index + 1}.png", compress_level=1)
        return folder

    return make
