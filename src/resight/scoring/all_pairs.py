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
    if query.ndim != 3 or gallery.ndim != 3 or query.shape[2] != gallery.shape[2]:
        raise ShapeError(
            f"expected query (Q, M, D) and gallery (G, N, D), found {tuple(query.shape)} and {tuple(gallery.shape)}"
        )
    if order is not None and not isinstance(aggregator, Learned):
        raise RecipeError(
            f"expected no order for {type(aggregator).__name__}, which does not depend on one: leave it out"
        )
    # A copy, because other threads may be using the original, in its own mode and on its own device.
    module = copy.deepcopy(aggregator).eval()
    if device is not None:
        module.to(device)
    weight = next(module.parameters(), torch.zeros((), device=device))

    scores = np.empty((len(query), len(gallery)), np.float32)
    rows, columns = _tile(
        *scores.shape, 4 * aggregator.floats_per_pair(query.shape[1], gallery.shape[1]), memory_budget
    )
    done = 0
    for left in range(0, len(gallery), columns):
        g = _moved(gallery[left : left + columns], weight)
        for top in range(0, len(query), rows):
            q = _moved(query[top : top + rows], weight)
            tile = module(q, g) if order is None else module(q, g, order=order)
            scores[top : top + rows, left : left + columns] = tile.float().cpu().numpy()
            done += tile.numel()
            if progress is not None:
                progress(done, scores.size)
    return scores


def _moved(features: Features, like: Tensor) -> Tensor:
    # A copy of an array: a tensor cannot share the memory of one that is read-only, such as a cache's.
    tensor = torch.tensor(features) if isinstance(features, np.ndarray) else features
    return tensor.to(like.device, like.dtype)


def _tile(q: int, g: int, pair_bytes: int, memory_budget: int) -> tuple[int, int]:
    """Rows and columns of a tile: as many pairs as the budget allows, wide rather than high."""
    pairs = max(1, memory_budget // pair_bytes)
    columns = max(1, min(g, pairs))
    return max(1, min(q, pairs // columns)), columns
