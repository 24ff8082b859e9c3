"""CMC and both kinds of AP at the size of MARS: 1,980 queries, 12,180 gallery tracklets.

The labels are those of MARS if the environment variable RESIGHT_MARS_INFO names the folder with its three tables.
Otherwise they are random, with the same numbers of tracklets, persons, cameras, junk and distractors. Scores are random
with some signal.
"""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.plain.metrics import Means, score_by_arrays, score_in_loops
from benchmarks.timing import Row, Turns, take_turns
from resight.data.readers.mars import read_mars_info
from resight.evaluation.metrics import Scores, score_ranking, score_similarities
from resight.evaluation.protocols import PROTOCOLS, Labels
from resight.ranking import Ranking
from resight.tracklet import DISTRACTOR, JUNK

Q, G, JUNK_TRACKLETS, DISTRACTORS, PERSONS, CAMERAS = 1980, 12_180, 870, 3248, 634, 6
SUBSET = 48
"""Queries that the plain loops evaluate; rates are per query."""

PlainWay = Callable[[NDArray[np.float32], Labels, Labels, NDArray[np.int32] | None], Means]


def bench(repeats: int) -> list[Row]:
    """Measure scoring a ranking, scoring similarities, and ranking, each against a plain implementation."""
    gallery, is_query, source = mars_labels()
    query = Labels(tuple(np.array(gallery.ids)[is_query]), gallery.persons[is_query], gallery.cameras[is_query])
    similarity = similarities(query.persons, gallery.persons)
    ranking = Ranking.from_scores(similarity, query.ids, gallery.ids)
    protocol = PROTOCOLS["mars"]
    part = query.rows(slice(SUBSET))

    def plain(way: PlainWay, sorted_before: bool) -> Callable[[], Means]:
        return lambda: way(similarity[:SUBSET], part, gallery, ranking.order[:SUBSET] if sorted_before else None)

    def from_ranking() -> Scores:
        return score_ranking(ranking, query, gallery, protocol)

    def from_similarities() -> Scores:
        return score_similarities(similarity, query, gallery, protocol)

    turns = take_turns(
        {
            "loops, sorted": plain(score_in_loops, True),
            "from ranking": from_ranking,
            "copy": ranking.order.copy,
            "loops": plain(score_in_loops, False),
            "arrays": plain(score_by_arrays, False),
            "from similarities": from_similarities,
            "values sorted": lambda: np.sort(similarity, axis=1),
            "stable sort": lambda: np.argsort(-similarity[:SUBSET], axis=1, kind="stable"),
            "rank": lambda: Ranking.from_scores(similarity, query.ids, gallery.ids),
        },
        repeats,
    )
    subset = score_similarities(similarity[:SUBSET], part, gallery, protocol)
    difference = f"largest difference {_largest_difference(subset, plain(score_in_loops, False)()):.0e}"
    memory = f"peak {_peak_megabytes(from_similarities):.0f} MB in addition to the similarities"
    setting = f"{source}; {from_ranking().line()}; plain on {SUBSET} queries"
    return [
        _row("CMC and APs of a ranking", turns, "loops, sorted", "from ranking", f"{setting}; {difference}", "copy"),
        _row(
            "CMC and APs of similarities",
            turns,
            "loops",
            "from similarities",
            f"without a ranking; {memory}; {difference}; plain sorts and counts in Python",
            "values sorted",
        ),
        _row(
            "CMC and APs of similarities, plain with arrays",
            turns,
            "arrays",
            "from similarities",
            "plain sorts each query and uses only NumPy after that",
            "values sorted",
        ),
        _row("similarities to a ranking", turns, "stable sort", "rank", "plain: stable argsort; same order", ""),
    ]


def mars_labels() -> tuple[Labels, NDArray[np.int64], str]:
    """Return labels of the gallery, positions of the queries in it, and the source of the labels."""
    folder = os.environ.get("RESIGHT_MARS_INFO")
    if folder:
        info = read_mars_info(Path(folder))
        persons, cameras, queries = info.test[:, 2], info.test[:, 3], info.query
    else:
        rng = np.random.default_rng(0)
        known = G - JUNK_TRACKLETS - DISTRACTORS
        # Some persons have only a few tracklets, others two hundred.
        share = rng.lognormal(0, 0.9, PERSONS)
        persons = np.concatenate([
            np.full(JUNK_TRACKLETS, JUNK), np.full(DISTRACTORS, DISTRACTOR), np.arange(1, PERSONS + 1),
            rng.choice(PERSONS, known - PERSONS, p=share / share.sum()) + 1,
        ])  # fmt: skip
        cameras = rng.integers(1, CAMERAS + 1, G)
        # One query per person and camera, up to Q.
        first = np.unique(np.stack([persons, cameras]), axis=1, return_index=True)[1]
        queries = np.sort(rng.permutation(first[persons[first] > DISTRACTOR])[:Q])
    ids = tuple(f"{place:05d}" for place in range(len(persons)))
    return Labels(ids, persons, cameras), queries, "labels of MARS" if folder else "random labels"


def similarities(query: NDArray[np.int64], gallery: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return similarities (Q, G): noise, and somewhat higher values for the same person."""
    noise = np.random.default_rng(1).standard_normal((len(query), len(gallery)), dtype=np.float32)
    noise *= 0.2
    noise[query[:, None] == gallery] += 0.5
    return noise


def _row(name: str, turns: Turns, plain: str, ours: str, note: str, limit: str) -> Row:
    return Row(
        group="evaluation",
        name=f"{name}, {Q:,} x {G:,}",
        unit="queries/s",
        plain=SUBSET / turns.median(plain),
        ours=Q / turns.median(ours),
        ratio=turns.ratio(plain, ours) * Q / SUBSET,
        limit=1 / turns.ratio(ours, limit) if limit else None,
        limit_name={"copy": "copying the ranking", "values sorted": "np.sort of the values", "": ""}[limit],
        note=f"{turns.median(ours):.2f} s; {note}",
    )


def _largest_difference(ours: Scores, plain: Means) -> float:
    pairs = ((ours.map, plain.map), (ours.map_trapezoid, plain.map_trapezoid), (ours.cmc, plain.cmc))
    return max(float(np.abs(np.subtract(a, b)).max()) for a, b in pairs)


def _peak_megabytes(work: Callable[[], object]) -> float:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()
