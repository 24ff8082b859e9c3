"""The one result type: for each query, gallery tracklets from the best match down, with their similarity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resight.errors import ShapeError


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
        if not np.isfinite(scores).all():
            row, column = np.argwhere(~np.isfinite(scores))[0]
            raise ShapeError(
                f"the score of query {query_ids[row]} against {gallery_ids[column]} is {scores[row, column]}, "
                "not a number; check the features of both"
            )
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k].astype(np.int32)
        best = np.take_along_axis(scores, order, axis=1).astype(np.float32)
        return cls(tuple(query_ids), tuple(gallery_ids), order, best)

    def best(self, query: int, k: int) -> list[tuple[str, float]]:
        """The first `k` (gallery id, similarity) of query number `query`."""
        return [
            (self.gallery_ids[i], float(s)) for i, s in zip(self.order[query, :k], self.scores[query, :k], strict=True)
        ]

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
