"""Products W1 c of clip pairs: the first layer of the importance network applied to c = f_q * f_g, without bias.

Legend: M query clips, N gallery clips, D features per clip of length 1, H hidden units, P tracklet pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor


class Products(Protocol):
    """Products of the first layer of the importance network for P tracklet pairs."""

    def pair(self, number: int) -> Tensor:
        """Return the product of one clip pair, given its query-major number: (P, H)."""

    def mean(self) -> Tensor:
        """Return the product of the mean of c over all clip pairs, which equals that of the mean clips: (P, H)."""


@dataclass(frozen=True)
class Computed(Products):
    """Products that are computed on request.

    Attributes:
        query: (..., M, D); leading axes broadcast with those of `gallery` to P tracklet pairs.
        gallery: (..., N, D).
        weight: W1, (H, D).
    """

    query: Tensor
    gallery: Tensor
    weight: Tensor

    @staticmethod
    def crossed(query: Tensor, gallery: Tensor, weight: Tensor) -> Computed:
        """Return the products of all queries (Q, M, D) with all gallery tracklets (G, N, D): P = Q * G."""
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
    """Products of A tracklet pairs (a, b) and of the swapped pairs (b, a), computed once because c is the same.

    Attributes:
        table: (M, M, A, H), by clip of a, clip of b, and tracklet pair.
        ways: 1 for (a, b) only, P = A; 2 for (a, b) followed by (b, a), P = 2 A.
    """

    table: Tensor
    ways: int

    @staticmethod
    def of(first: Tensor, second: Tensor, weight: Tensor, ways: int) -> BothWays:
        """Compute the products from clips (A, M, D) of a and (A, M, D) of b."""
        a, b = (x.transpose(0, 1).contiguous() for x in (first, second))
        table = a.new_empty(len(a), *b.shape[:2], len(weight))
        for i, j in product(range(len(a)), range(len(b))):  # c of all clip pairs at once would not fit in the caches
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
