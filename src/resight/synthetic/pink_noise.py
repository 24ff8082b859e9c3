"""Noise with the spectrum of photographs, and the muted colours of surfaces."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from resight.synthetic.streams import stream

Array = NDArray[np.float32]

SIDE = 512
"""Period of a texture in texels."""


@lru_cache(maxsize=8)
def pink_noise(seed: int, number: int, fall: float = 1.1) -> Array:
    """Return a periodic texture whose amplitude spectrum falls as 1 / frequency^fall.

    Args:
        seed: Seed of the world.
        number: Number of the texture.
        fall: Exponent; photographs have about 1.

    Returns:
        (512, 512) Values with mean 0 and standard deviation 1.
    """
    rng = stream(seed, "pink noise", number)
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None])
    frequency[0, 0] = 1.0
    parts = rng.normal(0, 1, (2, *frequency.shape))
    spectrum = (parts[0] + 1j * parts[1]) / frequency**fall
    spectrum[0, 0] = 0.0
    image = np.fft.irfft2(spectrum, (SIDE, SIDE))
    return np.asarray(image / image.std(), np.float32)


def noise_of(seed: int, rng: np.random.Generator) -> Array:
    """Return one of four textures of a world."""
    return pink_noise(seed, int(rng.integers(4)))


def look_up(texture: Array, x: NDArray[np.floating], y: NDArray[np.floating]) -> Array:
    """Return the texels at positions in units of texels, without interpolation. The texture repeats."""
    mask = SIDE - 1
    return np.asarray(texture[np.floor(y).astype(np.int32) & mask, np.floor(x).astype(np.int32) & mask])


def muted(rng: np.random.Generator, low: float, high: float, kind: str = "") -> Array:
    """Draw a colour as surfaces outdoors have it: grey, beige, brown, brick, green or blue-grey, rarely a strong one.

    Args:
        rng: Random number generator.
        low: Least brightness, from 0 to 1.
        high: Greatest brightness.
        kind: One of ``grey``, ``warm``, ``brick``, ``green``, ``blue`` and ``vivid``; empty: drawn.

    Returns:
        (3,) RGB from 0 to 1.
    """
    kinds = ("grey", "warm", "brick", "green", "blue", "vivid")
    kind = kind or kinds[rng.choice(6, p=(0.38, 0.27, 0.11, 0.08, 0.10, 0.06))]
    hue = {
        "grey": (1.0, 1.0, 1.0),
        "warm": (1.12, 1.0, 0.82),
        "brick": (1.25, 0.92, 0.78),
        "green": (0.85, 1.08, 0.62),
        "blue": (0.86, 0.99, 1.14),
        "vivid": tuple(rng.uniform(0.15, 1.7, 3)),
    }[kind]
    shade = rng.uniform(low, high) * np.array(hue) * np.exp(rng.normal(0, 0.04, 3))
    return np.asarray(np.clip(shade, 0.01, 0.98), np.float32)
