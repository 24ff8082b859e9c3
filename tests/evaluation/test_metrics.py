"""Scores computed again in plain loops, and small cases computed by hand."""

from __future__ import annotations

import json
import math
import tracemalloc
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resight.errors import ProtocolError, ShapeError
from resight.evaluation import matches
from resight.evaluation.metrics import Scores, score_ranking, score_similarities
from resight.evaluation.protocols import PROTOCOLS, Labels, Protocol
from resight.ranking import Ranking
from resight.tracklet import DISTRACTOR, JUNK, Tracklet

MARS = PROTOCOLS["mars"]
ZERO = replace(MARS, name="zero", without_match="zero")
MISTAKE = replace(MARS, name="mistake", same_camera="nothing", junk_persons=(DISTRACTOR,))


def tracklet(name: str, person: int, camera: int) -> Tracklet:
    return Tracklet(name, person, camera, Path(), ("1.jpg",))


def score(
    query: list[Tracklet], gallery: list[Tracklet], scores: list[list[float]], protocol: Protocol = MARS, **how: int
) -> Scores:
    """Score a ranking, and check that the similarities without a ranking give exactly the same scores."""
    k = how.pop("k", None)
    similarity = np.array(scores, np.float32)
    ranking = Ranking.from_scores(similarity, [t.id for t in query], [t.id for t in gallery], k)
    found = score_ranking(ranking, query, gallery, protocol, **how)  # type: ignore[arg-type]
    if k is None:
        direct = score_similarities(similarity, query, gallery, protocol, **how)
        for field in fields(Scores):
            np.testing.assert_array_equal(getattr(direct, field.name), getattr(found, field.name))
    return found


def one_query(answers: str, protocol: Protocol = MARS, **how: int) -> Scores:
    """Score one query whose gallery comes in this order: + a match, - a wrong one, j junk, s the query's own camera."""
    kinds = {"+": (1, 2), "-": (2, 2), "j": (JUNK, 2), "s": (1, 1), "d": (DISTRACTOR, 2)}
    gallery = [tracklet(f"g{place}", *kinds[answer]) for place, answer in enumerate(answers)]
    return score([tracklet("q", 1, 1)], gallery, [[float(-place) for place in range(len(answers))]], protocol, **how)


def official_ap(good: set[int], junk: set[int], order: list[int]) -> tuple[float, list[float]]:
    """The official MARS code, step by step: trapezoid AP, and the CMC."""
    cmc = [0.0] * len(order)
    old_recall, old_precision, ap = 0.0, 1.0, 0.0
    hits = counted = 0
    for position in order:
        if position in junk:
            continue
        if position in good:
            hits += 1
            cmc[counted:] = [1.0] * (len(order) - counted)
        recall, precision = hits / len(good), hits / (counted + 1)
        ap += (recall - old_recall) * (old_precision + precision) / 2
        old_recall, old_precision = recall, precision
        counted += 1
        if hits == len(good):
            break
    return ap, cmc


def is_junk(protocol: Protocol, q: Tracklet, g: Tracklet, query: list[Tracklet]) -> bool:
    same_camera_junk = {
        "same person": g.camera == q.camera and g.person == q.person,
        "everyone": g.camera == q.camera,
        "query itself": g.id == q.id,
        "nothing": False,
    }[protocol.same_camera]
    taken_out = not protocol.queries_in_gallery and any(g.id == other.id for other in query)
    return g.person in protocol.junk_persons or same_camera_junk or taken_out


@settings(max_examples=150, deadline=None)
@given(
    data=st.data(),
    protocol=st.sampled_from([*PROTOCOLS.values(), ZERO, MISTAKE]),
    budget=st.sampled_from([1, 500, 2**23]),
)
def test_against_plain_loops(data: st.DataObject, protocol: Protocol, budget: int) -> None:
    Q, G = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 12))
    person, camera = st.integers(JUNK, 2), st.integers(1, 3)
    gallery = [tracklet(f"g{place}", data.draw(person), data.draw(camera)) for place in range(G)]
    own = [tracklet(f"q{place}", data.draw(person), data.draw(camera)) for place in range(Q)]
    query = [data.draw(st.sampled_from([*gallery, *own])) for _ in range(Q)]
    scores = [[data.draw(st.integers(0, 4)) / 4 for _ in range(G)] for _ in range(Q)]

    ap, trapezoid, inp, ap_of_all, cmc = list[float](), list[float](), list[float](), list[float](), list[list[float]]()
    for q, row in zip(query, scores, strict=True):
        order = sorted(range(G), key=lambda position: (-row[position], position))
        junk = {place for place, g in enumerate(gallery) if is_junk(protocol, q, g, query)}
        good = {p for p, g in enumerate(gallery) if g.person == q.person > DISTRACTOR and p not in junk}
        if not good:
            ap_of_all.append(math.nan)
            if protocol.without_match == "zero":
                for values in (ap, trapezoid, inp):
                    values.append(0.0)
                cmc.append([0.0] * 8)
            continue
        kept = [position for position in order if position not in junk]
        ranks = [rank for rank, position in enumerate(kept, start=1) if position in good]
        ap.append(sum(hit / rank for hit, rank in enumerate(ranks, start=1)) / len(ranks))
        ap_of_all.append(ap[-1])
        inp.append(len(ranks) / ranks[-1])
        area, steps = official_ap(good, junk, order)
        trapezoid.append(area)
        cmc.append((steps + [steps[-1]] * 8)[:8])

    if all(math.isnan(value) for value in ap_of_all):
        with pytest.raises(ProtocolError, match=f"none of {Q} queries has a match"):
            score(query, gallery, scores, protocol, max_rank=8)
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matches, "MEMORY_BUDGET", budget)
        found = score(query, gallery, scores, protocol, max_rank=8)
    assert (found.queries, found.valid_queries) == (Q, sum(not math.isnan(value) for value in ap_of_all))
    np.testing.assert_allclose(found.ap, ap_of_all)
    np.testing.assert_allclose([found.map, found.map_trapezoid], [np.mean(ap), np.mean(trapezoid)])
    np.testing.assert_allclose(found.minp, np.mean(inp))
    np.testing.assert_allclose(found.cmc, np.mean(cmc, axis=0))


@pytest.mark.parametrize(
    ("answers", "ap", "trapezoid", "minp"),
    [
        ("+", 1.0, 1.0, 1.0),
        ("++--", 1.0, 1.0, 1.0),
        ("-+", 1 / 2, (0 + 1 / 2) / 2, 1 / 2),
        ("+-+", (1 + 2 / 3) / 2, (1 + (1 / 2 + 2 / 3) / 2) / 2, 2 / 3),
        ("jj+sj-+", (1 + 2 / 3) / 2, (1 + (1 / 2 + 2 / 3) / 2) / 2, 2 / 3),  # junk and the own camera have no effect
        ("d+", 1 / 2, 1 / 4, 1 / 2),  # a distractor is wrong, not junk
    ],
)
def test_worked_by_hand(answers: str, ap: float, trapezoid: float, minp: float) -> None:
    found = one_query(answers)
    assert (found.map, found.map_trapezoid, found.minp) == pytest.approx((ap, trapezoid, minp))


def test_cmc_counts_from_one_and_stays_flat() -> None:
    found = one_query("j--+")
    assert [found.rank(k) for k in (1, 2, 3, 4, 50)] == [0, 0, 1, 1, 1]
    for k in (0, 51):
        with pytest.raises(ProtocolError, match="only ranks 1 to 50"):
            found.rank(k)


def test_a_query_is_not_a_match_of_itself() -> None:
    gallery = [tracklet("q", 1, 1), tracklet("other", 2, 2), tracklet("right", 1, 2)]
    assert score([gallery[0]], gallery, [[1.0, 0.9, 0.8]]).map == pytest.approx(1 / 2)


def test_ties_keep_the_order_of_the_gallery() -> None:
    wrong, right = tracklet("wrong", 2, 2), tracklet("right", 1, 2)
    query = [tracklet("q", 1, 1)]
    assert score(query, [wrong, right], [[0.5, 0.5]]).map == 0.5
    assert score(query, [right, wrong], [[0.5, 0.5]]).map == 1.0


def test_a_query_without_a_match_is_excluded_and_counted() -> None:
    query, gallery = [tracklet("q", 1, 1), tracklet("stranger", 9, 1)], [tracklet("g", 1, 2), tracklet("h", 2, 2)]
    scores = [[0.9, 0.1], [0.9, 0.1]]
    found = score(query, gallery, scores)
    assert (found.map, found.rank(1), found.queries, found.valid_queries) == (1.0, 1.0, 2, 1)
    assert found.ap[0] == 1.0
    assert np.isnan(found.ap[1])
    found = score(query, gallery, scores, ZERO)
    assert (found.map, found.map_trapezoid, found.minp, found.rank(50), found.valid_queries) == (0.5, 0.5, 0.5, 0.5, 1)


def test_a_cut_ranking_is_refused_or_gives_lower_bounds() -> None:
    with pytest.raises(ProtocolError, match="keeps 2 of 4 gallery tracklets"):
        one_query("+--+", k=2)
    found = one_query("+--+", k=2, allow_cut=True)
    assert (found.map, found.map_trapezoid, found.minp, found.rank(1)) == (0.5, 0.5, 0.0, 1.0)
    assert found.cut_at == 2
    assert "lower bounds from the best 2 candidates" in found.line()
    whole = one_query("+--+")
    assert whole.cut_at is None
    assert whole.map > found.map


def test_tracklets_must_be_those_of_the_ranking() -> None:
    query, gallery = [tracklet("q", 1, 1)], [tracklet("g", 1, 2), tracklet("h", 2, 2)]
    ranking = Ranking.from_scores(np.zeros((1, 2)), ["q"], ["g", "h"])
    with pytest.raises(ShapeError, match="gallery tracklet number 0 of the ranking is 'g', but 'h'"):
        score_ranking(ranking, query, gallery[::-1], MARS)
    with pytest.raises(ShapeError, match="2 gallery tracklets, but 1 gallery tracklets were given"):
        score_ranking(ranking, query, gallery[:1], MARS)
    with pytest.raises(ShapeError, match="query tracklet number 0"):
        score_ranking(ranking, gallery[:1], gallery, MARS)
    by_labels = score_ranking(ranking, Labels.of(query), Labels.of(gallery), MARS)
    assert by_labels.map == score_ranking(ranking, query, gallery, MARS).map


def test_similarities_must_be_numbers_of_the_right_shape() -> None:
    query, gallery = [tracklet("q", 1, 1)], [tracklet("g", 1, 2), tracklet("h", 2, 2)]
    with pytest.raises(ShapeError, match=r"similarities are \(2, 1\), expected \(1, 2\)"):
        score_similarities(np.zeros((2, 1)), query, gallery, MARS)
    with pytest.raises(ShapeError, match="query q against h is nan"):
        score_similarities(np.array([[0.0, np.nan]]), query, gallery, MARS)
    with pytest.raises(ProtocolError, match="none of 1 queries has a match"):
        score_similarities(np.zeros((1, 1)), query, gallery[1:], MARS)


def test_rankings_and_similarities_give_the_same_scores_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    persons, cameras = rng.integers(JUNK, 12, 300), rng.integers(1, 4, 300)
    gallery = Labels(tuple(f"g{place}" for place in range(300)), persons, cameras)
    query = gallery.rows(slice(0, 90))
    drawn = rng.standard_normal((90, 300))
    for similarity in (drawn.round(2).astype(np.float32), drawn):  # many ties, and none
        ranking = Ranking.from_scores(similarity, query.ids, gallery.ids)
        for protocol in PROTOCOLS.values():
            monkeypatch.setattr(matches, "MEMORY_BUDGET", 2**40)
            expected = score_ranking(ranking, query, gallery, protocol)
            monkeypatch.setattr(matches, "MEMORY_BUDGET", 50_000)
            blocks = score_ranking(ranking, query, gallery, protocol)
            direct = score_similarities(similarity, query, gallery, protocol)
            for found in (blocks, direct):
                np.testing.assert_array_equal(found.ap, expected.ap)
                assert found.to_json() == expected.to_json()


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    labels = Labels(tuple(map(str, range(1000))), rng.integers(1, 9, 1000), rng.integers(1, 4, 1000))
    similarity = rng.standard_normal((1000, 1000), dtype=np.float32)
    ranking = Ranking.from_scores(similarity, labels.ids, labels.ids)
    peaks = {}
    for budget in (2**20, 2**30):
        monkeypatch.setattr(matches, "MEMORY_BUDGET", budget)
        for way, given_to in ((score_ranking, ranking), (score_similarities, similarity)):
            tracemalloc.start()
            way(given_to, labels, labels, MARS)  # type: ignore[arg-type]
            peaks[way.__name__, budget] = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
    for name in ("score_ranking", "score_similarities"):
        assert peaks[name, 2**20] < 2 * 2**20 < peaks[name, 2**30] < 24 * 1_000_000


def test_json_and_text_state_the_conditions_of_the_scores() -> None:
    found = one_query("-+")
    values = json.loads(json.dumps(found.to_json()))
    assert values["protocol"] == "mars"
    assert values["ap_kind"] == "mean precision at hits"
    assert (values["queries"], values["valid_queries"], values["cut_at"], values["gallery"]) == (1, 1, None, 2)
    assert (values["map"], values["map_trapezoid"], values["cmc"][:2]) == (0.5, 0.25, [0.0, 1.0])
    start = "protocol mars; AP: mean precision at hits; 1 of 1 queries have a match; "
    assert found.line() == start + "test-time frames unknown; re-ranking unknown"
    told = replace(found, frames="8 clips of 4 frames", reranking="none")
    assert told.line() == start + "8 clips of 4 frames; no re-ranking"
    assert replace(told, reranking="k-reciprocal, k1 20").line().endswith("k-reciprocal, k1 20")
    assert (told.to_json()["frames"], told.to_json()["reranking"]) == ("8 clips of 4 frames", "none")
    assert "queries without a match count as 0" in one_query("-+", ZERO).line()
    assert found.measures() == {
        "map": 0.5, "map_trapezoid": 0.25, "minp": 0.5, "rank-1": 0, "rank-5": 1, "rank-10": 1, "rank-20": 1
    }  # fmt: skip


def test_scores_that_are_not_comparable_with_published_ones_say_so() -> None:
    message = one_query("-+").deviation()
    assert message is not None and "1,980 queries and 12,180 gallery tracklets; these use 1 and 2" in message
    assert replace(one_query("-+"), queries=1980, gallery=12_180).deviation() is None
    assert one_query("-+", PROTOCOLS["standard"]).deviation() is None


def some_queries(protocol: Protocol = MARS) -> Scores:
    query = [tracklet("a", 1, 1), tracklet("stranger", 9, 1), tracklet("b", 2, 1)]
    gallery = [tracklet("g", 1, 2), tracklet("h", 2, 2)]
    return score(query, gallery, [[0.9, 0.1], [0.9, 0.1], [0.9, 0.1]], protocol)


@pytest.mark.parametrize("protocol", [MARS, ZERO])
def test_a_subset_of_the_queries_can_be_scored(protocol: Protocol) -> None:
    whole = some_queries(protocol)
    part = whole.only(np.array([False, True, True]))
    assert (part.query_ids, part.queries, part.valid_queries) == (("stranger", "b"), 2, 1)
    assert (part.map, part.rank(1), part.rank(2)) == ((0.5, 0, 1) if protocol is MARS else (0.25, 0, 0.5))
    nobody = whole.only(np.array([False, True, False]))
    expected = math.nan if protocol is MARS else 0.0
    np.testing.assert_array_equal([nobody.map, nobody.minp, nobody.rank(1)], [expected] * 3)
    assert whole.only(np.ones(3, bool)).to_json() == whole.to_json()


def test_scores_are_saved_with_every_query(tmp_path: Path) -> None:
    found = replace(some_queries(), frames="8 clips of 4 frames", reranking="none")
    found.save(tmp_path / "new" / "scores.json")
    again = Scores.load(tmp_path / "new" / "scores.json")
    for field in fields(Scores):
        np.testing.assert_array_equal(getattr(again, field.name), getattr(found, field.name))
    for content in ("{}", "[]", "no json", json.dumps(found.to_json())):
        (tmp_path / "other.json").write_text(content)
        with pytest.raises(ProtocolError, match=r"other\.json is not a file of scores"):
            Scores.load(tmp_path / "other.json")
    with pytest.raises(ProtocolError, match="FileNotFoundError"):
        Scores.load(tmp_path / "missing.json")
