"""Between which two numbers the similarity of two tracklets must lie, for one matrix product.

Q query tracklets of M clips, G gallery tracklets of N clips, D features per clip, T = M * N clip pairs.

A similarity that is a weighted mean of clip-pair cosines (Eq. 3) is at least the smallest of them and at most the
largest, whatever the weights. The cosines cost D operations a clip pair; the importance network costs H (D + H), some
hundreds to two thousand times as much. Tighter bounds need a bound on the importance, and trained networks have none
that helps. On the demo world the largest importance of a tracklet pair is 2 as a rule and 22 at most; interval
arithmetic through g proves 700 from the lengths of the c_t, and 35 from all W1 c_t, which are half or more of the work
to be saved.
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
"""Tracklets of the gallery, and cosines, held at once: enough for few large products, little enough for the cache."""

_INPUT_ROUNDING = {"highest": 0.0, "high": 2.0**-11, "medium": 2.0**-9}
"""Relative rounding of the inputs of a float32 product, by `torch.get_float32_matmul_precision`."""


@dataclass(frozen=True)
class Bounds:
    """Where similarities lie: lower <= similarity <= upper, also when all three are computed with rounding.

    Attributes:
        lower: (Q, G) float32.
        upper: (Q, G) float32.
    """

    lower: NDArray[np.float32]
    upper: NDArray[np.float32]


@dataclass(frozen=True)
class Effort:
    """How many tracklet pairs were scored, of how many there are."""

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
    """Smallest and largest cosine of each tracklet pair's clip pairs, widened by `rounding_margin`.

    They hold for every aggregator whose similarity is a weighted mean of the cosines of the features as they are:
    `Learned`, `MeanPair`, `MaxPair`, and `TopShare` without a projection. Not for `MeanFeature`. It follows from Eq. 3.

    Args:
        query: (Q, M, D) clip features, not normalised.
        gallery: (G, N, D) clip features, not normalised.
        compute: Device; cosines are always computed in float32.

    Raises:
        ShapeError: if the features do not have three axes, or differ in D, or are not finite.
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
        # Clips before tracklets: then the reduction over clip pairs runs along whole rows of tracklets.
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
            f"query number {row} against gallery tracklet number {column} has a cosine that is not a number; "
            "check the features of both"
        )
    margin = np.float32(rounding_margin(D, M * N))
    return Bounds(lower - margin, upper + margin)


def rounding_margin(dim: int, clip_pairs: int) -> float:
    """How far a similarity in single precision may fall outside of cosines computed in another order, at most.

    With u = 2^-24: a vector scaled to length 1 is off by (D/2 + 2) u, a product of two by D u more, so a cosine by
    (2D + 4) u, here and in the similarity; its weighted mean of T is off by (2T + 3) u (Higham, Accuracy and Stability
    of Numerical Algorithms, Ch. 3). And twice that of the inputs, where torch may round those of a product.

    Args:
        dim: D.
        clip_pairs: T.
    """
    inputs = 2 * 2 * _INPUT_ROUNDING[torch.get_float32_matmul_precision()]
    return (4 * dim + 2 * clip_pairs + 16) * 2.0**-24 + inputs
