"""Base class of aggregators that weight clip pairs by an importance network: scoring, and a fast training step.

Legend: B tracklets of a batch with M clips each, Q query tracklets of M clips, G gallery tracklets of N clips, D
features per clip, H hidden units, T = M * N clip pairs, P tracklet pairs. The tracklet pair (q, g) has the number
q * G + g.

A training step compares all B^2 pairs of a batch, but the batch-hard loss sends gradients through at most 2 B of them.
Therefore all pairs are scored without gradients, and those that receive a gradient are scored again with gradients
(`recomputed`). The result is exact: dropout depends only on the pair, and the statistics are the same. Without
gradients, tracklets a and b are compared in both directions at once, because the product W1 (f_a * f_b) is the same.

Several processes share the pairs, in both passes. All of them have the features of the whole batch, and exchange
similarities and moments. Only the first steps, which normalise by their own batch, are computed whole by each.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from resight.models.contract import Aggregator, PairWeights, check_features, check_order, cosines, shares
from resight.models.importance import FixedNorm, Importance, Moments, Statistics
from resight.models.products import BothWays, Computed, Products
from resight.models.recompute import recomputed

_TILE = {"cpu": 2**25}
_LARGE_TILE = 2**28
"""Numbers in the products of a tile; on a CPU, roughly as many as fit in its caches."""

_CHUNK = 256
"""Largest number of tracklet pairs scored with gradients at once; more than the 96 of the paper's batch."""

PairImportance = Callable[[Tensor, int], Tensor]
"""The importance network after the product of its first layer: (P, H) and the number of the call, to (P,)."""


class ImportanceWeighted(Aggregator):
    """A mean of clip-pair cosines, weighted by an importance network.

    Args:
        dim: Features per clip, D.
        hidden: Units of both hidden layers of the importance network, H.
        dropout: Dropout of the importance network in training.

    Attributes:
        importance: The importance network, g in the paper.
        recompute: Whether training stores nothing for the backward pass and recomputes what it needs. The gradient is
            the same.
    """

    learns_importance = True
    dim: int

    def __init__(self, dim: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.dim = dim
        self.importance = Importance(dim, hidden, dropout)
        self.recompute = True

    @abstractmethod
    def _alphas(self, products: Products, order: list[int], importance: PairImportance, at_zero: Tensor) -> Tensor:
        """Return the importance of all clip pairs in the given order: (P, T)."""

    def floats_per_pair(self, m: int, n: int) -> int:
        """See `Aggregator.floats_per_pair`."""
        return self.importance.dim + 4 * self.importance.hidden + 3 * m * n

    def _similarities(self, query: Tensor, gallery: Tensor, order: Tensor | None) -> Tensor:
        """Implementation of `forward`: (Q, M, D) and (G, N, D) to (Q, G)."""
        check_features(query, gallery, self.importance.dim)
        order = check_order(order, query, gallery)
        if not self.training:
            return self._weighted(query, gallery, order, *self._evaluated())
        seed = int(torch.randint(2**62, ()))  # for dropout
        if self.recompute and not self.importance.learns_from_its_batch() and torch.equal(query, gallery):
            return self._recomputed(query, gallery, order, seed)
        kept = self.importance.draw_kept(seed, range(len(query) * len(gallery)), len(order))
        similarity = self._weighted(query, gallery, order, self._learning(kept), self.importance.at_zero())
        self.importance.settle()
        return similarity

    def _account(self, query: Tensor, gallery: Tensor, order: Tensor | None) -> PairWeights:
        """Implementation of `pair_weights`."""
        query, gallery = query[None], gallery[None]
        check_features(query, gallery, self.importance.dim)
        order = check_order(order, query, gallery)
        cosine = cosines(query, gallery)[0, 0]
        importance = torch.empty_like(cosine).view(-1)
        products = Computed.crossed(query, gallery, self.importance.first.weight)
        importance[order] = self._alphas(products, order.tolist(), *self._evaluated())[0]
        return shares(importance.view_as(cosine), cosine)

    def _learning(self, kept: Tensor | None, norms: tuple[FixedNorm, FixedNorm] | None = None) -> PairImportance:
        def importance(hidden: Tensor, call: int) -> Tensor:
            return self.importance.from_hidden(hidden, None if kept is None else kept[:, call], norms)

        return importance

    def _evaluated(self) -> tuple[PairImportance, Tensor]:
        folded = self.importance.folded()
        return lambda x, _: folded.from_hidden(x), self.importance.at_zero()

    def _weighted(
        self, query: Tensor, gallery: Tensor, order: Tensor, importance: PairImportance, at_zero: Tensor
    ) -> Tensor:
        """Similarities of all pairs, (Q, G)."""
        products = Computed.crossed(query, gallery, self.importance.first.weight)
        alpha_PT = self._alphas(products, order.tolist(), importance, at_zero)
        cosine_PT = cosines(query, gallery).flatten(2).flatten(0, 1)[:, order]
        return _mean(cosine_PT, alpha_PT).view(len(query), len(gallery))

    def _recomputed(self, query: Tensor, gallery: Tensor, order: Tensor, seed: int) -> Tensor:
        """Similarities of all pairs of a batch, with gradients for those that the loss needs: (B, B)."""
        network, weight = self.importance, self.importance.first.weight
        statistics = network.statistics()
        with torch.no_grad():
            similarity_BB, *seen = self._both_ways(query, order, seed, statistics)

        def again(pairs: Tensor, query: Tensor, gallery: Tensor) -> Tensor:
            rows, columns = (
                F.normalize(x, dim=-1) for x in (query[pairs // len(gallery)], gallery[pairs % len(gallery)])
            )
            norms, kept = network.fixed_norms(statistics), network.draw_kept(seed, pairs.tolist(), len(order))
            products = Computed(rows, columns, weight)
            alpha_PT = self._alphas(products, order.tolist(), self._learning(kept, norms), network.at_zero(norms))
            return _mean(torch.einsum("pmd,pnd->pmn", rows, columns).flatten(1)[:, order], alpha_PT)

        similarity_P = recomputed(
            similarity_BB.flatten(), again, (query, gallery), list(self.parameters()), _CHUNK, self.processes
        )
        network.settle_at(*(moments.combined(self.processes) for moments in seen))
        return similarity_P.view_as(similarity_BB)

    def _both_ways(
        self, features: Tensor, order: Tensor, seed: int, statistics: Sequence[Statistics]
    ) -> tuple[Tensor, Moments, Moments]:
        """Similarities of all pairs of a batch without gradients, (B, B), and moments of both BatchNorms' inputs."""
        network, clips = self.importance, F.normalize(features, dim=-1)
        b, m, dim = clips.shape
        cosine_PT = cosines(features, features).flatten(2).flatten(0, 1)[:, order]
        similarity_P = features.new_zeros(b * b)
        seen = Moments(), Moments()
        for (rows, columns), ways in self._tiles(b, m * m * max(dim, network.hidden), features.device):
            pairs = torch.cat([rows * b + columns, columns * b + rows][:ways])
            kept = network.draw_kept(seed, pairs.tolist(), len(order))
            first, second = (replace(norm, seen=[]) for norm in network.fixed_norms(statistics))
            norms = first, second
            products = BothWays.of(clips[rows], clips[columns], network.first.weight, ways)
            alpha_PT = self._alphas(products, order.tolist(), self._learning(kept, norms), network.at_zero(norms))
            similarity_P[pairs] = _mean(cosine_PT[pairs], alpha_PT)
            for moments, norm in zip(seen, norms, strict=True):
                moments.add(norm)
        # Each pair is computed by one process, and is 0 in the others.
        return self.processes.total(similarity_P).view(b, b), *seen

    def _tiles(self, b: int, each: int, device: torch.device) -> list[tuple[tuple[Tensor, Tensor], int]]:
        """Tiles that cover each unordered pair once: positions of both tracklets (P,) each, and 1 or 2 directions.

        Of several processes, each has the pairs of its share of the tracklets a.

        Tracklet a is compared with a + 0, a + 1, ... up to a + b / 2, modulo b. Offset 0 and, for even b, offset b / 2
        already contain both directions.
        """
        single = [0, b // 2] if b % 2 == 0 else [0]
        double = torch.tensor([offset for offset in range(b // 2 + 1) if offset not in single], dtype=torch.int64)
        first = torch.arange(b)[self.processes.share(b)]
        at_once = max(1, _TILE.get(device.type, _LARGE_TILE) // (len(first) * each))
        tiles = [(part, 1) for part in torch.split(torch.tensor(single), at_once)]
        tiles += [(part, 2) for part in torch.split(double, at_once) if len(part)]
        return [
            ((first.repeat(len(part)).to(device), ((first + part[:, None]) % b).flatten().to(device)), ways)
            for part, ways in tiles
        ]


def _mean(cosine: Tensor, alpha: Tensor) -> Tensor:
    return (alpha * cosine).sum(1) / alpha.sum(1)
