"""The similarity of every query to every gallery tracklet, or of chosen pairs: the engine.

Q query tracklets of M clips, G gallery tracklets of N clips, D features per clip, P chosen tracklet pairs.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from itertools import pairwise, product
from typing import Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from resight.errors import RecipeError, ShapeError
from resight.models.aggregators import Aggregator, Learned, check_features, check_order
from resight.scoring import gpu
from resight.scoring.inputs import Features, as_tensor
from resight.scoring.recurrence import Recurrence, features_first, lay
from resight.scoring.tiles import Tiling, tiling, work_off

ProductPrecision = Literal["float32", "bfloat16", "float16"]

_QUERIES = 4  # in a job: with fewer, laying out its gallery clips is felt; with more, so is waiting for the last job
_WIDE = 64  # gallery tracklets for which a query is worth products of its own
_COPIES = 4  # of clip features while they are laid out: as they come, of length 1, features first, steps


def score_all_pairs(
    query: Features,
    gallery: Features,
    aggregator: Aggregator,
    *,
    order: Tensor | None = None,
    memory_budget: int = 2**30,
    progress: Callable[[int, int], None] | None = None,
    device: torch.device | str | None = None,
    precision: ProductPrecision = "float32",
) -> NDArray[np.float32]:
    """Similarities of all pairs of tracklets, tile by tile; equal to `score_one_pair` up to rounding.

    Args:
        query: (Q, M, D) clip features, not normalised.
        gallery: (G, N, D) clip features, not normalised.
        aggregator: how to compare; used as in evaluation mode, and not changed.
        order: (M * N,) for `Learned` only: which clip pair (query-major number) comes when; None is query-major.
        memory_budget: bytes to take beside arguments and result, whatever Q and G; a tile of one pair is always made.
        progress: called after each tile with the number of tracklet pairs done, and their total Q * G.
        device: where to compute; None is where the aggregator's weights are.
        precision: of the matrix products of `Learned`. With ``bfloat16`` similarities are off by 1e-4 as a rule, and by
            some 1e-3 where importances differ by orders of magnitude; several times as fast where the processor has
            such products. ``float16`` is for a GPU, where it is as fast as bfloat16 and
            ten times as exact. Other aggregators cost one product, always in float32.

    Returns:
        (Q, G).

    Raises:
        ShapeError: if the features do not have three axes, or differ in D, or D is not the one learned for, or `order`
            is not a permutation.
        RecipeError: if `order` is given and the aggregator does not depend on one, or `precision` is another word, or
            float16 on a processor.
    """
    _check(query, gallery, aggregator, order, precision)
    scores = np.empty((len(query), len(gallery)), np.float32)
    total = scores.size

    def tell(done: int) -> None:
        if progress is not None:
            progress(done, total)

    if isinstance(aggregator, Learned):
        if gpu.available(where := _where(aggregator, device)):
            return gpu.score_table(
                query, gallery, aggregator, order=order, memory_budget=memory_budget, progress=progress,
                device=where, precision=precision,
            )  # fmt: skip
        engine = _Engine(query, gallery, aggregator, order, total, memory_budget, device, precision)
        engine.fill(scores, tell)
        return scores

    module, weight = _evaluated(aggregator, device)
    rows, columns = _tile(query, gallery, module, memory_budget)

    @torch.inference_mode()
    def fill(corner: tuple[int, int]) -> int:
        left, top = corner
        q, g = _moved(query[top : top + rows], weight), _moved(gallery[left : left + columns], weight)
        tile = module(q, g)
        scores[top : top + rows, left : left + columns] = tile.float().cpu().numpy()
        return int(tile.numel())

    work_off(fill, product(range(0, len(gallery), columns), range(0, len(query), rows)), 1, tell)
    return scores


def score_pairs(
    query: Features,
    gallery: Features,
    rows: NDArray[np.integer],
    columns: NDArray[np.integer],
    aggregator: Aggregator,
    *,
    order: Tensor | None = None,
    memory_budget: int = 2**30,
    progress: Callable[[int, int], None] | None = None,
    device: torch.device | str | None = None,
    precision: ProductPrecision = "float32",
) -> NDArray[np.float32]:
    """Similarities of chosen pairs of tracklets: query `rows[p]` with gallery `columns[p]`.

    Args:
        query: (Q, M, D) clip features, not normalised.
        gallery: (G, N, D) clip features, not normalised.
        rows: (P,) places in `query`, in any order; pairs of the same query next to each other are fastest.
        columns: (P,) places in `gallery`.
        aggregator: how to compare; used as in evaluation mode, and not changed.
        order: see `score_all_pairs`.
        memory_budget: see `score_all_pairs`.
        progress: called with the number of pairs done, and their total P.
        device: see `score_all_pairs`.
        precision: see `score_all_pairs`.

    Returns:
        (P,), the same numbers as in the table of `score_all_pairs`, up to rounding.

    Raises:
        ShapeError: as `score_all_pairs`, and if `rows` and `columns` are not two lists of the same length.
        RecipeError: as `score_all_pairs`.
    """
    _check(query, gallery, aggregator, order, precision)
    if rows.ndim != 1 or rows.shape != columns.shape:
        raise ShapeError(f"expected rows (P,) and columns (P,) of the pairs, found {rows.shape} and {columns.shape}")
    scores = np.empty(len(rows), np.float32)

    def tell(done: int) -> None:
        if progress is not None:
            progress(done, len(scores))

    if isinstance(aggregator, Learned):
        engine = _Engine(query, gallery, aggregator, order, len(scores), memory_budget, device, precision)
        engine.fill_pairs(scores, lambda part: (rows[part], columns[part]), tell)
        return scores

    module, weight = _evaluated(aggregator, device)
    _, width = _tile(query, gallery, module, memory_budget)
    edges = np.flatnonzero(np.diff(rows, prepend=-1, append=-1))  # where another query begins

    @torch.inference_mode()
    def fill(part: slice) -> int:
        q, g = _moved(query[rows[part][:1]], weight), _moved(gallery[columns[part]], weight)
        scores[part] = module(q, g)[0].float().cpu().numpy()
        return len(g)

    parts = (
        slice(start, min(start + width, end)) for begin, end in pairwise(edges) for start in range(begin, end, width)
    )
    work_off(fill, parts, 1, tell)
    return scores


class _Engine:
    """Tiles of the learned aggregator, one a core."""

    def __init__(
        self,
        query: Features,
        gallery: Features,
        learned: Learned,
        order: Tensor | None,
        total: int,
        memory_budget: int,
        device: torch.device | str | None,
        precision: ProductPrecision,
    ) -> None:
        self.query, self.gallery = query, gallery
        self.device = _where(learned, device)
        (m, dim), n = query.shape[1:], gallery.shape[1]
        self.order = list(range(m * n)) if order is None else order.tolist()
        if precision == "float16" and self.device.type == "cpu":
            raise RecipeError("float16 products are for a GPU: on a processor use float32 or bfloat16")
        self.dtype = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[precision]
        self.recurrence = Recurrence.of(learned, self.dtype, self.device)
        # A column of what every step goes through: the change as it is made and as it is multiplied, d, z and y.
        wide = 0 if self.dtype == torch.float32 else 4 * dim
        working = wide + self.dtype.itemsize * (dim + 3 * learned.importance.hidden)
        self.tiling: Tiling = tiling(
            total,
            working=working,
            held=working + 4 * (_COPIES * (m + n) * dim + 4 * m * n),
            each=self.recurrence.weight1.nbytes,
            fixed=2 * (self.recurrence.weight1.nbytes + self.recurrence.weight2.nbytes),
            budget=memory_budget,
            threads=torch.get_num_threads() if self.device.type == "cpu" else 1,
        )

    def fill(self, scores: NDArray[np.float32], tell: Callable[[int], None]) -> None:
        """All pairs of tracklets, into (Q, G)."""
        q, g = scores.shape
        if g < min(_WIDE, self.tiling.pairs / 2):  # tiles of several queries, whose clips are gathered pair by pair
            self.fill_pairs(scores.reshape(-1), lambda part: np.divmod(np.arange(part.start, part.stop), g), tell)
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
                asked = self._clips(self.query, slice(row, row + 1))[0]
                cosine = (asked @ laid.clips).transpose(0, 1).flatten(0, 1)[self.order]
                found = self.recurrence.similarity(asked[:, :, None], laid, cosine, self.order)
                scores[row, left:right] = found.cpu().numpy()
            return int((right - left) * (bottom - top))

        work_off(fill_tile, product(range(0, g, width), range(0, q, height)), self.tiling.workers, tell)

    def fill_pairs(
        self,
        scores: NDArray[np.float32],
        places: Callable[[slice], tuple[NDArray[np.integer], NDArray[np.integer]]],
        tell: Callable[[int], None],
    ) -> None:
        """Chosen pairs, into (P,); `places` gives the rows and columns of a part of them."""

        @torch.inference_mode()
        def fill_tile(start: int) -> int:
            part = slice(start, min(start + self.tiling.pairs, len(scores)))
            rows, columns = places(part)
            q, g = self._clips(self.query, rows), self._clips(self.gallery, columns)
            cosine = (q @ g.transpose(1, 2)).flatten(1).t()[self.order]
            found = self.recurrence.similarity(features_first(q), lay(g, self.dtype), cosine, self.order)
            scores[part] = found.cpu().numpy()
            return len(rows)

        work_off(fill_tile, range(0, len(scores), self.tiling.pairs), self.tiling.workers, tell)

    def _clips(self, features: Features, places: slice | NDArray[np.integer]) -> Tensor:
        return F.normalize(as_tensor(features[places]).to(self.device, torch.float32), dim=-1)


def _check(
    query: Features, gallery: Features, aggregator: Aggregator, order: Tensor | None, precision: ProductPrecision
) -> None:
    q, g = (torch.empty(()).expand(x.shape) for x in (query, gallery))  # their shapes alone, as tensors of one number
    check_features(q, g, aggregator.importance.dim if isinstance(aggregator, Learned) else None)
    if precision not in get_args(ProductPrecision):
        raise RecipeError(f"expected precision = {' or '.join(get_args(ProductPrecision))}, found {precision!r}")
    if isinstance(aggregator, Learned):
        check_order(order, q, g)
    elif order is not None:
        raise RecipeError(
            f"expected no order for {type(aggregator).__name__}, which does not depend on one: leave it out"
        )


def _where(learned: Learned, device: torch.device | str | None) -> torch.device:
    return torch.device(device) if device is not None else learned.importance.first.weight.device


def _evaluated(aggregator: Aggregator, device: torch.device | str | None) -> tuple[Aggregator, Tensor]:
    """A copy, because other threads may be using the original, in its own mode and on its own device."""
    module = copy.deepcopy(aggregator).eval()
    if device is not None:
        module.to(device)
    return module, next(module.parameters(), torch.zeros((), device=device))


def _moved(features: Features, like: Tensor) -> Tensor:
    return as_tensor(features).to(like.device, like.dtype)


def _tile(query: Features, gallery: Features, module: Aggregator, memory_budget: int) -> tuple[int, int]:
    """Rows and columns of a tile of any aggregator: wide rather than high, half of the budget for its clips."""
    (q, m, dim), (g, n, _) = query.shape, gallery.shape
    pairs = max(1, memory_budget // 2 // (4 * module.floats_per_pair(m, n)))
    columns = max(1, min(g, pairs, memory_budget // 4 // (4 * _COPIES * n * dim)))
    rows = max(1, min(q, pairs // columns, memory_budget // 4 // (4 * _COPIES * m * dim)))
    return rows, columns
