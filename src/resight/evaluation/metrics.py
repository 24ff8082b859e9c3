"""Scores of a ranking: CMC, both kinds of mean average precision and mINP, with the conditions they hold for.

Shapes: Q queries, G gallery tracklets, R ranks of the CMC.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from resight.errors import ProtocolError
from resight.evaluation.matches import (
    FindMatches,
    QueryScores,
    blocks,
    matches_of_ranking,
    matches_of_similarity,
    score_matches,
)
from resight.evaluation.protocols import PROTOCOLS, Labels, Protocol, judge_pairs
from resight.outputs import replace_file
from resight.ranking import Ranking
from resight.tracklet import Tracklet

AP_KIND = "mean precision at hits"
"""Kind of AP in `Scores.map`. `Scores.map_trapezoid` is the one of the official MARS code."""

_PER_QUERY = ("ap", "ap_trapezoid", "inp", "first")


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores of a ranking, from 0 to 1 (best), and the conditions they hold for.

    Attributes:
        protocol: Name of the protocol.
        queries: Q, number of queries.
        valid_queries: Number of queries with a match. Means are over these, or over all Q if the protocol counts a
            query without a match as 0.
        map: Mean AP over queries, with AP as the mean precision at hits.
        map_trapezoid: Mean AP of the official MARS code.
        minp: Mean inverse negative penalty: number of matches of a query, divided by the rank of the hardest one.
        cmc: (R,) share of queries with a match at rank 1 … R or better; constant beyond the end of a short gallery.
        ap: (Q,) average precision of each query; NaN for a query without a match, as in the next two arrays.
        ap_trapezoid: (Q,) average precision of the official MARS code.
        inp: (Q,) inverse negative penalty.
        first: (Q,) rank of the first match, counted from 1; infinity if there is none.
        query_ids: Q tracklet ids.
        gallery: G, number of gallery tracklets, junk included.
        without_match: Treatment of queries without a match, see `Protocol`.
        cut_at: K, if the ranking keeps only the best K of G. Matches beyond K then count as not found, and `map`,
            `map_trapezoid`, `minp` and `cmc` are lower bounds.
        frames: Frames used of each tracklet, such as ``8 clips of 4 frames``; None if unknown.
        reranking: ``none``, or the method of re-ranking; None if unknown.
        persons: (Q,) person of each query, which intervals resample; None in files of older versions.
    """

    protocol: str
    queries: int
    valid_queries: int
    map: float
    map_trapezoid: float
    minp: float
    cmc: NDArray[np.float64]
    ap: NDArray[np.float64]
    ap_trapezoid: NDArray[np.float64]
    inp: NDArray[np.float64]
    first: NDArray[np.float64]
    query_ids: tuple[str, ...]
    gallery: int
    without_match: Literal["exclude", "zero"] = "exclude"
    cut_at: int | None = None
    frames: str | None = None
    reranking: str | None = None
    persons: NDArray[np.int64] | None = None

    @property
    def counted(self) -> NDArray[np.bool_]:
        """(Q,) True for the queries that the means include."""
        return ~np.isnan(self.ap) if self.without_match == "exclude" else np.ones(self.queries, dtype=bool)

    def rank(self, k: int) -> float:
        """Return the CMC at rank k, counted from 1.

        Raises:
            ProtocolError: If `k` is not among the scored ranks.
        """
        if not 1 <= k <= len(self.cmc):
            raise ProtocolError(f"rank {k} was not scored, only ranks 1 to {len(self.cmc)}; increase max_rank")
        return float(self.cmc[k - 1])

    def measures(self) -> dict[str, float]:
        """Return both mAPs, mINP, and the CMC at ranks 1, 5, 10 and 20 as far as they were scored."""
        ranks = {f"rank-{k}": self.rank(k) for k in (1, 5, 10, 20) if k <= len(self.cmc)}
        return {"map": self.map, "map_trapezoid": self.map_trapezoid, "minp": self.minp} | ranks

    def only(self, chosen: NDArray[np.bool_]) -> Scores:
        """Return the scores of a subset of the queries. Means over no query are NaN.

        Args:
            chosen: (Q,) True for the queries to keep.
        """
        part = replace(
            self,
            queries=int(chosen.sum()),
            query_ids=tuple(id_ for id_, keep in zip(self.query_ids, chosen.tolist(), strict=True) if keep),
            persons=None if self.persons is None else self.persons[chosen],
            **{name: getattr(self, name)[chosen] for name in _PER_QUERY},
        )
        return _with_means(part)

    def to_json(self, *, per_query: bool = False) -> dict[str, Any]:
        """Return the scores as plain values; null for a mean over no query; ``cmc`` begins at rank 1.

        Args:
            per_query: Include the scores of each query; null for a query without a match.
        """
        values: dict[str, Any] = {
            "protocol": self.protocol,
            "ap_kind": AP_KIND,
            "queries": self.queries,
            "valid_queries": self.valid_queries,
            "without_match": self.without_match,
            "gallery": self.gallery,
            "frames": self.frames,
            "reranking": self.reranking,
            "map": _or_null(self.map),
            "map_trapezoid": _or_null(self.map_trapezoid),
            "minp": _or_null(self.minp),
            "cmc": [_or_null(value) for value in self.cmc.tolist()],
            "cut_at": self.cut_at,
        }
        if per_query:
            rows = {name: getattr(self, name).tolist() for name in _PER_QUERY}
            values["per_query"] = {"id": list(self.query_ids)} | {
                name: [_or_null(value) for value in row] for name, row in rows.items()
            }
            if self.persons is not None:
                values["per_query"]["person"] = self.persons.tolist()
        return values

    def save(self, path: Path) -> None:
        """Write the scores as JSON, including those of each query, so that other runs can be compared with them."""
        with replace_file(path) as temporary:
            temporary.write_text(json.dumps(self.to_json(per_query=True)), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Scores:
        """Read a file written by `save`.

        Raises:
            ProtocolError: If the file cannot be read or has other content.
        """
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            per_query = values.pop("per_query")
            del values["ap_kind"]
            values |= {name: np.array(per_query[name], dtype=np.float64) for name in _PER_QUERY}
            values["first"][np.isnan(values["first"])] = np.inf
            values["cmc"] = np.array(values["cmc"])
            persons = np.array(per_query["person"], dtype=np.int64) if "person" in per_query else None
            return cls(**values, query_ids=tuple(per_query["id"]), persons=persons)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ProtocolError(
                f"{path} is not a file of scores per query ({type(error).__name__}: {error}); pass a "
                "queries-….json written by `resight evaluate --out`"
            ) from error

    def line(self) -> str:
        """Return the conditions of the scores in one line, which is printed with every score."""
        parts = [
            f"protocol {self.protocol}",
            f"AP: {AP_KIND}",
            f"{self.valid_queries} of {self.queries} queries have a match",
            conditions(self.frames, self.reranking),
        ]
        if self.without_match == "zero":
            parts.insert(3, "queries without a match count as 0")
        if self.cut_at is not None:
            parts.append(f"lower bounds from the best {self.cut_at} candidates")
        return "; ".join(parts)

    def deviation(self) -> str | None:
        """Return why the scores are not comparable with published ones, or None.

        Only the numbers of queries and gallery tracklets are compared with the official ones of the protocol.
        """
        official = PROTOCOLS[self.protocol].official if self.protocol in PROTOCOLS else None
        if official is None or official == (self.queries, self.gallery):
            return None
        queries, gallery = official
        return (
            f"published scores of protocol {self.protocol} use {queries:,} queries and {gallery:,} gallery tracklets; "
            f"these use {self.queries:,} and {self.gallery:,}, and are not comparable"
        )


def conditions(frames: str | None, reranking: str | None) -> str:
    """Return frames and re-ranking of a score in words, see `Scores.frames` and `Scores.reranking`."""
    reranked = {"none": "no re-ranking", None: "re-ranking unknown"}.get(reranking, str(reranking))
    return f"{frames or 'test-time frames unknown'}; {reranked}"


def score_ranking(
    ranking: Ranking,
    query: Sequence[Tracklet] | Labels,
    gallery: Sequence[Tracklet] | Labels,
    protocol: Protocol,
    *,
    max_rank: int = 50,
    allow_cut: bool = False,
) -> Scores:
    """Score a ranking by a protocol.

    CMC at k is the share of queries whose first match has rank k or better. For the other scores see `score_matches`.

    Args:
        ranking: Rankings of G gallery tracklets for Q queries.
        query: Tracklets of `ranking.query_ids`, or their labels, in this order.
        gallery: Tracklets of `ranking.gallery_ids`, or their labels, in this order.
        protocol: Rules for matches and junk.
        max_rank: R, the last rank of the CMC.
        allow_cut: Score a ranking that keeps only the best K < G and may lack matches, see `Scores.cut_at`.

    Raises:
        ShapeError: If the tracklets are not those of the ranking.
        ProtocolError: If the ranking is cut off and `allow_cut` is not set, or if no query has a match.
    """
    query, gallery = Labels.of(query), Labels.of(gallery)
    find = matches_of_ranking(ranking, query, gallery)
    G, K = len(gallery.ids), ranking.order.shape[1]
    if K < G and not allow_cut:
        raise ProtocolError(
            f"the ranking keeps {K} of {G} gallery tracklets, and protocol {protocol.name} needs all of them, because "
            "matches further down would be lost; rank with k=None, or set allow_cut to get lower bounds"
        )
    return _score(find, query, gallery, protocol, max_rank, K if K < G else None)


def score_similarities(
    similarity: NDArray[np.floating],
    query: Sequence[Tracklet] | Labels,
    gallery: Sequence[Tracklet] | Labels,
    protocol: Protocol,
    *,
    max_rank: int = 50,
) -> Scores:
    """Score similarities by a protocol, with the result of `score_ranking` but without building the ranking.

    Args:
        similarity: (Q, G), higher is better, all finite. Of equal ones, the first in the gallery ranks first.
        query: Q tracklets or their labels.
        gallery: G tracklets or their labels.
        protocol: Rules for matches and junk.
        max_rank: R, the last rank of the CMC.

    Raises:
        ShapeError: If the shapes do not fit or a similarity is not finite.
        ProtocolError: If no query has a match.
    """
    query, gallery = Labels.of(query), Labels.of(gallery)
    find = matches_of_similarity(similarity, query, gallery)
    return _score(find, query, gallery, protocol, max_rank, None)


def _score(
    find: FindMatches,
    query: Labels,
    gallery: Labels,
    protocol: Protocol,
    max_rank: int,
    cut_at: int | None,
) -> Scores:
    per_query, matches = score_queries(find, query, gallery, gallery.among(query), protocol)
    return scores_of_queries(per_query, matches, query, gallery, protocol, max_rank=max_rank, cut_at=cut_at)


def score_queries(
    find: FindMatches, query: Labels, gallery: Labels, is_query: NDArray[np.bool_], protocol: Protocol
) -> tuple[QueryScores, NDArray[np.int64]]:
    """Return the scores of each query, and its number of matches.

    Args:
        find: Returns the matches of a slice of the queries.
        query: Labels of Q queries, all or some of them.
        gallery: Labels of G gallery tracklets.
        is_query: (G,) True for gallery tracklets that are also queries, of all queries.
        protocol: Rules for matches and junk.
    """
    Q, G = len(query.ids), len(gallery.ids)
    per_query = QueryScores(np.zeros(Q), np.zeros(Q), np.zeros(Q), np.full(Q, np.inf))
    matches = np.zeros(Q, dtype=np.int64)
    for rows in blocks(Q, G):
        match, junk = judge_pairs(protocol, query.rows(rows), gallery, is_query)
        matches[rows] = match.sum(axis=1)
        row_H, rank_H, _ = find(rows, match, junk)
        for whole, block in zip(per_query, score_matches(row_H, rank_H, matches[rows]), strict=True):
            whole[rows] = block
    return per_query, matches


def scores_of_queries(
    per_query: QueryScores,
    matches: NDArray[np.int64],
    query: Labels,
    gallery: Labels,
    protocol: Protocol,
    *,
    max_rank: int = 50,
    cut_at: int | None = None,
) -> Scores:
    """Return the scores that follow from those of each query.

    Args:
        per_query: Scores of Q queries, from `score_queries`; they are changed.
        matches: (Q,) number of matches of each.
        query: Labels of the Q queries.
        gallery: Labels of G gallery tracklets.
        protocol: Rules for matches and junk.
        max_rank: R, the last rank of the CMC.
        cut_at: See `Scores.cut_at`.

    Raises:
        ProtocolError: If no query has a match.
    """
    Q, G = len(query.ids), len(gallery.ids)
    valid = matches > 0
    if not valid.any():
        query_cameras, gallery_cameras = (sorted(set(side.cameras.tolist())) for side in (query, gallery))
        raise ProtocolError(
            f"none of {Q} queries has a match in {G} gallery tracklets by protocol {protocol.name} "
            f"({protocol.description}) Query cameras are {query_cameras}, gallery cameras {gallery_cameras}: check the "
            "data set, or choose another protocol; any-camera does not need a second camera"
        )
    for values in per_query[:3]:
        values[~valid] = np.nan
    scores = Scores(
        protocol=protocol.name,
        queries=Q,
        valid_queries=0,
        map=0.0,
        map_trapezoid=0.0,
        minp=0.0,
        cmc=np.zeros(max_rank),
        **per_query._asdict(),
        query_ids=query.ids,
        gallery=G,
        without_match=protocol.without_match,
        cut_at=cut_at,
        persons=query.persons,
    )
    return _with_means(scores)


def _with_means(scores: Scores) -> Scores:
    """Return the scores with all means computed from the scores of each query."""
    counted = scores.counted
    number, ranks = np.count_nonzero(counted), np.arange(1, len(scores.cmc) + 1)

    def mean(values: NDArray[np.float64]) -> float:
        return float(np.nan_to_num(values[counted]).mean()) if number else np.nan

    reached = np.searchsorted(np.sort(scores.first[counted]), ranks, side="right")
    return replace(
        scores,
        valid_queries=int(np.count_nonzero(~np.isnan(scores.ap))),
        map=mean(scores.ap),
        map_trapezoid=mean(scores.ap_trapezoid),
        minp=mean(scores.inp),
        cmc=reached / number if number else np.full(len(ranks), np.nan),
    )


def _or_null(value: float) -> float | None:
    """Return a number, or None for NaN and infinity, which JSON does not have."""
    return value if np.isfinite(value) else None
