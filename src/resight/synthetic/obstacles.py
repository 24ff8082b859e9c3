"""Draw obstacles between the camera and a person: poles, signs, bushes, cars and walls."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resight.synthetic.background import smooth_noise

Array = NDArray[np.float32]

KINDS = ("pole", "sign", "bush", "car", "wall")
_SIDE = 64


@dataclass
class Obstacle:
    """An obstacle in front of the person.

    Attributes:
        texture: (64, 64, 4) Colour and opacity, from 0 to 1.
        centre: (N, 2) Centre in each frame, x in box widths and y in box heights.
        size: Width in box widths and height in box heights.
    """

    texture: Array
    centre: Array
    size: tuple[float, float]


def draw_obstacle(rng: np.random.Generator, frames: int, start: int, stop: int) -> Obstacle:
    """Draw an obstacle that covers much of the box in some frames, and slides out of the box before and after.

    Args:
        rng: Random number generator.
        frames: Number of frames of the tracklet.
        start: First covered frame, from 0.
        stop: Frame after the last covered one.
    """
    kind = KINDS[rng.integers(len(KINDS))]
    u, v = np.meshgrid(*(((np.arange(_SIDE) + 0.5) / _SIDE).astype(np.float32),) * 2)
    tone = rng.uniform(0.12, 0.8, 3)
    colour = tone * (0.8 + 0.3 * u[..., None])
    opacity = np.ones_like(u)
    x, drift = 0.5 + rng.uniform(-0.12, 0.12), rng.uniform(-0.15, 0.15)
    if kind == "pole":
        size, y = (rng.uniform(0.38, 0.55), 1.6), 0.5
        colour = tone * (0.5 + 0.7 * np.sin(np.pi * u))[..., None]
    elif kind == "sign":
        size, y = (rng.uniform(0.85, 1.3), rng.uniform(0.42, 0.60)), rng.uniform(0.25, 0.6)
        border = np.maximum(np.abs(u - 0.5), np.abs(v - 0.5)) > 0.43
        writing = (np.abs(v % 0.25 - 0.12) < 0.05) & (np.abs(u - 0.5) < 0.36)
        colour = np.where((border | writing)[..., None], 1.0 - tone, colour)
    elif kind == "bush":
        size, y = (rng.uniform(1.4, 2.2), rng.uniform(0.75, 0.95)), rng.uniform(0.72, 0.85)
        leaf = smooth_noise(rng, u * 17, v * 15)
        opacity = ((u - 0.5) ** 2 * 4 + (v - 0.5) ** 2 * 4 < 0.75 + 0.4 * leaf).astype(np.float32)
        colour = np.array([0.18, 0.38, 0.12]) * (0.45 + 0.9 * leaf[..., None])
    elif kind == "car":
        size, y = (rng.uniform(3.0, 4.2), rng.uniform(0.60, 0.72)), rng.uniform(0.72, 0.80)
        x, drift = x + rng.uniform(-0.8, 0.8), drift * 3
        glass = (v < 0.42) & (v > 0.08) & (np.abs(u - 0.5) < 0.30)
        wheel = ((u % 0.6 - 0.2) ** 2 * 18 + (v - 0.85) ** 2 * 4) < 0.06
        colour = np.where(glass[..., None], 0.12, np.where(wheel[..., None], 0.04, colour))
        opacity = ((v > 0.42) | (np.abs(u - 0.5) < 0.36)).astype(np.float32)
    else:
        size, y = (2.0, 1.6), 0.5
        x, drift = (1.0 + rng.uniform(0.35, 0.55), abs(drift) * 0.5)
        if rng.random() < 0.5:
            x, drift = 1.0 - x, -drift
        row = np.floor(v * 16)
        joint = (v * 16 % 1 < 0.15) | ((u * 8 + 0.5 * (row % 2)) % 1 < 0.08)
        colour = np.where(joint[..., None], tone * 0.6, colour)
    t = np.arange(frames)
    within = np.clip((t - start) / max(stop - start - 1, 1), 0, 1) - 0.5
    outside = np.where(t < start, start - t, np.where(t >= stop, t - stop + 1, 0))
    away = (-1.0 if x < 0.5 else 1.0) * outside * (size[0] / 2 + 0.55) / 1.6
    centre = np.stack([x + drift * within + away, np.full(frames, y)], 1)
    texture = np.concatenate([np.clip(colour, 0, 1), opacity[..., None]], -1)
    return Obstacle(texture.astype(np.float32), centre.astype(np.float32), (float(size[0]), float(size[1])))
