"""Learned weights without a recurrence, to measure the benefit of the recurrence of the paper.

Legend: Q query tracklets of M clips, G gallery tracklets of N clips, D features per clip, H hidden units. The weight of
a clip or clip pair does not depend on other clip pairs; all weights are computed at once.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resight.errors import RecipeError
from resight.models.contract import Aggregator, PairWeights, check_features, cosines, shares
from resight.recipe import Stage2


class ClipQuality(Aggregator):
    """Mean of cosines, weighted by one quality per clip.

    The quality is computed from the product of the clip with the mean clip of the other tracklet:
    u_i = h(f_q,i * mean f_g), v_j = h(f_g,j * mean f_q), alpha_ij = u_i v_j, with features of length 1. Quality weights
    are a common method against bad frames (quality-aware network, Liu et al. 2017). h is Linear, ReLU, BatchNorm,
    Dropout, Linear, softplus, and has as many parameters as g with `hidden` units.

    Args:
        dim: Features per clip, D.
        hidden: Hidden units of a g of the same size as h.
        dropout: Share of hidden units dropped in training, in [0, 1).

    Raises:
        RecipeError: If `dropout` is outside [0, 1).
    """

    kind = "clip-quality"
    learns_importance = True
    dim: int

    def __init__(self, dim: int = 1024, hidden: int = 1024, dropout: float = 0.5) -> None:
        super().__init__()
        self.dim, self.width = dim, hidden + hidden * hidden // dim
        self.quality = _Network(dim, (self.width,), dropout)

    @classmethod
    def from_recipe(cls, dim: int, stage: Stage2) -> Self:
        """Return an aggregator of the size in a recipe; see `Aggregator.from_recipe`."""
        return cls(dim, stage.hidden, stage.dropout)

    def forward(self, query: Tensor, gallery: Tensor) -> Tensor:
        """Return weighted mean cosines (Q, G) of (Q, M, D) and (G, N, D); see `Aggregator.forward`."""
        check_features(query, gallery, self.dim)
        u_QGM, v_QGN = self._qualities(query, gallery, self.training)
        # Sum over M first, then over N, so that no (Q, G, M, N) is needed beside the cosines.
        seen_QGN = torch.einsum("qgm,qgmn->qgn", u_QGM, cosines(query, gallery))
        return (seen_QGN * v_QGN).sum(2) / (u_QGM.sum(2) * v_QGN.sum(2))

    @torch.no_grad()
    def pair_weights(self, query: Tensor, gallery: Tensor) -> PairWeights:
        """Return products of two qualities; see `Aggregator.pair_weights`."""
        query, gallery = query[None], gallery[None]
        check_features(query, gallery, self.dim)
        u_QGM, v_QGN = self._qualities(query, gallery, learning=False)
        return shares(torch.outer(u_QGM[0, 0], v_QGN[0, 0]), cosines(query, gallery)[0, 0])

    def floats_per_pair(self, m: int, n: int) -> int:
        """Return the numbers held per tracklet pair; see `Aggregator.floats_per_pair`."""
        return (m + n) * (self.dim + 3 * self.width) + 3 * m * n

    def _qualities(self, query: Tensor, gallery: Tensor, learning: bool) -> tuple[Tensor, Tensor]:
        """Return the qualities of the query clips (Q, G, M) and of the gallery clips (Q, G, N)."""
        q_QMD, g_GND = F.normalize(query, dim=-1), F.normalize(gallery, dim=-1)
        clips = query.shape[1]
        query_QGMD = q_QMD[:, None] * g_GND.mean(1)[None, :, None]
        gallery_QGND = q_QMD.mean(1)[:, None, None] * g_GND[None]
        both = F.softplus(self.quality(torch.cat([query_QGMD, gallery_QGND], 2), learning))
        return both[:, :, :clips], both[:, :, clips:]


class PairAttention(Aggregator):
    """Mean of cosines, weighted by a softmax over all clip pairs: attention instead of the recurrence.

    The logit of a pair depends on its combined representation c_ij = f_q,i * f_g,j only, with features of length 1. The
    network is like g: Linear, ReLU, BatchNorm, Dropout, twice; then Linear to one number.

    Args:
        dim: Features per clip, D.
        hidden: Units of both hidden layers, H.
        dropout: Share of hidden units dropped in training, in [0, 1).

    Raises:
        RecipeError: If `dropout` is outside [0, 1).
    """

    kind = "pair-attention"
    learns_importance = True
    dim: int

    def __init__(self, dim: int = 1024, hidden: int = 1024, dropout: float = 0.5) -> None:
        super().__init__()
        self.dim, self.hidden = dim, hidden
        self.logit = _Network(dim, (hidden, hidden), dropout)

    @classmethod
    def from_recipe(cls, dim: int, stage: Stage2) -> Self:
        """Return an aggregator of the size in a recipe; see `Aggregator.from_recipe`."""
        return cls(dim, stage.hidden, stage.dropout)

    def forward(self, query: Tensor, gallery: Tensor) -> Tensor:
        """Return weighted mean cosines (Q, G) of (Q, M, D) and (G, N, D); see `Aggregator.forward`."""
        check_features(query, gallery, self.dim)
        if self.training and torch.equal(query, gallery):
            return self._both_ways(query)
        return (self._attention(query, gallery, self.training) * cosines(query, gallery).flatten(2)).sum(2)

    @torch.no_grad()
    def pair_weights(self, query: Tensor, gallery: Tensor) -> PairWeights:
        """Return the attention weights; see `Aggregator.pair_weights`."""
        query, gallery = query[None], gallery[None]
        check_features(query, gallery, self.dim)
        cosine = cosines(query, gallery)[0, 0]
        return shares(self._attention(query, gallery, learning=False)[0, 0].view_as(cosine), cosine)

    def floats_per_pair(self, m: int, n: int) -> int:
        """Return the numbers held per tracklet pair; see `Aggregator.floats_per_pair`."""
        return m * n * (self.dim + 3 * self.hidden + 3)

    def _both_ways(self, features: Tensor) -> Tensor:
        """Return the similarities of a batch with itself, each pair computed once, because c is symmetric."""
        first, second = torch.triu_indices(len(features), len(features), device=features.device)
        f_BMD = F.normalize(features, dim=-1)
        a_PMD, b_PND = f_BMD[first], f_BMD[second]
        logit_PMN: Tensor = self.logit(a_PMD[:, :, None] * b_PND[:, None], self.training)
        cosine_PT = torch.einsum("pmd,pnd->pmn", a_PMD, b_PND).flatten(1)
        similarity_P = (logit_PMN.flatten(1).softmax(1) * cosine_PT).sum(1)
        similarity_BB = similarity_P.new_zeros(len(features), len(features)).index_put((first, second), similarity_P)
        return similarity_BB + similarity_BB.triu(1).t()

    def _attention(self, query: Tensor, gallery: Tensor, learning: bool) -> Tensor:
        """Return weights (Q, G, M * N) that sum to 1 over the clip pairs."""
        q_QMD, g_GND = F.normalize(query, dim=-1), F.normalize(gallery, dim=-1)
        logit_QGMN: Tensor = self.logit(q_QMD[:, None, :, None] * g_GND[None, :, None], learning)
        return logit_QGMN.flatten(2).softmax(2)


class _Network(nn.Module):
    """Hidden layers, then Linear to one number: (..., D) to (...).

    The input is multiplied by D: the elements of a product of two vectors of length 1 have a size of about 1 / D, and
    without the factor the epsilon of BatchNorm would dominate their variance.
    """

    def __init__(self, dim: int, hidden: tuple[int, ...], dropout: float) -> None:
        super().__init__()
        if not 0 <= dropout < 1:
            raise RecipeError(f"dropout is {dropout}, expected a value in [0, 1)")
        self.layers = nn.ModuleList(_Hidden(*sizes, dropout) for sizes in pairwise((dim, *hidden)))
        self.last = nn.Linear(hidden[-1], 1)

    def forward(self, products: Tensor, learning: bool) -> Tensor:
        """Compute as in training if `learning` is true, else as in evaluation, independent of the module's mode."""
        x = products.flatten(0, -2) * products.shape[-1]
        for layer in self.layers:
            x = layer(x, learning)
        numbers: Tensor = self.last(x)
        return numbers.view(products.shape[:-1])


class _Hidden(nn.Module):
    """Linear, ReLU, BatchNorm, Dropout."""

    def __init__(self, inputs: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        self.norm = nn.BatchNorm1d(outputs)
        self.dropout = dropout

    def forward(self, x: Tensor, learning: bool) -> Tensor:
        norm, momentum = self.norm, self.norm.momentum or 0.0
        x = F.relu(self.linear(x))
        x = F.batch_norm(
            x, norm.running_mean, norm.running_var, norm.weight, norm.bias, learning, momentum, norm.eps
        )  # fmt: skip
        if learning and self.dropout:
            # On a CPU, torch.dropout takes four times as long to draw its mask.
            x = x * torch.rand_like(x).ge_(self.dropout).div_(1 - self.dropout)
        return x
