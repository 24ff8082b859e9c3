"""The result of a search: for each query, gallery tracklets by descending similarity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resight.errors import ShapeError
from resight.outputs import replace_file

_BLOCK = 2**18
"""Number of scores that are sorted at once, small enough for the cache of a core."""


@dataclass(frozen=True)
class Ranking:
    """Ranked gallery tracklets for each query, best first.

    Search and re-ranking return this type. Metrics, explanations and pictures read it.

    Attributes:
        query_ids: Q tracklet ids.
        gallery_ids: G tracklet ids.
        order: (Q, K) int32, indices into `gallery_ids`, best first; K = G if the ranking is complete.
        scores: (Q, K) float32, similarities in the same order, non-increasing along each row.
    """

    query_ids: tuple[str, ...]
    gallery_ids: tuple[str, ...]
    order: NDArray[np.int32]
    scores: NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.order.shape != self.scores.shape or self.order.ndim != 2:
            raise ShapeError(
                f"order and scores must both have shape (Q, K), found {self.order.shape} and {self.scores.shape}"
            )
        if self.order.shape[0] != len(self.query_ids):
            raise ShapeError(
                f"expected one row per query, found {self.order.shape[0]} rows for {len(self.query_ids)} queries"
            )

    @classmethod
    def from_scores(
        cls,
        scores: NDArray[np.floating],
        query_ids: Sequence[str],
        gallery_ids: Sequence[str],
        k: int | None = None,
    ) -> Ranking:
        """Return the ranking by similarity. Equal scores keep the gallery's order.

        Args:
            scores: (Q, G) finite similarities, higher is better.
            query_ids: Q tracklet ids.
            gallery_ids: G tracklet ids.
            k: Number of gallery tracklets to keep per query; None keeps all.

        Raises:
            ShapeError: If the shapes do not match or a score is not finite.

        >>> r = Ranking.from_scores(np.array([[0.1, 0.9, 0.9]]), ["q"], ["a", "b", "c"])
        >>> [r.gallery_ids[i] for i in r.order[0]]
        ['b', 'c', 'a']
        """
        if scores.shape != (len(query_ids), len(gallery_ids)):
            raise ShapeError(
                f"scores have shape {scores.shape}, expected ({len(query_ids)}, {len(gallery_ids)}): one row per query "
                "and one column per gallery tracklet"
            )
        check_finite(scores, query_ids, gallery_ids)
        order, best = best_first(scores, k)
        return cls(tuple(query_ids), tuple(gallery_ids), order, best)

    def best(self, query: int, k: int) -> list[tuple[str, float]]:
        """Return the `k` best (gallery id, similarity) of the query with index `query`."""
        return [
            (self.gallery_ids[i], float(s)) for i, s in zip(self.order[query, :k], self.scores[query, :k], strict=True)
        ]

    def table(self) -> NDArray[np.float32]:
        """Return the (Q, G) similarities, with columns in the order of the gallery.

        Raises:
            ShapeError: If the ranking does not contain the whole gallery.
        """
        if self.order.shape[1] != len(self.gallery_ids):
            raise ShapeError(
                f"the ranking contains {self.order.shape[1]} of {len(self.gallery_ids)} gallery tracklets, expected "
                "all; rank with k=None"
            )
        table = np.empty_like(self.scores)
        np.put_along_axis(table, self.order.astype(np.int64), self.scores, axis=1)
        return table

    def save(self, path: Path) -> None:
        """Write the ranking to an ``.npz`` file. An existing file is replaced only when the new one is complete."""
        with replace_file(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(
                file,
                query_ids=np.array(self.query_ids),
                gallery_ids=np.array(self.gallery_ids),
                order=self.order,
                scores=self.scores,
            )

    @classmethod
    def load(cls, path: Path) -> Ranking:
        """Read a file that `save` wrote."""
        with np.load(path, allow_pickle=False) as file:
            return cls(
                tuple(file["query_ids"].tolist()),
                tuple(file["gallery_ids"].tolist()),
                file["order"],
                file["scores"],
            )


def best_first(scores: NDArray[np.floating], k: int | None = None) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Sort each row by descending score. Equal scores keep the order of their columns.

    Args:
        scores: (Q, G) finite scores.
        k: Number of columns to keep per row; None keeps all.

    Returns:
        Column indices and their scores, (Q, K) each, K = min(k, G).
    """
    Q, G = scores.shape
    K = G if k is None else min(k, G)
    if scores.dtype not in (np.float16, np.float32):  # these do not fit into the keys below
        wide = np.argsort(-scores, axis=1, kind="stable")[:, :K]
        return wide.astype(np.int32), np.take_along_axis(scores, wide, axis=1).astype(np.float32)
    order, best = np.empty((Q, K), np.int32), np.empty((Q, K), np.float32)
    step = max(1, _BLOCK // max(G, 1))
    for start in range(0, Q, step):
        rows = slice(start, start + step)
        # All keys of a row differ, so the sort need not be stable, and the fastest one can be used.
        keys = _keys(scores[rows])
        if 0 < K < G:
            keys = np.partition(keys, K - 1, axis=1)
        keys = np.sort(keys[:, :K], axis=1)
        order[rows] = keys & 0xFFFFFFFF
        best[rows] = -_flip((keys >> 32).astype(np.int32)).view(np.float32)
    return order, best


def check_finite(scores: NDArray[np.floating], query_ids: Sequence[str], gallery_ids: Sequence[str]) -> None:
    """Check that all scores are finite.

    Args:
        scores: (Q, G) scores.
        query_ids: Q tracklet ids.
        gallery_ids: G tracklet ids.

    Raises:
        ShapeError: If a score is not finite; the message names the first one.
    """
    finite = np.isfinite(scores)
    if not finite.all():
        row, column = np.argwhere(~finite)[0]
        raise ShapeError(
            f"the score of query {query_ids[row]} against {gallery_ids[column]} is {scores[row, column]}, expected a "
            "finite number; check the features of both"
        )


def _keys(scores: NDArray[np.floating]) -> NDArray[np.int64]:
    """Return sort keys: the upper 32 bits increase with falling score, the lower 32 bits are the column."""
    # Subtracting from zero, unlike negation, gives -0.0 and 0.0 the same key.
    falling = np.subtract(np.float32(0), scores, dtype=np.float32)
    keys = _flip(falling.view(np.int32)).astype(np.int64)
    keys <<= 32
    keys |= np.arange(scores.shape[1])
    return keys


def _flip(bits: NDArray[np.int32]) -> NDArray[np.int32]:
    """Convert the bits of float32 numbers to integers of the same order, and back."""
    return bits ^ ((bits >> 31) & 0x7FFFFFFF)
