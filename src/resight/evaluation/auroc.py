"""Area under the receiver operating characteristic."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata

from resight.errors import ShapeError


def auroc(scores: ArrayLike, positives: ArrayLike) -> float | None:
    """The chance that a positive scores higher than a negative, a tie being half a chance.

    By rank sums (Mann and Whitney, 1947): (Σ ranks of positives - P (P + 1) / 2) / (P N), tied scores sharing the mean
    of their ranks.

    Args:
        scores: any shape, finite.
        positives: of the same shape, true for a positive.

    Returns:
        0 … 1, 0.5 for chance; None when there is no positive or no negative.

    Raises:
        ShapeError: if the shapes differ or a score is not a number.

    >>> auroc([3.0, 2.0, 1.0, 2.0], [True, True, False, False])
    0.875
    """
    score, positive = np.asarray(scores, dtype=np.float64), np.asarray(positives, dtype=bool)
    if score.shape != positive.shape:
        raise ShapeError(f"scores are {score.shape} but positives {positive.shape}; expected one flag a score")
    if not np.isfinite(score).all():
        raise ShapeError(f"{np.count_nonzero(~np.isfinite(score))} of {score.size} scores are not finite numbers")
    P = int(positive.sum())
    N = positive.size - P
    if P == 0 or N == 0:
        return None
    ranks = rankdata(score.ravel())
    return float((ranks[positive.ravel()].sum() - P * (P + 1) / 2) / (P * N))
