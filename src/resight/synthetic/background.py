"""Draw the background of each place: ground, wall, sky and objects, or random colours and shapes."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from resight.synthetic.scene import Camera, camera, is_detailed
from resight.synthetic.scenery import scenery
from resight.synthetic.streams import stream
from resight.synthetic.style import STREETS, Style

Array = NDArray[np.float32]


@lru_cache(maxsize=16)
def background(seed: int, number: int, rows: int, style: Style = STREETS) -> Array:
    """Return the image of a place without people.

    Each pixel shows the ground, the wall at the end of the street, or the sky; objects stand in front of the wall.

    Args:
        seed: Seed of the world.
        number: Number of the place, from 1.
        rows: Height of the image in pixels.
        style: Style of the world.

    Returns:
        (rows, 2 · rows, 3) Colours from 0 to 1, before the camera's tone curve and colours are applied.
    """
    cam = camera(seed, number, style)
    rng = stream(seed, "picture", number)
    if is_detailed(seed, number, style):
        return scenery(seed, cam, rows, style)
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
    _add_objects(rng, out, cam, wall_z)
    return np.asarray(np.clip(out, 0, 1), np.float32)


def _collage(rng: np.random.Generator, rows: int) -> Array:
    """Return a background of random colours and shapes: noise at several scales, with rectangles and ellipses."""
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
    """Return smooth random noise.

    Args:
        rng: Random number generator.
        x: Coordinates, of any shape.
        y: Coordinates, of the same shape.

    Returns:
        Values from 0 to 1 of the same shape, with features of size 1 and period 64.
    """
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
    """Draw a colour with a grey level from `low` to `high`, tinted by at most `tint`."""
    return np.clip(rng.uniform(low, high) + rng.uniform(-tint, tint, 3), 0, 1).astype(np.float32)


def _ground(rng: np.random.Generator, x: Array, z: Array, heading: float) -> Array:
    """Return the colours of the ground, with paving or road markings, at positions relative to the walkway."""
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
            dark = (np.floor(u / size) + np.floor(v / size)) % 2 > 0
            out = np.where(dark[..., None], out * 0.82, out)
    elif kind == 2:
        stripe = (np.abs(u) % 2.6 < 0.14) & (v % 2.4 < 1.5)
        out = np.where(stripe[..., None], np.float32(0.85), out * 0.8)
    edge = np.abs(u - rng.uniform(-0.3, 0.3)) > rng.uniform(2.2, 3.2)
    grass = np.array([0.25, 0.42, 0.16], np.float32) if rng.random() < 0.6 else _tone(rng, 0.3, 0.6)
    return np.where(edge[..., None], grass + 1.6 * grain[..., None], out)


def _wall(rng: np.random.Generator, x: Array, y: Array) -> Array:
    """Return the colours of a brick wall, a plain wall with windows or a hedge, and of the sky above."""
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


def _add_objects(rng: np.random.Generator, out: Array, cam: Camera, wall_z: float) -> None:
    """Draw poles, boxes, bushes and parked cars between the walkway and the wall into `out`, farthest first."""
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
