"""Search and evaluation that score only what can matter, against scoring everything.

``python -m benchmarks.search`` draws the curve from which the default size of a shortlist was chosen, and prints the
shares of pairs scored; with ``--features FILE --model FILE`` for features that ``resight extract`` wrote too.
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
from resight.evaluation.needed import evaluate_needed

from benchmarks.timing import MATRIX_FLOP, Row, matrix_product, take_turns
from resight.checkpoints import load_checkpoint
from resight.evaluation.evaluate import evaluate_features, labels_of, rank_features
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
    """Clustered features with damage: exact top 10, exact scores, and a shortlist, against brute force."""
    gallery = clustered(persons=250, each=8, seed=0)
    query = gallery.rows(np.arange(0, len(gallery), 125))
    aggregator = uneven_importance()
    ways = {
        "brute search": lambda: rank_features(query, gallery, aggregator, K),
        "search": lambda: search_exactly(query, gallery, aggregator, K),
        "brute evaluation": lambda: evaluate_features(query, gallery, aggregator, RULES),
        "evaluation": lambda: evaluate_needed(query, gallery, aggregator, RULES),
        "shortlist": lambda: search_shortlist(query, gallery, aggregator, K),
        "matrix": matrix_product(),
    }
    turns = take_turns(ways, repeats)
    rate = MATRIX_FLOP / turns.median("matrix")
    both = compare(query, gallery, aggregator, score_all_pairs(query.values, gallery.values, aggregator))

    def row(name: str, plain: str, ours: str, effort: Effort, note: str) -> Row:
        pair_flop = 2 * CLIPS**2 * HIDDEN * (DIM + HIDDEN)
        return Row(
            group="search",
            name=f"{name}, {len(query)} x {len(gallery):,}",
            unit="queries/s",
            plain=len(query) / turns.median(plain),
            ours=len(query) / turns.median(ours),
            ratio=turns.ratio(plain, ours),
            limit=effort.scored * pair_flop / turns.median(ours) / rate,
            limit_name=f"float32 matrix rate, {rate / 1e9:.0f} GFLOP/s, for the pairs scored",
            note=f"{effort.share:.1%} of the pairs scored; {note}",
            facts={"scored": effort.scored, "pairs": effort.pairs},
        )

    return [
        row(f"exact top {K}", "brute search", "search", both.search, f"answers differ in {both.answers_off} places"),
        row(
            "exact CMC and mAP", "brute evaluation", "evaluation", both.evaluation,
            f"largest difference of any score {both.scores_off:.0e}",
        ),
        row(
            f"top {K} of a shortlist of {SHORTLIST}", "brute search", "shortlist", both.shortlist,
            f"approximate: recall@{K} {both.recall:.1%}",
        ),
    ]  # fmt: skip


@dataclass(frozen=True)
class Compared:
    """How much each way scores, and how far its results are from brute force."""

    search: Effort
    evaluation: Effort
    shortlist: Effort
    answers_off: int
    scores_off: float
    recall: float


def compare(query: ClipFeatures, gallery: ClipFeatures, aggregator: Aggregator, table: Table) -> Compared:
    """Every way once, against the (Q, G) table of all similarities."""
    scores = score_similarities(table, labels_of(query), labels_of(gallery), RULES)
    best = best_first(table, K)[0]
    exact, search = search_exactly(query, gallery, aggregator, K)
    near, shortlist = search_shortlist(query, gallery, aggregator, K)
    found, evaluation = evaluate_needed(query, gallery, aggregator, RULES)
    off = [
        np.abs(np.subtract(getattr(found, name), getattr(scores, name)))
        for name in ("cmc", "map", "map_trapezoid", "minp")
    ]
    recall = np.mean([np.isin(a, b).mean() for a, b in zip(best, near.order, strict=True)])
    return Compared(
        search, evaluation, shortlist, int((exact.order != best).sum()), float(max(map(np.max, off))), float(recall)
    )


def clustered(persons: int, each: int, seed: int) -> ClipFeatures:
    """Features as a trained encoder gives them, but drawn: `each` tracklets of each person, under six cameras.

    Cosines are about as on the demo world: 0.85 within a tracklet, 0.65 within a person, 0.45 between persons. And 0 to
    6 of the 8 clips of a tracklet are damaged, which makes them look like other damaged clips.
    """
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(3, 24, DIM)) / np.sqrt(24 * DIM)  # few, as the differences of persons are
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
    """Random weights, scaled until importances spread as trained ones do, over several powers of ten."""
    torch.manual_seed(0)
    learned = Learned(DIM, HIDDEN).eval()
    with torch.no_grad():
        learned.importance.first.weight.mul_(400)
        learned.importance.last.weight.mul_(30)
    return learned


def shortlist_curve(
    query: ClipFeatures, gallery: ClipFeatures, table: Table, by: Aggregator, sizes: Sequence[int]
) -> tuple[list[float], list[float]]:
    """Share of the exact top 10 that is on the shortlist, and mAP with all others in the shortlist's order."""
    cheap = score_all_pairs(query.values, gallery.values, by)
    place = np.empty(table.shape, int)
    order = best_first(cheap)[0]
    np.put_along_axis(place, order, np.broadcast_to(np.arange(len(gallery)), order.shape), axis=1)
    of_best = np.take_along_axis(place, best_first(table, K)[0], axis=1)
    recall = [float((of_best < size).mean()) for size in sizes]
    labels = labels_of(query), labels_of(gallery)
    mixed = (np.where(place < size, table, cheap + np.float32(NOT_SCORED)) for size in sizes)
    return recall, [score_similarities(one, *labels, RULES).map for one in mixed]


def plot_curves(curves: Mapping[str, tuple[Sequence[int], list[float], list[float]]]) -> Figure:
    """Two panels over the size of the shortlist: recall of the exact best, and mAP as a share of the exact one."""
    figure = Figure(figsize=(9.6, 3.9), layout="constrained")
    left, right = figure.subplots(1, 2)
    styles = zip((COLOURS["asked"], COLOURS["gallery"], COLOURS["right"]), "osD", strict=True)
    pairs = dict.fromkeys(name.rpartition(", by ")[0] for name in curves)
    looks = dict(zip(pairs, styles, strict=False))
    for name, (sizes, recall, mean_ap) in curves.items():
        colour, marker = looks[name.rpartition(", by ")[0]]
        line = "-" if name.endswith("mean feature") else ":"
        for axes, values in ((left, recall), (right, np.divide(mean_ap, mean_ap[-1]))):
            axes.plot(sizes, values, line, color=colour, marker=marker, markersize=3.5, linewidth=1.8, label=name)
    longest = max(sizes[-1] for sizes, _, _ in curves.values())
    ticks = [tick for tick in (10, 20, 50, 100, 200, 500, 1000, 2000, 5000) if tick <= longest]
    for axes, title in ((left, f"share of the exact best {K} found"), (right, "mAP, of that of scoring everybody")):
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
    """Print the shares of pairs scored, and draw the curve of shortlists.

    Args:
        features: Clip features that ``resight extract`` wrote; every tracklet asks for its person among all others.
        model: The model that they were extracted with.
        draw: PNG, SVG or PDF to write.
    """
    sets: dict[str, tuple[ClipFeatures, Aggregator]] = {
        "random clusters": (clustered(persons=250, each=8, seed=0), uneven_importance())
    }
    if features is not None and model is not None:
        sets[features.stem] = ClipFeatures.load(features), load_checkpoint(model).aggregator
    curves = {}
    for name, (gallery, aggregator) in sets.items():
        asked = np.flatnonzero(gallery.persons > 0)
        query = gallery.rows(asked[:: max(1, len(asked) * len(gallery) // 80_000)])
        table = score_all_pairs(query.values, gallery.values, aggregator)
        found = compare(query, gallery, aggregator, table)
        print(f"{name}: {len(query)} x {len(gallery)}; {found}")
        sizes = [size for size in (*SIZES, len(gallery)) if size <= len(gallery)]
        for how, by in (("mean feature", MeanFeature()), ("top 50 %", TopShare(50))):
            recall, mean_ap = shortlist_curve(query, gallery, table, by, sizes)
            curves[f"{name} ({len(gallery)}), by {how}"] = sizes, recall, mean_ap
            for line in zip(sizes, recall, mean_ap, strict=True):
                print(f"{how:14} shortlist {line[0]:5}  recall@{K} {line[1]:.3f}  mAP {line[2]:.4f}")
    if draw is not None:
        save_figure(plot_curves(curves), draw)


if __name__ == "__main__":
    run(main)
