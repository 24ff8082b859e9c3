"""Draw the light of each place: sun, overcast sky, sun behind the person, lamps at night, or indoor light."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from resight.synthetic.streams import stream
from resight.synthetic.style import Style

Array = NDArray[np.float32]

WEATHERS = ("sun", "backlight", "overcast", "night", "indoor")


@dataclass(frozen=True, slots=True)
class Weather:
    """Light of a place. Directions are in world coordinates: right, up, ahead of the camera.

    Attributes:
        kind: One of `WEATHERS`.
        to_light: Unit vector towards the sun or the main lamp.
        strength: Strength of the directed light.
        ambient: Strength of the light from all sides.
        warmth: Colour of the directed light relative to that of the ambient light: gains of red, green and blue.
        sharpness: Sharpness of cast shadows, from 0 (none) to 1.
        edge: Edge of a large shadow, such as that of a building, on the ground: (cos, sin, offset in metres) of its
            normal; the shade is where cos · x + sin · z > offset. Empty: no such shadow.
        dapple: Darkness of the shadow of leaves, from 0 to 1.
    """

    kind: str
    to_light: tuple[float, float, float]
    strength: float
    ambient: float
    warmth: tuple[float, float, float]
    sharpness: float
    edge: tuple[float, ...]
    dapple: float


@lru_cache(maxsize=64)
def weather(seed: int, number: int, style: Style) -> Weather:
    """Return the light of a place.

    Args:
        seed: Seed of the world.
        number: Number of the place, from 1.
        style: Style of the world, with `Style.scenery` above 0.
    """
    rng = stream(seed, "weather", style.name, number)
    indoor, night, sun = rng.random(3)
    kind = "overcast"
    if indoor < style.indoor:
        kind = "indoor"
    elif night < style.night:
        kind = "night"
    elif sun < style.sun:
        kind = "backlight" if rng.random() < 0.25 else "sun"
    elevation = rng.uniform(0.45, 1.15)
    # Backlight comes from ahead of the camera; other light from any side, but seldom from there.
    azimuth = rng.normal(0, 0.5) if kind == "backlight" else np.pi + rng.normal(0, 1.2)
    if kind in ("night", "indoor", "overcast"):
        elevation, azimuth = rng.uniform(0.8, 1.5), rng.uniform(0, 2 * np.pi)
    to_light = (np.sin(azimuth) * np.cos(elevation), np.sin(elevation), np.cos(azimuth) * np.cos(elevation))
    strength, ambient, sharpness = {
        "sun": (rng.uniform(0.55, 1.0), rng.uniform(0.4, 0.65), rng.uniform(0.7, 1.0)),
        "backlight": (rng.uniform(0.5, 0.9), rng.uniform(0.45, 0.7), rng.uniform(0.7, 1.0)),
        "overcast": (rng.uniform(0.05, 0.25), rng.uniform(0.8, 1.0), 0.0),
        "night": (rng.uniform(0.3, 0.8), rng.uniform(0.25, 0.6), rng.uniform(0.2, 0.7)),
        "indoor": (rng.uniform(0.1, 0.4), rng.uniform(0.65, 0.95), rng.uniform(0.0, 0.3)),
    }[kind]
    tint = {"sun": 0.10, "backlight": 0.10, "overcast": 0.0, "night": 0.25, "indoor": 0.12}[kind]
    tint *= rng.uniform(0.2, 1.2) * (-1.0 if kind == "indoor" and rng.random() < 0.3 else 1.0)
    edge: tuple[float, ...] = ()
    dapple = 0.0
    shade = rng.random()
    if kind in ("sun", "backlight"):
        if shade < 0.3:
            angle = rng.uniform(0, 2 * np.pi)
            edge = (float(np.cos(angle)), float(np.sin(angle)), float(rng.normal(0, 0.8)))
        elif shade < 0.5:
            dapple = float(rng.uniform(0.4, 1.0))
    return Weather(
        kind=kind,
        to_light=(float(to_light[0]), float(to_light[1]), float(to_light[2])),
        strength=float(strength),
        ambient=float(ambient),
        warmth=(1 + tint, 1.0, 1 - tint),
        sharpness=float(sharpness),
        edge=edge,
        dapple=dapple,
    )


def ground_shade(sky: Weather, points: Array, lane: tuple[float, float]) -> Array:
    """Return how much of the directed light reaches points, past buildings and trees that are out of view.

    Args:
        sky: Light of the place.
        points: (…, 3) World coordinates in metres.
        lane: Centre of the walkway, X and Z in metres.

    Returns:
        (…) Light from 0 (shaded) to 1.
    """
    right, up, ahead = sky.to_light
    up = max(up, 0.2)
    x = points[..., 0] - points[..., 1] * right / up - lane[0]
    z = points[..., 2] - points[..., 1] * ahead / up - lane[1]
    light = np.ones(x.shape, np.float32)
    if sky.edge:
        cos, sin, offset = sky.edge
        light *= np.clip(0.5 - (cos * x + sin * z - offset) * 4, 0, 1)
    if sky.dapple:
        # A sum of waves stands for the gaps between leaves.
        waves = np.sin(2.1 * x + 1.3 * np.sin(1.7 * z)) + np.sin(2.6 * z + 1.1 * np.sin(2.3 * x) + 1)
        waves += 0.6 * np.sin(5.3 * x + 4.1 * z) + 0.5 * np.sin(6.1 * z - 4.7 * x)
        light *= 1 - sky.dapple * np.clip(0.5 - 1.5 * waves, 0, 1)
    return light
