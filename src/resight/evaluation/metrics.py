"""Scores of a ranking: CMC, mean average precision of both kinds, mINP; and what they are worth.

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

from resight.checkpoints import replace_file
from resight.errors import ProtocolError
from resight.evaluation.matches import (
    MEMORY_BUDGET,
    FindMatches,
    QueryScores,
    blocks,
    match_finder,
    score_matches,
)
from resight.evaluation.protocols import PROTOCOLS, Labels, Protocol, judge_pairs
from resight.ranking import Ranking
from resight.tracklet import Tracklet

AP_KIND = "mean precision at hits"
"""What `Scores.map` averages; `Scores.map_trapezoid` is the official MARS one."""

_PER_QUERY = ("ap", "ap_trapezoid", "inp", "first")


@dataclass(frozen=True, eq=False)
class Scores:
    """How good a ranking is, all in 0 … 1 with 1 the best, and under which conditions.

    Attributes:
        protocol: name of the protocol.
        queries: Q, all queries that were asked.
        valid_queries: those that have a match; means are over these, or over all Q if the protocol counts the others 0.
        map: mean over queries of AP, the mean precision at hits.
        map_trapezoid: the same with the AP of the official MARS code.
        minp: mean inverse negative penalty: matches of a query, divided by the rank of the hardest of them.
        cmc: (R,) share of queries with a match at rank 1 … R or better; flat beyond the end of a short gallery.
        ap: (Q,) average precision of each query, NaN for one without a match; so are the next two.
        ap_trapezoid: (Q,) of the official MARS code.
        inp: (Q,) inverse negative penalty.
        first: (Q,) rank of the first match, from 1; infinity if none was found.
        query_ids: Q tracklet ids.
        gallery: G, junk included.
        without_match: what means do with queries without a match, see `Protocol`.
        cut_at: K, if the ranking kept only its best K of G; then matches beyond K count as never found, and `map`,
            `map_trapezoid`, `minp` and `cmc` are lower bounds.
        frames: what was looked at of each tracklet, such as ``8 clips of 4 frames``; None if nobody said.
        reranking: ``none``, or how the ranking was re-ranked; None if nobody said.
        persons: (Q,) whom each query shows: what intervals draw together; None in files of older versions.
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
        """(Q,) the queries that means are over."""
        return ~np.isnan(self.ap) if self.without_match == "exclude" else np.ones(self.queries, dtype=bool)

    def rank(self, k: int) -> float:
        """CMC at rank k, counted from 1.

        Raises:
            ProtocolError: if `k` is not among the ranks that were scored.
        """
        if not 1 <= k <= len(self.cmc):
            raise ProtocolError(f"rank {k} was not scored, only ranks 1 to {len(self.cmc)}; ask for more with max_rank")
        return float(self.cmc[k - 1])

    def measures(self) -> dict[str, float]:
        """The numbers that are quoted: both mAPs, mINP, and ranks 1, 5, 10 and 20 as far as they were scored."""
        ranks = {f"rank-{k}": self.rank(k) for k in (1, 5, 10, 20) if k <= len(self.cmc)}
        return {"map": self.map, "map_trapezoid": self.map_trapezoid, "minp": self.minp} | ranks

    def only(self, chosen: NDArray[np.bool_]) -> Scores:
        """The scores of some of the queries; nothing is ranked again. Means over no query are NaN.

        Args:
            chosen: (Q,).
        """
        part = replace(
            self,
            queries=int(chosen.sum()),
            query_ids=tuple(id_ for id_, own in zip(self.query_ids, chosen.tolist(), strict=True) if own),
            persons=None if self.persons is None else self.persons[chosen],
            **{name: getattr(self, name)[chosen] for name in _PER_QUERY},
        )
        return _with_means(part)

    def to_json(self, *, per_query: bool = False) -> dict[str, Any]:
        """As plain values, null for a mean over no query; ``cmc`` begins at rank 1.

        Args:
            per_query: add what each query got; null for a query without a match, or whose match was not found.
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
        """Write as JSON, each query included, so that another run can be compared with this one."""
        with replace_file(path) as temporary:
            temporary.write_text(json.dumps(self.to_json(per_query=True)), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Scores:
        """Read what `save` wrote.

        Raises:
            ProtocolError: if there is no such file, or it is something else.
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
                f"{path} is not a file of scores with every query ({type(error).__name__}: {error}); give one that an "
                "evaluation of this version wrote"
            ) from error

    def line(self) -> str:
        """What the scores are worth, in one line: to be printed with every score."""
        parts = [
            f"protocol {self.protocol}",
            f"AP: {AP_KIND}",
            f"{self.valid_queries} of {self.queries} queries have a match",
            conditions(self.frames, self.reranking),
        ]
        if self.without_match == "zero":
            parts.insert(3, "the others count 0")
        if self.cut_at is not None:
            parts.append(f"best {self.cut_at} only, so lower bounds")
        return "; ".join(parts)

    def deviation(self) -> str | None:
        """Why the scores cannot stand beside published ones of their protocol, as far as numbers tell; None if nothing.

        Only queries and gallery are counted: the official numbers of a protocol, where it has any.
        """
        official = PROTOCOLS[self.protocol].official if self.protocol in PROTOCOLS else None
        if official is None or official == (self.queries, self.gallery):
            return None
        queries, gallery = official
        return (
            f"published scores by protocol {self.protocol} are of {queries:,} queries in {gallery:,} tracklets; these "
            f"are of {self.queries:,} in {self.gallery:,}"
        )


def conditions(frames: str | None, reranking: str | None) -> str:
    """In words, what a score was made with: see `Scores.frames` and `Scores.reranking`."""
    reranked = {"none": "no re-ranking", None: "re-ranking not stated"}.get(reranking, str(reranking))
    return f"{frames or 'test-time frames not stated'}; {reranked}"


def score_ranking(
    ranking: Ranking,
    query: Sequence[Tracklet] | Labels,
    gallery: Sequence[Tracklet] | Labels,
    protocol: Protocol,
    *,
    max_rank: int = 50,
    allow_cut: bool = False,
    memory_budget: int = MEMORY_BUDGET,
) -> Scores:
    """Score a ranking by a protocol.

    CMC at k is the share of queries whose first match has rank k or better; for the other scores see `score_matches`.

    Args:
        ranking: Q rankings of G gallery tracklets.
        query: the tracklets (or labels) of `ranking.query_ids`, in that order.
        gallery: those of `ranking.gallery_ids`, in that order.
        protocol: what matches, and what is junk.
        max_rank: R, the last rank of the CMC.
        allow_cut: score a ranking that kept only its best K < G, and so may lack matches; see `Scores.cut_at`.
        memory_budget: bytes that intermediate results may take, about; one query at least is judged at once.

    Raises:
        ShapeError: if `query` or `gallery` are not those of the ranking.
        ProtocolError: if the ranking is cut off and `allow_cut` is not set, or if no query has any match.
    """
    query, gallery = _labels(query), _labels(gallery)
    find = match_finder(ranking, query, gallery)
    G, K = len(gallery.ids), ranking.order.shape[1]
    if K < G and not allow_cut:
        raise ProtocolError(
            f"the ranking keeps {K} of {G} gallery tracklets, and protocol {protocol.name} needs all of them: a match "
            "further down would be lost; rank with k=None, or allow the cut and read the scores as lower bounds"
        )
    return _score(find, query, gallery, protocol, max_rank, K if K < G else None, memory_budget)


def score_similarities(
    similarity: NDArray[np.floating],
    query: Sequence[Tracklet] | Labels,
    gallery: Sequence[Tracklet] | Labels,
    protocol: Protocol,
    *,
    max_rank: int = 50,
    memory_budget: int = MEMORY_BUDGET,
) -> Scores:
    """Score similarities by a protocol: as `score_ranking` of their ranking, which need not be made.

    Args:
        similarity: (Q, G), higher is better, all finite; of equal ones the first in the gallery ranks first.
        query: Q tracklets or labels.
        gallery: G tracklets or labels.
        protocol: what matches, and what is junk.
        max_rank: R, the last rank of the CMC.
        memory_budget: bytes that intermediate results may take, about; one query at least is judged at once.

    Raises:
        ShapeError: if the shapes do not fit or a similarity is not a number.
        ProtocolError: if no query has any match.
    """
    query, gallery = _labels(query), _labels(gallery)
    find = match_finder(similarity, query, gallery)
    return _score(find, query, gallery, protocol, max_rank, None, memory_budget)


def _score(
    find: FindMatches,
    query: Labels,
    gallery: Labels,
    protocol: Protocol,
    max_rank: int,
    cut_at: int | None,
    memory_budget: int,
) -> Scores:
    Q, G = len(query.ids), len(gallery.ids)
    is_query = gallery.among(query)
    found = QueryScores(np.zeros(Q), np.zeros(Q), np.zeros(Q), np.full(Q, np.inf))
    matches = np.zeros(Q, dtype=np.int64)
    for rows in blocks(Q, G, memory_budget):
        match, junk = judge_pairs(protocol, query.rows(rows), gallery, is_query)
        matches[rows] = match.sum(axis=1)
        row_H, rank_H, _ = find(rows, match, junk)
        for whole, block in zip(found, score_matches(row_H, rank_H, matches[rows]), strict=True):
            whole[rows] = block

    valid = matches > 0
    if not valid.any():
        asked, searched = (sorted(set(one.cameras.tolist())) for one in (query, gallery))
        raise ProtocolError(
            f"none of {Q} queries has a match among {G} gallery tracklets by protocol {protocol.name} "
            f"({protocol.description}) Query cameras are {asked}, gallery cameras {searched}: check the data set, or "
            "choose another protocol; any-camera needs no second camera"
        )
    for values in found[:3]:
        values[~valid] = np.nan
    scores = Scores(
        protocol=protocol.name,
        queries=Q,
        valid_queries=0,
        map=0.0,
        map_trapezoid=0.0,
        minp=0.0,
        cmc=np.zeros(max_rank),
        **found._asdict(),
        query_ids=query.ids,
        gallery=G,
        without_match=protocol.without_match,
        cut_at=cut_at,
        persons=query.persons,
    )
    return _with_means(scores)


def _with_means(scores: Scores) -> Scores:
    """The scores with every mean taken from what each query got."""
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
    """JSON knows no number that is none, and no infinity."""
    return value if np.isfinite(value) else None


def _labels(tracklets: Sequence[Tracklet] | Labels) -> Labels:
    return tracklets if isinstance(tracklets, Labels) else Labels.of(tracklets)
