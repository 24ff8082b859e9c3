"""The similarity of one pair of tracklets and the contribution of each clip pair, in double precision.

This is a direct implementation of the paper, slow but readable; the fast ones are tested against it. Legend: M query
clips, N gallery clips, D features per clip, T = M * N clip pairs.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from resight.models.aggregators import Aggregator, ImportanceRecurrence
from resight.scoring.inputs import Features, check_arguments


@dataclass(frozen=True)
class PairScore:
    """The similarity of two tracklets and the contribution of each clip pair.

    Attributes:
        score: Similarity, higher is better.
        cosine: (M, N), cosine of each clip pair, in [-1, 1].
        importance: (M, N), importance of each clip pair before normalisation; only ratios are meaningful.
        weight: (M, N), factor of each cosine in the score.
        contribution: (M, N), weight * cosine; the sum is the score.
    """

    score: float
    cosine: NDArray[np.float64]
    importance: NDArray[np.float64]
    weight: NDArray[np.float64]
    contribution: NDArray[np.float64]


@torch.no_grad()
def score_one_pair(
    query: Features, gallery: Features, aggregator: Aggregator, *, order: Tensor | None = None
) -> PairScore:
    """Return the similarity of two tracklets with the contribution of each clip pair.

    Args:
        query: (M, D) clip features, not normalised.
        gallery: (N, D) clip features, not normalised.
        aggregator: Aggregator; used as in evaluation mode, and not changed.
        order: (T,) query-major numbers of the clip pairs in the order in which they are visited, for an aggregator that
            depends on it; None is query-major.

    Raises:
        ShapeError: If the features do not have two axes, differ in D or do not fit the aggregator, or if `order` is not
            a permutation.
        RecipeError: If `order` is given and the aggregator does not depend on it.
    """
    q, g = (
        torch.tensor(x, dtype=torch.float64) if isinstance(x, np.ndarray) else x.detach().to("cpu", torch.float64)
        for x in (query, gallery)
    )
    pairs = check_arguments(q[None], g[None], aggregator, order)
    exact = copy.deepcopy(aggregator).to("cpu", torch.float64).eval()
    recurrence = exact.recurrence()
    if recurrence is not None:
        return _by_recurrence(q, g, recurrence, pairs)
    weights = exact.pair_weights(q, g)
    return _account(weights.cosine, weights.importance, weights.weight)


def _by_recurrence(query: Tensor, gallery: Tensor, recurrence: ImportanceRecurrence, order: list[int]) -> PairScore:
    """Paper: Eq. 1-3, one clip pair after the other."""
    query = query / query.norm(dim=1, keepdim=True).clamp(min=1e-12)
    gallery = gallery / gallery.norm(dim=1, keepdim=True).clamp(min=1e-12)
    cosine, importance = torch.zeros(2, len(query), len(gallery), dtype=torch.float64)
    r, total = torch.zeros(query.shape[1], dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    for t, pair in enumerate(order):
        i, j = divmod(pair, len(gallery))
        c = query[i] * gallery[j]
        if t == 0 and recurrence.first == "constant":
            r = c
        alpha = recurrence.importance((r - c)[None])[0]  # Eq. 1
        r = (total * r + alpha * c) / (total + alpha)  # Eq. 2
        total = total + alpha
        cosine[i, j], importance[i, j] = c.sum(), alpha
    return _account(cosine, importance, importance / total)  # Eq. 3


def _account(cosine: Tensor, importance: Tensor, weight: Tensor) -> PairScore:
    contribution = (weight * cosine).numpy()
    return PairScore(float(contribution.sum()), cosine.numpy(), importance.numpy(), weight.numpy(), contribution)
