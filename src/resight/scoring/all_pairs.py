"""The engine: the similarity of every query to every gallery tracklet, or of chosen pairs.

Legend: Q query tracklets of M clips, G gallery tracklets of N clips, D features per clip, P chosen tracklet pairs.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from itertools import pairwise, product

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from resight.compute import Compute
from resight.errors import ShapeError
from resight.models.aggregators import Aggregator, ImportanceRecurrence
from resight.progress import Progress
from resight.scoring import gpu
from resight.scoring.inputs import Features, as_tensor, check_arguments
from resight.scoring.recurrence import Recurrence, features_first, lay
from resight.scoring.tiles import Tiling, tiling, work_off

MEMORY_BUDGET = 2**30
"""Bytes to use beside arguments and result, whatever Q and G; a tile has at least one pair."""

_QUERIES = 4
"""Queries of one job: with fewer, laying out the gallery clips costs too much; with more, cores idle at the end."""

_WIDE = 64
"""Gallery tracklets from which on a query gets products of its own."""

_COPIES = 4
"""Copies of clip features while they are laid out: as given, of length 1, features first, steps."""


def score_all_pairs(
    query: Features,
    gallery: Features,
    aggregator: Aggregator,
    *,
    order: Tensor | None = None,
    compute: Compute = Compute(),
    progress: Progress | None = None,
) -> NDArray[np.float32]:
    """Return the similarities of all pairs of tracklets, equal to `score_one_pair` up to rounding.

    Args:
        query: (Q, M, D) clip features, not normalised.
        gallery: (G, N, D) clip features, not normalised.
        aggregator: Aggregator on any device; used as in evaluation mode, and not changed.
        order: (M * N,) query-major numbers of the clip pairs in the order in which they are visited, for an aggregator
            that depends on it; None is query-major.
        compute: Device and precision. Half precision applies to the matrix products of `Learned`, and is several times
            as fast where the machine has 16-bit products: similarities are typically off by 1e-4, and by about 1e-3
            where importance varies by orders of magnitude. Other aggregators always use float32.
        progress: Called with (tracklet pairs done, Q * G).

    Returns:
        (Q, G).

    Raises:
        ShapeError: If features do not have three axes, differ in D or do not fit the aggregator, or if `order` is not a
            permutation.
        RecipeError: If `order` is given and the aggregator does not depend on it.
    """
    pairs = check_arguments(query, gallery, aggregator, order)
    scores = np.empty((len(query), len(gallery)), np.float32)
    total = scores.size

    def report(done: int) -> None:
        if progress is not None:
            progress(done, total)

    recurrence = aggregator.recurrence()
    if recurrence is not None:
        if gpu.available(compute.torch_device):
            return gpu.score_table(query, gallery, recurrence, order=order, compute=compute, progress=progress)
        _Engine(query, gallery, recurrence, pairs, total, compute).fill(scores, report)
        return scores

    module, weight = _evaluated(aggregator, compute.torch_device)
    rows, columns = _tile(query, gallery, module)

    @torch.inference_mode()
    def fill(corner: tuple[int, int]) -> int:
        left, top = corner
        q, g = _moved(query[top : top + rows], weight), _moved(gallery[left : left + columns], weight)
        tile = module(q, g)
        scores[top : top + rows, left : left + columns] = tile.float().cpu().numpy()
        return int(tile.numel())

    work_off(fill, product(range(0, len(gallery), columns), range(0, len(query), rows)), 1, report)
    return scores


def score_pairs(
    query: Features,
    gallery: Features,
    rows: NDArray[np.integer],
    columns: NDArray[np.integer],
    aggregator: Aggregator,
    *,
    order: Tensor | None = None,
    compute: Compute = Compute(),
    progress: Progress | None = None,
) -> NDArray[np.float32]:
    """Return the similarities of chosen pairs of tracklets: query `rows[p]` with gallery `columns[p]`.

    Args:
        query: (Q, M, D) clip features, not normalised.
        gallery: (G, N, D) clip features, not normalised.
        rows: (P,) positions in `query`, in any order; fastest if pairs of the same query are adjacent.
        columns: (P,) positions in `gallery`.
        aggregator: Aggregator on any device; used as in evaluation mode, and not changed.
        order: See `score_all_pairs`.
        compute: See `score_all_pairs`.
        progress: Called with (pairs done, P).

    Returns:
        (P,), the same numbers as in the table of `score_all_pairs`, up to rounding.

    Raises:
        ShapeError: As `score_all_pairs`, and if `rows` and `columns` do not have the same length.
        RecipeError: As `score_all_pairs`.
    """
    pairs = check_arguments(query, gallery, aggregator, order)
    if rows.ndim != 1 or rows.shape != columns.shape:
        raise ShapeError(f"expected rows (P,) and columns (P,) of the pairs, found {rows.shape} and {columns.shape}")
    scores = np.empty(len(rows), np.float32)

    def report(done: int) -> None:
        if progress is not None:
            progress(done, len(scores))

    recurrence = aggregator.recurrence()
    if recurrence is not None:
        engine = _Engine(query, gallery, recurrence, pairs, len(scores), compute)
        engine.fill_pairs(scores, lambda part: (rows[part], columns[part]), report)
        return scores

    module, weight = _evaluated(aggregator, compute.torch_device)
    _, width = _tile(query, gallery, module)
    edges = np.flatnonzero(np.diff(rows, prepend=-1, append=-1))  # where the next query begins

    @torch.inference_mode()
    def fill(part: slice) -> int:
        q, g = _moved(query[rows[part][:1]], weight), _moved(gallery[columns[part]], weight)
        scores[part] = module(q, g)[0].float().cpu().numpy()
        return len(g)

    parts = (
        slice(start, min(start + width, end)) for begin, end in pairwise(edges) for start in range(begin, end, width)
    )
    work_off(fill, parts, 1, report)
    return scores


class _Engine:
    """Computes the recurrence tile by tile, one tile per core."""

    def __init__(
        self,
        query: Features,
        gallery: Features,
        recurrence: ImportanceRecurrence,
        order: list[int],
        total: int,
        compute: Compute,
    ) -> None:
        self.query, self.gallery, self.order = query, gallery, order
        self.device, self.dtype = compute.torch_device, compute.product_dtype
        (m, dim), n = query.shape[1:], gallery.shape[1]
        self.recurrence = Recurrence.of(recurrence, self.dtype, self.device)
        # Bytes of one tracklet pair that every step passes over: the change as computed and as multiplied, d, z and y.
        wide = 0 if self.dtype == torch.float32 else 4 * dim
        working = wide + self.dtype.itemsize * (dim + 3 * recurrence.importance.hidden)
        self.tiling: Tiling = tiling(
            total,
            working=working,
            held=working + 4 * (_COPIES * (m + n) * dim + 4 * m * n),
            each=self.recurrence.weight1.nbytes,
            fixed=2 * (self.recurrence.weight1.nbytes + self.recurrence.weight2.nbytes),
            budget=MEMORY_BUDGET,
            threads=torch.get_num_threads() if self.device.type == "cpu" else 1,
        )

    def fill(self, scores: NDArray[np.float32], report: Callable[[int], None]) -> None:
        """Write the similarities of all pairs of tracklets into (Q, G)."""
        q, g = scores.shape
        if g < min(_WIDE, self.tiling.pairs / 2):  # a tile then has pairs of several queries
            self.fill_pairs(scores.reshape(-1), lambda part: np.divmod(np.arange(part.start, part.stop), g), report)
            return
        blocks = math.ceil(g / self.tiling.pairs)
        width = math.ceil(g / blocks)
        height = max(1, min(_QUERIES, q * blocks // (4 * self.tiling.workers)))

        @torch.inference_mode()
        def fill_tile(corner: tuple[int, int]) -> int:
            left, top = corner
            right, bottom = min(left + width, g), min(top + height, q)
            laid = lay(self._clips(self.gallery, slice(left, right)), self.dtype)
            for row in range(top, bottom):
                clips = self._clips(self.query, slice(row, row + 1))[0]
                cosine = (clips @ laid.clips).transpose(0, 1).flatten(0, 1)[self.order]
                similarity = self.recurrence.similarity(clips[:, :, None], laid, cosine, self.order)
                scores[row, left:right] = similarity.cpu().numpy()
            return int((right - left) * (bottom - top))

        work_off(fill_tile, product(range(0, g, width), range(0, q, height)), self.tiling.workers, report)

    def fill_pairs(
        self,
        scores: NDArray[np.float32],
        positions: Callable[[slice], tuple[NDArray[np.integer], NDArray[np.integer]]],
        report: Callable[[int], None],
    ) -> None:
        """Write the similarities of chosen pairs into (P,); `positions` returns rows and columns of a slice of them."""

        @torch.inference_mode()
        def fill_tile(start: int) -> int:
            part = slice(start, min(start + self.tiling.pairs, len(scores)))
            rows, columns = positions(part)
            q, g = self._clips(self.query, rows), self._clips(self.gallery, columns)
            cosine = (q @ g.transpose(1, 2)).flatten(1).t()[self.order]
            similarity = self.recurrence.similarity(features_first(q), lay(g, self.dtype), cosine, self.order)
            scores[part] = similarity.cpu().numpy()
            return len(rows)

        work_off(fill_tile, range(0, len(scores), self.tiling.pairs), self.tiling.workers, report)

    def _clips(self, features: Features, rows: slice | NDArray[np.integer]) -> Tensor:
        return F.normalize(as_tensor(features[rows]).to(self.device, torch.float32), dim=-1)


def _evaluated(aggregator: Aggregator, device: torch.device) -> tuple[Aggregator, Tensor]:
    """A copy in evaluation mode on the device, and one of its weights, whose dtype features must have."""
    # A copy, because other threads may be using the original in its own mode and on its own device.
    module = copy.deepcopy(aggregator).eval().to(device)
    return module, next(module.parameters(), torch.zeros((), device=device))


def _moved(features: Features, like: Tensor) -> Tensor:
    return as_tensor(features).to(like.device, like.dtype)


def _tile(query: Features, gallery: Features, module: Aggregator) -> tuple[int, int]:
    """Rows and columns of a tile: wide rather than high, with half of the memory budget for its clips."""
    (q, m, dim), (g, n, _) = query.shape, gallery.shape
    pairs = max(1, MEMORY_BUDGET // 2 // (4 * module.floats_per_pair(m, n)))
    columns = max(1, min(g, pairs, MEMORY_BUDGET // 4 // (4 * _COPIES * n * dim)))
    rows = max(1, min(q, pairs // columns, MEMORY_BUDGET // 4 // (4 * _COPIES * m * dim)))
    return rows, columns
