"""The similarity of every query to every gallery tracklet: the engine.

Q query tracklets of M clips, G gallery tracklets of N clips, D features per clip.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from resight.errors import RecipeError, ShapeError
from resight.models.aggregators import Aggregator, Learned

Features = NDArray[np.floating] | Tensor


@torch.inference_mode()
def score_all_pairs(
    query: Features,
    gallery: Features,
    aggregator: Aggregator,
    *,
    order: Tensor | None = None,
    memory_budget: int = 2**30,
    progress: Callable[[int, int], None] | None = None,
    device: torch.device | str | None = None,
) -> NDArray[np.float32]:
    """Similarities of all pairs of tracklets, tile by tile; equal to `score_one_pair` up to rounding.

    Args:
        query: (Q, M, D) clip features, not normalised.
        gallery: (G, N, D) clip features, not normalised.
        aggregator: how to compare; used as in evaluation mode, and not changed.
        order: (M * N,) for `Learned` only: which clip pair (query-major number) comes when; None is query-major.
        memory_budget: bytes that intermediate results may take, about; one pair of tracklets at least is held.
        progress: called after each tile with the number of tracklet pairs done, and their total Q * G.
        device: where to compute; None is where the aggregator's weights are.

    Returns:
        (Q, G).

    Raises:
        ShapeError: if the features do not have three axes, or differ in D, or `order` is not a permutation.
        RecipeError: if `order` is given and the aggregator does not depend on one.
    """
    queries, galleries = torch.as_tensor(query), torch.as_tensor(gallery)
    if queries.ndim != 3 or galleries.ndim != 3 or queries.shape[2] != galleries.shape[2]:
        raise ShapeError(
            f"expected query (Q, M, D) and gallery (G, N, D), found {tuple(queries.shape)} and {tuple(galleries.shape)}"
        )
    if order is not None and not isinstance(aggregator, Learned):
        raise RecipeError(
            f"expected no order for {type(aggregator).__name__}, which does not depend on one: leave it out"
        )
    # A copy, because other threads may be using the original, in its own mode and on its own device.
    module = copy.deepcopy(aggregator).eval()
    weight = next(module.parameters(), torch.zeros(()))
    device = weight.device if device is None else torch.device(device)
    module.to(device)

    scores = np.empty((len(queries), len(galleries)), np.float32)
    rows, columns = _tile(
        *scores.shape, 4 * aggregator.floats_per_pair(queries.shape[1], galleries.shape[1]), memory_budget
    )
    done = 0
    for left in range(0, len(galleries), columns):
        g = galleries[left : left + columns].to(device, weight.dtype)
        for top in range(0, len(queries), rows):
            q = queries[top : top + rows].to(device, weight.dtype)
            tile = module(q, g) if order is None else module(q, g, order=order)
            scores[top : top + rows, left : left + columns] = tile.float().cpu().numpy()
            done += tile.numel()
            if progress is not None:
                progress(done, scores.size)
    return scores


def _tile(q: int, g: int, pair_bytes: int, memory_budget: int) -> tuple[int, int]:
    """Rows and columns of a tile: as many pairs as the budget allows, wide rather than high."""
    pairs = max(1, memory_budget // pair_bytes)
    columns = max(1, min(g, pairs))
    return max(1, min(q, pairs // columns)), columns
