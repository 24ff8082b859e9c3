"""The similarity of all pairs of tracklets with learned importance, on a GPU.

Q query tracklets of M clips, G gallery tracklets of N clips, D features, H hidden units, T = M * N steps; a block is
B queries against W gallery tracklets, P = B * W tracklet pairs. How a block is worked off, and how fast that can be,
says `resight.scoring.gpu_steps`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from resight.errors import RecipeError, ShapeError
from resight.models.aggregators import Learned, check_order
from resight.models.importance import FoldedImportance
from resight.scoring.gpu_steps import Advance, Block, Weights, best_advance, recorded
from resight.scoring.inputs import Features, as_tensor

PAIRS = 12_288
"""Tracklet pairs of a block, about."""

MOST_QUERIES = 8
"""Queries of a block at most: each has a copy of W1 for each of its clips, 2 MB at D = H = 1024."""

PRECISIONS = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}
"""What the matrix products may read and write; they add up in float32, and so do all running means.

The first two are equally fast. Where importances differ much, from 0.003 to 3, float16 is ten times as exact (largest
error of a similarity 2e-3 against 2e-2), and its range is ample for products of unit vectors.
"""


def available(device: torch.device | str) -> bool:
    """Whether `score_table` is the way to score on this device: a GPU that multiplies bfloat16."""
    device = torch.device(device)
    return device.type == "cuda" and torch.cuda.is_available() and torch.cuda.get_device_capability(device) >= (8, 0)


def score_table(
    query: Features,
    gallery: Features,
    learned: Learned,
    *,
    order: Tensor | None = None,
    memory_budget: int = 2**30,
    progress: Callable[[int, int], None] | None = None,
    device: torch.device | str = "cuda",
    precision: str = "float16",
) -> NDArray[np.float32]:
    """Similarities of all pairs of tracklets, in tiles that the memory of a GPU holds.

    Args:
        query: (Q, M, D) clip features, not normalised, on any device.
        gallery: (G, N, D), likewise.
        learned: whose g, as in evaluation mode, on any device; not changed.
        order: see `score_tile`.
        memory_budget: bytes of `device` to take, about.
        progress: called with the number of tracklet pairs done, about, and their total Q * G.
        device: where to compute.
        precision: see `score_tile`.

    Returns:
        (Q, G).

    Raises:
        ShapeError, RecipeError: as `score_tile`.
    """
    (q, m, d), (g, n, _), h = query.shape, gallery.shape, learned.importance.hidden
    rows = max(1, min(q, memory_budget // 4 // (12 * m * d)))
    columns = max(1, min(g, memory_budget // 2 // (18 * n * d + 4 * rows)))
    pairs = max(1, min(PAIRS, memory_budget // 4 // (12 * h)))
    weights = learned.importance.folded()
    scores = np.empty((q, g), np.float32)
    done = 0
    for left in range(0, g, columns):
        clips = as_tensor(gallery[left : left + columns]).to(device)
        for top in range(0, q, rows):
            asked = as_tensor(query[top : top + rows]).to(device)

            def tell(part: int, _: int, before: int = done) -> None:
                if progress is not None:
                    progress(before + part, scores.size)

            tile = score_tile(
                asked,
                clips,
                weights,
                learned.first,
                order=order,
                precision=precision,
                pairs=pairs,
                progress=tell if progress is not None else None,
            )
            scores[top : top + rows, left : left + columns] = tile.cpu().numpy()
            done += tile.numel()
    return scores


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
    its arguments it holds about 14 W N D + 12 P H + 2 B M H D bytes, 1.5 GB for all of MARS.

    Args:
        query: (Q, M, D) clip features on the device to compute on, not normalised.
        gallery: (G, N, D), likewise.
        weights: of g as in evaluation mode, on any device: ``learned.importance.folded()``.
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
        block = Block(
            Weights.of(weights, dtype, query.device),
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
                run = run or recorded(block)
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
