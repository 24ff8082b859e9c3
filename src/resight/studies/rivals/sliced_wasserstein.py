"""Tracklets as sets of clips, compared by what it costs to move one set onto the other.

Q query tracklets of M clips, G gallery tracklets of N clips, D features per clip, K directions.
"""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F
from torch import Tensor

from resight.errors import RecipeError
from resight.models.contract import Aggregator, PairWeights, check_features, cosines


class SlicedWasserstein(Aggregator):
    """1 - D / 2 * SW^2, with SW the sliced 2-Wasserstein distance of the two sets of clip features of length 1.

    Along one direction the cheapest transport of one set of numbers onto another goes by rank, lowest to lowest; where
    M and N differ, by quantile. SW^2 is the mean of its cost over K directions (Rabin et al. 2011; Bonneel et al.
    2015). The mean of D <direction, x>^2 over all directions is |x|^2, so that two tracklets of one clip each get
    their cosine: exactly if K is a multiple of D, else up to what K directions see. Nothing is learned.

    Each tracklet is projected and sorted once; then the similarities of all pairs are one matrix product.

    Args:
        projections: K, directions of length 1, in blocks of up to D that are at right angles.
        seed: of the directions.

    Raises:
        RecipeError: if `projections` is less than 1.
    """

    kind = "sliced-wasserstein"

    def __init__(self, projections: int = 128, seed: int = 0) -> None:
        super().__init__()
        if projections < 1:
            raise RecipeError(f"expected 1 or more projections, found {projections}")
        self.projections, self.seed = projections, seed

    def forward(self, query: Tensor, gallery: Tensor) -> Tensor:
        """One minus the cost, (Q, M, D) and (G, N, D) to (Q, G); see `Aggregator.forward`."""
        check_features(query, gallery)
        q_QMK, g_GNK = (self._projected(x).sort(dim=1).values for x in (query, gallery))
        # (q - g)^2 = q^2 + g^2 - 2 q g, and only the last needs both: with the quantiles of q that meet each of g.
        met_QNK = torch.einsum("mn,qmk->qnk", quantile_shares(q_QMK.shape[1], g_GNK.shape[1], q_QMK), q_QMK)
        cross_QG = met_QNK.flatten(1) @ g_GNK.flatten(1).t() / self.projections
        q_Q, g_G = (x.square().mean(1).mean(1) for x in (q_QMK, g_GNK))
        return 1 - query.shape[2] / 2 * (q_Q[:, None] + g_G[None] - 2 * cross_QG)

    @torch.no_grad()
    def pair_weights(self, query: Tensor, gallery: Tensor) -> PairWeights:
        """How often two clips are matched; see `Aggregator.pair_weights`.

        Importance is the share of its mass that the transport moves between two clips, mean over the directions. It
        tells what was compared with what, but the similarity is not a mean of cosines. So that the account adds up as
        that of every aggregator does, the weights are these shares times one number for the tracklet pair: the
        similarity over the mean cosine by these shares. Near a mean cosine of zero that number means nothing.
        """
        q_MK, g_NK = (self._projected(x[None])[0] for x in (query, gallery))
        shares_MN = quantile_shares(len(query), len(gallery), q_MK)
        cosine_MN = cosines(query[None], gallery[None])[0, 0]
        matched_MN = torch.zeros_like(cosine_MN)
        q_KM, g_KN = (x.t().argsort(dim=1) for x in (q_MK, g_NK))
        mass_KMN = shares_MN.expand(self.projections, -1, -1) / self.projections
        matched_MN.index_put_((q_KM[:, :, None], g_KN[:, None, :]), mass_KMN, accumulate=True)
        mean = (matched_MN * cosine_MN).sum()
        tiny = torch.finfo(mean.dtype).eps
        mean = torch.where(mean.abs() < tiny, torch.full_like(mean, tiny), mean)
        return PairWeights(matched_MN, matched_MN * (self.forward(query[None], gallery[None])[0, 0] / mean), cosine_MN)

    def floats_per_pair(self, m: int, n: int) -> int:
        """See `Aggregator.floats_per_pair`; what is held for a tracklet, K (M + N) numbers, is not for each pair."""
        return 3

    def _projected(self, features: Tensor) -> Tensor:
        """(T, M, D) to (T, M, K)."""
        directions_KD = unit_directions(self.projections, features.shape[2], self.seed)
        return F.normalize(features, dim=-1) @ directions_KD.to(features).t()


@functools.lru_cache(maxsize=8)
def unit_directions(count: int, dim: int, seed: int) -> Tensor:
    """Directions of length 1, the same for the same arguments: blocks of up to `dim` at right angles, (K, D).

    Directions at right angles see more of a difference than independent ones, which partly repeat each other.
    """
    generator = torch.Generator().manual_seed(seed)
    blocks = []
    with torch.inference_mode(False):  # else what was first asked for in evaluation could not be used in training
        for _ in range(-(-count // dim)):
            drawn = torch.randn(dim, min(count, dim), generator=generator, dtype=torch.float64)
            blocks.append(torch.linalg.qr(drawn).Q.t())
        return torch.cat(blocks)[:count].float()


def quantile_shares(m: int, n: int, like: Tensor) -> Tensor:
    """Mass that goes from each of m equal parts of [0, 1] to each of n: how much they overlap, (M, N), of sum 1."""
    m_ends, n_ends = (torch.arange(x + 1, dtype=torch.float64) / x for x in (m, n))
    highest = torch.minimum(m_ends[1:, None], n_ends[None, 1:])
    lowest = torch.maximum(m_ends[:-1, None], n_ends[None, :-1])
    return (highest - lowest).clamp(min=0).to(like)
