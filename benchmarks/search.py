"""Search that scores only some of the gallery, against scoring all of it.

``python -m benchmarks.search`` prints the share of pairs scored, and plots recall and mAP against the size of the
shortlist, from which the default size was chosen. With ``--features FILE --model FILE`` it also does so for features
written by ``resight extract``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from cyclopts import run
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, PercentFormatter
from numpy.typing import NDArray

from benchmarks.timing import MATRIX_FLOP, Row, matrix_product, take_turns
from resight.checkpoints import load_checkpoint
from resight.evaluation.evaluate import labels_of, rank_features
from resight.evaluation.metrics import score_similarities
from resight.evaluation.protocols import PROTOCOLS
from resight.explanation.plots import COLOURS, save_figure
from resight.features.types import ClipFeatures
from resight.models.aggregators import Aggregator, Learned, MeanFeature, TopShare
from resight.ranking import best_first
from resight.scoring.all_pairs import score_all_pairs
from resight.scoring.bounds import Effort
from resight.scoring.search import NOT_SCORED, SHORTLIST, search_exactly, search_shortlist

Table = NDArray[np.float32]
K = 10
RULES = PROTOCOLS["standard"]
CLIPS, DIM, HIDDEN = 8, 256, 64
SIZES = (10, 15, 20, 30, 40, 50, 75, 100, 150, 200, 300)


def bench(repeats: int) -> list[Row]:
    """Measure the exact top 10, and the top 10 of a shortlist, against brute force on clustered damaged features."""
    gallery = clustered(persons=250, each=8, seed=0)
    query = gallery.rows(np.arange(0, len(gallery), 125))
    aggregator = uneven_importance()
    ways = {
        "brute force": lambda: rank_features(query, gallery, aggregator, K),
        "search": lambda: search_exactly(query, gallery, aggregator, K),
        "shortlist": lambda: search_shortlist(query, gallery, aggregator, K),
        "matrix": matrix_product(),
    }
    turns = take_turns(ways, repeats)
    rate = MATRIX_FLOP / turns.median("matrix")
    compared = compare(query, gallery, aggregator, score_all_pairs(query.values, gallery.values, aggregator))

    def row(name: str, ours: str, effort: Effort, note: str) -> Row:
        pair_flop = 2 * CLIPS**2 * HIDDEN * (DIM + HIDDEN)
        return Row(
            group="search",
            name=f"{name}, {len(query)} x {len(gallery):,}",
            unit="queries/s",
            plain=len(query) / turns.median("brute force"),
            ours=len(query) / turns.median(ours),
            ratio=turns.ratio("brute force", ours),
            limit=effort.scored * pair_flop / turns.median(ours) / rate,
            limit_name=f"float32 matrix rate, {rate / 1e9:.0f} GFLOP/s, for the pairs scored",
            note=f"{effort.share:.1%} of pairs scored; {note}",
            facts={"scored": effort.scored, "pairs": effort.pairs},
        )

    return [
        row(f"exact top {K}", "search", compared.search, f"{compared.different_answers} answers differ"),
        row(
            f"top {K} of a shortlist of {SHORTLIST}",
            "shortlist",
            compared.shortlist,
            f"approximate: recall@{K} {compared.recall:.1%}",
        ),
    ]


@dataclass(frozen=True)
class Compared:
    """Pairs scored by each method, and differences from brute force.

    Attributes:
        search: Pairs scored by the exact search.
        shortlist: Pairs scored by the shortlist search.
        different_answers: Answers of the exact search that differ from those of brute force.
        recall: Share of the exact best answers that the shortlist search found.
    """

    search: Effort
    shortlist: Effort
    different_answers: int
    recall: float


def compare(query: ClipFeatures, gallery: ClipFeatures, aggregator: Aggregator, table: Table) -> Compared:
    """Run each method once, and compare it with the (Q, G) table of all similarities."""
    best = best_first(table, K)[0]
    exact, search = search_exactly(query, gallery, aggregator, K)
    near, shortlist = search_shortlist(query, gallery, aggregator, K)
    recall = np.mean([np.isin(a, b).mean() for a, b in zip(best, near.order, strict=True)])
    return Compared(search, shortlist, int((exact.order != best).sum()), float(recall))


def clustered(persons: int, each: int, seed: int) -> ClipFeatures:
    """Return random features that resemble a trained encoder's: `each` tracklets per person, from six cameras.

    Cosines are roughly those of the demo world: 0.85 within a tracklet, 0.65 within a person, 0.45 between persons.
    0 to 6 of the 8 clips of a tracklet are damaged, which makes them similar to other damaged clips.
    """
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(3, 24, DIM)) / np.sqrt(24 * DIM)  # persons differ in few dimensions
    shared, damage = rng.normal(size=(2, DIM)) / np.sqrt(DIM)
    person = np.repeat(np.arange(1, persons + 1), each)
    T = len(person)
    own = rng.normal(size=(persons + 1, 24))[person] @ directions[0]
    tracklet = rng.normal(size=(T, 24)) @ directions[1]
    clip = rng.normal(size=(T, CLIPS, DIM)) / np.sqrt(DIM)
    values = np.sqrt(0.42) * shared + (np.sqrt(0.22) * own + np.sqrt(0.2) * tracklet)[:, None] + 0.4 * clip
    damaged = rng.random((T, CLIPS)).argsort(1) < rng.integers(0, 7, (T, 1))
    values[damaged] = 0.9 * values[damaged] + 0.4 * damage
    numbers = np.zeros((T, CLIPS, 1), np.int64)
    ids = tuple(f"{i}" for i in range(T))
    return ClipFeatures(ids, person, np.tile(np.arange(each) % 6 + 1, persons), values.astype(np.float32), numbers)


def uneven_importance() -> Learned:
    """Return an aggregator with random weights whose importance spans several powers of ten, as after training."""
    torch.manual_seed(0)
    learned = Learned(DIM, HIDDEN).eval()
    with torch.no_grad():
        learned.importance.first.weight.mul_(400)
        learned.importance.last.weight.mul_(30)
    return learned


def shortlist_curve(
    query: ClipFeatures, gallery: ClipFeatures, table: Table, by: Aggregator, sizes: Sequence[int]
) -> tuple[list[float], list[float]]:
    """Return recall and mAP of shortlists of several sizes.

    Recall is the share of the exact top 10 on the shortlist. For mAP, tracklets that are not on the shortlist
    follow in its order.
    """
    cheap = score_all_pairs(query.values, gallery.values, by)
    rank = np.empty(table.shape, int)
    order = best_first(cheap)[0]
    np.put_along_axis(rank, order, np.broadcast_to(np.arange(len(gallery)), order.shape), axis=1)
    rank_of_best = np.take_along_axis(rank, best_first(table, K)[0], axis=1)
    recall = [float((rank_of_best < size).mean()) for size in sizes]
    labels = labels_of(query), labels_of(gallery)
    mixed = (np.where(rank < size, table, cheap + np.float32(NOT_SCORED)) for size in sizes)
    return recall, [score_similarities(scores, *labels, RULES).map for scores in mixed]


def plot_curves(curves: Mapping[str, tuple[Sequence[int], list[float], list[float]]]) -> Figure:
    """Plot recall of the exact best, and mAP as a share of the exact one, against the size of the shortlist."""
    figure = Figure(figsize=(9.6, 3.9), layout="constrained")
    left, right = figure.subplots(1, 2)
    styles = zip((COLOURS["probe"], COLOURS["gallery"], COLOURS["right"]), "osD", strict=True)
    pairs = dict.fromkeys(name.rpartition(", by ")[0] for name in curves)
    looks = dict(zip(pairs, styles, strict=False))
    for name, (sizes, recall, mean_ap) in curves.items():
        colour, marker = looks[name.rpartition(", by ")[0]]
        line = "-" if name.endswith("mean feature") else ":"
        for axes, values in ((left, recall), (right, np.divide(mean_ap, mean_ap[-1]))):
            axes.plot(sizes, values, line, color=colour, marker=marker, markersize=3.5, linewidth=1.8, label=name)
    longest = max(sizes[-1] for sizes, _, _ in curves.values())
    ticks = [tick for tick in (10, 20, 50, 100, 200, 500, 1000, 2000, 5000) if tick <= longest]
    for axes, title in ((left, f"recall of the exact best {K}"), (right, "mAP, relative to an exact search")):
        axes.set_xscale("log")
        axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.axvline(SHORTLIST, color=COLOURS["unknown"], linewidth=1, label=f"default, {SHORTLIST}")
        axes.set(xlabel="gallery tracklets on the shortlist", title=title)
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.grid(axis="y", color="#e3e1dc")
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(length=0)
    right.legend(frameon=False, loc="lower right", fontsize=8)
    return figure


def main(*, features: Path | None = None, model: Path | None = None, draw: Path | None = None) -> None:
    """Print the share of pairs scored, and plot recall and mAP of shortlists.

    Args:
        features: Clip features written by ``resight extract``; every tracklet with a known person is a query.
        model: The model that they were extracted with.
        draw: PNG, SVG or PDF file to write.
    """
    sets: dict[str, tuple[ClipFeatures, Aggregator]] = {
        "random clusters": (clustered(persons=250, each=8, seed=0), uneven_importance())
    }
    if features is not None and model is not None:
        sets[features.stem] = ClipFeatures.load(features), load_checkpoint(model).aggregator
    curves = {}
    for name, (gallery, aggregator) in sets.items():
        known = np.flatnonzero(gallery.persons > 0)
        query = gallery.rows(known[:: max(1, len(known) * len(gallery) // 80_000)])
        table = score_all_pairs(query.values, gallery.values, aggregator)
        print(f"{name}: {len(query)} x {len(gallery)}; {compare(query, gallery, aggregator, table)}")
        sizes = [size for size in (*SIZES, len(gallery)) if size <= len(gallery)]
        for method, by in (("mean feature", MeanFeature()), ("top 50 %", TopShare(50))):
            recall, mean_ap = shortlist_curve(query, gallery, table, by, sizes)
            curves[f"{name} ({len(gallery)}), by {method}"] = sizes, recall, mean_ap
            for line in zip(sizes, recall, mean_ap, strict=True):
                print(f"{method:14} shortlist {line[0]:5}  recall@{K} {line[1]:.3f}  mAP {line[2]:.4f}")
    if draw is not None:
        save_figure(plot_curves(curves), draw)


if __name__ == "__main__":
    run(main)
