"""W1 c of clip pairs: what the first layer of g makes of the combined representation c = f_q * f_g, before its bias.

M query clips, N gallery clips, D features per clip of length 1, H hidden units, P tracklet pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor


class Products(Protocol):
    """The first product of g for some tracklet pairs."""

    def pair(self, number: int) -> Tensor:
        """Of one clip pair, by its query-major number: (P, H)."""

    def mean(self) -> Tensor:
        """Of the mean of c over all clip pairs, which is the product of two means: (P, H)."""


@dataclass(frozen=True)
class Computed(Products):
    """Products that are computed when they are asked for.

    Attributes:
        query: (..., M, D); leading axes broadcast with those of `gallery`, to P tracklet pairs in all.
        gallery: (..., N, D).
        weight: W1, (H, D).
    """

    query: Tensor
    gallery: Tensor
    weight: Tensor

    @staticmethod
    def crossed(query: Tensor, gallery: Tensor, weight: Tensor) -> Computed:
        """Of all queries (Q, M, D) with the whole gallery (G, N, D), of any length: P = Q * G."""
        return Computed(F.normalize(query, dim=-1)[:, None], F.normalize(gallery, dim=-1)[None], weight)

    def pair(self, number: int) -> Tensor:
        """See `Products.pair`."""
        i, j = divmod(number, self.gallery.shape[-2])
        return self._product(self.query[..., i, :], self.gallery[..., j, :])

    def mean(self) -> Tensor:
        """See `Products.mean`."""
        return self._product(self.query.mean(-2), self.gallery.mean(-2))

    def _product(self, query: Tensor, gallery: Tensor) -> Tensor:
        c = (query * gallery).flatten(0, -2)
        return F.linear(c, self.weight).to(c.dtype)


@dataclass(frozen=True)
class BothWays(Products):
    """Products of tracklets a with b, and of b with a, computed once: clips i and j make the same c as j and i.

    Attributes:
        table: (M, M, A, H), by clip of a, clip of b, place.
        ways: 1 for a with b, P = A; 2 for b with a after them, P = 2 A.
    """

    table: Tensor
    ways: int

    @staticmethod
    def of(first: Tensor, second: Tensor, weight: Tensor, ways: int) -> BothWays:
        """From clips (A, M, D) of a and (A, M, D) of b."""
        a, b = (x.transpose(0, 1).contiguous() for x in (first, second))
        table = a.new_empty(len(a), *b.shape[:2], len(weight))
        for i, j in product(range(len(a)), range(len(b))):  # c of all clip pairs at once would not stay in the caches
            table[i, j] = F.linear(a[i] * b[j], weight)
        return BothWays(table, ways)

    def pair(self, number: int) -> Tensor:
        """See `Products.pair`."""
        i, j = divmod(number, len(self.table))
        return self.table[i, j] if self.ways == 1 else torch.cat([self.table[i, j], self.table[j, i]])

    def mean(self) -> Tensor:
        """See `Products.mean`."""
        mean = self.table.mean((0, 1))
        return mean if self.ways == 1 else torch.cat([mean, mean])
