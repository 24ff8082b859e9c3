"""The learned similarity of many tracklet pairs at once: Eq. 1 to 3 with as few passes over memory as possible.

Legend: P tracklet pairs, M query clips, N gallery clips, D features per clip, H hidden units, T = M * N clip pairs.

The first layer of the network is linear and its input is a difference, so the state of the recurrence is
d_t = W1 (r_{t-1} - c_t). Inserted into Eq. 2, with A_t the sum of the first t importance values, this gives

    d_{t+1} = A_{t-1} / A_t * d_t + W1 (c_t - c_{t+1}),

one scaling and one accumulating matrix product. Neither r nor its running mean is needed, and if the clips of a
tracklet are similar, no small value is computed as the difference of two large ones. The second layer is the other
product. ReLU takes one pass without an addition: relu(x + b) = max(x, -b) + b, and the term + b is the same for all
pairs, so it is part of the constants of the next layer. These are chosen so that g(0) is exact in spite of rounded
weights. This and the use of differences make bfloat16 accurate: its errors are relative to changes of g, not to g.

Clips are stored with features first, (D, P). The weights are then the left factor of every product and are read once,
in memory order, and matrix libraries reach their full rate from a hundred pairs on.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from resight.models.aggregators import ImportanceRecurrence

_SMALLEST = torch.finfo(torch.float32).tiny
"""Added to sums of importances: where all are too small for float32, the similarity is 0 and not 0 / 0."""


@dataclass(frozen=True)
class Recurrence:
    """An importance network in evaluation mode, prepared for `similarity`; made by `Recurrence.of`.

    With d = W1 x, g(x) = softplus(weight3 max(shift + weight2 max(d, floor1), floor2) + bias3). All attributes except
    the last two have the dtype of the products.

    Attributes:
        weight1: (H, D).
        floor1: (H, 1), -b1.
        weight2: (H, H).
        shift: (H, 1), makes the second product about 0 for d = 0; None for float32, where its rounding is negligible.
        floor2: (H, 1).
        weight3: (1, H).
        bias3: (1,) float32.
        first: () float32, importance of the first clip pair if it is a constant, else None.
    """

    weight1: Tensor
    floor1: Tensor
    weight2: Tensor
    shift: Tensor | None
    floor2: Tensor
    weight3: Tensor
    bias3: Tensor
    first: Tensor | None

    @staticmethod
    @torch.inference_mode()
    def of(recurrence: ImportanceRecurrence, dtype: torch.dtype, device: torch.device | str) -> Recurrence:
        """Return the recurrence with the network folded and moved to a device.

        Args:
            recurrence: The recurrence of an aggregator; used as in evaluation mode, and not changed.
            dtype: Type of the matrix products; sums of importance are always float32.
            device: Where to compute.
        """
        folded = recurrence.importance.folded()
        exact1, bias1, exact2, bias2, exact3, last_bias = (
            x.detach().to(device, torch.float32)
            for x in (folded.weight1, folded.bias1, folded.weight2, folded.bias2, folded.weight3, folded.bias3)
        )
        weight1, weight2, weight3 = exact1.to(dtype), exact2.to(dtype), exact3[None].to(dtype)
        floor1 = -bias1[:, None].to(dtype)
        # Values after the two products at d = 0, rounded and exact.
        second = weight2.float() @ floor1.float().relu()
        shift = None if dtype == torch.float32 else -second.to(dtype)
        second = second if shift is None else second + shift.float()
        exact_second = exact2 @ bias1.relu() + bias2
        floor2 = (second - exact_second[:, None]).to(dtype)
        third = (weight3.float() @ torch.maximum(second, floor2.float()))[0]
        bias3 = exact3 @ exact_second.relu() + last_bias - third
        first = None
        if recurrence.first == "constant":
            first = recurrence.importance.at_zero().to(device, torch.float32)
        return Recurrence(weight1, floor1, weight2, shift, floor2, weight3, bias3, first)

    def similarity(self, query: Tensor, gallery: Laid, cosine: Tensor, order: list[int]) -> Tensor:
        """Return the similarities by Eq. 3 for the tracklet pairs of a tile.

        Args:
            query: (M, D, P) float32, clip features of length 1; or (M, D, 1) if all pairs have the same query.
            gallery: P gallery tracklets, from `lay`.
            cosine: (T, P) float32, in the order of `order`.
            order: T query-major numbers of clip pairs in the order in which they are visited.

        Returns:
            (P,) float32.
        """
        n, features, p = gallery.clips.shape
        pairs = [divmod(number, n) for number in order]
        clips, steps = gallery.clips.unbind(), gallery.steps.unbind()
        wide_query, narrow_query = query.unbind(), query.to(self.weight1.dtype).unbind()
        wide = query.new_empty(features, p)
        change = torch.empty_like(wide, dtype=self.weight1.dtype) if self.weight1.dtype != wide.dtype else wide
        d, z, y = (change.new_zeros(len(self.weight1), p) for _ in range(3))
        decay = change.new_zeros(p)
        if self.first is None:  # r_0 = 0
            i, j = pairs[0]
            d.addmm_(self.weight1, change.copy_(torch.mul(wide_query[i], clips[j], out=wide)), alpha=-1)
            alphas = [self._importance(d, z, y)]
        else:
            alphas = [self.first.expand(p)]
        total = alphas[0] + _SMALLEST
        # W1 (q * c) = (W1 diag(q)) c: for one query and a wide tile, W1 is smaller than all c.
        shared = torch.empty_like(self.weight1) if query.shape[2] == 1 and len(d) < (n - 1) * p else None
        shared_by = -1
        for (i, j), (i_next, j_next) in pairwise(pairs):
            weight, right = self.weight1, change
            if i != i_next or j + 1 != j_next:
                torch.mul(wide_query[i], clips[j], out=wide).addcmul_(wide_query[i_next], clips[j_next], value=-1)
                change.copy_(wide)
            elif shared is None:
                torch.mul(narrow_query[i], steps[j], out=change)
            else:  # for N = 8, seven of eight steps of the query-major order
                if shared_by != i:
                    torch.mul(self.weight1, narrow_query[i].t(), out=shared)
                    shared_by = i
                weight, right = shared, steps[j]
            d.mul_(decay).addmm_(weight, right)
            alphas.append(self._importance(d, z, y))
            before, total = total, total + alphas[-1]
            torch.div(before, total, out=decay)
        alpha = torch.stack(alphas)
        return (alpha * cosine).sum(0) / total

    def _importance(self, d: Tensor, z: Tensor, y: Tensor) -> Tensor:
        """Importance (P,) float32, given d (H, P) and two buffers of the same shape."""
        torch.maximum(d, self.floor1, out=z)
        if self.shift is None:
            torch.mm(self.weight2, z, out=y)
        else:
            torch.addmm(self.shift, self.weight2, z, out=y)
        last = torch.mm(self.weight3, torch.maximum(y, self.floor2, out=y))
        return F.softplus(last[0] + self.bias3)


@dataclass(frozen=True)
class Laid:
    """Clips of P tracklets, arranged for `Recurrence.similarity`; made by `lay`.

    Attributes:
        clips: (N, D, P) float32.
        steps: (N - 1, D, P) in the dtype of the products, each clip minus the next.
    """

    clips: Tensor
    steps: Tensor


def lay(clips: Tensor, dtype: torch.dtype) -> Laid:
    """Arrange clip features (P, N, D) of length 1 with features first."""
    transposed = features_first(clips)
    return Laid(transposed, (transposed[:-1] - transposed[1:]).to(dtype))


def features_first(clips: Tensor) -> Tensor:
    """Return clip features (P, M, D) as contiguous (M, D, P)."""
    return clips.permute(1, 2, 0).contiguous()
