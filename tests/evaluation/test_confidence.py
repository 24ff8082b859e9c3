"""Intervals and paired tests, compared with loops and with their nominal rates."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from resight.errors import ProtocolError, ShapeError
from resight.evaluation import confidence
from resight.evaluation.confidence import MEASURES, compare_runs, confidence_intervals
from resight.evaluation.metrics import Scores, score_similarities
from resight.evaluation.protocols import PROTOCOLS, Labels

ZERO = replace(PROTOCOLS["standard"], name="zero", without_match="zero")


def run(strength: float, seed: int = 0, queries: int = 60, zero: bool = False) -> tuple[Scores, NDArray[np.int64]]:
    """Return scores of random similarities, with two queries that have no match, and the persons of the queries."""
    rng = np.random.default_rng(0)
    persons = rng.integers(1, 13, queries)
    query = Labels(tuple(f"q{place}" for place in range(queries)), persons, np.ones(queries, int))
    query.persons[:2] = 99
    gallery = Labels(tuple(f"g{place}" for place in range(80)), rng.integers(1, 13, 80), np.full(80, 2))
    similarity = np.random.default_rng(seed).normal(size=(queries, 80))
    similarity += strength * (query.persons[:, None] == gallery.persons)
    return score_similarities(similarity, query, gallery, ZERO if zero else PROTOCOLS["standard"]), query.persons


def test_intervals_equal_those_of_resampling_in_a_loop() -> None:
    scores, persons = run(1.0)
    found = confidence_intervals(scores, samples=4000)
    rng = np.random.default_rng(1)
    ap = scores.ap[~np.isnan(scores.ap)]
    means = [ap[rng.integers(0, len(ap), len(ap))].mean() for _ in range(4000)]
    assert found["map"].value == pytest.approx(scores.map)
    np.testing.assert_allclose(found["map"][1:], np.quantile(means, [0.025, 0.975]), atol=0.006)
    assert found["rank-1"].value == pytest.approx(scores.rank(1))
    assert (found["map_trapezoid"].value, found["minp"].value) == pytest.approx((scores.map_trapezoid, scores.minp))

    grouped = confidence_intervals(scores, groups=persons, samples=4000)
    own = [ap[persons[2:] == person] for person in np.unique(persons[2:])]
    draws = [np.concatenate([own[unit] for unit in rng.integers(0, len(own), len(own))]).mean() for _ in range(4000)]
    np.testing.assert_allclose(grouped["map"][1:], np.quantile(draws, [0.025, 0.975]), atol=0.006)


def test_intervals_have_about_their_nominal_coverage() -> None:
    truth = run(1.0, queries=6000)[0].only(np.arange(6000) > 1).map
    covered = []
    for start in range(0, 6000, 60):
        rows = np.zeros(6000, dtype=bool)
        rows[start : start + 60] = True
        covered.append(rows)
    whole = run(1.0, queries=6000)[0]
    hits = [
        low <= truth <= high
        for _, low, high in (confidence_intervals(whole.only(rows), samples=300)["map"] for rows in covered)
    ]
    assert 0.88 <= np.mean(hits) <= 1.0


def test_seed_level_and_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    scores, _ = run(1.0)
    first = confidence_intervals(scores, samples=200)
    assert first == confidence_intervals(scores, samples=200)
    assert first != confidence_intervals(scores, samples=200, seed=1)
    narrow = confidence_intervals(scores, samples=200, level=0.5)
    assert first["map"].low < narrow["map"].low < narrow["map"].high < first["map"].high
    monkeypatch.setattr(confidence, "_BLOCK", 1)
    for name, interval in confidence_intervals(scores, samples=200).items():
        assert interval == pytest.approx(first[name])


def test_queries_without_a_match_count_as_defined_by_the_protocol() -> None:
    scores, _ = run(1.0, zero=True)
    assert scores.valid_queries == 58
    for name, interval in confidence_intervals(scores, samples=50).items():
        assert interval.value == pytest.approx(scores.measures()[name])
    nobody = run(1.0)[0].only(np.arange(60) < 2)
    assert all(np.isnan(interval).all() for interval in confidence_intervals(nobody).values())


def test_a_run_does_not_differ_from_itself() -> None:
    scores, _ = run(1.0)
    for one in compare_runs(scores, scores, samples=100).differences.values():
        assert (one.interval, one.p_value, one.better, one.worse) == ((0, 0, 0), 1.0, 0, 0)


def test_a_clear_difference_is_significant_and_a_random_one_is_not() -> None:
    (weak, persons), (strong, _) = run(0.5), run(2.0)
    for groups in (None, persons):
        found = compare_runs(strong, weak, groups=groups, samples=500)
        clear = found.differences["map"]
        assert clear.interval.value == pytest.approx(strong.map - weak.map)
        assert 0 < clear.interval.low < clear.interval.value < clear.interval.high
        assert clear.p_value == pytest.approx(1 / 501) and clear.better > clear.worse
        assert compare_runs(weak, strong, groups=groups, samples=500).differences["map"].interval.high < 0
    p_values = [
        compare_runs(run(1.0, 2 * seed + 1)[0], run(1.0, 2 * seed + 2)[0], samples=200).differences["map"].p_value
        for seed in range(60)
    ]
    assert np.mean(np.array(p_values) <= 0.1) < 0.25
    assert 0.35 < np.mean(p_values) < 0.65


def test_the_p_value_equals_that_of_all_sign_patterns() -> None:
    first, second = (scores.only(np.arange(60) < 10) for scores in (run(1.2, 1)[0], run(1.0, 2)[0]))
    difference = (first.ap - second.ap)[2:]
    patterns = np.array(np.meshgrid(*[[-1, 1]] * 8)).reshape(8, -1)
    exact = np.mean(np.abs(difference @ patterns) >= abs(difference.sum()) - 1e-12)
    assert compare_runs(first, second, samples=4000).differences["map"].p_value == pytest.approx(exact, abs=0.03)


def test_runs_that_cannot_be_compared_are_refused() -> None:
    scores, _ = run(1.0)
    with pytest.raises(ProtocolError, match="query_ids differ: 60 and 59 of them"):
        compare_runs(scores, scores.only(np.arange(60) != 7))
    with pytest.raises(ProtocolError, match="protocol differ: standard and mars"):
        compare_runs(scores, replace(scores, protocol="mars"))
    with pytest.raises(ProtocolError, match="gallery differ: 80 and 81"):
        compare_runs(scores, replace(scores, gallery=81))
    with pytest.raises(ProtocolError, match="same queries"):
        compare_runs(scores, replace(scores, ap=np.full(60, np.nan)))
    with pytest.raises(ShapeError, match="one for each of 60 queries"):
        confidence_intervals(scores, groups=[1, 2])
    with pytest.raises(ProtocolError, match="expected 0 < level < 1"):
        confidence_intervals(scores, level=95)


def test_json_and_text() -> None:
    (first, persons), (second, _) = run(2.0), run(0.5)
    found = compare_runs(first, second, groups=persons, samples=50)
    values = json.loads(json.dumps(found.to_json()))
    assert (values["unit"], values["samples"], tuple(values["differences"])) == ("groups of queries", 50, MEASURES)
    assert set(values["differences"]["map"]) == {"value", "low", "high", "p_value", "better", "worse"}
    assert "95 % intervals, 50 samples of 12 groups of queries" in found.to_text()
