"""A matrix that shrinks the directions in which the features of one person vary from tracklet to tracklet.

Tracklets of other cameras show a person in another light, from another side and in front of another background. The
directions of this variation are estimated from groups of tracklets that probably show one person each, and shrunk
(within-class covariance normalisation, Hatch et al. 2006). Legend: T tracklets, D features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resight.adaptation.groups import group_tracklets

PRIOR = 100
"""Number of observed variations at which the regularisation is twice its smallest value."""

_LEAST = 1e-9
"""Total variance that is only rounding, because no group has two different tracklets."""


@dataclass(frozen=True)
class Projection:
    """A fitted projection.

    Attributes:
        matrix: (D, D), symmetric; features are rows that are multiplied by it.
        groups: (T,), the group of each tracklet.
    """

    matrix: NDArray[np.float32]
    groups: NDArray[np.int64]

    @property
    def n_groups(self) -> int:
        """Number of groups of at least two tracklets."""
        return int((np.bincount(self.groups) > 1).sum())

    @property
    def n_grouped(self) -> int:
        """Number of tracklets in these groups."""
        counts = np.bincount(self.groups)
        return int(counts[counts > 1].sum())


def fit_projection(features: NDArray[np.floating], apart: NDArray[np.bool_]) -> Projection:
    """Return the projection for the tracklets of some cameras.

    With W the covariance of the features within groups, from n = (tracklets - groups) degrees of freedom, the matrix is
    (I + W / λ)^(-1/2) with λ = (1 + 100 / n) trace(W) / D: the fewer tracklets, the closer it is to the identity.
    Without groups it is the identity.

    Args:
        features: (T, D), one vector of length 1 for each tracklet.
        apart: (T, T), whether two tracklets show different persons.
    """
    groups = group_tracklets(features, apart)
    values = features.astype(np.float64)
    counts = np.bincount(groups)
    sums = np.zeros((len(counts), values.shape[1]))
    np.add.at(sums, groups, values)
    varied = values - (sums / counts[:, None])[groups]
    freedom = len(groups) - len(counts)
    within = varied.T @ varied / max(freedom, 1)
    if np.trace(within) <= _LEAST:
        return Projection(np.eye(values.shape[1], dtype=np.float32), groups)
    strength = (1 + PRIOR / freedom) * np.trace(within) / len(within)
    variances, directions = np.linalg.eigh(within)
    factors = (1 + variances.clip(min=0) / strength) ** -0.5
    return Projection(((directions * factors) @ directions.T).astype(np.float32), groups)
