"""Compare the fast code with a plain implementation of the official MARS code, on the official lists.

The rules are implemented again from ``evaluation_mars.m``, ``compute_AP.m``, ``compute_AP_multiCam.m``,
``compute_r1_multiCam.m`` and ``draw_confusion_matrix.m``, including their peculiarities.
``RESIGHT_MARS_QUERIES=1980`` checks all queries, which takes minutes; otherwise a random sample is checked.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from resight.data.readers.mars import read_mars_info
from resight.evaluation import matches
from resight.evaluation.camera_pairs import CameraPairs, score_camera_pairs
from resight.evaluation.metrics import Scores, score_ranking, score_similarities
from resight.evaluation.protocols import PROTOCOLS, Labels
from resight.ranking import Ranking
from resight.tracklet import DISTRACTOR, JUNK

QUERIES = int(os.environ.get("RESIGHT_MARS_QUERIES", "200"))
EXACT = 1e-12


def area(order: Sequence[int], good: set[int], ignored: set[int]) -> float:
    """Return the area under the precision-recall curve by trapezoids, in a loop over the ranking."""
    total, recall, precision, hits, seen = 0.0, 0.0, 1.0, 0, 0
    for position in order:
        if position in ignored:
            continue
        hits += position in good
        now_recall, now_precision = hits / len(good), hits / (seen + 1)
        total += (now_recall - recall) * (precision + now_precision) / 2
        recall, precision = now_recall, now_precision
        seen += 1
        if hits == len(good):
            break
    return total


def precision_at_hits(order: Sequence[int], good: set[int], ignored: set[int]) -> tuple[float, int]:
    """Return the mean precision at the matches, and the rank of the first match."""
    total, hits, seen, first = 0.0, 0, 0, 0
    for position in order:
        if position in ignored:
            continue
        seen += 1
        if position in good:
            hits += 1
            total += hits / seen
            first = first or seen
            if hits == len(good):
                break
    return total / len(good), first


def plain(
    similarity: NDArray[np.float32], query: Labels, gallery: Labels, cameras: int
) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.float64]]:
    """Return the means of the official code, and its two matrices with the number of queries of each cell."""
    G = len(gallery.ids)
    persons, seen_by = gallery.persons.tolist(), gallery.cameras.tolist()
    unknown = {position for position in range(G) if persons[position] == JUNK}
    aps, areas, curves = [], [], []
    r1_sum, r1_count, ap_sum, ap_count = (np.zeros((cameras, cameras)) for _ in range(4))
    for row, person, camera in zip(similarity.tolist(), query.persons.tolist(), query.cameras.tolist(), strict=True):
        order = sorted(range(G), key=lambda position: (-row[position], position))
        own = [position for position in range(G) if persons[position] == person]
        good = {position for position in own if seen_by[position] != camera}
        same_camera = set(own) - good
        ap, first = precision_at_hits(order, good, same_camera | unknown)
        aps.append(ap)
        areas.append(area(order, good, same_camera | unknown))
        curves.append([0.0] * (first - 1) + [1.0] * (50 - first + 1) if first <= 50 else [0.0] * 50)

        # The official code assumes that the first answer is the query. Person -1 is not passed to these two functions.
        cells = {camera: (same_camera - {order[0]}, good | {order[0]})}
        for other in sorted({seen_by[position] for position in good}):
            there = {position for position in good if seen_by[position] == other}
            cells[other] = (there, same_camera | (good - there))
        for other, (wanted, ignored) in cells.items():
            if not wanted:
                continue
            best = next(position for position in order if position not in ignored)
            r1_sum[camera - 1, other - 1] += best in wanted
            r1_count[camera - 1, other - 1] += 1
            value = area(order, wanted, ignored)
            ap_sum[camera - 1, other - 1] += value
            ap_count[camera - 1, other - 1] += value != 0
    means = {"map": np.mean(aps), "map_trapezoid": np.mean(areas), "cmc": np.mean(curves, axis=0)}
    with np.errstate(invalid="ignore"):
        matrices = np.stack([r1_count, r1_sum / r1_count, ap_sum / ap_count])
    return means, matrices


def seeded_similarity(query: Labels, gallery: Labels, columns: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return cosines of random features around a point for each person and camera, for scores between 0 and 1."""
    rng = np.random.default_rng(0)
    person = rng.standard_normal((gallery.persons.max() + 2, 64))[gallery.persons]
    camera = rng.standard_normal((gallery.cameras.max() + 1, 64))[gallery.cameras]
    values = 0.9 * person + 0.5 * camera + rng.standard_normal((len(gallery.ids), 64))
    values[gallery.persons <= DISTRACTOR] = rng.standard_normal((int((gallery.persons <= DISTRACTOR).sum()), 64)) * 1.2
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    similarity: NDArray[np.float32] = (values[columns] @ values.T).round(3).astype(np.float32)  # rounded: many ties
    similarity[np.arange(len(columns)), columns] = 1.5  # every tracklet is most similar to itself
    return similarity


def assert_conforms(similarity: NDArray[np.float32], query: Labels, gallery: Labels) -> tuple[Scores, CameraPairs]:
    means, matrices = plain(similarity, query, gallery, int(gallery.cameras.max()))
    ranking = Ranking.from_scores(similarity, query.ids, gallery.ids)
    of_similarity = score_similarities(similarity, query, gallery, PROTOCOLS["mars"])
    scores = score_ranking(ranking, query, gallery, PROTOCOLS["mars"])
    for name, expected in means.items():
        np.testing.assert_allclose(getattr(of_similarity, name), expected, rtol=0, atol=EXACT)
        np.testing.assert_allclose(getattr(scores, name), expected, rtol=0, atol=EXACT)
    for budget in (matches.MEMORY_BUDGET, 10**6):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(matches, "MEMORY_BUDGET", budget)
            pairs = score_camera_pairs(ranking, query, gallery)
        np.testing.assert_array_equal(pairs.queries, matrices[0])
        np.testing.assert_allclose(pairs.rank1, matrices[1], rtol=0, atol=EXACT)
        np.testing.assert_allclose(pairs.map_trapezoid, matrices[2], rtol=0, atol=EXACT)
    return scores, pairs


def test_the_official_lists() -> None:
    folder = os.environ.get("RESIGHT_MARS_INFO")
    if not folder:
        pytest.skip("RESIGHT_MARS_INFO does not name a folder with the three official MARS tables")
    info = read_mars_info(Path(folder))
    assert (len(info.query), len(info.test)) == PROTOCOLS["mars"].official == (1980, 12_180)
    gallery = Labels(tuple(f"{place:05d}" for place in range(len(info.test))), info.test[:, 2], info.test[:, 3])
    drawn = np.sort(np.random.default_rng(0).permutation(info.query)[:QUERIES])
    query = Labels(tuple(gallery.ids[column] for column in drawn), gallery.persons[drawn], gallery.cameras[drawn])
    scores, pairs = assert_conforms(seeded_similarity(query, gallery, drawn), query, gallery)
    assert scores.valid_queries == len(drawn)
    assert 0.1 < scores.map < 0.9
    assert pairs.cameras == (1, 2, 3, 4, 5, 6)


@pytest.mark.parametrize("seed", range(4))
def test_a_small_world_of_every_kind(seed: int) -> None:
    rng = np.random.default_rng(seed)
    persons, cameras = rng.integers(JUNK, 9, 120), rng.integers(1, 5, 120)
    cameras[:4] = 1, 2, 3, 4
    gallery = Labels(tuple(f"t{place}" for place in range(120)), persons, cameras)
    able = [c for c in range(120) if persons[c] > 0 and len({*cameras[persons == persons[c]]}) > 1]
    columns = np.sort(rng.permutation(able)[:30])
    query = Labels(tuple(gallery.ids[column] for column in columns), persons[columns], cameras[columns])
    assert_conforms(seeded_similarity(query, gallery, columns), query, gallery)
