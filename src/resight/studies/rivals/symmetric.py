"""A similarity that does not ask who is the query: the mean of both ways to ask.

Q query tracklets of M clips, G gallery tracklets of N clips, D features per clip.
"""

from __future__ import annotations

import torch
from torch import Tensor

from resight.models.contract import Aggregator, PairWeights


class Symmetric(Aggregator):
    """Half of s(q, g) plus s(g, q) of another aggregator.

    Of all aggregators only `Learned` takes clip pairs in an order, which is query-major, so that its s(q, g) is not
    s(g, q). In training each step asks `inner` twice.

    Args:
        inner: the other aggregator.
    """

    kind = "symmetric"

    def __init__(self, inner: Aggregator) -> None:
        super().__init__()
        self.inner, self.dim = inner, inner.dim

    def forward(self, query: Tensor, gallery: Tensor) -> Tensor:
        """Mean of both ways, (Q, M, D) and (G, N, D) to (Q, G); see `Aggregator.forward`."""
        similarity: Tensor = (self.inner(query, gallery) + self.inner(gallery, query).t()) / 2
        return similarity

    @torch.no_grad()
    def pair_weights(self, query: Tensor, gallery: Tensor) -> PairWeights:
        """Mean weight of both ways, which is also the importance; see `Aggregator.pair_weights`."""
        one, other = self.inner.pair_weights(query, gallery), self.inner.pair_weights(gallery, query)
        weight = (one.weight + other.weight.t()) / 2
        return PairWeights(weight, weight, one.cosine)

    def floats_per_pair(self, m: int, n: int) -> int:
        """See `Aggregator.floats_per_pair`."""
        return 2 + max(self.inner.floats_per_pair(m, n), self.inner.floats_per_pair(n, m))
