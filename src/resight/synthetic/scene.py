"""Cameras, each on its own street: where it stands, how it sees, and what is behind the people."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from resight.synthetic.streams import stream
from resight.synthetic.style import STREETS, Style
from resight.synthetic.view import Lens

Array = NDArray[np.float32]

CAMERAS = 6


@dataclass(frozen=True, slots=True)
class Camera:
    """One camera.

    Attributes:
        number: of its street, from 1.
        lens: place and focal length.
        lane: middle of the walkway, X and Z in metres.
        lane_heading: direction of the walkway, radians; people walk it both ways.
        lane_size: half length and half width of the loop that people walk, metres.
        light: towards the light in camera coordinates (right, down, away), unit length.
        light_strength: of the directed light.
        ambient: of the light from everywhere.
        cast: gain of red, green and blue.
        contrast: 1 keeps; below, the picture is flat.
        gamma: of the tone curve.
        saturation: 1 keeps.
        softness: weight of the two neighbours in the blur, 0 … 0.3.
        noise: standard deviation, in 0 … 1.
        jpeg_quality: 1 … 100.
        rows: pixels that it has for the height of a box, as a share of those of the frame.
    """

    number: int
    lens: Lens
    lane: tuple[float, float]
    lane_heading: float
    lane_size: tuple[float, float]
    light: tuple[float, float, float]
    light_strength: float
    ambient: float
    cast: tuple[float, float, float]
    contrast: float
    gamma: float
    saturation: float
    softness: float
    noise: float
    jpeg_quality: int
    rows: float = 1.0


# heading, camera height, distance, cast, exposure, contrast, saturation: six clearly different places.
_PLACES = (
    (0.05, 3.2, 9.5, (1.06, 1.00, 0.92), 1.00, 1.05, 1.00),
    (1.50, 4.5, 10.5, (0.86, 0.98, 1.14), 0.90, 1.00, 0.85),
    (0.75, 2.6, 8.5, (1.00, 1.05, 0.90), 1.18, 0.88, 0.90),
    (2.35, 6.0, 12.0, (1.14, 0.97, 0.80), 0.80, 1.10, 1.05),
    (1.20, 3.6, 9.0, (0.95, 1.00, 1.06), 1.10, 0.78, 0.70),
    (2.90, 5.0, 11.0, (0.92, 1.07, 0.98), 0.72, 1.00, 0.95),
)


@lru_cache(maxsize=64)
def camera(seed: int, number: int, style: Style = STREETS) -> Camera:
    """The camera of a street: of the six streets only details are drawn, anywhere all of it is."""
    found = _on_a_street(seed, number, style)
    return _anywhere(seed, found, style) if style.places else found


def _on_a_street(seed: int, number: int, style: Style) -> Camera:
    rng = stream(seed, "camera", number)
    heading, height, distance, cast, exposure, contrast, saturation = _PLACES[(number - 1) % len(_PLACES)]
    if style.places:
        anywhere = stream(seed, "place", number)
        heading, height, distance = (float(anywhere.uniform(*way)) for way in ((0, np.pi), (1.7, 7.0), (5.5, 13.0)))
    height *= float(rng.uniform(0.92, 1.08))
    distance *= float(rng.uniform(0.95, 1.05))
    light = np.array([rng.uniform(-1, 1), -rng.uniform(0.4, 1.0), rng.uniform(-0.9, 0.5)])
    light /= np.linalg.norm(light)
    sun = float(rng.uniform(0.25, 0.75))
    return Camera(
        number=number,
        lens=Lens(height, float(np.arctan2(height - 0.9, distance)), float(rng.uniform(0.20, 0.25)) * distance),
        lane=(0.0, distance),
        lane_heading=heading + float(rng.uniform(-0.12, 0.12)),
        lane_size=(float(rng.uniform(2.4, 3.0)), float(rng.uniform(0.35, 0.8))),
        light=(float(light[0]), float(light[1]), float(light[2])),
        light_strength=sun * exposure,
        ambient=(1.15 - 0.75 * sun) * exposure,
        cast=cast,
        contrast=contrast,
        gamma=float(rng.uniform(0.62, 0.78)),
        saturation=saturation,
        softness=float(rng.uniform(0.08, 0.24)),
        noise=float(rng.uniform(0.008, 0.035)),
        jpeg_quality=int(rng.integers(62, 93)),
    )


def _anywhere(seed: int, found: Camera, style: Style) -> Camera:
    """Light and optics of a street, from wide ranges."""
    rng = stream(seed, "light", found.number)
    if style.light:
        sun, exposure = float(rng.uniform(0.0, 0.9)), float(np.exp(rng.normal(0, 0.25)))
        red, green, blue = (float(one) for one in np.exp(rng.normal(0, 0.13, 3)))
        found = replace(
            found,
            light_strength=sun * exposure,
            ambient=(1.15 - 0.75 * sun) * exposure,
            cast=(red, green, blue),
            contrast=float(rng.uniform(0.6, 1.25)),
            gamma=float(rng.uniform(0.5, 1.05)),
            saturation=float(rng.uniform(0.4, 1.35)),
        )
    rng = stream(seed, "optics", found.number)
    if style.optics:
        found = replace(
            found,
            softness=float(rng.uniform(0.0, 0.3)),
            noise=float(rng.uniform(0.003, 0.05)),
            jpeg_quality=int(rng.integers(35, 96)),
            rows=float(rng.uniform(0.3, 1.0)) if rng.random() < 0.6 else 1.0,
        )
    return found


@lru_cache(maxsize=16)
def picture(seed: int, number: int, rows: int, style: Style = STREETS) -> Array:
    """What a camera sees when nobody is there: (rows, 2·rows, 3) in 0 … 1, before the camera's colours.

    Every pixel is followed to the ground, the wall at the end, or the sky; things stand before the wall.
    """
    cam = camera(seed, number, style)
    rng = stream(seed, "picture", number)
    if style.backgrounds and number % 2:
        return _collage(rng, rows)
    y, x = np.mgrid[0:rows, 0 : 2 * rows].astype(np.float32)
    rays = np.stack([(x + 0.5) / rows - 1.0, (y + 0.5) / rows - 0.5, np.full_like(x, cam.lens.focal)], -1)
    world = (rays @ cam.lens.to_camera()).astype(np.float32)
    wall_z = cam.lane[1] + float(rng.uniform(3.6, 5.5))
    down = np.minimum(world[..., 1], -1e-4)
    to_ground = -cam.lens.height / down
    to_wall = wall_z / np.maximum(world[..., 2], 1e-4)
    on_ground = (world[..., 1] < 0) & (to_ground < to_wall)
    t = np.where(on_ground, to_ground, to_wall)
    wx, wy, wz = world[..., 0] * t, cam.lens.height + world[..., 1] * t, world[..., 2] * t
    ground = _ground(rng, wx - cam.lane[0], wz - cam.lane[1], cam.lane_heading)
    wall = _wall(rng, wx, wy)
    out = np.where(on_ground[..., None], ground, wall)
    out = out * (0.75 + 0.25 * smooth_noise(rng, wx * 0.4, (wz + wy) * 0.4))[..., None]
    _things(rng, out, cam, wall_z)
    return np.asarray(np.clip(out, 0, 1), np.float32)


def _collage(rng: np.random.Generator, rows: int) -> Array:
    """Any colours and shapes: clouds of noise of several sizes, before them things of all shapes."""
    y, x = np.mgrid[0:rows, 0 : 2 * rows].astype(np.float32) / rows
    out = np.broadcast_to(_tone(rng, 0.15, 0.85, 0.15), (rows, 2 * rows, 3)).copy()
    for _ in range(4):
        size, slant = 2.0 ** rng.uniform(1, 6), float(rng.uniform(-1, 1))
        cloud = smooth_noise(rng, x * size + slant * y * size, y * size * 2.0 ** rng.uniform(-1, 1))
        out += rng.uniform(0.05, 0.45) * (cloud - 0.5)[..., None] * _tone(rng, 0.5, 1.0, 0.3)
    for _ in range(int(rng.integers(6, 30))):
        left, top = rng.uniform(-0.2, 2.0), rng.uniform(-0.2, 0.95)
        wide, high = 2.0 ** rng.uniform(-5, 0), 2.0 ** rng.uniform(-4, 0.3)
        u, v = (x - left) / wide, (y - top) / high
        inside = (np.abs(u - 0.5) < 0.5) & (np.abs(v - 0.5) < 0.5)
        if rng.random() < 0.4:
            inside = (u - 0.5) ** 2 + (v - 0.5) ** 2 < 0.25
        stripes = np.where(np.sin(u * rng.uniform(3, 40)) > 0, 1.0, rng.uniform(0.5, 1.0))
        shade = (0.8 + 0.4 * u) * (stripes if rng.random() < 0.4 else 1.0)
        out = np.where(inside[..., None], _tone(rng, 0.05, 0.95, 0.2) * shade[..., None], out)
    return np.asarray(np.clip(out, 0, 1), np.float32)


def smooth_noise(rng: np.random.Generator, x: NDArray[np.floating], y: NDArray[np.floating]) -> Array:
    """Noise in 0 … 1 at any places `x`, `y` of one shape, with features of size 1; it repeats after 64."""
    table = rng.random((64, 64)).astype(np.float32)
    xi, yi = np.floor(x), np.floor(y)
    fx, fy = x - xi, y - yi
    fx, fy = fx * fx * (3 - 2 * fx), fy * fy * (3 - 2 * fy)
    i, j = yi.astype(np.int64) % 64, xi.astype(np.int64) % 64
    k, m = (i + 1) % 64, (j + 1) % 64
    upper = table[i, j] * (1 - fx) + table[i, m] * fx
    lower = table[k, j] * (1 - fx) + table[k, m] * fx
    return np.asarray(upper * (1 - fy) + lower * fy, np.float32)


def _tone(rng: np.random.Generator, low: float, high: float, tint: float = 0.06) -> Array:
    return np.clip(rng.uniform(low, high) + rng.uniform(-tint, tint, 3), 0, 1).astype(np.float32)


def _ground(rng: np.random.Generator, x: Array, z: Array, heading: float) -> Array:
    c, s = np.cos(heading), np.sin(heading)
    u, v = c * x - s * z, s * x + c * z
    base = _tone(rng, 0.35, 0.65)
    grain = smooth_noise(rng, x * 9, z * 9) * 0.12 + smooth_noise(rng, x * 2, z * 2) * 0.15 - 0.13
    out = base + grain[..., None]
    kind = rng.integers(4)
    if kind in (0, 1):
        size = float(rng.uniform(0.5, 1.2))
        joint = (np.abs(u / size % 1) < 0.04) | (np.abs(v / size % 1) < 0.04)
        out = np.where(joint[..., None], out * 0.6, out)
        if kind == 1:
            other = (np.floor(u / size) + np.floor(v / size)) % 2 > 0
            out = np.where(other[..., None], out * 0.82, out)
    elif kind == 2:
        stripe = (np.abs(u) % 2.6 < 0.14) & (v % 2.4 < 1.5)
        out = np.where(stripe[..., None], np.float32(0.85), out * 0.8)
    edge = np.abs(u - rng.uniform(-0.3, 0.3)) > rng.uniform(2.2, 3.2)
    grass = np.array([0.25, 0.42, 0.16], np.float32) if rng.random() < 0.6 else _tone(rng, 0.3, 0.6)
    return np.where(edge[..., None], grass + 1.6 * grain[..., None], out)


def _wall(rng: np.random.Generator, x: Array, y: Array) -> Array:
    kind = rng.integers(4)
    base = _tone(rng, 0.35, 0.75, 0.07)
    out = base + (smooth_noise(rng, x * 6, y * 6) * 0.10 - 0.05)[..., None]
    if kind == 0:
        row = np.floor(y / 0.25)
        joint = (y / 0.25 % 1 < 0.14) | ((x / 0.55 + 0.5 * (row % 2)) % 1 < 0.06)
        out = np.where(joint[..., None], out * 0.7 + 0.15, out)
    if kind == 3:
        leaves = smooth_noise(rng, x * 7, y * 7) * 0.7 + smooth_noise(rng, x * 15, y * 15) * 0.5
        out = np.array([0.15, 0.32, 0.10], np.float32) * (0.5 + leaves[..., None])
    else:
        wide, gap = float(rng.uniform(0.8, 1.8)), float(rng.uniform(1.6, 2.8))
        low, high = float(rng.uniform(0.0, 1.0)), float(rng.uniform(1.9, 2.6))
        cell = np.floor((x + 40) / gap)
        pane = ((x + 40) % gap < wide) & (y % 3.2 > low) & (y % 3.2 < high)
        frame = pane & (((x + 40) % gap < 0.09) | ((x + 40) % gap > wide - 0.09) | (y % 3.2 < low + 0.09))
        glass = (
            _tone(rng, 0.1, 0.35) + 0.3 * smooth_noise(rng, x * 0.9 + y, y)[..., None] + 0.04 * (cell % 3)[..., None]
        )
        out = np.where(pane[..., None], glass, out)
        out = np.where(frame[..., None], _tone(rng, 0.2, 0.9), out)
    kerb = y < 0.18
    out = np.where(kerb[..., None], _tone(rng, 0.2, 0.5), out)
    sky = y > rng.uniform(5, 8)
    return np.where(sky[..., None], np.array([0.80, 0.86, 0.93], np.float32), out)


def _things(rng: np.random.Generator, out: Array, cam: Camera, wall_z: float) -> None:
    """Poles, boxes, bushes and parked things between the walkway and the wall, farthest first."""
    rows, columns = out.shape[:2]
    reach = cam.lane_size[0] * abs(np.cos(cam.lane_heading)) + cam.lane_size[1] + 0.6
    for z in sorted(rng.uniform(cam.lane[1] + reach * 0.6, wall_z, rng.integers(4, 9)), reverse=True):
        x = rng.uniform(-4.5, 4.5)
        kind = rng.integers(4)
        wide, high = ((0.12, 4.0), (0.7, 1.1), (1.3, 1.2), (1.9, 1.4))[kind]
        wide, high = wide * rng.uniform(0.8, 1.3), high * rng.uniform(0.8, 1.2)
        corners = cam.lens.project(np.array([[x - wide / 2, 0, z], [x + wide / 2, 0, z], [x, high, z]]))
        left, right, bottom, top = (corners[[0, 1, 0, 2], [0, 0, 1, 1]] * rows).astype(int)
        left_edge, right_edge = np.clip((left, right), 0, columns)
        top_edge, bottom_edge = np.clip((top, bottom), 0, rows)
        box = np.s_[top_edge:bottom_edge, left_edge:right_edge]
        v, u = np.mgrid[box].astype(np.float32)
        u, v = (u - left) / max(right - left, 1), (v - top) / max(bottom - top, 1)
        tone = _tone(rng, 0.15, 0.7, 0.18)
        colour = tone * (0.75 + 0.4 * u[..., None])
        mask = np.ones(u.shape, bool)
        if kind == 2:
            leaf = smooth_noise(rng, u * 11, v * 11)
            mask = ((u - 0.5) ** 2 * 4 + (v - 0.55) ** 2 * 3.4) < 0.75 + 0.35 * leaf
            colour = np.array([0.18, 0.36, 0.12], np.float32) * (0.6 + 0.8 * leaf[..., None])
        if kind == 3:
            glass = (v < 0.45) & (np.abs(u - 0.5) < 0.36)
            wheel = (v > 0.72) & (np.minimum(np.abs(u - 0.2), np.abs(u - 0.8)) < 0.11)
            colour = np.where(glass[..., None], 0.15, np.where(wheel[..., None], 0.05, colour))
            mask = (v > 0.45) | (np.abs(u - 0.5) < 0.42)
        if kind == 1:
            colour = np.where((np.abs(v - 0.25) < 0.05)[..., None], 1 - tone, colour)
        window = out[box]
        window[mask] = colour[mask]
