"""What every way to compare tracklets by their clip features promises, and what they share.

Q query tracklets of M clips, G gallery tracklets of N clips, D features per clip, T = M * N clip pairs. Similarity:
higher is better.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resight.errors import ShapeError


@dataclass(frozen=True)
class PairWeights:
    """Why two tracklets are as similar as they are: similarity = sum(weight * cosine).

    Attributes:
        importance: (M, N), what the method makes of each clip pair; only ratios have a meaning.
        weight: (M, N), the share of each cosine in the similarity.
        cosine: (M, N), the cosines that the method sums.
    """

    importance: Tensor
    weight: Tensor
    cosine: Tensor


class Aggregator(nn.Module, ABC):
    """Compares tracklets by their clip features, which come as the encoder gives them, not normalised."""

    @abstractmethod
    def forward(self, query: Tensor, gallery: Tensor) -> Tensor:
        """Similarities of all pairs of tracklets, differentiable.

        Args:
            query: (Q, M, D).
            gallery: (G, N, D).

        Returns:
            (Q, G).

        Raises:
            ShapeError: if the two do not have three axes, or differ in D, or D is not the one learned for.
        """

    @abstractmethod
    def pair_weights(self, query: Tensor, gallery: Tensor) -> PairWeights:
        """The account of one similarity, as in evaluation mode, without gradients.

        Args:
            query: (M, D).
            gallery: (N, D).
        """

    def floats_per_pair(self, m: int, n: int) -> int:
        """About how many numbers `forward` holds at once for one tracklet pair of m and n clips."""
        return 4 * m * n


def check_features(query: Tensor, gallery: Tensor, dim: int | None = None) -> None:
    """Whether features are (Q, M, D) and (G, N, D), and D is `dim` if that is given.

    Raises:
        ShapeError: if not.
    """
    if query.ndim != 3 or gallery.ndim != 3 or query.shape[2] != gallery.shape[2]:
        raise ShapeError(
            f"expected query (Q, M, D) and gallery (G, N, D), found {tuple(query.shape)} and {tuple(gallery.shape)}"
        )
    if dim is not None and query.shape[2] != dim:
        raise ShapeError(
            f"expected clip features of D = {dim}, for which the aggregator was made, found {query.shape[2]}: "
            "give features of the encoder that it was trained with"
        )


def check_order(order: Tensor | None, query: Tensor, gallery: Tensor) -> Tensor:
    """The order of the clip pairs, query-major if None, for (Q, M, D) and (G, N, D): (T,) int64.

    Raises:
        ShapeError: if the features do not fit together, or `order` is not a permutation of 0 ... T - 1.
    """
    check_features(query, gallery)
    pairs = torch.arange(query.shape[1] * gallery.shape[1], device=query.device)
    if order is None:
        return pairs
    order = order.to(query.device)
    if order.shape != pairs.shape or not torch.equal(order.sort().values, pairs):
        raise ShapeError(f"expected an order that is a permutation of 0 ... {len(pairs) - 1}, found {order.tolist()}")
    return order


def cosines(query: Tensor, gallery: Tensor) -> Tensor:
    """Of all clip pairs: (Q, M, D) and (G, N, D) to (Q, G, M, N)."""
    check_features(query, gallery)
    q, g = F.normalize(query, dim=-1).flatten(0, 1), F.normalize(gallery, dim=-1).flatten(0, 1)
    return (q @ g.t()).view(*query.shape[:2], *gallery.shape[:2]).transpose(1, 2)


def shares(importance: Tensor, cosine: Tensor) -> PairWeights:
    """The account of a mean of cosines that is weighted by importance: both (M, N)."""
    return PairWeights(importance, importance / importance.sum(), cosine)
