"""From clip features to the similarity of two tracklets: the paper's method, and what it is compared with.

Q query tracklets of M clips, G gallery tracklets of N clips, D features per clip, T = M * N clip pairs, P = Q * G
tracklet pairs. Similarity: higher is better.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resight.errors import RecipeError
from resight.models.contract import Aggregator, PairWeights, check_features, check_order, cosines, shares
from resight.models.importance_weighted import G, ImportanceWeighted
from resight.models.products import Products

__all__ = [
    "AGGREGATORS",
    "Aggregator",
    "ImportanceWeighted",
    "Learned",
    "MaxPair",
    "MeanFeature",
    "MeanPair",
    "PairWeights",
    "TopShare",
    "check_features",
    "check_order",
]

_TINY = 1e-12  # what `normalize` takes for the length of nothing


class MeanFeature(Aggregator):
    """Cosine of the two mean clip features. Paper: Sec. 4.3 and Fig. 4.

    Args:
        normalise: scale clip features to length 1 before their mean is taken.
    """

    def __init__(self, normalise: bool = True) -> None:
        super().__init__()
        self.normalise = normalise

    def forward(self, query: Tensor, gallery: Tensor) -> Tensor:
        """Cosines of means, (Q, M, D) and (G, N, D) to (Q, G); see `Aggregator.forward`."""
        check_features(query, gallery)
        means = [F.normalize(self._clips(x).mean(1), dim=-1) for x in (query, gallery)]
        return means[0] @ means[1].t()

    @torch.no_grad()
    def pair_weights(self, query: Tensor, gallery: Tensor) -> PairWeights:
        """A clip pair counts by the product of its features' lengths; see `Aggregator.pair_weights`."""
        q, g = self._clips(query), self._clips(gallery)
        importance = torch.outer(q.norm(dim=-1), g.norm(dim=-1))
        lengths = q.mean(0).norm().clamp(min=_TINY) * g.mean(0).norm().clamp(min=_TINY)
        return PairWeights(importance, importance / (importance.numel() * lengths), cosines(q[None], g[None])[0, 0])

    def floats_per_pair(self, m: int, n: int) -> int:
        """See `Aggregator.floats_per_pair`."""
        return 1

    def _clips(self, features: Tensor) -> Tensor:
        return F.normalize(features, dim=-1) if self.normalise else features


class MeanPair(Aggregator):
    """Mean cosine of all clip pairs."""

    def forward(self, query: Tensor, gallery: Tensor) -> Tensor:
        """Mean cosines, (Q, M, D) and (G, N, D) to (Q, G); see `Aggregator.forward`."""
        return cosines(query, gallery).mean((2, 3))

    @torch.no_grad()
    def pair_weights(self, query: Tensor, gallery: Tensor) -> PairWeights:
        """All clip pairs count alike; see `Aggregator.pair_weights`."""
        cosine = cosines(query[None], gallery[None])[0, 0]
        return shares(torch.ones_like(cosine), cosine)


class MaxPair(Aggregator):
    """Cosine of the most similar clip pair."""

    def forward(self, query: Tensor, gallery: Tensor) -> Tensor:
        """Largest cosines, (Q, M, D) and (G, N, D) to (Q, G); see `Aggregator.forward`."""
        return cosines(query, gallery).flatten(2).max(2).values

    @torch.no_grad()
    def pair_weights(self, query: Tensor, gallery: Tensor) -> PairWeights:
        """One clip pair counts; see `Aggregator.pair_weights`."""
        cosine = cosines(query[None], gallery[None])[0, 0]
        importance = torch.zeros_like(cosine).view(-1)
        importance[cosine.argmax()] = 1
        return shares(importance.view_as(cosine), cosine)


class TopShare(Aggregator):
    """Mean cosine of the top-t % most similar clip pairs. Paper: Eq. 9.

    Args:
        share: t, percent, in (0, 100]. It may be changed after training, which is the paper's top-t %-eval.
        dim: D of the learned linear layer that features pass first, the identity to begin with; None for no layer.

    Raises:
        RecipeError: if `share` is out of its range.
    """

    def __init__(self, share: float = 100.0, dim: int | None = None) -> None:
        super().__init__()
        if not 0 < share <= 100:
            raise RecipeError(f"expected a share of clip pairs in (0, 100] percent, found {share}")
        self.share, self.dim = share, dim
        self.projection: nn.Module = nn.Identity()
        if dim is not None:
            self.projection = nn.Linear(dim, dim, bias=False)
            nn.init.eye_(self.projection.weight)

    def forward(self, query: Tensor, gallery: Tensor) -> Tensor:
        """Mean of the largest cosines, (Q, M, D) and (G, N, D) to (Q, G); see `Aggregator.forward`."""
        check_features(query, gallery, self.dim)
        cosine = cosines(self.projection(query), self.projection(gallery)).flatten(2)
        return cosine.topk(self._count(cosine.shape[2]), dim=2, sorted=False).values.mean(2)

    @torch.no_grad()
    def pair_weights(self, query: Tensor, gallery: Tensor) -> PairWeights:
        """The top clip pairs count alike, the others not at all; see `Aggregator.pair_weights`."""
        query, gallery = query[None], gallery[None]
        check_features(query, gallery, self.dim)
        cosine = cosines(self.projection(query), self.projection(gallery))[0, 0]
        importance = torch.zeros_like(cosine).view(-1)
        importance[cosine.view(-1).topk(self._count(cosine.numel())).indices] = 1
        return shares(importance.view_as(cosine), cosine)

    def _count(self, pairs: int) -> int:
        # Rounded first: 0.07 * 100 is a little more than 7, and the ceiling would make 8 of it.
        return max(1, math.ceil(round(self.share * pairs / 100, 9)))


class Learned(ImportanceWeighted):
    """The paper's method: a mean of cosines, weighted by importances that are learned. Paper: Eq. 1-6.

    The importance of each clip pair depends on the running mean of the pairs before it, so their order matters.
    By default it is query-major: pair t joins query clip t // N and gallery clip t % N, counted from 0.

    Args:
        dim: features per clip, D.
        hidden: hidden units of the importance network.
        dropout: of the importance network, in training.
        first: how Eq. 1 is read for the first pair. ``constant``: r_0 = c_1, so that its importance is g(0);
            ``pair``: r_0 = 0, so that it is g(-c_1).

    Raises:
        RecipeError: if `first` is something else.
    """

    def __init__(
        self,
        dim: int = 1024,
        hidden: int = 1024,
        dropout: float = 0.5,
        first: Literal["constant", "pair"] = "constant",
    ) -> None:
        super().__init__(dim, hidden, dropout)
        if first not in ("constant", "pair"):
            raise RecipeError(f'expected first = "constant" or "pair", found {first!r}')
        self.first = first

    def forward(self, query: Tensor, gallery: Tensor, order: Tensor | None = None) -> Tensor:
        """Weighted mean cosines, (Q, M, D) and (G, N, D) to (Q, G); see `Aggregator.forward`.

        Args:
            query: (Q, M, D).
            gallery: (G, N, D).
            order: (T,) int64, a permutation of 0 ... T - 1: which clip pair (query-major number) comes when.
                None is query-major. Same for all tracklet pairs.
        """
        return self._similarities(query, gallery, order)

    @torch.no_grad()
    def pair_weights(self, query: Tensor, gallery: Tensor, order: Tensor | None = None) -> PairWeights:
        """Learned importances; see `Aggregator.pair_weights`, and `forward` for `order`."""
        return self._account(query, gallery, order)

    def _alphas(self, products: Products, order: list[int], g: G, at_zero: Tensor) -> Tensor:
        """Eq. 1 and 2: (P, T), in the given order.

        The first layer of g is linear, so with h = W r its input W (r - c) is h - W c, and h is the same running mean
        of W c as r is of c: r itself is never needed.
        """
        alphas: list[Tensor] = []
        hidden = total = at_zero.new_zeros(())
        for t, pair in enumerate(order):
            projected = products.pair(pair)
            constant = t == 0 and self.first == "constant"
            alpha = at_zero.expand(len(projected)) if constant else g(hidden - projected, t)
            total = total + alpha
            hidden = projected if t == 0 else torch.lerp(hidden, projected, (alpha / total)[:, None])
            alphas.append(alpha)
        return torch.stack(alphas, 1)


AGGREGATORS: dict[str, Callable[..., Aggregator]] = {
    "mean-feature": MeanFeature,
    "mean-pair": MeanPair,
    "max-pair": MaxPair,
    "top-share": TopShare,
    "learned": Learned,
}
"""By name; to add one, write a subclass of `Aggregator` and name it here."""
