"""Aggregators: from clip features to the similarity of two tracklets. The paper's method and its baselines.

Legend: Q query tracklets of M clips, G gallery tracklets of N clips, D features per clip, T = M * N clip pairs,
P = Q * G tracklet pairs. Similarity: higher is better.
"""

from __future__ import annotations

import math
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resight.errors import RecipeError
from resight.models.clip_agreement import ClipAgreement
from resight.models.contract import (
    Aggregator,
    ImportanceRecurrence,
    PairWeights,
    check_features,
    check_order,
    cosines,
    shares,
)
from resight.models.importance_weighted import ImportanceWeighted, PairImportance
from resight.models.products import Products
from resight.recipe import FirstImportance, Stage2

__all__ = [
    "AGGREGATORS",
    "Aggregator",
    "ClipAgreement",
    "ImportanceRecurrence",
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

_TINY = 1e-12
"""Smallest length that `F.normalize` divides by."""


class MeanFeature(Aggregator):
    """Cosine of the two mean clip features. Paper: Sec. 4.3 and Fig. 4.

    Args:
        normalise: Scale clip features to length 1 before averaging them.
    """

    kind = "mean-feature"

    def __init__(self, normalise: bool = True) -> None:
        super().__init__()
        self.normalise = normalise

    @property
    def label(self) -> str:
        """See `Aggregator.label`."""
        return "mean feature, l2" if self.normalise else "mean feature, no l2"

    def forward(self, query: Tensor, gallery: Tensor) -> Tensor:
        """Return cosines of mean features, (Q, M, D) and (G, N, D) to (Q, G); see `Aggregator.forward`."""
        check_features(query, gallery)
        means = [F.normalize(self._clips(x).mean(1), dim=-1) for x in (query, gallery)]
        return means[0] @ means[1].t()

    @torch.no_grad()
    def pair_weights(self, query: Tensor, gallery: Tensor) -> PairWeights:
        """Return weights proportional to the product of two feature lengths; see `Aggregator.pair_weights`.

        They sum to 1 or more: to 1 only if all features of a tracklet have the same direction.
        """
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

    kind = "mean-pair"

    @property
    def label(self) -> str:
        """See `Aggregator.label`."""
        return "mean of pairs"

    def forward(self, query: Tensor, gallery: Tensor) -> Tensor:
        """Return mean cosines, (Q, M, D) and (G, N, D) to (Q, G); see `Aggregator.forward`."""
        return cosines(query, gallery).mean((2, 3))

    @torch.no_grad()
    def pair_weights(self, query: Tensor, gallery: Tensor) -> PairWeights:
        """Return equal weights for all clip pairs; see `Aggregator.pair_weights`."""
        cosine = cosines(query[None], gallery[None])[0, 0]
        return shares(torch.ones_like(cosine), cosine)


class MaxPair(Aggregator):
    """Cosine of the most similar clip pair."""

    kind = "max-pair"

    @property
    def label(self) -> str:
        """See `Aggregator.label`."""
        return "max of pairs"

    def forward(self, query: Tensor, gallery: Tensor) -> Tensor:
        """Return the largest cosines, (Q, M, D) and (G, N, D) to (Q, G); see `Aggregator.forward`."""
        return cosines(query, gallery).flatten(2).max(2).values

    @torch.no_grad()
    def pair_weights(self, query: Tensor, gallery: Tensor) -> PairWeights:
        """Return weight 1 for the most similar clip pair, 0 for all others; see `Aggregator.pair_weights`."""
        cosine = cosines(query[None], gallery[None])[0, 0]
        importance = torch.zeros_like(cosine).view(-1)
        importance[cosine.argmax()] = 1
        return shares(importance.view_as(cosine), cosine)


class TopShare(Aggregator):
    """Mean cosine of the t % most similar clip pairs. Paper: Eq. 9.

    Args:
        share: t, in percent, in (0, 100]. It may be changed after training (the paper's "top-t %-eval").
        dim: D of a learned linear layer that is applied to the features first and starts as the identity; None for no
            layer.

    Raises:
        RecipeError: If `share` is out of range.
    """

    kind = "top-share"

    def __init__(self, share: float = 100.0, dim: int | None = None) -> None:
        super().__init__()
        if not 0 < share <= 100:
            raise RecipeError(f"expected a share of clip pairs in (0, 100] percent, found {share}")
        self.share, self.dim = share, dim
        self.projection: nn.Module = nn.Identity()
        if dim is not None:
            self.projection = nn.Linear(dim, dim, bias=False)
            nn.init.eye_(self.projection.weight)

    @classmethod
    def from_recipe(cls, dim: int, stage: Stage2) -> Self:
        """Return an aggregator with a linear layer; see `Aggregator.from_recipe`."""
        return cls(dim=dim)

    @property
    def label(self) -> str:
        """See `Aggregator.label`."""
        return f"top {self.share:g} %" if self.dim is None else "top share"

    def forward(self, query: Tensor, gallery: Tensor) -> Tensor:
        """Return means of the largest cosines, (Q, M, D) and (G, N, D) to (Q, G); see `Aggregator.forward`."""
        check_features(query, gallery, self.dim)
        cosine = cosines(self.projection(query), self.projection(gallery)).flatten(2)
        return cosine.topk(self._count(cosine.shape[2]), dim=2, sorted=False).values.mean(2)

    @torch.no_grad()
    def pair_weights(self, query: Tensor, gallery: Tensor) -> PairWeights:
        """Return equal weights for the most similar clip pairs, 0 for all others; see `Aggregator.pair_weights`."""
        query, gallery = query[None], gallery[None]
        check_features(query, gallery, self.dim)
        cosine = cosines(self.projection(query), self.projection(gallery))[0, 0]
        importance = torch.zeros_like(cosine).view(-1)
        importance[cosine.view(-1).topk(self._count(cosine.numel())).indices] = 1
        return shares(importance.view_as(cosine), cosine)

    def _count(self, pairs: int) -> int:
        # Round first: 0.07 * 100 is slightly more than 7, and the ceiling would turn it into 8.
        return max(1, math.ceil(round(self.share * pairs / 100, 9)))


class Learned(ImportanceWeighted):
    """The paper's method: a mean of clip-pair cosines, weighted by learned importance. Paper: Eq. 1-6.

    The importance of each clip pair depends on the weighted mean of the pairs before it, so their order matters.
    The default order is query-major: pair t joins query clip t // N and gallery clip t % N, counted from 0.

    Args:
        dim: Features per clip, D.
        hidden: Hidden units of the importance network.
        dropout: Dropout of the importance network in training.
        first: How Eq. 1 is read for the first pair. ``constant``: r_0 = c_1, so that its importance is g(0);
            ``pair``: r_0 = 0, so that its importance is g(-c_1).

    Raises:
        RecipeError: If `first` is neither.
    """

    kind = "learned"
    depends_on_order = True
    bounded_by_cosines = True

    def __init__(
        self,
        dim: int = 1024,
        hidden: int = 1024,
        dropout: float = 0.5,
        first: FirstImportance = "constant",
    ) -> None:
        super().__init__(dim, hidden, dropout)
        if first not in ("constant", "pair"):
            raise RecipeError(f'expected first = "constant" or "pair", found {first!r}')
        self.first = first

    @classmethod
    def from_recipe(cls, dim: int, stage: Stage2) -> Self:
        """See `Aggregator.from_recipe`."""
        return cls(dim, stage.hidden, stage.dropout, stage.first)

    @property
    def label(self) -> str:
        """See `Aggregator.label`."""
        return "learned importance"

    def forward(self, query: Tensor, gallery: Tensor, order: Tensor | None = None) -> Tensor:
        """Return weighted mean cosines, (Q, M, D) and (G, N, D) to (Q, G); see `Aggregator.forward`.

        Args:
            query: (Q, M, D).
            gallery: (G, N, D).
            order: (T,) int64, a permutation of 0 ... T - 1: query-major numbers of the clip pairs in the order in
                which they are visited. None is query-major. The same for all tracklet pairs.
        """
        return self._similarities(query, gallery, order)

    @torch.no_grad()
    def pair_weights(self, query: Tensor, gallery: Tensor, order: Tensor | None = None) -> PairWeights:
        """Return learned importance; see `Aggregator.pair_weights`, and `forward` for `order`."""
        return self._account(query, gallery, order)

    def recurrence(self) -> ImportanceRecurrence:
        """See `Aggregator.recurrence`."""
        return ImportanceRecurrence(self.importance, self.first)

    def _alphas(self, products: Products, order: list[int], importance: PairImportance, at_zero: Tensor) -> Tensor:
        """Eq. 1 and 2: (P, T), in the given order.

        The first layer of g is linear, so with h = W r its input W (r - c) is h - W c, and h is the same running mean
        of W c as r is of c: r itself is not needed.
        """
        alphas: list[Tensor] = []
        hidden = total = at_zero.new_zeros(())
        for t, pair in enumerate(order):
            projected = products.pair(pair)
            constant = t == 0 and self.first == "constant"
            alpha = at_zero.expand(len(projected)) if constant else importance(hidden - projected, t)
            total = total + alpha
            hidden = projected if t == 0 else torch.lerp(hidden, projected, (alpha / total)[:, None])
            alphas.append(alpha)
        return torch.stack(alphas, 1)


AGGREGATORS: dict[str, type[Aggregator]] = {
    made.kind: made for made in (MeanFeature, MeanPair, MaxPair, TopShare, Learned, ClipAgreement)
}
"""Aggregator classes by their `kind`. To add one, write a subclass of `Aggregator` and list it here."""
