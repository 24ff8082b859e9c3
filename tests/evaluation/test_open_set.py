"""Strangers, alarms and thresholds, re-derived in plain loops and worked by hand."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resight.errors import ProtocolError, ShapeError
from resight.evaluation.open_set import (
    NOBODY,
    OpenSet,
    calibrate_threshold,
    choose_threshold,
    draw_strangers,
    search_open_set,
)
from resight.evaluation.protocols import PROTOCOLS, Labels, judge_pairs
from resight.evaluation.threshold import Threshold, rate_among
from resight.features import ClipFeatures
from resight.models.aggregators import MeanPair
from resight.tracklet import JUNK

MARS = PROTOCOLS["mars"]
BY_HAND = OpenSet(
    "mars",
    own=np.array([0.9, 0.7, 0.6, 0.5]),
    rank=np.array([1.0, 1.0, 2.0, 1.0]),
    best=np.array([0.9, 0.7, 0.8, 0.5]),
    strangers=np.array([0.75, 0.55, 0.55, 0.1]),
    gallery=10,
)


def some_labels(rng: np.random.Generator, number: int) -> Labels:
    ids = tuple(f"t{place}" for place in range(number))
    return Labels(ids, rng.integers(JUNK, 5, number), rng.integers(1, 4, number))


@settings(max_examples=120, deadline=None)
@given(seed=st.integers(0, 9999), protocol=st.sampled_from([*PROTOCOLS.values()]), in_turn=st.booleans())
def test_against_plain_loops(seed: int, protocol: object, in_turn: bool) -> None:
    rng = np.random.default_rng(seed)
    gallery = some_labels(rng, 16)
    query = gallery.rows(slice(0, 8))
    similarity = (rng.integers(-3, 4, (8, 16)) / 4).astype(np.float32)
    strangers = None if in_turn else np.array([1, 3])
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
        with pytest.raises(ProtocolError, match="an open set needs queries"):
            search_open_set(similarity, query, gallery, protocol, strangers)  # type: ignore[arg-type]
        return
    for budget in (1, 2**23):
        found = search_open_set(similarity, query, gallery, protocol, strangers, memory_budget=budget)  # type: ignore[arg-type]
        for values, expected in ((found.own, own), (found.rank, rank), (found.best, best), (found.strangers, unknown)):
            np.testing.assert_array_equal(values, expected)


def test_rates_worked_by_hand() -> None:
    assert BY_HAND.false_alarm_rate(0.55) == 0.75
    assert BY_HAND.detection_rate(0.6) == 0.75
    assert BY_HAND.identification_rate(0.6) == 0.5
    assert BY_HAND.identification_rate(0.6, rank=2) == 0.75
    assert BY_HAND.identification_rate(-np.inf) == 0.75
    # Sixteen pairs of known and stranger: 4 + 3 + 4 + 1 are in the right order.
    assert BY_HAND.detection_auroc() == 12 / 16
    assert BY_HAND.identification_auc() == (4 + 3 + 1) / 16


@pytest.mark.parametrize(("rate", "alarms"), [(0.0, 0), (0.2, 0), (0.25, 1), (0.5, 1), (0.74, 1), (0.75, 3)])
def test_a_threshold_keeps_to_its_rate_whatever_the_ties(rate: float, alarms: int) -> None:
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


def test_strangers_are_drawn_by_seed() -> None:
    query = Labels(tuple("abcdefgh"), np.array([1, 1, 2, 3, 4, 5, 0, JUNK]), np.ones(8, int))
    drawn = draw_strangers(query, 0.4, seed=1)
    assert len(drawn) == 2 and set(drawn) < {1, 2, 3, 4, 5}
    np.testing.assert_array_equal(drawn, draw_strangers(query, 0.4, seed=1))
    assert len({tuple(draw_strangers(query, 0.4, seed)) for seed in range(20)}) > 3
    assert [len(draw_strangers(query, share)) for share in (0.0, 1.0)] == [1, 4]
    with pytest.raises(ProtocolError, match="two persons at least, found 1"):
        draw_strangers(query.rows(slice(0, 2)))


def test_a_threshold_is_kept_as_plain_numbers() -> None:
    chosen = choose_threshold(BY_HAND, 0.25, "persons of a test")
    assert (chosen.strangers, chosen.searched, chosen.gallery) == (4, 10, 10)
    assert Threshold.from_json(json.loads(json.dumps(chosen.to_json()))) == chosen
    assert not chosen.believes(0.55) and chosen.believes(0.56)
    assert "25 % false alarms among 10 tracklets" in chosen.line() and "persons of a test" in chosen.line()


def test_a_larger_gallery_wants_a_higher_threshold() -> None:
    small, large = (choose_threshold(BY_HAND, 0.5, "", gallery) for gallery in (10, 1000))
    assert large.similarity > small.similarity
    assert large.gallery == 1000
    assert large.expected_rate(1000) == pytest.approx(0.5)
    assert large.expected_rate(2000) == pytest.approx(0.75)
    assert rate_among(rate_among(0.3, 10, 70), 70, 10) == pytest.approx(0.3)
    assert rate_among(0.0, 10, 1000) == 0


def test_json_and_text_say_what_the_rates_are_worth() -> None:
    chosen = choose_threshold(BY_HAND, 0.25, "persons of a test")
    values = json.loads(json.dumps(BY_HAND.to_json(chosen)))
    assert (values["protocol"], values["known_queries"], values["strangers"], values["gallery"]) == ("mars", 4, 4, 10)
    assert values["at_threshold"] == {"false_alarm_rate": 0.25, "detection_rate": 0.75, "identification_rate": 0.5}
    assert values["identification_at_false_alarm_rate"] == {"0": 0.25, "0.01": 0.25, "0.1": 0.25}
    text = BY_HAND.to_text(chosen)
    assert "open set; protocol mars; 4 queries of persons in the gallery, 4 of strangers" in text
    assert "persons of a test" in text and "rank-1 without a threshold 75.0" in text
    assert "re-ranking not stated" in text
    told = replace(BY_HAND, frames="8 clips of 4 frames", reranking="none")
    assert told.line().endswith("8 clips of 4 frames; no re-ranking") and told.to_json()["reranking"] == "none"
    assert "at_threshold" not in BY_HAND.to_json()


def test_calibration_takes_each_person_out_once() -> None:
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
    assert (chosen.strangers, chosen.searched) == (32, 32)
    cosine = features.values / np.linalg.norm(features.values, axis=2, keepdims=True)
    similarity = np.einsum("qmd,gnd->qg", cosine, cosine) / 4
    others = np.where(persons[:, None] == persons, -1, similarity).max(axis=1)
    assert np.count_nonzero(others > chosen.similarity + 1e-5) == 3
    own = np.where((persons[:, None] == persons) & (features.cameras[:, None] != features.cameras), similarity, -1)
    assert np.mean(own.max(axis=1) >= chosen.similarity) > 0.9


def test_shapes_must_fit() -> None:
    labels = some_labels(np.random.default_rng(0), 4)
    with pytest.raises(ShapeError, match="one row a query"):
        search_open_set(np.zeros((3, 4)), labels, labels, MARS)
