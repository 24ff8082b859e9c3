"""A symmetric similarity: the mean over both roles of query and gallery.

Legend: Q query tracklets of M clips, G gallery tracklets of N clips, D features per clip.
"""

from __future__ import annotations

import torch
from torch import Tensor

from resight.models.contract import Aggregator, PairWeights


class Symmetric(Aggregator):
    """Mean of s(q, g) and s(g, q) of another aggregator.

    This is useful for `Learned` only: because it processes the clip pairs in query-major order, s(q, g) differs from
    s(g, q). Each call evaluates `inner` twice.

    Args:
        inner: The other aggregator.
    """

    kind = "symmetric"

    def __init__(self, inner: Aggregator) -> None:
        super().__init__()
        self.inner, self.dim = inner, inner.dim

    def forward(self, query: Tensor, gallery: Tensor) -> Tensor:
        """Return the mean similarity (Q, G) of (Q, M, D) and (G, N, D); see `Aggregator.forward`."""
        similarity: Tensor = (self.inner(query, gallery) + self.inner(gallery, query).t()) / 2
        return similarity

    @torch.no_grad()
    def pair_weights(self, query: Tensor, gallery: Tensor) -> PairWeights:
        """Return the mean weight, which is also the importance; see `Aggregator.pair_weights`."""
        forward, backward = self.inner.pair_weights(query, gallery), self.inner.pair_weights(gallery, query)
        weight = (forward.weight + backward.weight.t()) / 2
        return PairWeights(weight, weight, forward.cosine)

    def floats_per_pair(self, m: int, n: int) -> int:
        """Return the numbers held per tracklet pair; see `Aggregator.floats_per_pair`."""
        return 2 + max(self.inner.floats_per_pair(m, n), self.inner.floats_per_pair(n, m))
