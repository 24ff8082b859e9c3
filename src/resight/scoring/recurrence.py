"""The learned similarity of many tracklet pairs at once: Eq. 1 to 3 with as few passes over memory as they allow.

P tracklet pairs, M query clips, N gallery clips, D features per clip, H hidden units, T = M * N clip pairs.

The first layer of g is linear and g sees only differences, so what is carried from clip pair to clip pair is
d_t = W1 (r_{t-1} - c_t). Put into Eq. 2, with A_t the sum of the first t importances, this gives

    d_{t+1} = A_{t-1} / A_t * d_t + W1 (c_t - c_{t+1}),

one scaling and one matrix product that adds to what is there. Neither r nor its running mean is needed, and where the
clips of a tracklet are alike, nothing small is computed as the difference of two large things: that is what lets
bfloat16 be accurate. The second layer is the other product. ReLU costs one pass and no addition, because
W relu(x + b) = W max(x, -b) + W b, and W b goes into the next layer's bias.

Clips are held features first, (D, P): then the weights are the left factor of every product, which is read once and
as it lies in memory, and matrix libraries are at their full rate from a hundred pairs on.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from resight.models.aggregators import Learned

_SMALLEST = torch.finfo(torch.float32).tiny


@dataclass(frozen=True)
class Recurrence:
    """The learned aggregator in evaluation mode, laid out for `similarity`; make it with `Recurrence.of`.

    Attributes:
        weight1: (H, D) in the type of the products, as is weight2.
        floor1: (H, 1), -b1.
        weight2: (H, H).
        floor2: (H, 1), -b2, where b2 has taken up W2 b1.
        weight3: (1, H).
        bias3: () float32, which has taken up w3 b2.
        first: () importance of the first clip pair, where it is a constant.
    """

    weight1: Tensor
    floor1: Tensor
    weight2: Tensor
    floor2: Tensor
    weight3: Tensor
    bias3: Tensor
    first: Tensor | None

    @staticmethod
    @torch.inference_mode()
    def of(learned: Learned, dtype: torch.dtype, device: torch.device | str) -> Recurrence:
        """Fold the network and move it.

        Args:
            learned: used as in evaluation mode, and not changed.
            dtype: of the products, float32 or bfloat16; sums of importances are float32.
            device: where to compute.
        """
        g = learned.importance.folded()
        weight1, bias1, weight2, weight3 = (x.to(device, dtype) for x in (g.weight1, g.bias1, g.weight2, g.weight3))
        # With the rounded weights: what a unit that is off adds must cancel.
        bias2 = (g.bias2.float().to(device) + weight2.float() @ bias1.float()).to(dtype)
        bias3 = g.bias3.float().to(device) + weight3.float() @ bias2.float()
        first = learned.importance.at_zero().float().to(device) if learned.first == "constant" else None
        return Recurrence(weight1, -bias1[:, None], weight2, -bias2[:, None], weight3[None], bias3, first)

    def similarity(self, query: Tensor, gallery: Tensor, cosine: Tensor, order: list[int]) -> Tensor:
        """Eq. 3 for the tracklet pairs of a tile.

        Args:
            query: (M, D, P) float32, of length 1; or (M, D, 1), the same query tracklet for all pairs.
            gallery: (N, D, P) float32, of length 1.
            cosine: (M, N, P) float32.
            order: T query-major numbers of clip pairs, as they come.

        Returns:
            (P,) float32.
        """
        pairs = [divmod(number, len(gallery)) for number in order]
        features, p = gallery.shape[1:]
        change = gallery.new_empty(features, p)
        narrow = torch.empty_like(change, dtype=self.weight1.dtype) if self.weight1.dtype != change.dtype else change
        d, z, y = (gallery.new_zeros(len(self.weight1), p, dtype=self.weight1.dtype) for _ in range(3))
        total, weighted = gallery.new_zeros(p), gallery.new_zeros(p)
        if self.first is None:  # r_0 = 0
            i, j = pairs[0]
            d.addmm_(self.weight1, narrow.copy_(torch.mul(query[i], gallery[j], out=change)), alpha=-1)
        for t, (i, j) in enumerate(pairs):
            alpha = self.first.expand(p) if t == 0 and self.first is not None else self._importance(d, z, y)
            before, total = total, total + alpha
            weighted.addcmul_(alpha, cosine[i, j])
            if t + 1 < len(pairs):
                i_next, j_next = pairs[t + 1]
                torch.mul(query[i], gallery[j], out=change).addcmul_(query[i_next], gallery[j_next], value=-1)
                d.mul_((before / total).to(d.dtype)).addmm_(self.weight1, narrow.copy_(change))
        return weighted / total

    def _importance(self, d: Tensor, z: Tensor, y: Tensor) -> Tensor:
        """G of (H, P), in the memory of two others like it: (P,)."""
        torch.mm(self.weight2, torch.maximum(d, self.floor1, out=z), out=y)
        last = self.weight3 @ torch.maximum(y, self.floor2, out=y)
        # Where all importances are too small for float32, all count alike, and 0 / 0 is no similarity.
        return F.softplus(last[0].float() + self.bias3).clamp_(min=_SMALLEST)

    def nbytes(self) -> int:
        """Bytes of the weights."""
        return self.weight1.nbytes + self.weight2.nbytes

    @staticmethod
    def bytes_per_pair(dim: int, hidden: int, dtype: torch.dtype) -> int:
        """Bytes of working memory that `similarity` needs for each tracklet pair."""
        narrow = 0 if dtype == torch.float32 else dtype.itemsize
        return dim * (4 + narrow) + 3 * hidden * dtype.itemsize


def features_first(clips: Tensor) -> Tensor:
    """(P, M, D) clip features to (M, D, P), as `Recurrence.similarity` takes them."""
    return clips.permute(1, 2, 0).contiguous()
