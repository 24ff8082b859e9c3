"""A timeline: one row per camera, one bar per tracklet, laid out for SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from resight.service.times import show_span, show_time

WIDTH = 1000.0
ROW = 26.0
_LEAST_WIDTH = 6.0
_TICKS = 5

BarTone = Literal["query", "confirmed", "likely", "other"]


@dataclass(frozen=True)
class Appearance:
    """A tracklet to draw.

    Attributes:
        id: Id of the tracklet.
        camera: Name of the camera.
        start: Seconds, or None if unknown.
        end: Seconds, or None if unknown.
        tone: Colour.
        link: Address that its bar leads to.
        text: What a screen reader says about it, before camera and time.
    """

    id: str
    camera: str
    start: float | None
    end: float | None
    tone: BarTone
    link: str
    text: str


@dataclass(frozen=True)
class Bar:
    """One tracklet in the drawing.

    Attributes:
        x: Left edge, 0 … 1000.
        y: Upper edge.
        width: Width.
        tone: Colour: ``query``, ``confirmed`` by a person, ``likely`` above the threshold, ``other``.
        link: Address that the bar leads to.
        text: Description.
    """

    x: float
    y: float
    width: float
    tone: BarTone
    link: str
    text: str


@dataclass(frozen=True)
class Timeline:
    """Tracklets by camera and time.

    Attributes:
        cameras: Names of the rows, from top to bottom.
        bars: The tracklets.
        ticks: Times from the left to the right edge, evenly spaced.
        height: Height of the drawing without tick labels; its width is 1000.
        untimed: Number of tracklets without a known time, which are not drawn.
    """

    cameras: tuple[str, ...]
    bars: tuple[Bar, ...]
    ticks: tuple[str, ...]
    height: float
    untimed: int


def lay_out(appearances: Sequence[Appearance]) -> Timeline:
    """Return the drawing of tracklets; those without a start time are only counted."""
    timed = [(a, a.start, a.start if a.end is None else a.end) for a in appearances if a.start is not None]
    cameras = tuple(sorted({appearance.camera for appearance, _, _ in timed}))
    if not timed:
        return Timeline((), (), (), 0.0, len(appearances))
    first, last = min(start for _, start, _ in timed), max(end for _, _, end in timed)
    span = max(last - first, 1.0)
    bars = []
    for appearance, start, end in timed:
        width = max((end - start) / span * WIDTH, _LEAST_WIDTH)
        x = min((start - first) / span * WIDTH, WIDTH - width)
        text = f"{appearance.text}, {appearance.camera}, {show_span(start, end)}"
        y = cameras.index(appearance.camera) * ROW
        bars.append(Bar(round(x, 1), y, round(width, 1), appearance.tone, appearance.link, text))
    steps = [i / (_TICKS - 1) for i in range(_TICKS)]
    ticks = tuple(show_time(first + step * span) for step in steps)
    return Timeline(cameras, tuple(bars), ticks, len(cameras) * ROW, len(appearances) - len(timed))
