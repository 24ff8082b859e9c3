"""Materials of ground and walls, as colours at positions in metres."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from resight.synthetic.pink_noise import look_up, muted, noise_of
from resight.synthetic.props import leaf_colours

Array = NDArray[np.floating]

OUTDOOR_GROUND = ("asphalt", "slabs", "bricks", "cobbles", "concrete", "lawn", "gravel")
INDOOR_GROUND = ("tiles", "large tiles", "carpet", "wood", "plain")
OUTDOOR_WALLS = ("brick", "plaster", "shops", "glass", "panels", "foliage", "garages")
INDOOR_WALLS = ("plain", "doors", "tiled", "shops", "glass")


def ground_colours(rng: np.random.Generator, seed: int, kind: str, x: Array, z: Array, pixel: Array) -> Array:
    """Return the colours of a material of the ground.

    Args:
        rng: Random number generator.
        seed: Seed of the world.
        kind: One of `OUTDOOR_GROUND` or `INDOOR_GROUND`.
        x: (K,) Position across in metres.
        z: (K,) Position along in metres.
        pixel: (K,) Size of a pixel on the ground in metres; finer details are left out.

    Returns:
        (K, 3) RGB from 0 to 1.
    """
    coarse_noise, fine_noise = noise_of(seed, rng), noise_of(seed, rng)
    shift = rng.integers(512, size=4)
    coarse = look_up(coarse_noise, x * 22 + shift[0], z * 22 + shift[1])
    fine = look_up(fine_noise, x * 150 + shift[2], z * 150 + shift[3])
    stain = 1 + 0.11 * coarse * rng.uniform(0.3, 1.3) + 0.07 * fine * rng.uniform(0.3, 1.2)
    if kind == "lawn":
        blades = look_up(fine_noise, x * 420 + shift[3], z * 160 + shift[2])
        dry = np.clip(0.3 * coarse + 0.1, 0, 0.5)[..., None] * np.array([0.12, 0.05, 0.0], np.float32)
        return np.asarray(leaf_colours(rng, 0.5 * coarse, 0.8 * blades, 0 * x) * 1.25 + dry, np.float32)
    hue = {"asphalt": "grey", "bricks": "brick", "lawn": "green", "carpet": "", "wood": "brick"}.get(
        kind, "warm" if rng.random() < 0.5 else "grey"
    )
    low, high = {"asphalt": (0.14, 0.34), "carpet": (0.06, 0.3), "wood": (0.15, 0.4), "cobbles": (0.15, 0.35)}.get(
        kind, (0.25, 0.55)
    )
    out = muted(rng, low, high, hue) * stain[..., None]
    if kind == "asphalt":
        patch = look_up(coarse_noise, x * 5 + shift[2], z * 5 + shift[0]) > rng.uniform(0.8, 2.0)
        return np.asarray(np.where(patch[..., None], out * 0.8, out), np.float32)
    if kind in ("concrete", "carpet", "plain"):
        size = (2.5, 3.5) if kind == "concrete" else (50.0, 50.0)
    else:
        size = {
            "slabs": (float(rng.uniform(0.3, 0.9)),) * 2, "bricks": (0.22, 0.11), "cobbles": (0.12, 0.13),
            "tiles": (float(rng.uniform(0.25, 0.4)),) * 2, "large tiles": (float(rng.uniform(0.5, 1.0)),) * 2,
            "wood": (1.4, 0.12),
        }.get(kind, (50.0, 50.0))  # fmt: skip
    if kind == "gravel":
        pebbles = look_up(fine_noise, x * 700, z * 700)
        return np.asarray(out * (1 + 0.14 * pebbles)[..., None], np.float32)
    row = np.floor(z / size[1])
    across = x / size[0] + (0.5 * (row % 2) if kind in ("bricks", "slabs", "cobbles", "wood") else 0)
    # Joints and differences between stones fade out where they are smaller than a pixel.
    clear = np.clip(min(size) / (2.5 * pixel) - 0.4, 0, 1)
    stone = look_up(fine_noise, np.floor(across) * 37 + shift[1], row * 53 + shift[2])
    out *= (1 + clear * stone * rng.uniform(0.02, 0.12))[..., None]
    width = rng.uniform(0.006, 0.014) / np.maximum(pixel, 0.004)
    joint = np.minimum((0.5 - np.abs(across % 1 - 0.5)) * size[0], (0.5 - np.abs(z / size[1] % 1 - 0.5)) * size[1])
    dark = np.clip(1.2 - joint / np.maximum(0.012, 0.6 * pixel), 0, 1) * np.clip(width, 0, 1) * clear
    depth = rng.uniform(0.12, 0.5) if kind != "wood" else 0.3
    if kind in ("tiles", "large tiles") and rng.random() < 0.3:
        chequer = (np.floor(across) + row) % 2 > 0
        out = np.where(chequer[..., None], out * rng.uniform(0.55, 0.85), out)
    return np.asarray(out * (1 - depth * dark)[..., None], np.float32)


def wall_colours(rng: np.random.Generator, seed: int, kind: str, x: Array, y: Array, pixel: Array) -> Array:
    """Return the colours of a wall.

    Args:
        rng: Random number generator.
        seed: Seed of the world.
        kind: One of `OUTDOOR_WALLS` or `INDOOR_WALLS`.
        x: (K,) Position along the wall in metres.
        y: (K,) Height in metres.
        pixel: (K,) Size of a pixel on the wall in metres; finer details are left out.

    Returns:
        (K, 3) RGB from 0 to 1.
    """
    coarse_noise, fine_noise = noise_of(seed, rng), noise_of(seed, rng)
    shift = rng.integers(512, size=4)
    coarse = look_up(coarse_noise, x * 16 + shift[0], y * 16 + shift[1])
    fine = look_up(fine_noise, x * 120 + shift[2], y * 120 + shift[3])
    if kind == "foliage":
        clump = look_up(coarse_noise, x * 45 + shift[1], y * 45 + shift[2])
        out = leaf_colours(rng, coarse + 0.5 * clump, fine, np.clip(y / 2.5 - 1, -1, 1))
        trunk = np.abs((x + 0.6 * coarse) % 3.1 - 1.5) < 0.12
        low = trunk & (y < 2.2)
        return np.where(low[..., None], muted(rng, 0.06, 0.15, "warm"), out)
    out = muted(rng, 0.2, 0.62) * (1 + 0.07 * coarse + 0.05 * fine)[..., None]
    if kind == "brick":
        kiln = "brick" if rng.random() < 0.6 else ""
        out = muted(rng, 0.16, 0.42, kiln) * (1 + 0.10 * coarse + 0.06 * fine)[..., None]
        row = np.floor(y / 0.075)
        joint = (y / 0.075 % 1 < 0.16) | ((x / 0.24 + 0.5 * (row % 2)) % 1 < 0.06)
        strong = np.clip(0.06 / np.maximum(pixel, 0.001) - 0.5, 0, 1) * joint
        out = out * (1 - 0.3 * strong[..., None]) + 0.08 * strong[..., None]
    if kind in ("panels", "tiled"):
        size = rng.uniform(0.9, 2.4) if kind == "panels" else rng.uniform(0.15, 0.4)
        edge = np.minimum(x / size % 1, y / size % 1) * size
        out *= (1 - 0.35 * (edge < np.maximum(0.012, 0.5 * pixel)) * np.clip(size / (3 * pixel), 0, 1))[..., None]
    if kind in ("brick", "plaster"):
        out = _windows(rng, out, x, y, coarse, (1.4, 3.4), (0.9, 1.5), (0.8, 2.3), 3.1)
    if kind in ("shops", "glass"):
        sill = 0.25 if rng.random() < 0.5 else 0.05
        out = _windows(rng, out, x, y, coarse, (1.6, 3.5), (1.45, 3.2), (sill, rng.uniform(2.2, 2.9)), 3.6)
        band = (y > 2.9) & (y < 3.5)
        out = np.where(band[..., None], muted(rng, 0.1, 0.7) * (1 + 0.1 * fine)[..., None], out)
        if kind == "shops":
            out = _posters(rng, out, x, y, fine)
    if kind in ("doors", "garages"):
        gap, wide, high = (2.8, 2.5, 2.3) if kind == "garages" else (rng.uniform(2.0, 4.5), 0.95, 2.1)
        at = (x + 50) % gap
        door = (at < wide) & (y < high)
        frame = (at < wide + 0.1) & (y < high + 0.1)
        leaf = muted(rng, 0.12, 0.6) * (1 + 0.05 * fine)[..., None]
        if kind == "garages":
            leaf = leaf * (1 - 0.25 * (y / 0.2 % 1 < 0.15))[..., None]
        out = np.where(frame[..., None], muted(rng, 0.15, 0.5, "grey"), out)
        out = np.where(door[..., None], leaf, out)
    if kind in ("plain", "doors", "tiled") and rng.random() < 0.6:
        rail = np.abs(y - rng.uniform(0.8, 1.1)) < rng.uniform(0.03, 0.5)
        out = np.where(rail[..., None], out * muted(rng, 0.5, 0.95), out)
    foot = y < rng.uniform(0.08, 0.5)
    out = np.where(foot[..., None], out * rng.uniform(0.45, 0.9), out)
    # Dirt near the ground, and rain streaks.
    streak = look_up(fine_noise, x * 60 + shift[1], y * 2 + shift[0])
    return np.asarray(out * (1 - 0.2 * np.exp(-y * 2) + 0.05 * streak)[..., None], np.float32)


def _windows(
    rng: np.random.Generator, out: Array, x: Array, y: Array, coarse: Array, gaps: tuple[float, float],
    widths: tuple[float, float], span: tuple[float, float], storey: float,
) -> Array:  # fmt: skip
    """Return a wall with windows: dark rooms behind, reflections of the sky, blinds and lamps."""
    wide = rng.uniform(*widths)
    gap = max(rng.uniform(*gaps), wide + 0.08)
    column, at = np.floor((x + 60) / gap), (x + 60) % gap
    floor, height = np.floor(y / storey), y % storey
    pane = (at < wide) & (height > span[0]) & (height < span[1])
    border = rng.uniform(0.04, 0.09)
    frame = pane & (
        (at < border) | (at > wide - border) | (height < span[0] + border) | (height > span[1] - border)
        | ((np.abs(at - wide / 2) < border / 2) & (rng.random() < 0.5))
    )  # fmt: skip
    room = np.abs(np.sin(column * 12.9898 + floor * 78.233) * 43758.5453) % 1
    bright = np.where(room > 0.8, 3.0, 0.5 + room)
    sky = np.clip((height - span[0]) / (span[1] - span[0]) * 0.5 + 0.35 * coarse + rng.uniform(-0.5, 0.3), 0, 1)
    glass: Array = muted(rng, 0.03, 0.13, "blue") * bright[..., None]
    glass = glass + sky[..., None] * np.array([0.40, 0.44, 0.48], np.float32) * rng.uniform(0.1, 0.9)
    things = np.clip(coarse - 0.3, 0, 1.5)[..., None] * muted(rng, 0.05, 0.25, "warm")
    out = np.where(pane[..., None], glass + things, out)
    return np.where(frame[..., None], muted(rng, 0.05, 0.7, "grey"), out)


def _posters(rng: np.random.Generator, out: Array, x: Array, y: Array, fine: Array) -> Array:
    """Return a shop front with goods, posters and lit letters."""
    for _ in range(int(rng.integers(4, 14))):
        left, low = rng.uniform(-9, 9), rng.uniform(0.2, 2.0)
        wide, high = rng.uniform(0.15, 1.1), rng.uniform(0.2, 1.2)
        inside = (np.abs(x - left) < wide / 2) & (np.abs(y - low - high / 2) < high / 2)
        colour = muted(rng, 0.08, 0.7, "vivid" if rng.random() < 0.35 else "")
        out = np.where(inside[..., None], colour * (1 + 0.25 * fine)[..., None], out)
    return out
