"""What aggregators that weigh clip pairs by g share: scoring in evaluation, and a training step that can be afforded.

B tracklets of a batch of M clips, Q query tracklets of M clips, G gallery tracklets of N clips, D features per clip, H
hidden units, T = M * N clip pairs, P tracklet pairs; the pair of query q and gallery g has the number q * G + g.

A training step compares all B^2 pairs of a batch, and the batch-hard loss sends gradient through 2 B of them at most.
So all pairs are scored without gradient, and those that get some are scored again with it (`recomputed`): exact, with
the same dropout, which is a function of the pair, and the same statistics. Without gradient, tracklets a and b are
compared both ways at once: the product W1 (f_a * f_b) of two clips is the same for both.
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
"""Numbers in the products of a tile: on a processor, about as many as stay in its caches."""

_CHUNK = 256
"""Tracklet pairs scored with gradient at once, at most: the 96 of the paper's batch fit, whatever the loss asks for."""

PairImportance = Callable[[Tensor, int], Tensor]
"""The importance network after the product of its first layer: (P, H) and the number of the call, to (P,)."""


class ImportanceWeighted(Aggregator):
    """A mean of cosines, weighted by importances that g finds.

    Args:
        dim: features per clip, D.
        hidden: units of both hidden layers of g, H.
        dropout: of g, in training.

    Attributes:
        importance: g.
        recompute: whether training keeps nothing for the backward pass and computes again what it needs. Same gradient.
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
        """Importances of the clip pairs in the given order: (P, T)."""

    def floats_per_pair(self, m: int, n: int) -> int:
        """See `Aggregator.floats_per_pair`."""
        return self.importance.dim + 4 * self.importance.hidden + 3 * m * n

    def _similarities(self, query: Tensor, gallery: Tensor, order: Tensor | None) -> Tensor:
        """What `forward` does: (Q, M, D) and (G, N, D) to (Q, G)."""
        check_features(query, gallery, self.importance.dim)
        order = check_order(order, query, gallery)
        if not self.training:
            return self._weighted(query, gallery, order, *self._evaluated())
        seed = int(torch.randint(2**62, ()))  # of dropout
        if self.recompute and not self.importance.learns_from_its_batch() and torch.equal(query, gallery):
            return self._recomputed(query, gallery, order, seed)
        kept = self.importance.draw_kept(seed, range(len(query) * len(gallery)), len(order))
        found = self._weighted(query, gallery, order, self._learning(kept), self.importance.at_zero())
        self.importance.settle()
        return found

    def _account(self, query: Tensor, gallery: Tensor, order: Tensor | None) -> PairWeights:
        """What `pair_weights` does."""
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
        """All pairs, (Q, G)."""
        products = Computed.crossed(query, gallery, self.importance.first.weight)
        alpha_PT = self._alphas(products, order.tolist(), importance, at_zero)
        cosine_PT = cosines(query, gallery).flatten(2).flatten(0, 1)[:, order]
        return _mean(cosine_PT, alpha_PT).view(len(query), len(gallery))

    def _recomputed(self, query: Tensor, gallery: Tensor, order: Tensor, seed: int) -> Tensor:
        """All pairs of a batch with itself, with gradient for those that the loss asks for: (B, B)."""
        g, weight = self.importance, self.importance.first.weight
        statistics = g.statistics()
        with torch.no_grad():
            similarity_BB, *seen = self._both_ways(query, order, seed, statistics)

        def again(pairs: Tensor, query: Tensor, gallery: Tensor) -> Tensor:
            rows, columns = (
                F.normalize(x, dim=-1) for x in (query[pairs // len(gallery)], gallery[pairs % len(gallery)])
            )
            norms, kept = g.fixed_norms(statistics), g.draw_kept(seed, pairs.tolist(), len(order))
            products = Computed(rows, columns, weight)
            alpha_PT = self._alphas(products, order.tolist(), self._learning(kept, norms), g.at_zero(norms))
            return _mean(torch.einsum("pmd,pnd->pmn", rows, columns).flatten(1)[:, order], alpha_PT)

        found = recomputed(similarity_BB.flatten(), again, (query, gallery), list(self.parameters()), _CHUNK)
        g.settle_at(*seen)
        return found.view_as(similarity_BB)

    def _both_ways(
        self, features: Tensor, order: Tensor, seed: int, statistics: Sequence[Statistics]
    ) -> tuple[Tensor, Moments, Moments]:
        """All pairs of a batch with itself, without gradient: (B, B), and what both layers of g saw."""
        g, clips = self.importance, F.normalize(features, dim=-1)
        b, m, dim = clips.shape
        cosine_PT = cosines(features, features).flatten(2).flatten(0, 1)[:, order]
        similarity_P = features.new_empty(b * b)
        seen = Moments(), Moments()
        for places, ways in self._tiles(b, m * m * max(dim, g.hidden), features.device):
            rows, columns = places
            pairs = torch.cat([rows * b + columns, columns * b + rows][:ways])
            kept = g.draw_kept(seed, pairs.tolist(), len(order))
            first, second = (replace(norm, seen=[]) for norm in g.fixed_norms(statistics))
            norms = first, second
            products = BothWays.of(clips[rows], clips[columns], g.first.weight, ways)
            alpha_PT = self._alphas(products, order.tolist(), self._learning(kept, norms), g.at_zero(norms))
            similarity_P[pairs] = _mean(cosine_PT[pairs], alpha_PT)
            for moments, norm in zip(seen, norms, strict=True):
                moments.add(norm)
        return similarity_P.view(b, b), *seen

    def _tiles(self, b: int, each: int, device: torch.device) -> list[tuple[tuple[Tensor, Tensor], int]]:
        """Each pair of the batch once: places of the first and the second (P,), and whether one or both ways.

        Tracklet a meets a + 0, a + 1, ... up to half the batch, counted around. Only the meetings with itself and with
        the one opposite are made from both sides.
        """
        own = [0, b // 2] if b % 2 == 0 else [0]
        rest = torch.tensor([one for one in range(b // 2 + 1) if one not in own], dtype=torch.int64)
        at_once = max(1, _TILE.get(device.type, _LARGE_TILE) // (b * each))
        tiles = [(part, 1) for part in torch.split(torch.tensor(own), at_once)]
        tiles += [(part, 2) for part in torch.split(rest, at_once) if len(part)]
        first = torch.arange(b)
        return [
            ((first.repeat(len(part)).to(device), ((first + part[:, None]) % b).flatten().to(device)), ways)
            for part, ways in tiles
        ]


def _mean(cosine: Tensor, alpha: Tensor) -> Tensor:
    return (alpha * cosine).sum(1) / alpha.sum(1)
