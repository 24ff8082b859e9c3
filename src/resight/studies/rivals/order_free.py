"""Learned importance without an order: each clip pair is compared with the mean of all pairs, not of earlier ones.

Legend: Q query tracklets of M clips, G gallery tracklets of N clips, D features per clip, H hidden units, T = M * N
clip pairs.
"""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor

from resight.models.contract import PairWeights
from resight.models.importance_weighted import ImportanceWeighted, PairImportance
from resight.models.products import Products
from resight.recipe import Stage2

_BLOCK = 1024
"""Number of tracklet pairs computed at once in evaluation: large enough for fast products, small enough for caches."""


class OrderFree(ImportanceWeighted):
    """Mean of cosines, weighted by alpha_t = g(mean of c over all clip pairs - c_t).

    It has the g of `Learned`, but no order of the pairs and no sequential steps, and it is symmetric in query and
    gallery. The mean of c is the product of the two mean clips, so its W1 costs as much as one more clip pair.

    Args:
        dim: Features per clip, D.
        hidden: Hidden units of the importance network.
        dropout: Dropout of the importance network in training.
    """

    kind = "order-free"

    def __init__(self, dim: int = 1024, hidden: int = 1024, dropout: float = 0.5) -> None:
        super().__init__(dim, hidden, dropout)

    @classmethod
    def from_recipe(cls, dim: int, stage: Stage2) -> Self:
        """Return an aggregator of the size in a recipe; see `Aggregator.from_recipe`."""
        return cls(dim, stage.hidden, stage.dropout)

    def forward(self, query: Tensor, gallery: Tensor) -> Tensor:
        """Return weighted mean cosines (Q, G) of (Q, M, D) and (G, N, D); see `Aggregator.forward`."""
        if self.training:
            return self._similarities(query, gallery, None)
        high = max(1, _BLOCK // max(1, len(gallery)))
        return torch.cat([self._similarities(rows, gallery, None) for rows in torch.split(query, high)])

    @torch.no_grad()
    def pair_weights(self, query: Tensor, gallery: Tensor) -> PairWeights:
        """Return learned importances; see `Aggregator.pair_weights`."""
        return self._account(query, gallery, None)

    def _alphas(self, products: Products, order: list[int], importance: PairImportance, at_zero: Tensor) -> Tensor:
        mean = products.mean()
        return torch.stack([importance(mean - products.pair(pair), t) for t, pair in enumerate(order)], 1)
