"""Scores of a ranking: CMC, mean average precision of both kinds, mINP.

Shapes: Q queries, G gallery tracklets, K ranks kept by the ranking (K = G unless it was cut off), H matches found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resight.errors import ProtocolError, ShapeError
from resight.evaluation.protocols import Labels, Protocol, judge_pairs
from resight.ranking import Ranking
from resight.tracklet import Tracklet

AP_KIND = "mean precision at hits"
"""What `Scores.map` averages; `Scores.map_trapezoid` is the official MARS one."""

_CHUNK = 4_000_000
"""Pairs judged at once, which bounds the memory."""


@dataclass(frozen=True, eq=False)
class Scores:
    """How good a ranking is, all in 0 … 1 with 1 the best.

    Attributes:
        protocol: name of the protocol.
        queries: Q, all queries that were asked.
        valid_queries: those that have a match; means are over these, or over all Q if the protocol counts the others 0.
        map: mean over queries of AP, the mean precision at hits.
        map_trapezoid: the same with the AP of the official MARS code.
        minp: mean inverse negative penalty: matches of a query, divided by the rank of the hardest of them.
        cmc: (R,) share of queries with a match at rank 1 … R or better; flat beyond the end of a short gallery.
        ap: (Q,) average precision of each query, NaN for one without a match.
        cut_at: K, if the ranking kept only its best K of G; then matches beyond K count as never found, and `map`,
            `map_trapezoid`, `minp` and `cmc` are lower bounds.
    """

    protocol: str
    queries: int
    valid_queries: int
    map: float
    map_trapezoid: float
    minp: float
    cmc: NDArray[np.float64]
    ap: NDArray[np.float64]
    cut_at: int | None = None

    def rank(self, k: int) -> float:
        """CMC at rank k, counted from 1.

        Raises:
            ProtocolError: if `k` is not among the ranks that were scored.
        """
        if not 1 <= k <= len(self.cmc):
            raise ProtocolError(f"rank {k} was not scored, only ranks 1 to {len(self.cmc)}; ask for more with max_rank")
        return float(self.cmc[k - 1])

    def to_json(self) -> dict[str, Any]:
        """Everything but the per-query AP, as plain values; ``cmc`` begins at rank 1."""
        return {
            "protocol": self.protocol,
            "ap_kind": AP_KIND,
            "queries": self.queries,
            "valid_queries": self.valid_queries,
            "map": self.map,
            "map_trapezoid": self.map_trapezoid,
            "minp": self.minp,
            "cmc": self.cmc.tolist(),
            "cut_at": self.cut_at,
        }

    def line(self) -> str:
        """What the scores are worth, in one line: to be printed with every score."""
        cut = f"; best {self.cut_at} only, so lower bounds" if self.cut_at is not None else ""
        return (
            f"protocol {self.protocol}; AP: {AP_KIND}; {self.valid_queries} of {self.queries} queries have a match{cut}"
        )


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

    With junk taken out, let a query's n matches have ranks r_1 < … < r_n. Then

    * AP, mean precision at hits: (1/n) Σ_i i / r_i.
    * AP of the official MARS code (``compute_AP.m``), the area under the precision-recall curve by trapezoids:
      (1/n) Σ_i (i / r_i + p_i) / 2, with p_i the precision one rank before, (i-1) / (r_i - 1), or 1 at r_i = 1.
    * INP: n / r_n (Ye et al., Deep Learning for Person Re-identification, 2021).
    * CMC at k: whether r_1 ≤ k.

    Args:
        ranking: Q rankings of G gallery tracklets.
        query: the tracklets (or labels) of `ranking.query_ids`, in that order.
        gallery: those of `ranking.gallery_ids`, in that order.
        protocol: what matches, and what is junk.
        max_rank: R, the last rank of the CMC.
        allow_cut: score a ranking that kept only its best K < G, and so may lack matches; see `Scores.cut_at`.

    Raises:
        ShapeError: if `query` or `gallery` are not those of the ranking.
        ProtocolError: if the ranking is cut off and `allow_cut` is not set, or if no query has any match.
    """
    query = query if isinstance(query, Labels) else Labels.of(query)
    gallery = gallery if isinstance(gallery, Labels) else Labels.of(gallery)
    _check_ids("query", ranking.query_ids, query.ids)
    _check_ids("gallery", ranking.gallery_ids, gallery.ids)
    Q, G, K = len(query.ids), len(gallery.ids), ranking.order.shape[1]
    if K < G and not allow_cut:
        raise ProtocolError(
            f"the ranking keeps {K} of {G} gallery tracklets, and protocol {protocol.name} needs all of them: a match "
            "further down would be lost; rank with k=None, or allow the cut and read the scores as lower bounds"
        )
    asked = set(query.ids)
    is_query = np.array([tracklet_id in asked for tracklet_id in gallery.ids], dtype=bool)

    ap, ap_trapezoid, inp = (np.zeros(Q) for _ in range(3))
    first = np.full(Q, np.inf)
    matches = np.zeros(Q, dtype=np.int64)
    step = max(1, _CHUNK // max(G, 1))
    for start in range(0, Q, step):
        rows = slice(start, start + step)
        match, junk = judge_pairs(protocol, query.rows(rows), gallery, is_query)
        matches[rows] = match.sum(axis=1)
        ap[rows], ap_trapezoid[rows], inp[rows], first[rows] = _score_rows(ranking.order[rows], match, junk)

    valid = matches > 0
    if not valid.any():
        raise ProtocolError(
            f"none of {Q} queries has a match among {G} gallery tracklets by protocol {protocol.name} "
            f"({protocol.description}) A match is the query's person under another camera; query cameras are "
            f"{sorted(set(query.cameras.tolist()))}, gallery cameras {sorted(set(gallery.cameras.tolist()))}: "
            "check the data set, or choose another protocol"
        )
    counted = valid if protocol.without_match == "exclude" else np.ones(Q, dtype=bool)
    ranks = np.arange(1, max_rank + 1)
    return Scores(
        protocol=protocol.name,
        queries=Q,
        valid_queries=int(valid.sum()),
        map=float(ap[counted].mean()),
        map_trapezoid=float(ap_trapezoid[counted].mean()),
        minp=float(inp[counted].mean()),
        cmc=np.searchsorted(np.sort(first[counted]), ranks, side="right") / counted.sum(),
        ap=np.where(valid, ap, np.nan),
        cut_at=K if K < G else None,
    )


def _score_rows(
    order: NDArray[np.int32], match: NDArray[np.bool_], junk: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """AP, trapezoid AP, INP and rank of the first match of each query; 0, 0, 0 and infinity where none is found.

    Args:
        order: (Q, K) gallery positions, best first.
        match: (Q, G) by gallery position.
        junk: (Q, G) by gallery position.
    """
    Q = len(order)
    n = match.sum(axis=1)
    rank_QK = np.cumsum(~np.take_along_axis(junk, order, axis=1), axis=1, dtype=np.int32)
    # From here only the matches found: H of them, by query, then by rank.
    row_H, column_H = np.nonzero(np.take_along_axis(match, order, axis=1))
    rank_H = rank_QK[row_H, column_H].astype(np.float64)
    found = np.bincount(row_H, minlength=Q)
    hit_H = np.arange(len(row_H)) - np.repeat(np.cumsum(found) - found, found) + 1
    precision_H = hit_H / rank_H
    before_H = np.where(rank_H == 1, 1.0, (hit_H - 1) / np.maximum(rank_H - 1, 1))

    at_least_one = np.maximum(n, 1)
    ap = np.bincount(row_H, precision_H, Q) / at_least_one
    ap_trapezoid = np.bincount(row_H, (precision_H + before_H) / 2, Q) / at_least_one
    first = np.full(Q, np.inf)
    first[row_H[hit_H == 1]] = rank_H[hit_H == 1]
    inp = np.zeros(Q)
    last_H = hit_H == n[row_H]  # the hardest match; a cut ranking may not reach it
    inp[row_H[last_H]] = precision_H[last_H]
    return ap, ap_trapezoid, inp, first


def _check_ids(role: str, ranked: Sequence[str], given: Sequence[str]) -> None:
    if len(ranked) != len(given):
        raise ShapeError(
            f"the ranking has {len(ranked)} {role} tracklets, but {len(given)} were given to score it with"
        )
    for place, (expected, found) in enumerate(zip(ranked, given, strict=True)):
        if expected != found:
            raise ShapeError(
                f"{role} tracklet number {place} of the ranking is {expected!r}, but {found!r} was given; give the "
                f"tracklets in the order of ranking.{role}_ids"
            )
