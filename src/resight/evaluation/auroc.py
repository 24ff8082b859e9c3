"""Area under the receiver operating characteristic curve."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from resight.errors import ShapeError


def auroc(scores: ArrayLike, positives: ArrayLike) -> float | None:
    """Return the probability that a positive scores higher than a negative; a tie counts as one half.

    Computed by rank sums (Mann and Whitney, 1947): (Σ ranks of positives - P (P + 1) / 2) / (P N), where tied scores
    have the mean of their ranks.

    Args:
        scores: Scores of any shape, all finite.
        positives: Flags of the same shape, True for a positive.

    Returns:
        0 … 1, 0.5 for chance; None if there is no positive or no negative.

    Raises:
        ShapeError: If the shapes differ or a score is not finite.

    >>> auroc([3.0, 2.0, 1.0, 2.0], [True, True, False, False])
    0.875
    """
    score, positive = np.asarray(scores, dtype=np.float64), np.asarray(positives, dtype=bool)
    if score.shape != positive.shape:
        raise ShapeError(f"scores are {score.shape} but positives {positive.shape}; expected one flag per score")
    if not np.isfinite(score).all():
        raise ShapeError(f"{np.count_nonzero(~np.isfinite(score))} of {score.size} scores are not finite numbers")
    P = int(positive.sum())
    N = positive.size - P
    if P == 0 or N == 0:
        return None
    from scipy.stats import rankdata  # scipy.stats takes a second to import, and a search does not need it

    ranks = rankdata(score.ravel())
    return float((ranks[positive.ravel()].sum() - P * (P + 1) / 2) / (P * N))
