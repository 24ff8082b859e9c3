"""Draw the objects of detailed places: bicycles, cars, plants, fences, lamps, signs, bins and furniture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from resight.synthetic.pink_noise import look_up, muted

Array = NDArray[np.float32]
_Point = tuple[float, float]

_LARGEST = 640
_FINER = 2
"""Objects are drawn with this many pixels for each pixel of the picture, along each axis."""


class _Pen:
    """Draws in metres: x from the left edge of the object, y up from the ground."""

    def __init__(self, width: float, height: float, columns: int, rows: int) -> None:
        self.width, self.height = width, height
        self.canvas = Image.new("RGBA", (columns * _FINER, rows * _FINER))
        self._draw = ImageDraw.Draw(self.canvas)
        self._x, self._y = columns * _FINER / width, rows * _FINER / height

    def _at(self, point: _Point) -> _Point:
        return point[0] * self._x, (self.height - point[1]) * self._y

    def lines(self, points: list[_Point], thickness: float, colour: Array) -> None:
        """Draw a line through points; thin lines become transparent instead of vanishing."""
        wide = thickness * min(self._x, self._y)
        fill = (*_levels(colour), round(255 * min(1.0, max(wide, 0.35))))
        self._draw.line([self._at(p) for p in points], fill=fill, width=max(1, round(wide)))

    def polygon(self, points: list[_Point], colour: Array) -> None:
        self._draw.polygon([self._at(p) for p in points], fill=(*_levels(colour), 255))

    def box(self, left: float, bottom: float, right: float, top: float, colour: Array) -> None:
        self.polygon([(left, bottom), (right, bottom), (right, top), (left, top)], colour)

    def ring(self, x: float, y: float, radius: float, thickness: float, colour: Array) -> None:
        (left, top), (right, bottom) = self._at((x - radius, y + radius)), self._at((x + radius, y - radius))
        wide = thickness * min(self._x, self._y)
        fill = (*_levels(colour), round(255 * min(1.0, max(wide, 0.35))))
        self._draw.ellipse((left, top, right, bottom), outline=fill, width=max(1, round(wide)))

    def disc(self, x: float, y: float, radius: float, colour: Array) -> None:
        (left, top), (right, bottom) = self._at((x - radius, y + radius)), self._at((x + radius, y - radius))
        self._draw.ellipse((left, top, right, bottom), fill=(*_levels(colour), 255))


def _levels(colour: Array) -> tuple[int, int, int]:
    red, green, blue = (int(255 * min(max(float(v), 0.0), 1.0)) for v in colour)
    return red, green, blue


def _bicycle(pen: _Pen, rng: np.random.Generator) -> None:
    black, frame = muted(rng, 0.02, 0.08), muted(rng, 0.04, 0.5, "vivid" if rng.random() < 0.4 else "")
    grey = muted(rng, 0.2, 0.6, "grey")
    if rng.random() < 0.5:
        frame = muted(rng, 0.02, 0.15, "grey")
    rear, front = (0.37, 0.34), (1.42, 0.34)
    for x, y in (rear, front):
        pen.ring(x, y, 0.34, 0.05, black)
        pen.ring(x, y, 0.295, 0.015, grey)
        for angle in np.linspace(0, np.pi, 7)[:-1]:
            dx, dy = 0.3 * np.cos(angle), 0.3 * np.sin(angle)
            pen.lines([(x - dx, y - dy), (x + dx, y + dy)], 0.004, grey)
    pedal, seat, head = (0.82, 0.30), (0.68, 0.82), (1.24, 0.86)
    step = rng.random() < 0.5
    top = (0.74, 0.55) if step else (0.69, 0.76)
    pen.lines([rear, pedal, seat, rear], 0.035, frame)
    pen.lines([pedal, head, top], 0.04, frame)
    pen.lines([head, front], 0.035, frame)
    pen.lines([head, (1.20, 1.0), (1.06, 1.02)], 0.03, grey)
    pen.lines([(0.56, 0.88), (0.80, 0.86)], 0.07, black)
    pen.disc(*pedal, 0.09, grey * 0.6)
    if rng.random() < 0.6:
        pen.lines([(0.1, 0.62), (0.3, 0.71), (0.55, 0.70)], 0.03, black)
    if rng.random() < 0.35:
        pen.box(1.25, 0.75, 1.62, 1.0, muted(rng, 0.1, 0.5))


def _car(pen: _Pen, rng: np.random.Generator) -> None:
    paint = muted(rng, 0.05, 0.75, ("grey", "grey", "grey", "grey", "blue", "vivid")[rng.integers(6)])
    black, glass = muted(rng, 0.01, 0.04), muted(rng, 0.04, 0.2, "blue")
    tall, nose = rng.uniform(0.0, 0.25), rng.uniform(0.9, 1.3)
    roof = 1.42 + tall
    body = [(0.05, 0.3), (0.02, 0.85), (0.35, 0.98), (0.85, roof), (2.6 + tall, roof), (4.3 - nose, 0.98),
            (4.22, 0.8), (4.28, 0.3)]  # fmt: skip
    pen.polygon(body, paint)
    pen.polygon([(0.02, 0.6), (4.28, 0.6), (4.28, 0.3), (0.05, 0.3)], paint * 0.72)
    pen.polygon([(0.55, 0.98), (0.95, roof - 0.08), (1.75, roof - 0.08), (1.75, 0.98)], glass)
    pen.polygon([(1.83, 0.98), (1.83, roof - 0.08), (2.55 + tall, roof - 0.08), (4.1 - nose, 0.98)], glass)
    pen.polygon([(0.75, 1.15), (0.95, roof - 0.08), (2.5, roof - 0.08), (2.3, 1.15)], glass * 1.8)
    pen.box(0.9, roof - 0.07, 2.5 + tall, roof - 0.02, paint * 1.2)
    pen.lines([(1.79, 0.35), (1.79, 0.98)], 0.015, paint * 0.4)
    pen.lines([(0.04, 0.92), (4.2, 0.92)], 0.03, np.minimum(paint * 1.35, 0.98))
    pen.box(0.02, 0.72, 0.22, 0.88, np.array([0.45, 0.04, 0.03], np.float32))
    pen.box(4.02, 0.66, 4.25, 0.80, np.array([0.85, 0.85, 0.8], np.float32))
    for x in (0.82, 3.42):
        pen.disc(x, 0.33, 0.36, black)
        pen.disc(x, 0.33, 0.2, muted(rng, 0.2, 0.5, "grey"))


def _van(pen: _Pen, rng: np.random.Generator) -> None:
    paint = muted(rng, 0.4, 0.85, "grey" if rng.random() < 0.7 else "vivid")
    black, glass = muted(rng, 0.01, 0.04), muted(rng, 0.04, 0.15, "blue")
    pen.polygon([(0.02, 0.35), (0.02, 2.2), (3.6, 2.3), (4.5, 1.3), (5.15, 1.1), (5.2, 0.35)], paint)
    pen.box(0.02, 0.35, 5.2, 0.6, paint * 0.5)
    pen.polygon([(3.5, 1.3), (3.5, 2.0), (3.75, 2.0), (4.35, 1.3)], glass)
    if rng.random() < 0.6:
        pen.box(0.5, 1.1, 2.9, 1.7, muted(rng, 0.1, 0.7, "vivid"))
    for x in (1.0, 4.2):
        pen.disc(x, 0.36, 0.38, black)
        pen.disc(x, 0.36, 0.2, muted(rng, 0.2, 0.5, "grey"))


def _railing(pen: _Pen, rng: np.random.Generator) -> None:
    metal = muted(rng, 0.05, 0.6, "grey" if rng.random() < 0.8 else "green")
    gap = rng.choice((0.11, 0.14, 0.5, 1.2))
    for x in np.arange(0.02, pen.width, gap):
        pen.lines([(x, 0.0 if gap > 0.3 else 0.12), (x, 1.0)], 0.02 if gap < 0.3 else 0.045, metal)
    for x in np.arange(0.05, pen.width, 2.0):
        pen.lines([(x, 0), (x, 1.02)], 0.06, metal)
    for y in (0.12, 1.0) if gap < 0.3 else (0.35, 0.66, 1.0):
        pen.lines([(0, y), (pen.width, y)], 0.045, metal)


def _mesh(pen: _Pen, rng: np.random.Generator) -> None:
    metal = muted(rng, 0.1, 0.5, "green" if rng.random() < 0.5 else "grey")
    for x in np.arange(-pen.height, pen.width, 0.14):
        pen.lines([(x, 0), (x + pen.height, pen.height)], 0.008, metal)
        pen.lines([(x, pen.height), (x + pen.height, 0)], 0.008, metal)
    for x in np.arange(0.05, pen.width, 2.4):
        pen.lines([(x, 0), (x, pen.height)], 0.06, metal)
    pen.lines([(0, pen.height - 0.03), (pen.width, pen.height - 0.03)], 0.05, metal)


def _lamp(pen: _Pen, rng: np.random.Generator) -> None:
    metal = muted(rng, 0.05, 0.4, "grey")
    pen.lines([(0.35, 0), (0.35, pen.height)], rng.uniform(0.09, 0.17), metal)
    pen.lines([(0.35, 0), (0.35, 0.9)], rng.uniform(0.14, 0.24), metal * 0.9)


def _sign(pen: _Pen, rng: np.random.Generator) -> None:
    pen.lines([(0.4, 0), (0.4, pen.height)], 0.06, muted(rng, 0.3, 0.5, "grey"))
    face = muted(rng, 0.3, 0.8, ("blue", "vivid", "grey")[rng.integers(3)])
    if rng.random() < 0.5:
        pen.disc(0.4, pen.height - 0.4, 0.36, face)
        pen.disc(0.4, pen.height - 0.4, 0.25, muted(rng, 0.5, 0.9, "grey"))
    else:
        pen.box(0.06, pen.height - 0.75, 0.74, pen.height, face)
        pen.box(0.14, pen.height - 0.5, 0.66, pen.height - 0.42, 1 - face)


def _bin(pen: _Pen, rng: np.random.Generator) -> None:
    body = muted(rng, 0.05, 0.4, ("green", "grey", "vivid", "warm")[rng.integers(4)])
    pen.polygon([(0.08, 0.0), (0.62, 0.0), (0.68, 1.0), (0.02, 1.0)], body)
    pen.polygon([(0.4, 0.0), (0.62, 0.0), (0.68, 1.0), (0.42, 1.0)], body * 0.7)
    pen.box(0.0, 0.95, 0.7, 1.1, body * 1.3)


def _bench(pen: _Pen, rng: np.random.Generator) -> None:
    wood, metal = muted(rng, 0.12, 0.4, "brick"), muted(rng, 0.05, 0.3, "grey")
    for x in (0.25, 1.55):
        pen.lines([(x, 0), (x, 0.45), (x - 0.05, 0.85)], 0.05, metal)
    for y in (0.45, 0.6, 0.72, 0.84):
        pen.lines([(0.05, y), (1.75, y)], 0.07, wood)


def _bollard(pen: _Pen, rng: np.random.Generator) -> None:
    body = muted(rng, 0.05, 0.6, "grey")
    pen.box(0.03, 0, 0.2, 0.9, body)
    pen.box(0.14, 0, 0.2, 0.9, body * 0.6)
    if rng.random() < 0.5:
        pen.box(0.03, 0.7, 0.2, 0.8, np.array([0.8, 0.8, 0.8], np.float32))


def _board(pen: _Pen, rng: np.random.Generator) -> None:
    pen.box(0, 0.0, pen.width, pen.height, muted(rng, 0.1, 0.4, "grey"))
    pen.box(0.06, 0.5, pen.width - 0.06, pen.height - 0.08, muted(rng, 0.3, 0.85))
    for _ in range(6):
        x, y = rng.uniform(0.1, pen.width * 0.7), rng.uniform(0.55, pen.height * 0.8)
        pen.box(
            x, y, x + rng.uniform(0.1, 0.5), min(y + rng.uniform(0.05, 0.6), pen.height - 0.1), muted(rng, 0.1, 0.9)
        )


def _counter(pen: _Pen, rng: np.random.Generator) -> None:
    front = muted(rng, 0.2, 0.7, "warm" if rng.random() < 0.5 else "")
    pen.box(0, 0, pen.width, 1.0, front)
    pen.box(0, 0.95, pen.width, 1.05, front * 0.5)
    for x in np.arange(0.1, pen.width - 0.3, 0.5):
        if rng.random() < 0.6:
            pen.box(x, 1.05, x + 0.35, 1.05 + rng.uniform(0.1, 0.5), muted(rng, 0.1, 0.8))


def _shelf(pen: _Pen, rng: np.random.Generator) -> None:
    pen.box(0, 0, pen.width, pen.height, muted(rng, 0.1, 0.4, "grey"))
    for y in np.arange(0.1, pen.height - 0.2, 0.4):
        x = 0.03
        while x < pen.width - 0.1:
            wide = rng.uniform(0.06, 0.3)
            pen.box(x, y, min(x + wide, pen.width), y + rng.uniform(0.15, 0.33), muted(rng, 0.08, 0.8))
            x += wide + 0.02


def _chairs(pen: _Pen, rng: np.random.Generator) -> None:
    seat, metal = muted(rng, 0.05, 0.5), muted(rng, 0.2, 0.5, "grey")
    for x in np.arange(0.05, pen.width - 0.4, 0.56):
        pen.box(x, 0.42, x + 0.48, 0.5, seat)
        pen.box(x + 0.02, 0.5, x + 0.46, 0.88, seat * 0.8)
        pen.lines([(x + 0.05, 0), (x + 0.05, 0.42)], 0.03, metal)
        pen.lines([(x + 0.43, 0), (x + 0.43, 0.42)], 0.03, metal)


def _trunk(pen: _Pen, rng: np.random.Generator) -> None:
    bark = muted(rng, 0.08, 0.25, "warm")
    wide, lean = rng.uniform(0.1, 0.28), rng.normal(0, 0.1)
    mid, high = pen.width / 2, pen.height
    pen.polygon(
        [(mid - wide, 0), (mid + wide, 0), (mid + lean + wide * 0.7, high), (mid + lean - wide * 0.7, high)], bark
    )
    pen.polygon([(mid, 0), (mid + wide, 0), (mid + lean + wide * 0.7, high), (mid + lean, high)], bark * 0.6)


@dataclass(frozen=True, slots=True)
class Prop:
    """A kind of object.

    Attributes:
        draw: Draws it; None: a plant, which is a cloud of leaves.
        size: Width and height in metres.
        turn: Least fraction of its width that is visible when it is turned.
        indoor: Whether it stands inside buildings; None: anywhere.
        weight: Relative frequency.
        group: Least and greatest number of such objects side by side, and their distance in metres.
    """

    draw: Callable[[_Pen, np.random.Generator], None] | None
    size: tuple[float, float]
    turn: float = 1.0
    indoor: bool | None = False
    weight: float = 1.0
    group: tuple[int, int, float] = (1, 1, 0.0)


PROPS: dict[str, Prop] = {
    "bicycle": Prop(_bicycle, (1.8, 1.08), 0.3, weight=3.0, group=(1, 9, 0.5)),
    "car": Prop(_car, (4.3, 1.7), 0.45, weight=2.2, group=(1, 3, 4.8)),
    "van": Prop(_van, (5.25, 2.35), 0.5, weight=0.5),
    "railing": Prop(_railing, (9.0, 1.05), weight=1.0),
    "mesh": Prop(_mesh, (10.0, 1.9), weight=0.7),
    "lamp": Prop(_lamp, (0.7, 6.0), weight=1.0),
    "sign": Prop(_sign, (0.8, 2.6), 0.4, weight=0.8),
    "bin": Prop(_bin, (0.7, 1.15), indoor=None, weight=0.8, group=(1, 3, 0.8)),
    "bench": Prop(_bench, (1.8, 0.9), 0.5, weight=0.7),
    "bollard": Prop(_bollard, (0.25, 0.92), weight=0.8, group=(2, 7, 1.5)),
    "board": Prop(_board, (1.2, 2.1), 0.4, indoor=None, weight=0.7),
    "tree": Prop(_trunk, (1.0, 5.0), weight=1.3, group=(1, 4, 3.5)),
    "bush": Prop(None, (2.2, 1.3), weight=1.8, group=(1, 5, 1.5)),
    "hedge": Prop(None, (9.0, 1.6), weight=1.0),
    "pot": Prop(None, (0.9, 1.4), indoor=True, weight=1.0, group=(1, 2, 2.0)),
    "counter": Prop(_counter, (3.5, 1.6), 0.6, indoor=True, weight=1.0),
    "shelf": Prop(_shelf, (3.0, 2.0), 0.5, indoor=True, weight=1.5, group=(1, 3, 3.1)),
    "chairs": Prop(_chairs, (3.0, 0.95), 0.5, indoor=True, weight=1.5),
}
"""Kinds of objects."""


def draw_prop(name: str, rng: np.random.Generator, columns: int, rows: int, noise: Array) -> Array:
    """Draw an object.

    Args:
        name: Key of `PROPS`.
        rng: Random number generator.
        columns: Width in pixels.
        rows: Height in pixels.
        noise: Texture from `pink_noise`, for surfaces and leaves.

    Returns:
        (rows, columns, 4) Colour and opacity, from 0 to 1; of a lower resolution if it is very large.
    """
    shrink = min(1.0, _LARGEST / max(columns, rows))
    columns, rows = max(2, round(columns * shrink)), max(2, round(rows * shrink))
    prop = PROPS[name]
    if prop.draw is None:
        return leaves(rng, columns, rows, prop.size[0] / columns, noise)
    pen = _Pen(*prop.size, columns, rows)
    prop.draw(pen, rng)
    pixels = np.asarray(pen.canvas, np.float32).reshape(rows, _FINER, columns, _FINER, 4) / 255
    pixels[..., :3] *= pixels[..., 3:]
    small: Array = pixels.mean((1, 3))
    small[..., :3] /= np.maximum(small[..., 3:], 1e-3)
    y, x = np.mgrid[0:rows, 0:columns]
    step = prop.size[0] / columns * 60
    grain = look_up(noise, x * step + rng.integers(512), y * step)
    small[..., :3] *= np.clip(0.95 + 0.13 * grain - 0.25 * (y / rows) ** 2, 0.3, 1.5)[..., None]
    return small


def leaves(rng: np.random.Generator, columns: int, rows: int, metres: float, noise: Array) -> Array:
    """Return a cloud of leaves: a ragged outline, dark gaps, and light from above.

    Args:
        rng: Random number generator.
        columns: Width in pixels.
        rows: Height in pixels.
        metres: Size of a pixel in metres.
        noise: Texture from `pink_noise`.

    Returns:
        (rows, columns, 4) Colour and opacity, from 0 to 1.
    """
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    u, v = (x + 0.5) / columns * 2 - 1, (y + 0.5) / rows * 2 - 1
    shift = rng.integers(512, size=4)
    coarse = look_up(noise, x * metres * 60 + shift[0], y * metres * 60 + shift[1])
    fine = look_up(noise, x * metres * 260 + shift[2], y * metres * 260 + shift[3])
    power = 2.0 if columns < 4 * rows else 6.0
    fullness = 1.0 - np.abs(u) ** power - 0.8 * np.abs(np.minimum(v, 0.3)) ** 2.5
    opacity = np.clip((fullness + 0.22 * coarse + 0.12 * fine) * 7, 0, 1)
    return np.concatenate([leaf_colours(rng, coarse, fine, -v), opacity[..., None]], -1).astype(np.float32)


def leaf_colours(rng: np.random.Generator, coarse: Array, fine: Array, up: Array) -> Array:
    """Return colours of foliage.

    Args:
        rng: Random number generator.
        coarse: (…) Noise at the scale of branches.
        fine: (…) Noise at the scale of leaves.
        up: (…) Height from -1 (shaded) to 1 (lit).

    Returns:
        (…, 3) RGB from 0 to 1.
    """
    green = np.array((rng.uniform(0.10, 0.26), rng.uniform(0.17, 0.28), rng.uniform(0.04, 0.12)), np.float32)
    shade = np.clip(0.8 + 0.35 * coarse + 0.42 * fine + 0.25 * up, 0.12, 2.2)
    warm = np.clip(0.15 * fine, -0.1, 0.3)[..., None] * np.array([1.0, 0.5, -0.3], np.float32)
    return np.asarray(np.clip(green * (shade[..., None] + warm), 0.005, 0.9), np.float32)
