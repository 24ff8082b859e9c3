"""How similar a tracklet is to everybody: some people, and some pictures, resemble all others more.

The level of a tracklet is the similarity that one fifth of a sample of the gallery exceeds. Between two tracklets of
high level, the same similarity means less. Adjusted similarities leave the levels out, as adaptive score normalisation
does in speaker verification. Calibrated probabilities and thresholds use them; the similarity that is shown does not.

Levels are computed from the cosines of mean features, which takes no time and nearly gives the same: over the
tracklets of a world both have a correlation of 0.95 to 0.99.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

COHORT = 500
"""Most tracklets of the sample that levels refer to."""

EXCEEDED = 0.8
"""Share of the sample that is less similar than the level. Matches are a smaller share than the rest."""

FACTOR = 0.85
"""How much a similarity grows with the level of both tracklets: measured 0.8 to 0.95."""


def levels(means: NDArray[np.float32], sample: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the level of each tracklet.

    Args:
        means: (n, D) mean features of length 1.
        sample: (C, D) those of the sample: `COHORT` tracklets of the gallery, evenly spaced in the order of adding.
    """
    return level_of(np.asarray(means, np.float64) @ sample.T)


def level_of(cosines: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return levels from cosines to the sample, (n, C)."""
    return np.asarray(np.quantile(cosines, EXCEEDED, axis=1), np.float64)


def adjustment(first: NDArray[np.float64], second: NDArray[np.float64] | float, typical: float) -> NDArray[np.float64]:
    """Return what is subtracted from the similarities of pairs.

    Args:
        first: Levels of one side, of any shape.
        second: Levels of the other side, of a shape that fits.
        typical: Median level in the gallery.
    """
    return FACTOR * ((first + second) / 2 - typical)
