"""Similarities of all pairs of tracklets by the recurrence of Eq. 1 and 2, on a GPU.

Legend: Q query tracklets of M clips, G gallery tracklets of N clips, D features, H hidden units, T = M * N steps. A
block is B queries against W gallery tracklets, P = B * W tracklet pairs. `resight.scoring.gpu_steps` describes how a
block is computed and how fast it can be.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from resight.compute import Compute
from resight.errors import RecipeError, ShapeError
from resight.models.aggregators import ImportanceRecurrence, check_order
from resight.models.importance import FoldedImportance
from resight.progress import Progress
from resight.recipe import FirstImportance
from resight.scoring.gpu_steps import Advance, Block, Weights, best_advance, recorded
from resight.scoring.inputs import Features, as_tensor

PAIRS = 12_288
"""Tracklet pairs of a block, roughly."""

MOST_QUERIES = 8
"""Largest number of queries of a block: each clip of a query has a copy of W1, 2 MB at D = H = 1024."""

DTYPES = (torch.float16, torch.bfloat16, torch.float32)
"""What the matrix products may read and write; they always sum in float32, as do all running means.

The first two are equally fast. Where importance varies widely, from 0.003 to 3, float16 is ten times as accurate
(largest error of a similarity 2e-3, against 2e-2), and its range is ample for products of unit vectors.
"""

MEMORY_BUDGET = 2**30
"""Bytes of GPU memory to use, roughly."""


def available(device: torch.device | str) -> bool:
    """Return whether `score_table` can use this device: a GPU with bfloat16 products."""
    device = torch.device(device)
    return device.type == "cuda" and torch.cuda.is_available() and torch.cuda.get_device_capability(device) >= (8, 0)


def score_table(
    query: Features,
    gallery: Features,
    recurrence: ImportanceRecurrence,
    *,
    order: Tensor | None = None,
    compute: Compute = Compute(),
    progress: Progress | None = None,
) -> NDArray[np.float32]:
    """Return the similarities of all pairs of tracklets, in tiles that fit into GPU memory.

    Args:
        query: (Q, M, D) clip features, not normalised, on any device.
        gallery: (G, N, D), those of the gallery tracklets.
        recurrence: The recurrence of an aggregator, on any device; used as in evaluation mode, and not changed.
        order: See `score_tile`.
        compute: Device and precision.
        progress: Called with (tracklet pairs done, roughly; Q * G).

    Returns:
        (Q, G).

    Raises:
        ShapeError, RecipeError: As `score_tile`.
    """
    (q, m, d), (g, n, _), h = query.shape, gallery.shape, recurrence.importance.hidden
    rows = max(1, min(q, MEMORY_BUDGET // 4 // (12 * m * d)))
    columns = max(1, min(g, MEMORY_BUDGET // 2 // (18 * n * d + 4 * rows)))
    pairs = max(1, min(PAIRS, MEMORY_BUDGET // 4 // (12 * h)))
    weights = recurrence.importance.folded()
    scores = np.empty((q, g), np.float32)
    done = 0
    for left in range(0, g, columns):
        clips = as_tensor(gallery[left : left + columns]).to(compute.torch_device)
        for top in range(0, q, rows):

            def report(part: int, _: int, before: int = done) -> None:
                if progress is not None:
                    progress(before + part, scores.size)

            tile = score_tile(
                as_tensor(query[top : top + rows]).to(compute.torch_device),
                clips,
                weights,
                recurrence.first,
                order=order,
                dtype=compute.product_dtype,
                pairs=pairs,
                progress=report if progress is not None else None,
            )
            scores[top : top + rows, left : left + columns] = tile.cpu().numpy()
            done += tile.numel()
    return scores


@torch.inference_mode()
def score_tile(
    query: Tensor,
    gallery: Tensor,
    weights: FoldedImportance,
    first: FirstImportance,
    *,
    order: Tensor | None = None,
    dtype: torch.dtype = torch.float16,
    pairs: int = PAIRS,
    advance: Advance | None = None,
    progress: Progress | None = None,
) -> Tensor:
    """Return the similarities of all pairs of tracklets, equal to `score_one_pair` up to the rounding of `dtype`.

    Large tiles are faster, ideally with all queries at once: each call first records its steps, then replays them for
    every block. Memory beside the arguments: about 14 W N D + 12 P H + 2 B M H D bytes, 1.5 GB for all of MARS.

    Args:
        query: (Q, M, D) clip features on the device to compute on, not normalised.
        gallery: (G, N, D), those of the gallery tracklets.
        weights: Folded importance network on any device: ``recurrence.importance.folded()``.
        first: How Eq. 1 is read for the first pair, see `Learned`.
        order: (T,) query-major numbers of the clip pairs in the order in which they are visited; None is query-major.
        dtype: One of `DTYPES`.
        pairs: Tracklet pairs of a block, roughly.
        advance: Function for the pass between the products. None is the Triton kernel on a GPU; without a GPU, or if
            the kernel cannot be used (which gives a warning), PyTorch's operations.
        progress: Called after each block with (tracklet pairs done, roughly; Q * G).

    Returns:
        (Q, G) float32, on the same device.

    Raises:
        ShapeError: If features and weights do not fit together, or `order` is not a permutation.
        RecipeError: If `dtype` is not supported or its range is too small for these weights, or `pairs` is not
            positive.
    """
    if dtype not in DTYPES or pairs < 1:
        raise RecipeError(
            f"expected dtype to be one of {', '.join(map(str, DTYPES))} and a block of at least 1 tracklet pair, "
            f"found {dtype} and {pairs}"
        )
    steps = check_order(order, query, gallery).tolist()
    if query.shape[2] != weights.weight1.shape[1]:
        raise ShapeError(
            f"expected clip features of D = {weights.weight1.shape[1]}, found {query.shape[2]}: use features of the "
            "encoder that these weights were trained with"
        )
    scores = query.new_empty((len(query), len(gallery)), dtype=torch.float32)
    if scores.numel() == 0:
        return scores
    width = -(-len(gallery) // -(-len(gallery) // pairs))
    rows = min(len(query), MOST_QUERIES, max(1, pairs // width))
    tops, lefts = _starts(len(query), rows), _starts(len(gallery), width)
    with torch.cuda.device(query.device) if query.is_cuda else nullcontext():
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
            f"some similarities are not finite when computed in {dtype}: check that all features are finite; if they "
            "are, use float32"
        )
    return scores


def _starts(n: int, size: int) -> list[int]:
    """Starts of blocks of one size that cover n; the last block overlaps its predecessor, so that none needs a mask."""
    return [min(start, n - size) for start in range(0, n, size)]
