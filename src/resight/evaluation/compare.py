"""Several aggregators on the same clip features: one table, one file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resight.checkpoints import replace_file
from resight.evaluation.damage import DamageAuroc, auroc_by_fault, clip_fault
from resight.evaluation.evaluate import clip_weights, evaluate_features
from resight.evaluation.metrics import Scores
from resight.evaluation.protocols import Protocol
from resight.features import ClipFeatures
from resight.models.aggregators import Aggregator, Learned, MaxPair, MeanFeature, MeanPair, TopShare
from resight.progress import Progress
from resight.ranking import Ranking
from resight.scoring.all_pairs import ProductPrecision
from resight.tracklet import Tracklet

TOP_SHARES = (10, 20, 30, 40, 50, 60, 70, 80, 90)
"""t of the top-t % rows, in percent; 100 is the mean of all pairs."""

CORRUPTED = "corrupted"
"""Name of the paper's damage among the faults."""


@dataclass(frozen=True)
class Comparison:
    """How well each aggregator does, and how well the last one's weights point at damage.

    Attributes:
        scores: by name of the aggregator, in the order in which they were given.
        rankings: likewise.
        auroc: by fault, of low weight of a query clip; empty if nothing is known of damage or nothing was learned.
    """

    scores: Mapping[str, Scores]
    rankings: Mapping[str, Ranking]
    auroc: Mapping[str, DamageAuroc]

    @property
    def protocol_line(self) -> str:
        """What the numbers are worth, in one line."""
        return next(iter(self.scores.values())).line()

    def to_json(self) -> dict[str, Any]:
        """Everything but the rankings, as plain values."""
        return {
            "scores": {name: one.to_json() for name, one in self.scores.items()},
            "auroc_of_low_importance": {
                fault: {"auroc": one.auroc, "damaged_clips": one.damaged, "clean_clips": one.clean}
                for fault, one in self.auroc.items()
            },
        }

    def to_text(self) -> str:
        """A table in plain text: percent, and the protocol below it."""
        lines = [f"{'':24}{'mAP':>7}{'rank-1':>8}{'rank-5':>8}{'mINP':>7}{'mAP*':>7}"]
        lines += [
            f"{name:24}{100 * s.map:7.1f}{100 * s.rank(1):8.1f}{100 * s.rank(5):8.1f}{100 * s.minp:7.1f}"
            f"{100 * s.map_trapezoid:7.1f}"
            for name, s in self.scores.items()
        ]
        lines.append(f"{self.protocol_line}; * AP of the official MARS code")
        if self.auroc:
            lines.append(f"\n{'low importance finds':24}{'AUROC':>7}{'damaged':>9}{'clean':>7}  (query clips)")
            lines += [
                f"{fault:24}{'–' if one.auroc is None else f'{one.auroc:.3f}':>7}{one.damaged:9}{one.clean:7}"
                for fault, one in self.auroc.items()
            ]
        return "\n".join(lines)

    def save(self, folder: Path) -> None:
        """Write scores.json and one ranking for each aggregator."""
        with replace_file(folder / "scores.json") as temporary:
            temporary.write_text(json.dumps(self.to_json(), indent=1), encoding="utf-8")
        for name, ranking in self.rankings.items():
            ranking.save(folder / f"ranking-{name.replace(' ', '-').replace('%', 'percent')}.npz")


def usual_aggregators(trained: Aggregator) -> dict[str, Aggregator]:
    """What the paper compares, and last the trained aggregator of a model."""
    made: dict[str, Aggregator] = {
        "mean feature, no l2": MeanFeature(normalise=False),
        "mean feature, l2": MeanFeature(normalise=True),
        "mean of pairs": MeanPair(),
        "max of pairs": MaxPair(),
    }
    made |= {f"top {share} %": TopShare(share) for share in TOP_SHARES}
    if isinstance(trained, Learned):
        made["learned importance"] = trained
    return made


def compare_aggregators(
    aggregators: Mapping[str, Aggregator],
    query: ClipFeatures,
    gallery: ClipFeatures,
    protocol: Protocol,
    *,
    faults: NDArray[np.str_] | None = None,
    reranked: bool = False,
    precision: ProductPrecision = "float32",
    progress: Progress | None = None,
) -> Comparison:
    """Score aggregators on the same features.

    Args:
        aggregators: by name.
        query: Q tracklets of M clips.
        gallery: what is searched.
        protocol: the rules.
        faults: (Q, M) from `clip_faults`, to measure how well low importance points at damage.
        reranked: re-rank every ranking by k-reciprocal neighbours.
        precision: of the products of `Learned`, see `score_all_pairs`.
        progress: called with (aggregators done, all).

    Raises:
        ProtocolError: if no query has a match.
    """
    scores: dict[str, Scores] = {}
    rankings: dict[str, Ranking] = {}
    auroc: dict[str, DamageAuroc] = {}
    for number, (name, aggregator) in enumerate(aggregators.items()):
        rankings[name], scores[name] = evaluate_features(
            query, gallery, aggregator, protocol, reranked=reranked, precision=precision
        )
        if isinstance(aggregator, Learned) and faults is not None:
            auroc = auroc_by_fault(clip_weights(query, gallery, rankings[name], aggregator), faults)
        if progress is not None:
            progress(number + 1, len(aggregators))
    return Comparison(scores, rankings, auroc)


def clip_faults(
    tracklets: Sequence[Tracklet],
    features: ClipFeatures,
    frame_faults: Mapping[str, str],
    corrupted: NDArray[np.bool_] | None = None,
) -> NDArray[np.str_]:
    """What is known to be wrong with each clip.

    Args:
        tracklets: T of them, the rows of `features`.
        features: whose frame numbers say which frames a clip has.
        frame_faults: frame name to fault.
        corrupted: (T, M) clips damaged on purpose; these are called ``corrupted`` whatever else they are.

    Returns:
        (T, M) names of faults, ``""`` for a clean clip.
    """
    faults = np.array(
        [
            [clip_fault([t.names[n] for n in clip if n >= 0], frame_faults) for clip in clips]
            for t, clips in zip(tracklets, features.frame_numbers, strict=True)
        ],
        dtype=np.str_,
    )
    return faults if corrupted is None else np.where(corrupted, CORRUPTED, faults)
