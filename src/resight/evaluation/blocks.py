"""Evaluate one block of queries against a gallery that is read block by block; what a worker of a cluster does.

Legend: q queries of a block, G gallery tracklets, N tracklets of gallery and queries together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from resight.compute import Compute
from resight.evaluation.camera_pairs import all_cameras, camera_totals
from resight.evaluation.evaluate import best_candidates
from resight.evaluation.matches import QueryScores, matches_of_ranking
from resight.evaluation.metrics import score_queries
from resight.evaluation.open_set import OpenSetRows, open_set_rows
from resight.evaluation.protocols import Labels, Protocol
from resight.features.types import ClipFeatures
from resight.models.aggregators import Aggregator
from resight.ranking import Ranking, check_finite
from resight.scoring.all_pairs import score_all_pairs, score_pairs
from resight.scoring.rerank import NEIGHBOURS, rerank_rows
from resight.scoring.search import search_exactly


@dataclass(frozen=True)
class Rules:
    """What all blocks have in common.

    Attributes:
        query: Labels of all queries.
        gallery: Labels of the gallery.
        protocol: Rules for matches and junk.
        impostors: As in `Wanted`.
        kept: Number of gallery tracklets of each query that a ranking keeps.
        compute: Device and precision of scoring.
    """

    query: Labels
    gallery: Labels
    protocol: Protocol
    impostors: NDArray[np.int64] | None
    kept: int
    compute: Compute = Compute()


@dataclass(frozen=True)
class Reranking:
    """What re-ranking needs of a block, see `encode_neighbours`.

    Attributes:
        encoded: (q, N) rows of V of the queries.
        span: (q,) their spans.
    """

    encoded: csr_array
    span: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Part:
    """The results of a block of queries.

    Attributes:
        order: (q, K) gallery positions of the best, if details were wanted, else K = 0.
        best: (q, K) their similarities.
        scores: Scores of each query.
        matches: (q,) number of matches of each query.
        open_set: What an open-set search finds for each query; None if not wanted.
        candidates: Gallery positions of each query from which the weights of its clips are computed.
        pairs: (4, C, C) totals by pair of cameras, if details were wanted.
    """

    order: NDArray[np.int32]
    best: NDArray[np.float32]
    scores: QueryScores
    matches: NDArray[np.int64]
    open_set: OpenSetRows | None
    candidates: list[NDArray[np.integer]]
    pairs: NDArray[np.float64] | None


class BlockJudge:
    """Scores blocks of queries against a gallery in blocks; a worker of a cluster.

    It holds one block of the gallery at a time, and the similarities of one block of queries to the whole gallery.

    Args:
        rules: What all blocks have in common.
        blocks: Features of the gallery in blocks, then those of the queries that are not in it; as `fetch` takes them.
        gallery_blocks: How many of the blocks are the gallery.
        fetch: Returns the features of a block.
    """

    def __init__(
        self, rules: Rules, blocks: Sequence[Any], gallery_blocks: int, fetch: Callable[[Any], ClipFeatures]
    ) -> None:
        self._rules, self._blocks, self._gallery_blocks, self._fetch = rules, blocks, gallery_blocks, fetch
        self._is_query = rules.gallery.among(rules.query)

    def judge(
        self, aggregator: Aggregator, query: ClipFeatures, start: int, details: bool,
        reranking: Reranking | None = None, encoded_gallery: Any = None,
    ) -> Part:  # fmt: skip
        """Return the results of a block of queries.

        Args:
            aggregator: Aggregator that computes the similarities.
            query: Features of the queries.
            start: Number of the first of them.
            details: Whether to return the ranking and the totals by pair of cameras.
            reranking: What re-ranking needs; None: it is not wanted.
            encoded_gallery: (G, N) V of the gallery by columns, for re-ranking.
        """
        rules = self._rules
        labels = rules.query.rows(slice(start, start + len(query)))
        ranking = Ranking.from_scores(self._table(aggregator, query), query.ids, rules.gallery.ids)
        if reranking is not None:
            order, scores = rerank_rows(
                ranking.order, ranking.scores, reranking.encoded, encoded_gallery, reranking.span
            )
            ranking = Ranking(ranking.query_ids, ranking.gallery_ids, order, scores)
        find = matches_of_ranking(ranking, labels, rules.gallery)
        per_query, matches = score_queries(find, labels, rules.gallery, self._is_query, rules.protocol)
        found = totals = None
        if rules.impostors is not None:
            found = open_set_rows(ranking, labels, rules.gallery, self._is_query, rules.protocol, rules.impostors)
        if details:
            totals = camera_totals(find, labels, rules.gallery, all_cameras(rules.query, rules.gallery))
        kept = rules.kept if details else 0
        return Part(
            ranking.order[:, :kept].copy(), ranking.scores[:, :kept].copy(), per_query, matches, found,
            best_candidates(labels, rules.gallery, ranking.order), totals,
        )  # fmt: skip

    def least(self, aggregator: Aggregator, query: ClipFeatures) -> NDArray[np.float32]:
        """Return the smallest similarity of each query to the gallery, (q,)."""
        table = self._table(aggregator, query)
        check_finite(table, query.ids, self._rules.gallery.ids)
        smallest: NDArray[np.float32] = table.min(axis=1)
        return smallest

    def neighbours(self, aggregator: Aggregator, part: ClipFeatures) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Return positions and similarities of the nearest of all N tracklets to those of a block, (q, K) each."""
        order, best = np.zeros((len(part), 0), np.int32), np.zeros((len(part), 0), np.float32)
        start = 0
        for reference in self._blocks:
            block = self._fetch(reference)
            found, _ = search_exactly(part, block, aggregator, NEIGHBOURS, compute=self._rules.compute)
            order = np.hstack([order, found.order + np.int32(start)])
            best = np.hstack([best, found.scores])
            first = np.lexsort((order, -best), axis=1)[:, :NEIGHBOURS]
            order, best = np.take_along_axis(order, first, 1), np.take_along_axis(best, first, 1)
            start += len(block)
        return order, best

    def pairs(
        self, aggregator: Aggregator, values: NDArray[np.float32], rows: NDArray[np.int64], columns: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Return the similarities of pairs of tracklets (P,), given the features of all that occur, (n, M, D)."""
        return score_pairs(values, values, rows, columns, aggregator, compute=self._rules.compute)

    def _table(self, aggregator: Aggregator, query: ClipFeatures) -> NDArray[np.float32]:
        table = np.empty((len(query), len(self._rules.gallery.ids)), np.float32)
        start = 0
        for reference in self._blocks[: self._gallery_blocks]:
            values = self._fetch(reference).values
            table[:, start : start + len(values)] = score_all_pairs(
                query.values, values, aggregator, compute=self._rules.compute
            )
            start += len(values)
        return table
