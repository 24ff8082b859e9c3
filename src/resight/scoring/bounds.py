"""Lower and upper bounds of the similarity of two tracklets, at the cost of one matrix product.

Legend: Q query tracklets of M clips, G gallery tracklets of N clips, D features per clip, T = M * N clip pairs.

A similarity that is a weighted mean of clip-pair cosines (Eq. 3) lies between the smallest and the largest cosine,
whatever the weights. The cosines cost D operations per clip pair; the importance network costs H (D + H), hundreds to
two thousand times as much. Tighter bounds would need a bound of the importance, but trained networks have no useful
one. On the demo world the ratio of the largest to the smallest importance of a tracklet pair is typically 2 and at most
22. Interval arithmetic through the network proves 700 from the lengths of the c_t, and 35 from all W1 c_t, whose
computation is at least half of the work to be saved.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from resight.compute import Compute
from resight.errors import ShapeError
from resight.scoring.inputs import Features, as_tensor

_GALLERY_BLOCK = 1024
_PRODUCT = 2**21
"""Gallery tracklets and cosines held at once: enough for a few large products, few enough for the cache."""

_INPUT_ROUNDING = {"highest": 0.0, "high": 2.0**-11, "medium": 2.0**-9}
"""Relative rounding error of the inputs of a float32 product, by `torch.get_float32_matmul_precision`."""


@dataclass(frozen=True)
class Bounds:
    """Bounds of similarities, lower <= similarity <= upper, valid also when all three are rounded.

    Attributes:
        lower: (Q, G) float32.
        upper: (Q, G) float32.
    """

    lower: NDArray[np.float32]
    upper: NDArray[np.float32]


@dataclass(frozen=True)
class Effort:
    """Number of tracklet pairs that a search scored.

    Attributes:
        scored: Tracklet pairs that were scored.
        pairs: All tracklet pairs.
    """

    scored: int
    pairs: int

    @property
    def share(self) -> float:
        """Share of the pairs that were scored, 0 ... 1."""
        return self.scored / max(self.pairs, 1)

    def __add__(self, other: Effort) -> Effort:
        return Effort(self.scored + other.scored, self.pairs + other.pairs)


@torch.inference_mode()
def bound_similarities(query: Features, gallery: Features, *, compute: Compute = Compute()) -> Bounds:
    """Return the smallest and largest clip-pair cosine of each tracklet pair, widened by `rounding_margin`.

    By Eq. 3 they bound the similarity of every aggregator that is a weighted mean of the cosines of unprojected
    features: `Learned`, `MeanPair`, `MaxPair`, and `TopShare` without projection, but not `MeanFeature`.

    Args:
        query: (Q, M, D) clip features, not normalised.
        gallery: (G, N, D) clip features, not normalised.
        compute: Device; cosines are always computed in float32.

    Raises:
        ShapeError: If the features do not have three axes, differ in D, or are not finite.
    """
    if query.ndim != 3 or gallery.ndim != 3 or query.shape[2] != gallery.shape[2]:
        raise ShapeError(
            f"expected query (Q, M, D) and gallery (G, N, D), found {tuple(query.shape)} and {tuple(gallery.shape)}"
        )
    Q, M, D = query.shape
    G, N, _ = gallery.shape
    device = compute.torch_device
    q_QMD = F.normalize(as_tensor(query).to(device, torch.float32), dim=-1)
    lower, upper = np.empty((2, Q, G), np.float32)
    rows = max(1, _PRODUCT // (_GALLERY_BLOCK * M * N))
    for left in range(0, G, _GALLERY_BLOCK):
        columns = slice(left, left + _GALLERY_BLOCK)
        # Clips before tracklets, so that the reduction over clip pairs runs along contiguous rows of tracklets.
        g_NGD = F.normalize(as_tensor(gallery[columns]).to(device, torch.float32), dim=-1).transpose(0, 1)
        g_DX = g_NGD.reshape(-1, D).t()
        for top in range(0, Q, rows):
            tile = slice(top, top + rows)
            cosine_QTG = (q_QMD[tile].flatten(0, 1) @ g_DX).view(-1, M * N, g_NGD.shape[1])
            lower[tile, columns] = cosine_QTG.amin(1).cpu().numpy()  # twenty times as fast as torch.aminmax
            upper[tile, columns] = cosine_QTG.amax(1).cpu().numpy()
    if not (np.isfinite(lower).all() and np.isfinite(upper).all()):
        row, column = np.argwhere(~np.isfinite(lower + upper))[0]
        raise ShapeError(
            f"a cosine of query {row} and gallery tracklet {column} (counted from 0) is not finite; check the features "
            "of both"
        )
    margin = np.float32(rounding_margin(D, M * N))
    return Bounds(lower - margin, upper + margin)


def rounding_margin(dim: int, clip_pairs: int) -> float:
    """Return how far a single-precision similarity can lie outside the range of separately computed cosines, at most.

    With u = 2^-24, a vector scaled to length 1 has an error of (D/2 + 2) u, and a product of two adds D u. A cosine
    thus has an error of (2D + 4) u, both here and in the similarity. A weighted mean of T cosines has an error of
    (2T + 3) u (Higham, Accuracy and Stability of Numerical Algorithms, Ch. 3). If torch rounds the inputs of products,
    that error is added twice.

    Args:
        dim: Features per clip, D.
        clip_pairs: Clip pairs, T.
    """
    inputs = 2 * 2 * _INPUT_ROUNDING[torch.get_float32_matmul_precision()]
    return (4 * dim + 2 * clip_pairs + 16) * 2.0**-24 + inputs
