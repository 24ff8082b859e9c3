"""The learned similarity of many tracklet pairs at once: Eq. 1 to 3 with as few passes over memory as they allow.

P tracklet pairs, M query clips, N gallery clips, D features per clip, H hidden units, T = M * N clip pairs.

The first layer of g is linear and g sees only differences, so what is carried from clip pair to clip pair is
d_t = W1 (r_{t-1} - c_t). Put into Eq. 2, with A_t the sum of the first t importances, this gives

    d_{t+1} = A_{t-1} / A_t * d_t + W1 (c_t - c_{t+1}),

one scaling and one matrix product that adds to what is there. Neither r nor its running mean is needed, and where the
clips of a tracklet are alike, nothing small is computed as the difference of two large things. The second layer is the
other product. ReLU takes one pass and no addition: relu(x + b) = max(x, -b) + b, and what b adds is the same for all
pairs, so it goes into the constants of the next layer. They are chosen so that g(0) is exact, although weights are
rounded. That, and differences, are what makes bfloat16 accurate: its errors are relative to how g changes, not to g.

Clips are held features first, (D, P): then the weights are the left factor of every product, which is read once and
as it lies in memory, and matrix libraries are at their full rate from a hundred pairs on.
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
    """The learned aggregator in evaluation mode, laid out for `similarity`; make it with `Recurrence.of`.

    With d = W1 x, g(x) = softplus(weight3 max(shift + weight2 max(d, floor1), floor2) + bias3).

    Attributes:
        weight1: (H, D) in the type of the products, as are the others but the last two.
        floor1: (H, 1), -b1.
        weight2: (H, H).
        shift: (H, 1), so that the second product is about 0 for d = 0; None where its rounding does not matter.
        floor2: (H, 1).
        weight3: (1, H).
        bias3: (1,) float32.
        first: () float32, importance of the first clip pair, where it is a constant.
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
        # What follows the two products at d = 0: as rounded, and as it should be.
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
        # W1 (q * c) is (W1 diag(q)) c: for one query and a wide tile, the smaller thing to multiply by q.
        shared = torch.empty_like(self.weight1) if query.shape[2] == 1 and len(d) < (n - 1) * p else None
        shared_by = -1
        for (i, j), (i_next, j_next) in pairwise(pairs):
            weight, right = self.weight1, change
            if i != i_next or j + 1 != j_next:
                torch.mul(asked[i], clips[j], out=wide).addcmul_(asked[i_next], clips[j_next], value=-1)
                change.copy_(wide)
            elif shared is None:
                torch.mul(narrow[i], steps[j], out=change)
            else:  # seven of eight steps of the usual order
                if shared_by != i:
                    torch.mul(self.weight1, narrow[i].t(), out=shared)
                    shared_by = i
                weight, right = shared, steps[j]
            d.mul_(kept).addmm_(weight, right)
            alphas.append(self._importance(d, z, y))
            before, total = total, total + alphas[-1]
            torch.div(before, total, out=kept)
        alpha = torch.stack(alphas)
        return (alpha * cosine).sum(0) / total

    def _importance(self, d: Tensor, z: Tensor, y: Tensor) -> Tensor:
        """G of (H, P), in the memory of two others like it: (P,) float32."""
        torch.maximum(d, self.floor1, out=z)
        if self.shift is None:
            torch.mm(self.weight2, z, out=y)
        else:
            torch.addmm(self.shift, self.weight2, z, out=y)
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
