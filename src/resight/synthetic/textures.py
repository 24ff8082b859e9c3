"""Periodic maps of folds and of patterns in cloth, computed once."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SIZE = 256
"""Texels along each side of a map."""
TEXEL = 0.008
"""Size of a texel in metres."""
BLOBS, GRAIN, STRANDS = 6, 7, 8
"""Layers of pattern; those of relief, before them, are `resight.synthetic.wardrobe.DRAPE` to ``SMOOTH``."""


def _noise(rng: np.random.Generator, across: float, along: float) -> NDArray[np.float64]:
    """Return periodic noise with mean 0 and deviation 1, of given feature sizes in metres along both axes."""
    frequency = np.fft.fftfreq(SIZE, TEXEL)
    weight = np.exp(-0.5 * ((frequency[None] * across * 1.6) ** 2 + (frequency[:, None] * along * 1.6) ** 2))
    out = np.fft.ifft2(np.fft.fft2(rng.standard_normal((SIZE, SIZE))) * weight).real
    return np.asarray((out - out.mean()) / out.std())


def _slanted(image: NDArray[np.float64], slope: int) -> NDArray[np.float64]:
    """Return a periodic map sheared by an integer slope, which keeps it periodic."""
    return np.stack([np.roll(row, slope * y) for y, row in enumerate(image)])


def _ridges(noise: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return creases with rounded tops where the noise is near 0."""
    return np.asarray(1.9 - 2.1 * np.sqrt(noise**2 + 0.22)).clip(-1.2, 1.0)


@lru_cache(maxsize=2)
def texture_bank(device: str) -> Tensor:
    """Return the (9 · `SIZE`²,) maps, one after the other, with values of about -1 to 1. Rows lie along the garment."""
    rng = np.random.default_rng(16)
    drape = 0.7 * _ridges(_slanted(_noise(rng, 0.34, 0.17), 1)) + 0.6 * _ridges(_slanted(_noise(rng, 0.36, 0.20), -1))
    creases = 0.7 * _ridges(_noise(rng, 0.30, 0.10)) + 0.5 * _ridges(_slanted(_noise(rng, 0.26, 0.15), 1))
    vertical = 0.8 * _noise(rng, 0.09, 0.70) + 0.3 * _ridges(_noise(rng, 0.20, 0.30))
    rows = np.arange(SIZE)[:, None] * TEXEL
    # 32 and 20 periods per map keep ribs and quilts periodic.
    knit = 0.25 * np.sin(2 * np.pi * rows * 32 / (SIZE * TEXEL)) + 0.8 * _ridges(_noise(rng, 0.32, 0.20))
    swell = np.sqrt(np.abs(np.sin(np.pi * rows * 20 / (SIZE * TEXEL)))) * 2 - 1.2
    quilt = 1.1 * swell + 0.3 * _ridges(_noise(rng, 0.09, 0.12))
    smooth = _noise(rng, 0.30, 0.26) * 0.6 + 0.3 * _ridges(_noise(rng, 0.36, 0.20))
    blobs = _noise(rng, 0.06, 0.06)
    grain = _noise(rng, 0.012, 0.020) * 0.7 + _noise(rng, 0.12, 0.16) * 0.4
    strands = _noise(rng, 0.012, 0.25)
    layers = np.stack([drape, creases, vertical, knit + 0 * drape, quilt, smooth, blobs, grain, strands])
    return torch.from_numpy(layers.astype(np.float32).ravel()).to(device)
