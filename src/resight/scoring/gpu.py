"""The similarity of all pairs of a large tile with learned importance, on a GPU.

Q query tracklets of M clips, G gallery tracklets of N clips, D features, H hidden units, T = M * N steps; a block is
B queries against W gallery tracklets, P = B * W tracklet pairs.

With p_t = W1 c_t = (W1 diag(f_q)) f_g the recurrence of Eq. 1 and 2 runs in hidden space. One step is two matrix
products and one pass over memory:

    p_t   = F[i] G[j]                              F[i]: W1 with query clip i multiplied in; G[j]: gallery clips j
    pass  : alpha_{t-1} = g's last layer of y;  A, h, s move by it;  z = relu(h - p_t + b1)
    y     = z W2'

**Why so.** At D = H = 1024 a step costs 4.2 MFLOP a pair, 4.2 ns at 990 TFLOP/s; the pass moves 16 KB (h in float32
both ways, y, p_{t-1}, p_t, z in 16 bits), 3.3 ns at 4.8 TB/s if nothing stayed in the cache, and y and p_t, just
written, mostly do. So 64 steps of all of MARS, 1.4e9 pair-steps, take 6 s by arithmetic, 9 s at the rate that
products of this size reach, and about 13 s with the pass. A product that forms z in its prologue and sums y in its
epilogue would save 6 KB, but reads h and p once for every tile of hidden units and forms z as often, beside a matrix
unit that then waits; keeping h on chip needs 256 KB for 64 pairs, more than a multiprocessor has. The products are
therefore the vendor's, and the pass is one kernel. P = 12,288 fills 132 multiprocessors about three times with
tiles of 128 x 256. One graph holds all steps of a block, so that nothing waits for Python.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from resight.errors import RecipeError, ShapeError
from resight.models.aggregators import check_order
from resight.models.importance import FoldedImportance

PAIRS = 12_288
"""Tracklet pairs of a block, about."""

MOST_QUERIES = 16
"""Queries of a block at most: each has a copy of W1 for each of its clips, 2 MB at D = H = 1024."""

PRECISIONS = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}
"""What the matrix products may read and write; they add up in float32, and so do all running means.

The first two are equally fast. Where importances differ much, from 0.003 to 3, float16 is ten times as exact (largest
error of a similarity 2e-3 against 2e-2), and its range is ample for products of unit vectors.
"""

Advance = Callable[..., None]
"""What does the same as `advance_in_torch`."""


def available(device: torch.device | str) -> bool:
    """Whether `score_tile` is the way to score on this device: a GPU that multiplies bfloat16."""
    device = torch.device(device)
    return device.type == "cuda" and torch.cuda.is_available() and torch.cuda.get_device_capability(device) >= (8, 0)


@torch.inference_mode()
def score_tile(
    query: Tensor,
    gallery: Tensor,
    weights: FoldedImportance,
    first: Literal["constant", "pair"],
    *,
    order: Tensor | None = None,
    precision: str = "float16",
    pairs: int = PAIRS,
    advance: Advance | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Similarities of all pairs of tracklets; equal to `score_one_pair` up to the rounding of `precision`.

    Large tiles pay, best all queries at once: a call records its steps before it replays them for each block. Beside
    its arguments it holds about 14 W N D + 12 P H + 2 B M H D bytes, 1.7 GB for all of MARS.

    Args:
        query: (Q, M, D) clip features on the device to compute on, not normalised.
        gallery: (G, N, D), likewise.
        weights: of g as in evaluation mode, on the same device: ``learned.importance.folded()``.
        first: how Eq. 1 is read for the first pair, as `Learned`.
        order: (T,) which clip pair (query-major number) comes when; None is query-major.
        precision: of what the matrix products read and write, a name in `PRECISIONS`.
        pairs: tracklet pairs of a block, about.
        advance: how to do the pass between the products; None is the Triton kernel on a GPU, or PyTorch's operations
            where there is no GPU, or where the kernel cannot be had, which is then a warning.
        progress: called after each block with the number of tracklet pairs done, about, and their total Q * G.

    Returns:
        (Q, G) float32, on the same device.

    Raises:
        ShapeError: if the features or weights do not fit together, or `order` is not a permutation.
        RecipeError: if `precision` is unknown or its range too small for these weights, or `pairs` is not positive.
    """
    if precision not in PRECISIONS or pairs < 1:
        raise RecipeError(
            f"expected a precision of {', '.join(PRECISIONS)} and at least 1 pair in a block, found {precision!r}, "
            f"{pairs}"
        )
    steps = check_order(order, query, gallery).tolist()
    if query.shape[2] != weights.weight1.shape[1]:
        raise ShapeError(
            f"expected clip features of D = {weights.weight1.shape[1]}, found {query.shape[2]}: give features of the "
            "encoder that these weights were trained with"
        )
    scores = query.new_empty((len(query), len(gallery)), dtype=torch.float32)
    if scores.numel() == 0:
        return scores
    width = -(-len(gallery) // -(-len(gallery) // pairs))
    rows = min(len(query), MOST_QUERIES, max(1, pairs // width))
    tops, lefts = _starts(len(query), rows), _starts(len(gallery), width)
    with torch.cuda.device(query.device) if query.is_cuda else nullcontext():
        dtype = PRECISIONS[precision]
        block = _Block(
            _Weights.of(weights, dtype),
            first,
            steps,
            (rows, query.shape[1]),
            (width, gallery.shape[1]),
            advance or best_advance(query.device, len(weights.bias1), dtype),
        )
        query = F.normalize(query.float(), dim=-1)
        run: Callable[[], None] | None = None
        done = 0
        for left in lefts:
            block.see_gallery(F.normalize(gallery[left : left + width].float(), dim=-1))
            for top in tops:
                block.query.copy_(query[top : top + rows].transpose(0, 1))
                run = run or _recorded(block)
                run()
                scores[top : top + rows, left : left + width] = block.score.view(rows, width)
                done += 1
                if progress is not None:
                    if query.is_cuda:
                        torch.cuda.synchronize()
                    progress(scores.numel() * done // (len(tops) * len(lefts)), scores.numel())
    if not scores.isfinite().all():
        raise RecipeError(
            f"expected finite similarities, but with these features and weights {precision} does not give them: look "
            'for values that are not finite in the features, else choose another precision, such as "float32"'
        )
    return scores


def _starts(n: int, size: int) -> list[int]:
    """Where blocks of one size begin that cover n; the last overlaps the one before it, so that none needs a mask."""
    return [min(start, n - size) for start in range(0, n, size)]


@cache
def best_advance(device: torch.device, hidden: int, dtype: torch.dtype) -> Advance:
    """The Triton kernel if it compiles for this device and runs, else `advance_in_torch`, with a warning."""
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
    except Exception as error:  # of a compiler, a driver, a missing C compiler: there is no list
        warnings.warn(
            f"the Triton kernel resight.scoring.kernels.advance cannot be used on {device} "
            f"({type(error).__name__}: {error}): going on with PyTorch's operations, which is slower",
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
    """End one step of the recurrence and begin the next. All in float32 but y, before, now, z.

    Args:
        y: (P, H) what the second layer of g makes of the ending step's pair, without bias.
        bias2: (H,).
        weight3: (H,).
        bias3: ().
        cosine: (P,) of the ending step's clip pair.
        old: (2, P) before the ending step: A, the sum of importances, and s, the weighted mean of cosines.
        new: (2, P) the same after it; changed.
        hidden: (P, H) W1 r, the weighted mean of p so far; changed, unless `last`.
        before: (P, H) p of the ending step.
        now: (P, H) p of the beginning step.
        bias1: (H,).
        z: (P, H) what the second layer of g reads in the beginning step; changed, unless `last`.
        last: no step begins; `before` and `now` are not looked at.
    """
    alpha = F.softplus(F.relu(y.float() + bias2) @ weight3 + bias3)
    torch.add(old[0], alpha, out=new[0])
    share = alpha / new[0]
    torch.lerp(old[1], cosine, share, out=new[1])
    if not last:
        hidden.lerp_(before.float(), share[:, None])
        z.copy_(F.relu(hidden - now + bias1))


@dataclass(frozen=True)
class _Weights:
    """Those of `FoldedImportance`, each in the precision in which it is used."""

    weight1: Tensor
    bias1: Tensor
    weight2: Tensor
    bias2: Tensor
    weight3: Tensor
    bias3: Tensor
    at_zero: Tensor
    """(H,) y of g(0)."""

    @classmethod
    def of(cls, given: FoldedImportance, dtype: torch.dtype) -> _Weights:
        w1, b1, w2, b2, w3, b3 = (
            x.detach().float().contiguous()
            for x in (given.weight1, given.bias1, given.weight2, given.bias2, given.weight3, given.bias3)
        )
        return cls(w1, b1, w2.to(dtype), b2, w3, b3, w2 @ F.relu(b1))


class _Block:
    """Buffers for B queries against W gallery tracklets, and the steps from the one to the other."""

    def __init__(
        self,
        weights: _Weights,
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
        self.means = exact.new_empty(2, 2, p)  # two, since threads of one kernel read what others have written
        self.y, self.z = exact.new_empty(2, p, h, dtype=dtype)

    @property
    def score(self) -> Tensor:
        """(P,), after `run`."""
        return self.means[len(self.steps) % 2, 1]

    def see_gallery(self, clips: Tensor) -> None:
        """Take (W, N, D) normalised clip features of gallery tracklets."""
        self.gallery.copy_(clips.transpose(0, 1))
        self.rounded.copy_(self.gallery)

    def run(self) -> None:
        """From `query` and `gallery` to `score`, without looking at a number: so it can be recorded."""
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
        """End step t - 1, whose share moves A = 0 and all means as far as they go in the first; begin step t."""
        weights, last = self.weights, t == len(self.steps)
        cosine = self.cosine.flatten(0, 1)[self.steps[t - 1]]
        self.advance(
            self.y, weights.bias2, weights.weight3, weights.bias3, cosine, self.means[(t - 1) % 2], self.means[t % 2],
            self.hidden, self.projected[(t - 1) % 2], self.projected[t % 2], weights.bias1, self.z, last,
        )  # fmt: skip

    def _second_layer(self) -> None:
        torch.mm(self.z, self.weights.weight2.t(), out=self.y)


def _recorded(block: _Block) -> Callable[[], None]:
    """What does the same as `block.run`, without Python between the steps if its device is a GPU."""
    if not block.query.is_cuda:
        return block.run
    block.run()  # compiles and chooses: neither may happen while a graph is recorded
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    try:
        # The outer context comes back to this stream also if the graph fails, which by itself would not.
        here = torch.cuda.stream(torch.cuda.current_stream())
        with here, torch.cuda.graph(graph, capture_error_mode="thread_local"):  # other threads may use the GPU
            block.run()
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        warnings.warn(f"no CUDA graph ({error}): going on step by step, slower if tiles are small", stacklevel=3)
        return block.run

    def replay() -> None:
        graph.replay()

    return replay
