"""Draw the camera of each place: position, optics and light."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from resight.synthetic.streams import stream
from resight.synthetic.style import STREETS, Style
from resight.synthetic.view import Lens
from resight.synthetic.weather import weather

Array = NDArray[np.float32]

CAMERAS = 6


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera at one place.

    Attributes:
        number: Number of the place, from 1.
        lens: Position and focal length.
        lane: Centre of the walkway, X and Z in metres.
        lane_heading: Direction of the walkway in radians; people walk both ways.
        lane_size: Half length and half width of the loop that people walk, in metres.
        light: Unit vector towards the light in camera coordinates (right, down, away).
        light_strength: Strength of the directed light.
        ambient: Strength of the ambient light.
        cast: Gain of red, green and blue.
        contrast: Contrast factor; 1 leaves the contrast unchanged.
        gamma: Exponent of the tone curve.
        saturation: Saturation factor; 1 leaves the saturation unchanged.
        softness: Weight of each of the two neighbouring pixels in the blur, from 0 to 0.3.
        noise: Standard deviation of the noise, for pixel values from 0 to 1.
        jpeg_quality: JPEG quality, 1 to 100.
        rows: Resolution of the camera, as a fraction of the height of a frame.
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


# Lane heading, camera height, distance, cast, exposure, contrast and saturation of six clearly different streets.
_STREETS = (
    (0.05, 3.2, 9.5, (1.06, 1.00, 0.92), 1.00, 1.05, 1.00),
    (1.50, 4.5, 10.5, (0.86, 0.98, 1.14), 0.90, 1.00, 0.85),
    (0.75, 2.6, 8.5, (1.00, 1.05, 0.90), 1.18, 0.88, 0.90),
    (2.35, 6.0, 12.0, (1.14, 0.97, 0.80), 0.80, 1.10, 1.05),
    (1.20, 3.6, 9.0, (0.95, 1.00, 1.06), 1.10, 0.78, 0.70),
    (2.90, 5.0, 11.0, (0.92, 1.07, 0.98), 0.72, 1.00, 0.95),
)


@lru_cache(maxsize=64)
def camera(seed: int, number: int, style: Style = STREETS) -> Camera:
    """Return the camera of a place.

    For the six streets only details are drawn; for a style with `places`, everything is.

    Args:
        seed: Seed of the world.
        number: Number of the place, from 1.
        style: Style of the world.
    """
    street = _street_camera(seed, number, style)
    varied = _vary(seed, street, style) if style.places else street
    return _watch(seed, varied, style) if is_detailed(seed, number, style) else varied


def is_detailed(seed: int, number: int, style: Style) -> bool:
    """Return whether a place is one of the detailed ones; see `Style.scenery`."""
    return bool(style.scenery) and stream(seed, "detailed", style.name, number).random() < style.scenery


def _street_camera(seed: int, number: int, style: Style) -> Camera:
    """Return the camera of one of the six streets or, if the style has places, of a place with a drawn position."""
    rng = stream(seed, "camera", number)
    heading, height, distance, cast, exposure, contrast, saturation = _STREETS[(number - 1) % len(_STREETS)]
    if style.places:
        place = stream(seed, "place", number)
        heading, height, distance = (float(place.uniform(*limits)) for limits in ((0, np.pi), (1.7, 7.0), (5.5, 13.0)))
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


def _vary(seed: int, street: Camera, style: Style) -> Camera:
    """Return a camera with light and optics drawn from wide ranges, where the style asks for it."""
    varied = street
    rng = stream(seed, "light", street.number)
    if style.light:
        sun, exposure = float(rng.uniform(0.0, 0.9)), float(np.exp(rng.normal(0, 0.25)))
        red, green, blue = (float(gain) for gain in np.exp(rng.normal(0, 0.13, 3)))
        varied = replace(
            varied,
            light_strength=sun * exposure,
            ambient=(1.15 - 0.75 * sun) * exposure,
            cast=(red, green, blue),
            contrast=float(rng.uniform(0.6, 1.25)),
            gamma=float(rng.uniform(0.5, 1.05)),
            saturation=float(rng.uniform(0.4, 1.35)),
        )
    rng = stream(seed, "optics", street.number)
    if style.optics:
        varied = replace(
            varied,
            softness=float(rng.uniform(0.0, 0.3)),
            noise=float(rng.uniform(0.003, 0.05)),
            jpeg_quality=int(rng.integers(35, 96)),
            rows=float(rng.uniform(0.3, 1.0)) if rng.random() < 0.6 else 1.0,
        )
    return varied


def _watch(seed: int, street: Camera, style: Style) -> Camera:
    """Return the camera of a detailed place: its position, and light from its weather."""
    rng = stream(seed, "watch", style.name, street.number)
    sky = weather(seed, street.number, style)
    lens, lane = street.lens, street.lane
    low, high = style.camera_height
    if high:
        height = float(np.exp(rng.uniform(np.log(low), np.log(high))))
        distance = float(rng.uniform(max(4.0, 1.1 * height), 14.0))
        zoom = float(rng.uniform(0.20, 0.25))
        lens = Lens(height, float(np.arctan2(height - 0.9, distance)), zoom * distance)
        lane = (0.0, distance)
    light = lens.to_camera() @ np.array(sky.to_light)
    return replace(
        street,
        lens=lens,
        lane=lane,
        lane_heading=float(rng.uniform(0, np.pi)),
        light=(float(light[0]), float(light[1]), float(light[2])),
        light_strength=sky.strength,
        ambient=sky.ambient,
    )
