"""The steps of the GPU engine: a block of tracklet pairs, from clip features to similarities.

Legend: B query tracklets of M clips, W gallery tracklets of N clips, P = B * W tracklet pairs, D features, H hidden
units, T = M * N steps.

With p_t = W1 c_t = (W1 diag(f_q)) f_g the recurrence of Eq. 1 and 2 is computed in hidden space. One step is two
matrix products and one pass over memory:

    p_t   = F[i] G[j]                              F[i]: W1 with query clip i multiplied in; G[j]: gallery clips j
    pass  : alpha_{t-1} = last layer of g applied to y;  update A, h, s;  z = relu(h - p_t + b1)
    y     = z W2'

**Design.** At D = H = 1024 the products of a step cost 4.2 MFLOP per pair, 4.2 ns at 990 TFLOP/s. The pass moves 16 KB
(h in float32 in both directions; y, p_{t-1}, p_t and z in 16 bits), 3.3 ns at 4.8 TB/s without caches, and y and p_t,
just written, are mostly cached. The 64 steps of all of MARS, 1.4e9 pair-steps, thus take 6 s by arithmetic, 9 s at the
rate that products of this size reach, and about 13 s with the pass. A product that computes z in its prologue and sums
y in its epilogue would save 6 KB, but it would read h and p and compute z once per tile of hidden units, next to a
matrix unit that then waits. Keeping h on chip needs 256 KB for 64 pairs, more than a multiprocessor has. Therefore the
products are the vendor's, and the pass is one kernel. P = 12,288 fills 132 multiprocessors about three times with tiles
of 128 x 256. One CUDA graph holds all steps of a block, so that nothing waits for Python.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from resight.models.importance import FoldedImportance

Advance = Callable[..., None]
"""A function with the arguments and effect of `advance_in_torch`."""


@dataclass(frozen=True)
class Weights:
    """The weights of `FoldedImportance`, each in the precision in which it is used."""

    weight1: Tensor
    bias1: Tensor
    weight2: Tensor
    bias2: Tensor
    weight3: Tensor
    bias3: Tensor
    at_zero: Tensor
    """(H,), the value of y for g(0)."""

    @classmethod
    def of(cls, given: FoldedImportance, dtype: torch.dtype, device: torch.device) -> Weights:
        """Return the weights on a device, with those that are read by matrix products in `dtype`."""
        w1, b1, w2, b2, w3, b3 = (
            x.detach().to(device, torch.float32).contiguous()
            for x in (given.weight1, given.bias1, given.weight2, given.bias2, given.weight3, given.bias3)
        )
        return cls(w1, b1, w2.to(dtype), b2, w3, b3, w2 @ F.relu(b1))


class Block:
    """Buffers for B queries against W gallery tracklets, and the steps from features to similarities."""

    def __init__(
        self,
        weights: Weights,
        first: Literal["constant", "pair"],
        steps: list[int],
        query: tuple[int, int],
        gallery: tuple[int, int],
        advance: Advance,
    ) -> None:
        (b, m), (w, n), (h, d), p = query, gallery, weights.weight1.shape, query[0] * gallery[0]
        exact, dtype = weights.weight1, weights.weight2.dtype
        self.weights, self.first, self.steps, self.advance = weights, first, steps, advance
        self.query = exact.new_empty(m, b, d)
        self.gallery = exact.new_empty(n, w, d)
        self.rounded = self.gallery if dtype == exact.dtype else self.gallery.to(dtype)
        self.folded = exact.new_empty(m, b, h, d, dtype=dtype)
        self.cosine = exact.new_empty(m, n, p)
        self.projected = exact.new_empty(2, p, h, dtype=dtype)
        self.hidden = exact.new_empty(p, h)
        self.means = exact.new_empty(2, 2, p)  # two copies, because threads of one kernel read what others write
        self.y, self.z = exact.new_empty(2, p, h, dtype=dtype)

    @property
    def score(self) -> Tensor:
        """Similarities (P,), after `run`."""
        return self.means[len(self.steps) % 2, 1]

    def see_gallery(self, clips: Tensor) -> None:
        """Copy normalised clip features (W, N, D) of gallery tracklets into the block."""
        self.gallery.copy_(clips.transpose(0, 1))
        self.rounded.copy_(self.gallery)

    def run(self) -> None:
        """Compute `score` from `query` and `gallery`, without control flow that depends on values, for CUDA graphs."""
        weights = self.weights
        (m, b, _), (n, w, _) = self.query.shape, self.gallery.shape
        torch.mul(weights.weight1, self.query[:, :, None], out=self.folded)
        cosines = self.query.flatten(0, 1) @ self.gallery.flatten(0, 1).t()
        self.cosine.view(m, n, b, w).copy_(cosines.view(m, b, n, w).transpose(1, 2))
        self.hidden.zero_()
        self.means[0].zero_()
        self._project(0)
        if self.first == "constant":
            self.y.copy_(weights.at_zero)
        else:
            torch.sub(weights.bias1, self.projected[0], out=self.z).relu_()
            self._second_layer()
        for t in range(1, len(self.steps)):
            self._project(t)
            self._advance(t)
            self._second_layer()
        self._advance(len(self.steps))

    def _project(self, t: int) -> None:
        i, j = divmod(self.steps[t], len(self.gallery))
        b, (w, d) = self.query.shape[1], self.gallery.shape[1:]
        out = self.projected[t % 2].view(b, w, -1)
        torch.bmm(self.rounded[j].expand(b, w, d), self.folded[i].transpose(1, 2), out=out)

    def _advance(self, t: int) -> None:
        """End step t - 1 and begin step t; from A = 0, the first step sets all means to its own values."""
        weights, last = self.weights, t == len(self.steps)
        cosine = self.cosine.flatten(0, 1)[self.steps[t - 1]]
        self.advance(
            self.y, weights.bias2, weights.weight3, weights.bias3, cosine, self.means[(t - 1) % 2], self.means[t % 2],
            self.hidden, self.projected[(t - 1) % 2], self.projected[t % 2], weights.bias1, self.z, last,
        )  # fmt: skip

    def _second_layer(self) -> None:
        torch.mm(self.z, self.weights.weight2.t(), out=self.y)


def recorded(block: Block) -> Callable[[], None]:
    """Return a function with the effect of `block.run`; on a GPU, without Python between the steps."""
    if not block.query.is_cuda:
        return block.run
    block.run()  # compiles kernels and selects algorithms, which must not happen while a graph is recorded
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    try:
        # The outer context restores the current stream even if recording fails, which the graph would not.
        current = torch.cuda.stream(torch.cuda.current_stream())
        separate = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        # Other threads may use the GPU at the same time; their work must not invalidate the graph.
        with current, torch.cuda.graph(graph, stream=separate, capture_error_mode="thread_local"):
            block.run()
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        warnings.warn(f"cannot record a CUDA graph ({error}): small tiles will be slower", stacklevel=3)
        return block.run

    def replay() -> None:
        graph.replay()

    return replay


@cache
def best_advance(device: torch.device, hidden: int, dtype: torch.dtype) -> Advance:
    """Return the Triton kernel if it compiles and runs on this device, else `advance_in_torch`, with a warning."""
    if device.type != "cuda":
        return advance_in_torch
    try:
        from resight.scoring import kernels

        vector, means = torch.zeros(hidden, device=device), torch.zeros(2, 2, 1, device=device)
        row, state = torch.zeros(1, hidden, dtype=dtype, device=device), torch.zeros(1, hidden, device=device)
        kernels.advance(
            row, vector, vector, vector[0], vector, means[0], means[1], state, row, row, vector, row.clone(), False
        )
        torch.cuda.synchronize(device)
    except Exception as error:  # errors of compilers and drivers have no common base class
        warnings.warn(
            f"the Triton kernel resight.scoring.kernels.advance cannot be used on {device} "
            f"({type(error).__name__}: {error}): using PyTorch's operations, which are slower",
            RuntimeWarning,
            stacklevel=3,
        )
        return advance_in_torch
    return kernels.advance


def advance_in_torch(
    y: Tensor,
    bias2: Tensor,
    weight3: Tensor,
    bias3: Tensor,
    cosine: Tensor,
    old: Tensor,
    new: Tensor,
    hidden: Tensor,
    before: Tensor,
    now: Tensor,
    bias1: Tensor,
    z: Tensor,
    last: bool,
) -> None:
    """End one step of the recurrence and begin the next.

    All tensors are float32, except y, before, now and z.

    Args:
        y: (P, H), second product of the step that ends, without bias.
        bias2: (H,), bias of the second layer.
        weight3: (H,), weights of the last layer.
        bias3: (), bias of the last layer.
        cosine: (P,), cosine of the clip pair of the step that ends.
        old: (2, P), values before the step that ends: A, the sum of importance, and s, the weighted mean of cosines.
        new: (2, P), the same values after it; changed.
        hidden: (P, H), W1 r, the weighted mean of p so far; changed, unless `last`.
        before: (P, H), p of the step that ends.
        now: (P, H), p of the step that begins.
        bias1: (H,), bias of the first layer.
        z: (P, H), input of the second product in the step that begins; changed, unless `last`.
        last: Whether no further step begins; `before` and `now` are then not used.
    """
    alpha = F.softplus(F.relu(y.float() + bias2) @ weight3 + bias3)
    torch.add(old[0], alpha, out=new[0])
    share = alpha / new[0]
    torch.lerp(old[1], cosine, share, out=new[1])
    if not last:
        hidden.lerp_(before.float(), share[:, None])
        z.copy_(F.relu(hidden - now + bias1))
