"""Scores of a ranking: CMC, mean average precision of both kinds, mINP.

Shapes: Q queries, G gallery tracklets, K ranks kept by the ranking (K = G unless it was cut off), H matches found.

All of these scores follow from the ranks of the matches. `score_ranking` reads them off a ranking, `score_similarities`
counts them in the similarities themselves, and from there on both are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resight.errors import ProtocolError, ShapeError
from resight.evaluation.protocols import Labels, Protocol, judge_pairs
from resight.ranking import Ranking, check_finite
from resight.tracklet import Tracklet

AP_KIND = "mean precision at hits"
"""What `Scores.map` averages; `Scores.map_trapezoid` is the official MARS one."""

MEMORY_BUDGET = 2**23
"""Bytes for intermediate results: what stays in a core's cache is also the fastest."""

_PAIR_BYTES = 24
"""What intermediate results take for one pair of tracklets, at most."""

_Matches = tuple[NDArray[np.int64], NDArray[np.float64]]
"""Query number and rank, counted from 1 without junk, of H matches: by query, then by rank."""


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
    memory_budget: int = MEMORY_BUDGET,
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
        memory_budget: bytes that intermediate results may take, about; one query at least is judged at once.

    Raises:
        ShapeError: if `query` or `gallery` are not those of the ranking.
        ProtocolError: if the ranking is cut off and `allow_cut` is not set, or if no query has any match.
    """
    query = query if isinstance(query, Labels) else Labels.of(query)
    gallery = gallery if isinstance(gallery, Labels) else Labels.of(gallery)
    _check_ids("query", ranking.query_ids, query.ids)
    _check_ids("gallery", ranking.gallery_ids, gallery.ids)
    G, K = len(gallery.ids), ranking.order.shape[1]
    if K < G and not allow_cut:
        raise ProtocolError(
            f"the ranking keeps {K} of {G} gallery tracklets, and protocol {protocol.name} needs all of them: a match "
            "further down would be lost; rank with k=None, or allow the cut and read the scores as lower bounds"
        )

    def find(rows: slice, match: NDArray[np.bool_], junk: NDArray[np.bool_]) -> _Matches:
        return _matches_in_order(ranking.order[rows], match, junk)

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
    query = query if isinstance(query, Labels) else Labels.of(query)
    gallery = gallery if isinstance(gallery, Labels) else Labels.of(gallery)
    if similarity.shape != (len(query.ids), len(gallery.ids)):
        raise ShapeError(
            f"similarities are {similarity.shape}, expected ({len(query.ids)}, {len(gallery.ids)}): one row a query, "
            "one column a gallery tracklet"
        )

    def find(rows: slice, match: NDArray[np.bool_], junk: NDArray[np.bool_]) -> _Matches:
        check_finite(similarity[rows], query.ids[rows], gallery.ids)
        return _matches_by_count(similarity[rows], match, junk)

    return _score(find, query, gallery, protocol, max_rank, None, memory_budget)


def _score(
    find: Callable[[slice, NDArray[np.bool_], NDArray[np.bool_]], _Matches],
    query: Labels,
    gallery: Labels,
    protocol: Protocol,
    max_rank: int,
    cut_at: int | None,
    memory_budget: int,
) -> Scores:
    """Scores from a function that finds the matches of some queries, given their match and junk, (rows, G) each."""
    Q, G = len(query.ids), len(gallery.ids)
    asked = set(query.ids)
    is_query = np.array([tracklet_id in asked for tracklet_id in gallery.ids], dtype=bool)

    ap, ap_trapezoid, inp = (np.zeros(Q) for _ in range(3))
    first = np.full(Q, np.inf)
    matches = np.zeros(Q, dtype=np.int64)
    step = max(1, memory_budget // (_PAIR_BYTES * max(G, 1)))
    for start in range(0, Q, step):
        rows = slice(start, start + step)
        match, junk = judge_pairs(protocol, query.rows(rows), gallery, is_query)
        matches[rows] = match.sum(axis=1)
        ap[rows], ap_trapezoid[rows], inp[rows], first[rows] = _score_rows(*find(rows, match, junk), matches[rows])

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
        cut_at=cut_at,
    )


def _score_rows(
    row_H: NDArray[np.int64], rank_H: NDArray[np.float64], n: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """AP, trapezoid AP, INP and rank of the first match of each query; 0, 0, 0 and infinity where none is found.

    Args:
        row_H: query number of each match found, 0 … Q - 1, never falling.
        rank_H: its rank, counted from 1 without junk, rising for each query.
        n: (Q,) matches of each query, found or not.
    """
    Q = len(n)
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


def _matches_in_order(order: NDArray[np.int32], match: NDArray[np.bool_], junk: NDArray[np.bool_]) -> _Matches:
    """Matches of rankings.

    Args:
        order: (Q, K) gallery positions, best first.
        match: (Q, G) by gallery position.
        junk: (Q, G) by gallery position.
    """
    Q, K = order.shape
    # Row by row: numpy takes from one row several times faster than along an axis of many.
    kind_QK = np.empty((Q, K), np.int8)
    for kind, own, row in zip(kind_QK, match.view(np.int8) - junk.view(np.int8), order, strict=True):
        np.take(own, row, out=kind, mode="clip")
    row_H, place_H = np.divmod(np.flatnonzero(kind_QK == 1), max(K, 1))
    junk_places = np.flatnonzero(kind_QK == -1)
    junk_before_H = np.searchsorted(junk_places, row_H * K + place_H) - np.searchsorted(junk_places, row_H * K)
    return row_H, (place_H + 1 - junk_before_H).astype(np.float64)


def _matches_by_count(similarity: NDArray[np.floating], match: NDArray[np.bool_], junk: NDArray[np.bool_]) -> _Matches:
    """Matches by the number of better answers, which a sort of the values tells; no order is made.

    Args:
        similarity: (Q, G), finite.
        match: (Q, G).
        junk: (Q, G).
    """
    G = similarity.shape[1]
    answers = np.where(junk, -np.inf, similarity)
    rank_QH = []
    for row, rising, own in zip(answers, np.sort(answers, axis=1), match, strict=True):
        column_H = np.flatnonzero(own)
        value_H = row[column_H]
        better_H = G - np.searchsorted(rising, value_H, side="right")
        equal_H = G - better_H - np.searchsorted(rising, value_H, side="left")
        for tied in np.flatnonzero(equal_H > 1):
            better_H[tied] += np.count_nonzero(row[: column_H[tied]] == value_H[tied])
        rank_QH.append(np.sort(better_H + 1.0))
    return np.repeat(np.arange(len(rank_QH)), [len(rank_H) for rank_H in rank_QH]), np.concatenate(rank_QH)


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
