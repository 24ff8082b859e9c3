"""Open-set rates and thresholds, re-derived in plain loops and computed by hand."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from resight.errors import ProtocolError, ShapeError
from resight.evaluation import matches
from resight.evaluation.open_set import (
    NOBODY,
    OpenSet,
    calibrate_threshold,
    draw_impostors,
    search_open_set,
)
from resight.evaluation.protocols import PROTOCOLS, Labels, judge_pairs
from resight.evaluation.threshold import FEW_PERSONS, VALIDATION, Threshold
from resight.features.types import ClipFeatures
from resight.models.aggregators import MeanPair
from resight.ranking import Ranking
from resight.tracklet import JUNK

MARS = PROTOCOLS["mars"]
BY_HAND = OpenSet(
    "mars",
    match=np.array([0.9, 0.7, 0.6, 0.5]),
    rank=np.array([1.0, 1.0, 2.0, 1.0]),
    best=np.array([0.9, 0.7, 0.8, 0.5]),
    impostors=np.array([0.75, 0.55, 0.55, 0.1]),
    gallery=10,
)


def fitted(
    best: NDArray[np.float64], rate: float = 0.05, gallery: int = 10, *, searched: float = 10, persons: int = 40
) -> Threshold:
    return Threshold.fitted(best, searched, persons, "persons of a test", rate, gallery)


def some_labels(rng: np.random.Generator, number: int) -> Labels:
    ids = tuple(f"t{place}" for place in range(number))
    return Labels(ids, rng.integers(JUNK, 5, number), rng.integers(1, 4, number))


@settings(max_examples=120, deadline=None)
@given(seed=st.integers(0, 9999), protocol=st.sampled_from([*PROTOCOLS.values()]), in_turn=st.booleans())
@example(seed=358, protocol=PROTOCOLS["mars-queries-out"], in_turn=False)  # an impostor query without any candidate
def test_against_plain_loops(seed: int, protocol: object, in_turn: bool) -> None:
    rng = np.random.default_rng(seed)
    gallery = some_labels(rng, 16)
    query = gallery.rows(slice(0, 8))
    similarity = (rng.integers(-3, 4, (8, 16)) / 4).astype(np.float32)
    impostors = None if in_turn else np.array([1, 3])
    ranking = Ranking.from_scores(similarity, query.ids, gallery.ids)
    match, junk = judge_pairs(protocol, query, gallery, np.isin(gallery.ids, query.ids))  # type: ignore[arg-type]

    own, rank, best, unknown = [], [], [], []
    for q, person in enumerate(query.persons.tolist()):
        if person == JUNK:
            continue
        there = [g for g in range(16) if not junk[q, g] and (in_turn or gallery.persons[g] not in (1, 3))]
        order = sorted(there, key=lambda g: (-similarity[q, g], g))
        right = [g for g in order if match[q, g]]
        wrong = [g for g in order if not match[q, g]]
        if right:
            own.append(similarity[q, right[0]])
            rank.append(order.index(right[0]) + 1)
            best.append(similarity[q, order[0]])
        if in_turn or not right:
            unknown.append(similarity[q, wrong[0]] if wrong else NOBODY)
    if not own or not unknown:
        with pytest.raises(ProtocolError, match="an open set needs mated and impostor queries"):
            search_open_set(ranking, query, gallery, protocol, impostors)  # type: ignore[arg-type]
        return
    for budget in (1, 2**23):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(matches, "MEMORY_BUDGET", budget)
            result = search_open_set(ranking, query, gallery, protocol, impostors)  # type: ignore[arg-type]
        np.testing.assert_array_equal(result.match, own)
        np.testing.assert_array_equal(result.rank, rank)
        np.testing.assert_array_equal(result.best, best)
        np.testing.assert_array_equal(result.impostors, unknown)


def test_rates_worked_by_hand() -> None:
    assert BY_HAND.false_alarm_rate(0.55) == 0.75
    assert BY_HAND.detection_rate(0.6) == 0.75
    assert BY_HAND.identification_rate(0.6) == 0.5
    assert BY_HAND.identification_rate(0.6, rank=2) == 0.75
    assert BY_HAND.identification_rate(-np.inf) == 0.75
    # Of sixteen pairs of a mated and an impostor query, 4 + 3 + 4 + 1 are in the right order.
    assert BY_HAND.detection_auroc() == 12 / 16
    assert BY_HAND.identification_auc() == (4 + 3 + 1) / 16


@pytest.mark.parametrize(("rate", "alarms"), [(0.0, 0), (0.2, 0), (0.25, 1), (0.5, 1), (0.74, 1), (0.75, 3)])
def test_a_threshold_keeps_its_rate_also_with_ties(rate: float, alarms: int) -> None:
    at = BY_HAND.threshold_at(rate)
    assert BY_HAND.false_alarm_rate(at) == alarms / 4 <= rate
    lower = np.nextafter(at, -np.inf)
    assert BY_HAND.false_alarm_rate(lower) > rate


def test_impossible_rates_are_refused() -> None:
    for rate in (-0.1, 1.0):
        with pytest.raises(ProtocolError, match="at least 0 and less than 1"):
            BY_HAND.threshold_at(rate)


def test_the_curve_has_every_threshold() -> None:
    rates, found = BY_HAND.curve()
    assert (rates.tolist(), found.tolist()) == ([0, 0.25, 0.75, 1], [0.25, 0.5, 0.75, 0.75])
    for rate, identified in zip(rates[:-1], found[:-1], strict=True):
        at = BY_HAND.threshold_at(rate)
        assert (BY_HAND.false_alarm_rate(at), BY_HAND.identification_rate(at)) == (rate, identified)
    rng = np.random.default_rng(0)
    many = OpenSet(
        "mars", rng.normal(1, 1, 300), rng.integers(1, 3, 300).astype(np.float64), np.ones(300), rng.normal(size=200), 9
    )
    rates, found = many.curve()
    steps = np.sum(np.diff(rates) * found[:-1])
    assert many.identification_auc() == pytest.approx(steps, abs=1e-9)


def test_impostors_are_drawn_by_seed() -> None:
    query = Labels(tuple("abcdefgh"), np.array([1, 1, 2, 3, 4, 5, 0, JUNK]), np.ones(8, int))
    drawn = draw_impostors(query, 0.4, seed=1)
    assert len(drawn) == 2 and set(drawn) < {1, 2, 3, 4, 5}
    np.testing.assert_array_equal(drawn, draw_impostors(query, 0.4, seed=1))
    assert len({tuple(draw_impostors(query, 0.4, seed)) for seed in range(20)}) > 3
    assert [len(draw_impostors(query, share)) for share in (0.0, 1.0)] == [1, 4]
    with pytest.raises(ProtocolError, match="at least two persons, found 1"):
        draw_impostors(query.rows(slice(0, 2)))


def test_a_threshold_is_stored_as_plain_numbers() -> None:
    chosen = fitted(np.random.default_rng(0).gumbel(0.5, 0.05, 40), rate=0.25)
    assert Threshold.from_json(json.loads(json.dumps(chosen.to_json()))) == chosen
    at = chosen.similarity
    assert chosen.accepts(at) and not chosen.accepts(np.nextafter(at, -np.inf))
    assert "for a gallery of 10 tracklets: false-alarm rate 25 %" in chosen.line()
    assert "calibrated on 40 persons of a test, with 40 impostor searches in 10 tracklets" in chosen.line()
    with pytest.raises(ProtocolError, match="train its second stage again"):
        Threshold.from_json({"similarity": 0.5, "gallery": 3})


def test_thresholds_of_earlier_model_files_can_be_read() -> None:
    chosen = fitted(np.random.default_rng(0).gumbel(0.5, 0.05, 40))
    earlier = chosen.to_json() | {"source": "persons kept back from training, each taken out of the gallery in turn"}
    earlier["strangers"] = earlier.pop("impostor_searches")
    assert Threshold.from_json(earlier) == replace(chosen, source=VALIDATION)


def test_the_distribution_of_similarities_in_earlier_model_files_is_converted() -> None:
    best = np.random.default_rng(0).beta(20, 20, 4000)
    scale = np.sqrt(6) / np.pi * best.std()
    earlier = fitted(best).to_json() | {"location": best.mean() - np.euler_gamma * scale, "scale": scale}
    del earlier["distribution"]
    read = Threshold.from_json(earlier)
    assert read.similarity == pytest.approx(fitted(best).similarity, abs=0.02)
    assert read.for_gallery(10**9).similarity < 1


def test_a_threshold_from_few_persons_is_called_a_rough_estimate() -> None:
    best = np.random.default_rng(0).gumbel(0.5, 0.05, 40)
    assert "29 persons of a test, which is a rough estimate" in fitted(best, persons=FEW_PERSONS - 1).line()
    assert "rough" not in fitted(best, persons=FEW_PERSONS).line()


def test_a_sentence_compares_the_best_match_with_the_threshold() -> None:
    chosen = Threshold(np.log(2), 0.0, 10, 40, 149, VALIDATION, 0.05, 10)
    calibration = (
        "the threshold 0.500 (false-alarm rate 5 %, calibrated on 149 validation persons of the training data)"
    )
    assert chosen.judge(0.64) == f"The best match, 0.640, is above {calibration}."
    assert chosen.judge(0.4) == f"No match is above {calibration}. The similarity of the best candidate is 0.400."
    strict = replace(chosen, scale=0.3).for_gallery(10_000_000)
    assert 0.99 < strict.similarity < 1


@pytest.mark.parametrize("shape", [(2, 5), (20, 20)])
@pytest.mark.parametrize(("rate", "times"), [(0.05, 1), (0.05, 10), (0.2, 10)])
def test_the_rate_holds_if_similarities_are_independent(shape: tuple[int, int], rate: float, times: int) -> None:
    rng = np.random.default_rng(3)
    best = rng.beta(*shape, size=(2000, 100)).max(axis=1)
    threshold = fitted(best, rate, 100, searched=100).for_gallery(100 * times)
    alarms = np.mean([rng.beta(*shape, size=100 * times).max() >= threshold.similarity for _ in range(2000)])
    assert 0.5 * rate < alarms < 1.5 * rate


def test_a_larger_gallery_and_a_lower_rate_need_a_higher_threshold() -> None:
    best = np.random.default_rng(0).gumbel(0.5, 0.05, 40)
    similarity = [fitted(best, rate, 10).for_gallery(size).similarity for rate in (0.2, 0.05) for size in (10, 1000)]
    assert similarity[0] < similarity[1] < similarity[3] and similarity[0] < similarity[2] < similarity[3]
    for rate, size in ((0.0, 10), (1.0, 10), (0.5, 0)):
        with pytest.raises(ProtocolError, match="a false-alarm rate between 0 and 1"):
            fitted(best, rate, size)
    with pytest.raises(ProtocolError, match="at least two impostor searches, found 1"):
        fitted(best[:1])


def test_json_and_text_state_the_conditions_of_the_rates() -> None:
    chosen = Threshold(np.log(2), 0.0, 10, 4, 4, "persons of a test", 0.25, 10)
    values = json.loads(json.dumps(BY_HAND.to_json(replace(chosen, location=-np.log(0.4)))))
    counts = values["mated_queries"], values["impostor_queries"], values["gallery"]
    assert (values["protocol"], *counts) == ("mars", 4, 4, 10)
    assert values["at_threshold"].pop("calibrated_false_alarm_rate") == 0.25
    assert values["at_threshold"] == {"false_alarm_rate": 0.25, "detection_rate": 0.75, "identification_rate": 0.5}
    assert values["identification_at_false_alarm_rate"] == {"0": 0.25, "0.01": 0.25, "0.1": 0.25}
    text = BY_HAND.table(chosen).to_text()
    assert "open set; protocol mars; 4 mated queries, 4 impostor queries" in text
    assert "persons of a test" in text and "rank-1 without a threshold 75.0" in text
    assert "re-ranking unknown" in text
    told = replace(BY_HAND, frames="8 clips of 4 frames", reranking="none")
    assert told.line().endswith("8 clips of 4 frames; no re-ranking") and told.to_json()["reranking"] == "none"
    assert "at_threshold" not in BY_HAND.to_json()


def test_calibration_removes_each_person_once() -> None:
    rng = np.random.default_rng(0)
    persons = np.repeat(np.arange(1, 9), 4)
    values = rng.normal(size=(9, 1, 16))[persons] + 0.5 * rng.normal(size=(32, 2, 16))
    features = ClipFeatures(
        tuple(f"t{place}" for place in range(32)),
        persons,
        np.tile([1, 1, 2, 3], 8),
        values.astype(np.float32),
        np.zeros((32, 2, 1), np.int64),
    )
    chosen = calibrate_threshold(features, MeanPair(), 0.1)
    assert (chosen.impostor_searches, chosen.searched, chosen.persons, chosen.gallery) == (32, 28, 8, 32)
    cosine = features.values / np.linalg.norm(features.values, axis=2, keepdims=True)
    similarity = np.einsum("qmd,gnd->qg", cosine, cosine) / 4
    others = np.where(persons[:, None] == persons, -1, similarity).max(axis=1)
    assert chosen.location + np.euler_gamma * chosen.scale == pytest.approx(-np.log1p(-others).mean(), abs=1e-4)
    assert np.count_nonzero(others > chosen.similarity) <= 4
    own = np.where((persons[:, None] == persons) & (features.cameras[:, None] != features.cameras), similarity, -1)
    assert np.mean(own.max(axis=1) >= chosen.similarity) > 0.9


def test_the_ranking_must_be_complete_and_of_these_tracklets() -> None:
    labels = some_labels(np.random.default_rng(0), 4)
    with pytest.raises(ShapeError, match="the ranking has 3 query tracklets"):
        search_open_set(Ranking.from_scores(np.zeros((3, 4)), labels.ids[:3], labels.ids), labels, labels, MARS)
    with pytest.raises(ProtocolError, match="keeps 2 of 4"):
        search_open_set(Ranking.from_scores(np.zeros((4, 4)), labels.ids, labels.ids, 2), labels, labels, MARS)
