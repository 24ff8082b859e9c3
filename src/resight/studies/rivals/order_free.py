"""Learned importance without an order: every clip pair is held against the mean of all, not of those before it.

Q query tracklets of M clips, G gallery tracklets of N clips, D features per clip, H hidden units, T = M * N clip pairs.
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
"""Tracklet pairs held at once in evaluation: enough for the full rate of a product, few enough for the caches."""


class OrderFree(ImportanceWeighted):
    """A mean of cosines, weighted by alpha_t = g(mean of c over all clip pairs - c_t).

    Beside `Learned` it has the same g, no order, and no step that waits for another; swapping query and gallery gives
    the same similarity. The mean of c is the product of the two mean clips, so its W1 costs one more clip pair.

    Args:
        dim: features per clip, D.
        hidden: hidden units of the importance network.
        dropout: of the importance network, in training.
    """

    kind = "order-free"

    def __init__(self, dim: int = 1024, hidden: int = 1024, dropout: float = 0.5) -> None:
        super().__init__(dim, hidden, dropout)

    @classmethod
    def from_recipe(cls, dim: int, stage: Stage2) -> Self:
        """See `Aggregator.from_recipe`."""
        return cls(dim, stage.hidden, stage.dropout)

    def forward(self, query: Tensor, gallery: Tensor) -> Tensor:
        """Weighted mean cosines, (Q, M, D) and (G, N, D) to (Q, G); see `Aggregator.forward`."""
        if self.training:
            return self._similarities(query, gallery, None)
        high = max(1, _BLOCK // max(1, len(gallery)))
        return torch.cat([self._similarities(rows, gallery, None) for rows in torch.split(query, high)])

    @torch.no_grad()
    def pair_weights(self, query: Tensor, gallery: Tensor) -> PairWeights:
        """Learned importances; see `Aggregator.pair_weights`."""
        return self._account(query, gallery, None)

    def _alphas(self, products: Products, order: list[int], importance: PairImportance, at_zero: Tensor) -> Tensor:
        mean = products.mean()
        return torch.stack([importance(mean - products.pair(pair), t) for t, pair in enumerate(order)], 1)
