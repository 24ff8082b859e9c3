"""How well tracklets are found when some of their clips are damaged: scores over the rate of damage.

Protocol of the paper's Sec. 4.4, for any kinds of damage and either side: each tracklet has 0 to M_c^max damaged clips,
M_c^max is the rate. Clips are damaged alike for all aggregators, and those of a kind are those of every other kind.
Damage that brings somebody else in makes tracklets of two persons show the same one; such pairs are junk.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from resight.compute import Compute
from resight.errors import RecipeError
from resight.evaluation.damage import DamageAuroc, auroc_by_fault
from resight.evaluation.evaluate import clip_weights, labels_of, rank_features
from resight.evaluation.metrics import Scores, score_ranking
from resight.evaluation.protocols import Labels, Protocol, show_somebody_else
from resight.features.damaged import mixed_damage
from resight.features.types import ClipFeatures
from resight.models.contract import Aggregator
from resight.progress import Progress
from resight.tracklet import JUNK

Side = Literal["query", "gallery", "both"]

Strangers = Mapping[str, Mapping[str, NDArray[np.int64]]]
"""Kind of damage → tracklet id → (M,) persons whom it brings into each clip."""


@dataclass(frozen=True)
class DamageCurve:
    """Scores of one aggregator over the rate of damage, all in 0 … 1.

    Attributes:
        kinds: of damage; a damaged clip has one of them.
        side: whose clips are damaged: of the ``query``, of the ``gallery``, or of ``both``.
        rates: (R,) M_c^max, rising from 0, which is clean.
        map: (R,) mean average precision, like the next two.
        rank1: (R,) share of queries with a match at rank 1.
        minp: (R,) mean inverse negative penalty.
        auroc: by kind, how well low weight of a query clip points at damage at the highest rate; empty if no query
            clip is damaged.
        seed: of the damage.
        conditions: protocol, number of queries and such, in one line.
    """

    kinds: tuple[str, ...]
    side: Side
    rates: tuple[int, ...]
    map: tuple[float, ...]
    rank1: tuple[float, ...]
    minp: tuple[float, ...]
    auroc: Mapping[str, DamageAuroc]
    seed: int
    conditions: str

    @property
    def drop(self) -> tuple[float, ...]:
        """(R,) share of the clean mAP that is lost; below 0 where damage helped, 0 if there was none to lose."""
        clean = self.map[0]
        return tuple((clean - one) / clean if clean else 0.0 for one in self.map)

    @property
    def area(self) -> float:
        """Area under mAP over the rate by the trapezoid rule, over the highest rate: the mean mAP, 0 … 1."""
        if len(self.rates) == 1:
            return self.map[0]
        return float(np.trapezoid(self.map, self.rates) / self.rates[-1])

    def to_json(self) -> dict[str, Any]:
        """As plain values, with drop and area."""
        return {
            "kinds": list(self.kinds),
            "side": self.side,
            "rates": list(self.rates),
            "map": list(self.map),
            "rank1": list(self.rank1),
            "minp": list(self.minp),
            "drop": list(self.drop),
            "area": self.area,
            "auroc_of_low_importance": {
                kind: {"auroc": one.auroc, "damaged_clips": one.damaged, "clean_clips": one.clean}
                for kind, one in self.auroc.items()
            },
            "seed": self.seed,
            "conditions": self.conditions,
        }


def damage_curve(
    aggregator: Aggregator,
    query: ClipFeatures,
    gallery: ClipFeatures,
    damaged_query: Mapping[str, ClipFeatures],
    damaged_gallery: Mapping[str, ClipFeatures],
    protocol: Protocol,
    rates: Sequence[int],
    *,
    kinds: Sequence[str] | None = None,
    side: Side = "both",
    seed: int = 0,
    strangers: Strangers | None = None,
    compute: Compute = Compute(),
    progress: Progress | None = None,
) -> DamageCurve:
    """Score an aggregator for each rate of damage.

    Args:
        aggregator: how to compare, see `score_damaged` for this and what is not said here.
        query: clean features of Q tracklets, M clips of each.
        gallery: clean features of what is searched.
        damaged_query: kind to features of the same queries.
        damaged_gallery: the same for the gallery.
        protocol: the rules.
        rates: M_c^max, each 0 … M; 0 is always scored, too.
        kinds: which of the kinds of damage; None: all there are.
        side: whose clips are damaged.
        seed: of the damage.
        strangers: whom damage brings in.
        compute: Device and precision of scoring, see `score_all_pairs`.
        progress: called with (rates done, all).

    Raises:
        RecipeError: if a rate is not 0 … M, the side is unknown, or there are no features of a kind.
        ProtocolError: if no query has a match.
    """
    steps = sorted({0, *rates})
    kinds = tuple(kinds if kinds is not None else (damaged_gallery if side == "gallery" else damaged_query))
    found = []
    for number, rate in enumerate(steps):
        found.append(
            score_damaged(
                aggregator, query, gallery, damaged_query, damaged_gallery, protocol, rate,
                kinds=kinds, side=side, seed=seed, strangers=strangers, compute=compute,
            )
        )  # fmt: skip
        if progress is not None:
            progress(number + 1, len(steps))
    scores = [one for one, _ in found]
    last, auroc = found[-1]
    maps, minps = tuple(one.map for one in scores), tuple(one.minp for one in scores)
    firsts = tuple(one.rank(1) for one in scores)
    return DamageCurve(kinds, side, tuple(steps), maps, firsts, minps, auroc, seed, last.line())


def score_damaged(
    aggregator: Aggregator,
    query: ClipFeatures,
    gallery: ClipFeatures,
    damaged_query: Mapping[str, ClipFeatures],
    damaged_gallery: Mapping[str, ClipFeatures],
    protocol: Protocol,
    rate: int,
    *,
    kinds: Sequence[str],
    side: Side = "both",
    seed: int = 0,
    strangers: Strangers | None = None,
    compute: Compute = Compute(),
) -> tuple[Scores, Mapping[str, DamageAuroc]]:
    """Score an aggregator at one rate of damage.

    Args:
        aggregator: how to compare, used as in evaluation mode.
        query: clean features of Q tracklets, M clips of each.
        gallery: clean features of what is searched.
        damaged_query: kind to features of the same queries, all of whose clips have that damage; not looked at if the
            side is ``gallery``.
        damaged_gallery: the same for the gallery; not looked at if the side is ``query``.
        protocol: the rules.
        rate: M_c^max, 0 … M.
        kinds: which of the kinds of damage, one at least.
        side: whose clips are damaged.
        seed: of the damage: which clips, and in which way.
        strangers: kind to tracklet id to (M,) persons whom that damage brings into each clip, see
            `persons_brought_in`; kinds that bring nobody in may be missing. Tracklets of two persons that show the same
            one after this are junk for each other: to find somebody in a tracklet that does show them is not wrong.
        compute: Device and precision of scoring, see `score_all_pairs`.

    Returns:
        The scores; and by kind, how well low weight of a query clip points at damage: empty if none is damaged.

    Raises:
        RecipeError: if the rate is not 0 … M, the side is unknown, or there are no features of a kind.
        ProtocolError: if no query has a match.
    """
    clips = min(query.values.shape[1], gallery.values.shape[1])
    if side not in get_args(Side):
        raise RecipeError(f"side is {side!r}, expected one of {', '.join(get_args(Side))}")
    if not 0 <= rate <= clips:
        raise RecipeError(f"rate {rate} of damaged clips, expected 0 to {clips}, the clips of a tracklet")
    asked, searched = _chosen(damaged_query, kinds, side != "gallery"), _chosen(damaged_gallery, kinds, side != "query")
    found, faults = _damaged(query, asked, rate, seed)
    among, others = _damaged(gallery, searched, rate, seed)
    ranking = rank_features(found, among, aggregator, compute=compute)
    q_labels, g_labels = _labels(found, faults, strangers or {}), _labels(among, others, strangers or {})
    scores = replace(score_ranking(ranking, q_labels, g_labels, protocol), frames=found.frames, reranking="none")
    if not (faults != "").any():
        return scores, {}
    passed_over = show_somebody_else(q_labels, g_labels)
    return scores, auroc_by_fault(clip_weights(found, among, ranking, aggregator, passed_over), faults)


def _labels(features: ClipFeatures, faults: NDArray[np.str_], strangers: Strangers) -> Labels:
    """Labels that know whom damage has brought in."""
    brought_in = (
        {int(strangers[kind][id_][clip]) for clip, kind in enumerate(row.tolist()) if kind in strangers}
        for id_, row in zip(features.ids, faults, strict=True)
    )
    return labels_of(features)._replace(others=tuple(frozenset(one - {JUNK}) for one in brought_in))


def _chosen(damaged: Mapping[str, ClipFeatures], kinds: Sequence[str], used: bool) -> Mapping[str, ClipFeatures]:
    """The features of some kinds; nothing for a side that stays clean."""
    if not used:
        return {}
    if not kinds or (missing := [kind for kind in kinds if kind not in damaged]):
        wanted = "some kind of damage" if not kinds else f"{missing[0]} clips"
        raise RecipeError(
            f"expected features of {wanted}, found those of {', '.join(damaged) or 'nothing'}: "
            "extract them for every tracklet of the side that is damaged"
        )
    return {kind: damaged[kind] for kind in kinds}


def _damaged(
    clean: ClipFeatures, damaged: Mapping[str, ClipFeatures], rate: int, seed: int
) -> tuple[ClipFeatures, NDArray[np.str_]]:
    if not damaged:
        return clean, np.full(clean.values.shape[:2], "")
    return mixed_damage(clean, damaged, rate, seed)
