"""Groups of queries, splits, and cells of the camera-pair matrix."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from resight.errors import ProtocolError, ShapeError
from resight.evaluation.camera_pairs import score_camera_pairs
from resight.evaluation.metrics import Scores, score_similarities
from resight.evaluation.protocols import PROTOCOLS, Labels
from resight.evaluation.slices import CLEAN, camera_groups, fault_groups, length_groups, slice_scores
from resight.evaluation.splits import SplitScores
from resight.ranking import Ranking


def some_scores(protocol: str = "mars", seed: int = 0) -> tuple[Scores, Labels]:
    rng = np.random.default_rng(seed)
    query = Labels(tuple(f"q{place}" for place in range(30)), rng.integers(1, 6, 30), rng.integers(1, 4, 30))
    gallery = Labels(tuple(f"g{place}" for place in range(40)), rng.integers(1, 6, 40), rng.integers(1, 4, 40))
    return score_similarities(rng.normal(size=(30, 40)), query, gallery, PROTOCOLS[protocol]), query


def test_slices_are_the_scores_of_their_queries() -> None:
    scores, query = some_scores()
    slices = slice_scores(scores, camera_groups(query.cameras))
    assert list(slices) == ["camera 1", "camera 2", "camera 3"]
    assert sum(one.queries for one in slices.values()) == 30
    for camera, one in enumerate(slices.values(), start=1):
        own = query.cameras == camera
        assert one.map == pytest.approx(scores.ap[own].mean())
        assert one.rank(1) == pytest.approx((scores.first[own] == 1).mean())
    with pytest.raises(ShapeError, match="one for each of 30"):
        slice_scores(scores, ["a"])


def test_length_groups_have_about_equal_size() -> None:
    lengths = np.random.default_rng(0).permutation(np.arange(1, 101))
    groups = length_groups(lengths)
    assert {name: int((groups == name).sum()) for name in set(groups)} == {
        "1-25 frames": 25, "26-50 frames": 25, "51-75 frames": 25, "76-100 frames": 25
    }  # fmt: skip
    assert all(int(name.split("-")[0]) <= n <= int(name.split()[0].split("-")[1]) for n, name in zip(lengths, groups))  # noqa: B905
    assert length_groups([4, 4, 4, 9]).tolist() == ["4 frames"] * 3 + ["9 frames"]
    names = list(slice_scores(some_scores()[0], length_groups([*range(2, 12)] * 3, 3)))
    assert names == ["2-5 frames", "6-8 frames", "9-11 frames"]  # by number, not by letter


def test_the_fault_of_a_query_is_the_most_common_one_of_its_clips() -> None:
    clips = np.array([["", "", ""], ["", "blur", ""], ["empty", "blur", "blur"], ["empty", "blur", ""]])
    assert fault_groups(clips).tolist() == [CLEAN, "blur", "blur", "empty"]


def test_splits_have_a_mean_and_a_standard_deviation() -> None:
    parts = tuple(replace(some_scores("prid2011", seed)[0], frames="4 clips", reranking="none") for seed in range(3))
    found = SplitScores(parts)
    maps = [one.map for one in parts]
    assert found.mean()["map"] == pytest.approx(sum(maps) / 3)
    assert found.std()["map"] == pytest.approx(np.sqrt(sum((m - sum(maps) / 3) ** 2 for m in maps) / 2))
    assert set(found.mean()) == {"map", "map_trapezoid", "minp", "rank-1", "rank-5", "rank-10", "rank-20"}
    assert len(json.loads(json.dumps(found.to_json()))["splits"]) == 3
    line = found.line()
    assert "90 of 90 queries have a match" in line and "4 clips; no re-ranking" in line
    assert line.endswith("mean ± standard deviation over 3 of 10 splits")
    with pytest.raises(ProtocolError, match="under the same protocol"):
        SplitScores((parts[0], replace(parts[1], reranking="k-reciprocal")))
    with pytest.raises(ProtocolError, match="needs at least two of them, found 1"):
        SplitScores(parts[:1])


def test_a_cell_of_the_camera_matrix_computed_by_hand() -> None:
    # The query, its person in its own camera, in camera 2 (twice) and 3; another person; person -1.
    names = ("q", "own", "two", "two again", "three", "other", "junk")
    gallery = Labels(names, np.array([1, 1, 1, 1, 1, 2, -1]), np.array([1, 1, 2, 2, 3, 3, 2]))
    query = gallery.rows(slice(0, 1))
    #                      q    own  two  again three other junk
    similarity = np.array([[1.0, 0.2, 0.8, 0.4, 0.9, 0.6, 0.5]])
    ranking = Ranking.from_scores(similarity, query.ids, gallery.ids)
    pairs = score_camera_pairs(ranking, query, gallery)
    assert pairs.cameras == (1, 2, 3)
    np.testing.assert_array_equal(pairs.queries, [[1, 1, 1], [0, 0, 0], [0, 0, 0]])
    np.testing.assert_array_equal(pairs.rank1[0], [0, 1, 1])
    np.testing.assert_allclose(pairs.map[0], [1 / 3, (1 + 2 / 4) / 2, 1])  # own camera: after other and junk
    np.testing.assert_allclose(pairs.map_trapezoid[0], [(0 + 1 / 3) / 2, (1 + (1 / 3 + 2 / 4) / 2) / 2, 1])
    assert np.isnan(pairs.rank1[1:]).all()
    assert pairs.across(pairs.rank1) == 1
    values = json.loads(json.dumps(pairs.to_json()))
    assert values["rank1"][1] == [None] * 3 and values["queries"][0] == [1, 1, 1]
    assert values["rule"].startswith("camera pairs of the official MARS code") and values["frames"] is None
    told = replace(pairs, frames="8 clips of 4 frames", reranking="none")
    assert told.line().endswith("8 clips of 4 frames; no re-ranking")


def test_camera_pairs_need_the_whole_ranking() -> None:
    labels = Labels(("a", "b"), np.array([1, 1]), np.array([1, 2]))
    ranking = Ranking.from_scores(np.eye(2), labels.ids, labels.ids, 1)
    with pytest.raises(ProtocolError, match="keeps 1 of 2"):
        score_camera_pairs(ranking, labels, labels)
