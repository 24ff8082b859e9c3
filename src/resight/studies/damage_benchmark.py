"""Scores of an aggregator on damaged clips, at one damage rate or over several rates.

The protocol is that of the paper's Sec. 4.4, for any kind of damage on the query side, the gallery side or both: each
tracklet has 0 to M_c^max damaged clips, and M_c^max is the rate. The damaged clips are the same for all aggregators and
all kinds of damage. Damage by another person must show persons who are neither queries nor in the gallery, and others
in queries than in the gallery (`Donors.halves`); otherwise two tracklets of different persons show the same person, and
to rank them high is not wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from resight.compute import Compute
from resight.errors import RecipeError
from resight.evaluation.damage import DamageAuroc, auroc_by_fault
from resight.evaluation.evaluate import clip_weights, labels_of, rank_features
from resight.evaluation.metrics import Scores, score_ranking
from resight.evaluation.protocols import Protocol
from resight.features.damaged import mixed_damage
from resight.features.types import ClipFeatures
from resight.models.contract import Aggregator

Side = Literal["query", "gallery", "both"]


@dataclass(frozen=True)
class DamageCurve:
    """Scores of one aggregator at several damage rates, all in 0 … 1.

    Attributes:
        kinds: Kinds of damage; each damaged clip has one of them.
        side: Whose clips are damaged: ``query``, ``gallery`` or ``both``.
        rates: (R,) values of M_c^max in ascending order, the first is 0 (clean).
        map: (R,) mean average precision.
        rank1: (R,) share of queries with a match at rank 1.
        minp: (R,) mean inverse negative penalty.
        auroc: Kind to the AUROC of low weight against damaged query clips at the highest rate; empty if no query clip
            is damaged.
        seed: Seed of the damage.
        conditions: Protocol, number of valid queries and other conditions, in one line.
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
        """Return the lost share of the clean mAP, (R,); negative where damage helped, 0 if the clean mAP is 0."""
        clean = self.map[0]
        return tuple((clean - value) / clean if clean else 0.0 for value in self.map)

    @property
    def area(self) -> float:
        """Return the mean mAP over the rates: area under mAP (trapezoid rule) divided by the highest rate."""
        if len(self.rates) == 1:
            return self.map[0]
        return float(np.trapezoid(self.map, self.rates) / self.rates[-1])


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
    compute: Compute = Compute(),
) -> DamageCurve:
    """Score an aggregator at each damage rate.

    Args:
        aggregator: The aggregator, used in evaluation mode.
        query: Clean features of Q tracklets with M clips each.
        gallery: Clean features of the gallery.
        damaged_query: Kind of damage to features of the same queries, see `score_damaged`.
        damaged_gallery: Kind of damage to features of the same gallery, see `score_damaged`.
        protocol: The evaluation protocol.
        rates: Values of M_c^max, each 0 … M; 0 is always included.
        kinds: Kinds of damage to use; all that have features by default.
        side: Whose clips are damaged.
        seed: Seed of the damage.
        compute: Device and precision of scoring, see `score_all_pairs`.

    Raises:
        RecipeError: If a rate is not 0 … M, the side is unknown, or there are no features of a kind.
        ProtocolError: If no query has a match.
    """
    ordered = sorted({0, *rates})
    kinds = tuple(kinds if kinds is not None else (damaged_gallery if side == "gallery" else damaged_query))
    results = [
        score_damaged(
            aggregator, query, gallery, damaged_query, damaged_gallery, protocol, rate,
            kinds=kinds, side=side, seed=seed, compute=compute,
        )
        for rate in ordered
    ]  # fmt: skip
    scores = [one for one, _ in results]
    return DamageCurve(
        kinds=kinds,
        side=side,
        rates=tuple(ordered),
        map=tuple(one.map for one in scores),
        rank1=tuple(one.rank(1) for one in scores),
        minp=tuple(one.minp for one in scores),
        auroc=results[-1][1],
        seed=seed,
        conditions=scores[-1].line(),
    )


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
    compute: Compute = Compute(),
) -> tuple[Scores, Mapping[str, DamageAuroc]]:
    """Score an aggregator at one damage rate.

    Args:
        aggregator: The aggregator, used in evaluation mode.
        query: Clean features of Q tracklets with M clips each.
        gallery: Clean features of the gallery.
        damaged_query: Kind of damage to features of the same queries, with this damage on every clip; not used if the
            side is ``gallery``.
        damaged_gallery: Kind of damage to features of the same gallery, with this damage on every clip; not used if the
            side is ``query``.
        protocol: The evaluation protocol.
        rate: M_c^max, 0 … M.
        kinds: Kinds of damage to use, at least one.
        side: Whose clips are damaged.
        seed: Seed of the damage: which clips are damaged, and how.
        compute: Device and precision of scoring, see `score_all_pairs`.

    Returns:
        The scores; and for each kind, the AUROC of low weight against damaged query clips, empty if none is damaged.

    Raises:
        RecipeError: If the rate is not 0 … M, the side is unknown, or there are no features of a kind.
        ProtocolError: If no query has a match.
    """
    clips = min(query.values.shape[1], gallery.values.shape[1])
    if side not in get_args(Side):
        raise RecipeError(f"side is {side!r}, expected one of {', '.join(get_args(Side))}")
    if not 0 <= rate <= clips:
        raise RecipeError(f"rate is {rate}, expected 0 to {clips}, the number of clips of a tracklet")
    damage_of_query = _chosen(damaged_query, kinds, side != "gallery")
    damage_of_gallery = _chosen(damaged_gallery, kinds, side != "query")
    query, query_kinds = _damaged(query, damage_of_query, rate, seed)
    gallery, _ = _damaged(gallery, damage_of_gallery, rate, seed)
    ranking = rank_features(query, gallery, aggregator, compute=compute)
    scores = score_ranking(ranking, labels_of(query), labels_of(gallery), protocol)
    scores = replace(scores, frames=query.frames, reranking="none")
    if not (query_kinds != "").any():
        return scores, {}
    return scores, auroc_by_fault(clip_weights(query, gallery, ranking, aggregator), query_kinds)


def _chosen(damaged: Mapping[str, ClipFeatures], kinds: Sequence[str], used: bool) -> Mapping[str, ClipFeatures]:
    """Return the features of some kinds of damage; nothing for a side that stays clean."""
    if not used:
        return {}
    if not kinds or (missing := [kind for kind in kinds if kind not in damaged]):
        wanted = "at least one kind of damage" if not kinds else f"{missing[0]} clips"
        raise RecipeError(
            f"expected features of {wanted}, found those of {', '.join(damaged) or 'no damage'}; extract them for each "
            "tracklet of the damaged side"
        )
    return {kind: damaged[kind] for kind in kinds}


def _damaged(
    clean: ClipFeatures, damaged: Mapping[str, ClipFeatures], rate: int, seed: int
) -> tuple[ClipFeatures, NDArray[np.str_]]:
    """Return the features with some clips damaged, and the kind of damage of each clip, (T, M)."""
    if not damaged:
        return clean, np.full(clean.values.shape[:2], "")
    return mixed_damage(clean, damaged, rate, seed)
