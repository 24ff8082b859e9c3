"""Evaluate in blocks with workers of a cluster; results equal those of one process up to rounding.

The gallery is divided into blocks that all workers read from Ray's object store, and the queries into blocks, each of
which is one job. A worker returns a few numbers per query, so neither a worker nor this process holds all similarities.

Legend: Q queries, G gallery tracklets, N tracklets of both together, each once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

from resight.cluster import ATTEMPTS, Job, Workers
from resight.errors import ClusterError
from resight.evaluation.blocks import BlockJudge, Part, Reranking, Rules
from resight.evaluation.camera_pairs import all_cameras, camera_pairs_of
from resight.evaluation.evaluate import labels_of, weights_in_pairs
from resight.evaluation.judge import Judged, Wanted, labelled
from resight.evaluation.matches import QueryScores
from resight.evaluation.metrics import scores_of_queries
from resight.evaluation.open_set import OpenSetRows, open_set_of
from resight.features.types import ClipFeatures
from resight.models.aggregators import Aggregator
from resight.progress import Progress
from resight.ranking import Ranking
from resight.scoring.rerank import RERANKING, encode_neighbours

GALLERY_BLOCK = 2048
"""Gallery tracklets that a worker reads at once: 32 MiB of features with 8 clips of 512 values."""

ROW_BYTES, BLOCK_BUDGET, MOST_QUERIES = 48, 2**28, 64
"""Bytes per gallery tracklet of a query while its ranking is made, bytes of a block of queries, and most queries of a
block, so that a lost worker costs little."""

BLOCKS_PER_WORKER = 4
"""Least number of blocks of queries per worker, so that workers end at about the same time."""

KEPT = 2**26
"""Ranked tracklets of all queries together that are returned: 512 MiB. Beyond it, the ranking is cut off."""

PAIRS = 4096
"""Single pairs of tracklets that are one job of re-ranking."""


class ClusterJudge:
    """Judges aggregators with workers of a cluster, as `judge_here` does in one process.

    Args:
        ray: The module Ray, connected to a cluster.
        workers: Number of workers.
        methods: Number of aggregators that will be judged, for the progress.
        progress: Called with (blocks done, blocks in total).
    """

    def __init__(self, ray: Any, workers: int, methods: int = 1, progress: Progress | None = None) -> None:
        self._ray, self._count, self._methods, self._progress = ray, workers, methods, progress
        self._evaluation: _Evaluation | None = None
        self._done = 0

    def __call__(self, wanted: Wanted, aggregator: Aggregator, headline: bool) -> Judged:
        """Return the results of one aggregator, see `judge_here`.

        Raises:
            ClusterError: If no worker can be started, or a block was lost with several workers.
            ProtocolError: If no query has a match.
        """
        if self._evaluation is None or self._evaluation.wanted is not wanted:
            self.stop()  # the cores of earlier workers are needed
            self._evaluation = _Evaluation(self._ray, self._count, wanted, self._report)
            self._done = 0
        return self._evaluation.judge(aggregator, headline)

    def stop(self) -> None:
        """End the workers, if there are any."""
        if self._evaluation is not None:
            self._evaluation.workers.stop()
            self._evaluation = None

    def _report(self, blocks: int) -> None:
        self._done += 1
        if self._progress is not None:
            self._progress(self._done, blocks * self._methods)


class _Evaluation:
    """One query set and gallery on the workers."""

    def __init__(self, ray: Any, count: int, wanted: Wanted, report: Any) -> None:
        self.wanted, self._ray, self._count, self._report = wanted, ray, count, report
        query, gallery = wanted.query, wanted.gallery
        self.everyone = gallery.joined_with(query) if wanted.reranked else gallery
        gpu = wanted.compute.device.startswith("cuda")
        # On a worker, the only GPU that it sees is its own.
        compute = replace(wanted.compute, device="cuda" if gpu else "cpu")
        kept = min(len(gallery), max(1, KEPT // len(query)))
        self._rules = Rules(labels_of(query), labels_of(gallery), wanted.protocol, wanted.impostors, kept, compute)
        parts = _ranges(0, len(gallery), GALLERY_BLOCK)
        others = _ranges(len(gallery), len(self.everyone), GALLERY_BLOCK)
        blocks = [ray.put(self.everyone.rows(np.arange(*part))) for part in parts + others]
        arguments = ray.put(self._rules), blocks, len(parts), ray.get
        self.workers = Workers(ray, BlockJudge, arguments, count, gpu)
        self._queries = self._blocks(len(query))
        self._rows = self._blocks(len(self.everyone)) if wanted.reranked else []

    def _blocks(self, rows: int) -> list[tuple[int, int]]:
        """Return ranges of rows, each of which is a job."""
        most = max(1, min(MOST_QUERIES, BLOCK_BUDGET // (ROW_BYTES * len(self.everyone))))
        return _ranges(0, rows, max(1, min(most, -(-rows // (BLOCKS_PER_WORKER * self._count)))))

    def judge(self, aggregator: Aggregator, headline: bool) -> Judged:
        wanted, rules = self.wanted, self._rules
        shared = self._ray.put(aggregator)
        rerankings: dict[int, Reranking] = {}
        encoded = None
        if wanted.reranked:
            rerankings, encoded = self._encoded(shared)
        jobs = (
            Job(start, "judge", (shared, self._part(wanted.query, start, stop), start, headline,
                                 rerankings.get(start), encoded))
            for start, stop in self._queries
        )  # fmt: skip
        done = self._results(jobs)
        parts: list[Part] = [done[start] for start, _ in self._queries]
        labels = rules.query, rules.gallery
        ranking = Ranking(
            rules.query.ids, rules.gallery.ids, np.concatenate([part.order for part in parts]),
            np.concatenate([part.best for part in parts]),
        )  # fmt: skip
        scores = scores_of_queries(
            QueryScores(*map(np.concatenate, zip(*(part.scores for part in parts), strict=True))),
            np.concatenate([part.matches for part in parts]), *labels, wanted.protocol,
        )  # fmt: skip
        scores = replace(scores, frames=wanted.query.frames, reranking=RERANKING if wanted.reranked else "none")
        open_set = weights = pairs = None
        found = [part.open_set for part in parts if part.open_set is not None]
        if found:
            joined = OpenSetRows(*map(np.concatenate, zip(*found, strict=True)))
            open_set = open_set_of(joined, *labels, wanted.protocol, wanted.impostors)
        if wanted.weights and aggregator.learns_importance:
            candidates = [best for part in parts for best in part.candidates]
            weights = weights_in_pairs(wanted.query, wanted.gallery, candidates, aggregator)
        if headline and wanted.camera_pairs:
            totals = np.sum([part.pairs for part in parts if part.pairs is not None], axis=0)
            pairs = camera_pairs_of(totals, all_cameras(*labels))
        return labelled(Judged(ranking, scores, open_set, weights, pairs))

    def _encoded(self, shared: Any) -> tuple[dict[int, Reranking], Any]:
        """Return what re-ranking needs of each block of queries, and a reference to V of the gallery by columns."""
        query, ids = self.wanted.query, self.everyone.ids
        jobs = (Job(start, "least", (shared, self._part(query, start, stop))) for start, stop in self._queries)
        smallest = self._results(jobs)
        of_queries = np.concatenate([smallest[start] for start, _ in self._queries])
        found = self._results(
            Job(start, "neighbours", (shared, self._part(self.everyone, start, stop))) for start, stop in self._rows
        )
        order, scores = (np.concatenate([found[start][side] for start, _ in self._rows]) for side in (0, 1))
        place = {id_: row for row, id_ in enumerate(ids)}
        rows = np.array([place[id_] for id_ in query.ids])
        least = np.full(len(ids), of_queries.mean(), np.float32)
        least[rows] = of_queries

        def score_pairs(first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.float32]:
            return self._score_pairs(shared, first, second)

        V, span = encode_neighbours(Ranking(ids, ids, order, scores), least, score_pairs=score_pairs)
        rerankings = {
            start: Reranking(V[rows[start:stop]], span[rows[start:stop]]) for start, stop in self._queries
        }  # fmt: skip
        return rerankings, self._ray.put(csc_array(V[: len(self.wanted.gallery)]))

    def _score_pairs(
        self, shared: Any, first: NDArray[np.int64], second: NDArray[np.int64]
    ) -> NDArray[np.float32]:  # fmt: skip
        def job(start: int, stop: int) -> Job[int]:
            pairs = np.stack([first[start:stop], second[start:stop]])
            used, places = np.unique(pairs, return_inverse=True)
            rows, columns = places.reshape(pairs.shape)
            return Job(start, "pairs", (shared, self.everyone.values[used], rows, columns))

        parts = _ranges(0, len(first), PAIRS)
        found = self._results((job(*part) for part in parts), counted=False)
        return np.concatenate([found[start] for start, _ in parts])

    def _results(self, jobs: Iterable[Job[int]], counted: bool = True) -> dict[int, Any]:
        """Do jobs, and return their results by their first rows."""
        results = {}
        for done in self.workers.do(jobs):
            if done.given_up:
                raise ClusterError(
                    f"{ATTEMPTS} workers were lost while they scored the same block, which is what happens if a "
                    "machine of the cluster has too little memory: use machines with more memory"
                )
            results[done.item] = done.result
            if counted:
                self._report(len(self._queries) * (2 if self.wanted.reranked else 1) + len(self._rows))
        return results

    @staticmethod
    def _part(features: ClipFeatures, start: int, stop: int) -> ClipFeatures:
        return features.rows(np.arange(start, stop))


def _ranges(start: int, stop: int, step: int) -> list[tuple[int, int]]:
    return [(first, min(first + step, stop)) for first in range(start, stop, step)]
