"""Comparison of tracklets as sets of clips, by the cost to transport one set onto the other.

Legend: Q query tracklets of M clips, G gallery tracklets of N clips, D features per clip, K directions.
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

    Along one direction, the cheapest transport of one set of numbers onto another is by rank, lowest to lowest, or by
    quantile if M and N differ. SW^2 is the mean cost over K directions (Rabin et al. 2011; Bonneel et al. 2015). The
    mean of D <direction, x>^2 over all directions is |x|^2, so the similarity of two tracklets with one clip each is
    their cosine: exactly if K is a multiple of D, otherwise approximately. Nothing is learned.

    Each tracklet is projected and sorted once; then the similarities of all pairs are one matrix product.

    Args:
        projections: Number K of directions of length 1, in orthogonal blocks of up to D.
        seed: Seed of the directions.

    Raises:
        RecipeError: If `projections` is less than 1.
    """

    kind = "sliced-wasserstein"

    def __init__(self, projections: int = 128, seed: int = 0) -> None:
        super().__init__()
        if projections < 1:
            raise RecipeError(f"projections is {projections}, expected 1 or more")
        self.projections, self.seed = projections, seed

    def forward(self, query: Tensor, gallery: Tensor) -> Tensor:
        """Return one minus the cost (Q, G) of (Q, M, D) and (G, N, D); see `Aggregator.forward`."""
        check_features(query, gallery)
        q_QMK, g_GNK = (self._projected(x).sort(dim=1).values for x in (query, gallery))
        # (q - g)^2 = q^2 + g^2 - 2 q g. Only the last term needs both tracklets: the quantiles of q for each g.
        matched_QNK = torch.einsum("mn,qmk->qnk", quantile_shares(q_QMK.shape[1], g_GNK.shape[1], q_QMK), q_QMK)
        cross_QG = matched_QNK.flatten(1) @ g_GNK.flatten(1).t() / self.projections
        q_Q, g_G = (x.square().mean(1).mean(1) for x in (q_QMK, g_GNK))
        return 1 - query.shape[2] / 2 * (q_Q[:, None] + g_G[None] - 2 * cross_QG)

    @torch.no_grad()
    def pair_weights(self, query: Tensor, gallery: Tensor) -> PairWeights:
        """Return how often two clips are matched; see `Aggregator.pair_weights`.

        The importance is the share of mass that is transported between two clips, averaged over the directions. The
        similarity is not a mean of cosines. To make the weighted cosines sum to the similarity nevertheless, the
        weights are these shares times a factor: the similarity divided by the mean cosine with these shares. The factor
        is meaningless if this mean cosine is close to zero.
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
        """Return the numbers held per tracklet pair, without the K (M + N) numbers held per tracklet."""
        return 3

    def _projected(self, features: Tensor) -> Tensor:
        """Return projections (T, M, K) of features (T, M, D)."""
        directions_KD = unit_directions(self.projections, features.shape[2], self.seed)
        return F.normalize(features, dim=-1) @ directions_KD.to(features).t()


@functools.lru_cache(maxsize=8)
def unit_directions(count: int, dim: int, seed: int) -> Tensor:
    """Return directions (K, D) of length 1 in orthogonal blocks of up to `dim`, the same for the same arguments.

    Orthogonal directions capture more of a difference than independent ones, which are partly redundant.
    """
    generator = torch.Generator().manual_seed(seed)
    blocks = []
    with torch.inference_mode(False):  # inference tensors could not be used in training
        for _ in range(-(-count // dim)):
            drawn = torch.randn(dim, min(count, dim), generator=generator, dtype=torch.float64)
            blocks.append(torch.linalg.qr(drawn).Q.t())
        return torch.cat(blocks)[:count].float()


def quantile_shares(m: int, n: int, like: Tensor) -> Tensor:
    """Return the overlaps (M, N) of m equal parts of [0, 1] with n equal parts; they sum to 1."""
    m_ends, n_ends = (torch.arange(x + 1, dtype=torch.float64) / x for x in (m, n))
    highest = torch.minimum(m_ends[1:, None], n_ends[None, 1:])
    lowest = torch.maximum(m_ends[:-1, None], n_ends[None, :-1])
    return (highest - lowest).clamp(min=0).to(like)
