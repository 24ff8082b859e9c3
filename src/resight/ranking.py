"""The one result type: for each query, gallery tracklets from the best match down, with their similarity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resight.errors import ShapeError

_BLOCK = 2**18
"""Scores sorted at once: few enough to stay in a core's cache."""


@dataclass(frozen=True)
class Ranking:
    """Who it is: per query, gallery positions best first.

    Search, re-ranking, metrics, explanations and pictures all read this type and nothing else.

    Attributes:
        query_ids: Q tracklet ids.
        gallery_ids: G tracklet ids.
        order: (Q, K) int32, positions in `gallery_ids`, best first; K = G when nothing was cut off.
        scores: (Q, K) float32, similarities in the same order, never rising along a row.
    """

    query_ids: tuple[str, ...]
    gallery_ids: tuple[str, ...]
    order: NDArray[np.int32]
    scores: NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.order.shape != self.scores.shape or self.order.ndim != 2:
            raise ShapeError(f"order {self.order.shape} and scores {self.scores.shape} must both be (Q, K)")
        if self.order.shape[0] != len(self.query_ids):
            raise ShapeError(f"{self.order.shape[0]} rows for {len(self.query_ids)} queries")

    @classmethod
    def from_scores(
        cls,
        scores: NDArray[np.floating],
        query_ids: Sequence[str],
        gallery_ids: Sequence[str],
        k: int | None = None,
    ) -> Ranking:
        """Rank by similarity; equal scores keep the gallery's order.

        Args:
            scores: (Q, G) similarities, higher is better, all finite.
            query_ids: Q ids.
            gallery_ids: G ids.
            k: keep the best k of each row; None keeps all.

        Raises:
            ShapeError: if the shapes do not fit or a score is not a number.

        >>> r = Ranking.from_scores(np.array([[0.1, 0.9, 0.9]]), ["q"], ["a", "b", "c"])
        >>> [r.gallery_ids[i] for i in r.order[0]]
        ['b', 'c', 'a']
        """
        if scores.shape != (len(query_ids), len(gallery_ids)):
            raise ShapeError(
                f"scores are {scores.shape}, expected ({len(query_ids)}, {len(gallery_ids)}): one row a query, "
                "one column a gallery tracklet"
            )
        check_finite(scores, query_ids, gallery_ids)
        order, best = best_first(scores, k)
        return cls(tuple(query_ids), tuple(gallery_ids), order, best)

    def best(self, query: int, k: int) -> list[tuple[str, float]]:
        """The first `k` (gallery id, similarity) of query number `query`."""
        return [
            (self.gallery_ids[i], float(s)) for i, s in zip(self.order[query, :k], self.scores[query, :k], strict=True)
        ]

    def table(self) -> NDArray[np.float32]:
        """(Q, G) similarities, gallery in its own order.

        Raises:
            ShapeError: if the ranking is cut off.
        """
        if self.order.shape[1] != len(self.gallery_ids):
            raise ShapeError(
                f"the ranking keeps {self.order.shape[1]} of {len(self.gallery_ids)} gallery tracklets, expected all; "
                "rank with k=None"
            )
        table = np.empty_like(self.scores)
        np.put_along_axis(table, self.order.astype(np.int64), self.scores, axis=1)
        return table

    def save(self, path: Path) -> None:
        """Write as ``.npz``, by way of a temporary name."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(path.name + ".part.npz")
        np.savez_compressed(
            temporary,
            query_ids=np.array(self.query_ids),
            gallery_ids=np.array(self.gallery_ids),
            order=self.order,
            scores=self.scores,
        )
        temporary.replace(path)

    @classmethod
    def load(cls, path: Path) -> Ranking:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as file:
            return cls(
                tuple(file["query_ids"].tolist()),
                tuple(file["gallery_ids"].tolist()),
                file["order"],
                file["scores"],
            )


def best_first(scores: NDArray[np.floating], k: int | None = None) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The columns of each row from the highest score down; equal scores keep the order of their columns.

    Args:
        scores: (Q, G), finite.
        k: keep the best k of each row; None keeps all.

    Returns:
        Columns and their scores, (Q, K) each, K = min(k, G).
    """
    Q, G = scores.shape
    K = G if k is None else min(k, G)
    if scores.dtype not in (np.float16, np.float32):  # too wide for the keys below
        wide = np.argsort(-scores, axis=1, kind="stable")[:, :K]
        return wide.astype(np.int32), np.take_along_axis(scores, wide, axis=1).astype(np.float32)
    order, best = np.empty((Q, K), np.int32), np.empty((Q, K), np.float32)
    step = max(1, _BLOCK // max(G, 1))
    for start in range(0, Q, step):
        rows = slice(start, start + step)
        # All keys of a row differ, so the fastest sort there is, which is not a stable one, will do.
        keys = _keys(scores[rows])
        if 0 < K < G:
            keys = np.partition(keys, K - 1, axis=1)
        keys = np.sort(keys[:, :K], axis=1)
        order[rows] = keys & 0xFFFFFFFF
        best[rows] = -_flip((keys >> 32).astype(np.int32)).view(np.float32)
    return order, best


def check_finite(scores: NDArray[np.floating], query_ids: Sequence[str], gallery_ids: Sequence[str]) -> None:
    """Refuse scores that are not numbers.

    Args:
        scores: (Q, G).
        query_ids: Q ids.
        gallery_ids: G ids.

    Raises:
        ShapeError: if there is one; the message names the first.
    """
    finite = np.isfinite(scores)
    if not finite.all():
        row, column = np.argwhere(~finite)[0]
        raise ShapeError(
            f"the score of query {query_ids[row]} against {gallery_ids[column]} is {scores[row, column]}, "
            "not a number; check the features of both"
        )


def _keys(scores: NDArray[np.floating]) -> NDArray[np.int64]:
    """Integers that rise as the score falls and then as the column rises: the score above, the column below."""
    # From zero, not by a minus sign, because -0.0 must become the same key as 0.0.
    falling = np.subtract(np.float32(0), scores, dtype=np.float32)
    keys = _flip(falling.view(np.int32)).astype(np.int64)
    keys <<= 32
    keys |= np.arange(scores.shape[1])
    return keys


def _flip(bits: NDArray[np.int32]) -> NDArray[np.int32]:
    """The bits of float32 numbers as integers in the same order, and back again."""
    return bits ^ ((bits >> 31) & 0x7FFFFFFF)
