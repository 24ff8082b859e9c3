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
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from resight.models.aggregators import Learned

_SMALLEST = torch.finfo(torch.float32).tiny
"""Added to sums of importances: where all are too small for float32, the similarity is 0 and not 0 / 0."""


@dataclass(frozen=True)
class Recurrence:
    """The learned aggregator in evaluation mode, laid out for `similarity`; make it with `Recurrence.of`.

    Attributes:
        weight1: (H, D) in the type of the products, as is weight2.
        floor1: (H, 1), -b1.
        weight2: (H, H).
        floor2: (H, 1), -b2, where b2 has taken up W2 b1.
        weight3: (1, H).
        bias3: (1,) float32, which has taken up w3 b2.
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
        bias3 = g.bias3.float().to(device) + weight3.float()[None] @ bias2.float()
        first = learned.importance.at_zero().float().to(device) if learned.first == "constant" else None
        return Recurrence(weight1, -bias1[:, None], weight2, -bias2[:, None], weight3[None], bias3, first)

    def similarity(self, query: Tensor, gallery: Laid, cosine: Tensor, order: list[int]) -> Tensor:
        """Eq. 3 for the tracklet pairs of a tile.

        Args:
            query: (M, D, P) float32, of length 1; or (M, D, 1), the same query tracklet for all pairs.
            gallery: P gallery tracklets, from `lay`.
            cosine: (T, P) float32, in the given order.
            order: T query-major numbers of clip pairs, as they come.

        Returns:
            (P,) float32.
        """
        n, features, p = gallery.clips.shape
        pairs = [divmod(number, n) for number in order]
        clips, steps = gallery.clips.unbind(), gallery.steps.unbind()
        asked, narrow = query.unbind(), query.to(self.weight1.dtype).unbind()
        wide = query.new_empty(features, p)
        change = torch.empty_like(wide, dtype=self.weight1.dtype) if self.weight1.dtype != wide.dtype else wide
        d, z, y = (change.new_zeros(len(self.weight1), p) for _ in range(3))
        kept = change.new_zeros(p)
        if self.first is None:  # r_0 = 0
            i, j = pairs[0]
            d.addmm_(self.weight1, change.copy_(torch.mul(asked[i], clips[j], out=wide)), alpha=-1)
            alphas = [self._importance(d, z, y)]
        else:
            alphas = [self.first.expand(p)]
        total = alphas[0] + _SMALLEST
        for (i, j), (i_next, j_next) in pairwise(pairs):
            if i == i_next and j + 1 == j_next:  # seven of eight steps of the usual order
                torch.mul(narrow[i], steps[j], out=change)
            else:
                torch.mul(asked[i], clips[j], out=wide).addcmul_(asked[i_next], clips[j_next], value=-1)
                change.copy_(wide)
            d.mul_(kept).addmm_(self.weight1, change)
            alphas.append(self._importance(d, z, y))
            before, total = total, total + alphas[-1]
            torch.div(before, total, out=kept)
        alpha = torch.stack(alphas)
        return (alpha * cosine).sum(0) / total

    def _importance(self, d: Tensor, z: Tensor, y: Tensor) -> Tensor:
        """G of (H, P), in the memory of two others like it: (P,) float32."""
        torch.mm(self.weight2, torch.maximum(d, self.floor1, out=z), out=y)
        last = torch.mm(self.weight3, torch.maximum(y, self.floor2, out=y))
        return F.softplus(last[0] + self.bias3)


@dataclass(frozen=True)
class Laid:
    """Clips of P tracklets as `Recurrence.similarity` takes them; make it with `lay`.

    Attributes:
        clips: (N, D, P) float32.
        steps: (N - 1, D, P) in the type of the products: each clip less the next.
    """

    clips: Tensor
    steps: Tensor


def lay(clips: Tensor, dtype: torch.dtype) -> Laid:
    """Clip features (P, N, D) of length 1, features first."""
    turned = features_first(clips)
    return Laid(turned, (turned[:-1] - turned[1:]).to(dtype))


def features_first(clips: Tensor) -> Tensor:
    """(P, M, D) to (M, D, P)."""
    return clips.permute(1, 2, 0).contiguous()
