"""Splits of your own data: properties of every split, and messages if none can be drawn."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from resight.data.draw_splits import SplitRule, draw_splits, make_splits, write_splits
from resight.errors import DatasetError, RecipeError
from resight.tracklet import JUNK, Dataset, Tracklet, by_person


def make_set(seen: list[list[int]], unknown: int = 0, frames: int = 8) -> Dataset:
    """Return a data set; `seen` has the camera of each tracklet, for each person."""
    people = [(person, camera) for person, cameras in enumerate(seen, start=1) for camera in cameras]
    people += [(JUNK, 1)] * unknown
    tracklets = tuple(
        Tracklet(f"t{n}", person, camera, Path("t"), tuple(map(str, range(frames))))
        for n, (person, camera) in enumerate(people)
    )
    names = ("door", "gate", "hall")
    return Dataset("folder", Path("crops"), tracklets, tracklets, tracklets, camera_names=names)


PAIRS = make_set([[1, 2]] * 8)
worlds = st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=5), min_size=4, max_size=14)
queries = st.sampled_from(["one-per-camera", "all", "camera:gate"])
shares = st.floats(0.15, 0.85)


@settings(max_examples=80, deadline=None)
@given(worlds, shares, queries, st.integers(0, 5), st.integers(0, 2))
def test_properties_of_every_split(seen: list[list[int]], share: float, queries: str, seed: int, unknown: int) -> None:
    whole, rule = make_set(seen, unknown), SplitRule(3, share, queries, seed=seed)
    try:
        own = draw_splits(whole, rule)
    except DatasetError:
        assume(False)
    can_ask = [
        person
        for person, tracklets in by_person(whole.gallery).items()
        if len({t.camera for t in tracklets}) > 1 and (rule.camera is None or any(t.camera == 2 for t in tracklets))
    ]
    for split in own.of(whole):
        train, query, gallery = (by_person(role) for role in (split.train, split.query, split.gallery))
        assert not train.keys() & gallery.keys()
        assert train.keys() | gallery.keys() == by_person(whole.gallery).keys()
        assert abs(len(gallery) - share * len(seen)) <= 1
        assert abs(len(query) - share * len(can_ask)) <= 0.5 + 1e-9
        assert query.keys() == gallery.keys() & set(can_ask)
        assert set(split.query) <= set(split.gallery)
        assert all(any(g.person == q.person and g.camera != q.camera for g in split.gallery) for q in split.query)
        assert sum(t.person == JUNK for t in split.gallery) == unknown
        assert all(t.person != JUNK for t in (*split.train, *split.query))
        assert len({*split.train, *split.gallery}) == len(whole.gallery)
        if queries == "one-per-camera":
            places = [(t.person, t.camera) for t in split.query]
            assert len(places) == len(set(places))
            assert set(places) == {(t.person, t.camera) for t in split.gallery if t.person in query}
        elif queries == "all":
            assert set(split.query) == {t for t in split.gallery if t.person in query}
        else:
            assert [t.camera for t in split.query] == [2] * len(query)
    assert len({frozenset(by_person(split.query)) for split in own.of(whole)}) == 3


@settings(max_examples=20, deadline=None)
@given(worlds, st.randoms(use_true_random=False), st.integers(0, 9))
def test_the_same_seed_gives_the_same_splits_in_any_order(
    seen: list[list[int]], shuffling: random.Random, seed: int
) -> None:
    whole = make_set([[1, 2], [2, 3], [1, 3], [1, 2, 2], *seen])
    mixed = list(whole.gallery)
    shuffling.shuffle(mixed)
    rule = SplitRule(4, seed=seed)
    assert draw_splits(replace(whole, gallery=tuple(mixed)), rule) == draw_splits(whole, rule)
    assert draw_splits(whole, replace(rule, number=2)).splits == draw_splits(whole, rule).splits[:2]


def test_another_seed_gives_other_splits() -> None:
    drawn = [draw_splits(PAIRS, SplitRule(seed=seed)) for seed in range(5)]
    assert len({own.splits for own in drawn}) == 5
    assert len({own.made_for for own in drawn}) == 1


def test_as_many_splits_as_divisions_can_be_drawn_but_no_more() -> None:
    whole = make_set([[1, 2]] * 4)
    own = draw_splits(whole, SplitRule(6))
    assert len({split.query for split in own.splits}) == 6
    with pytest.raises(
        DatasetError,
        match=r"2 test persons can be chosen from 4 in 6 ways, which is fewer than 7 splits: draw at most 6",
    ):
        draw_splits(whole, SplitRule(7))


def test_short_tracklets_are_in_no_split() -> None:
    short = Tracklet("short", 1, 3, Path("t"), ("0", "1"))
    whole = replace(PAIRS, gallery=(*PAIRS.gallery, short))
    own = draw_splits(whole, SplitRule(min_frames=3))
    assert own.left_out == ("short",)
    assert all("short" not in (*split.train, *split.query, *split.gallery) for split in own.splits)
    assert "fewer than 3 frames" in own.rule
    assert not draw_splits(whole, SplitRule(min_frames=2)).left_out


@pytest.mark.parametrize(
    ("whole", "rule", "message"),
    [
        (make_set([[1]] * 9), SplitRule(), r"crops has one camera only \(door\).* protocol any-camera"),
        (
            make_set([[1, 2]] * 3),
            SplitRule(),
            "gives 2 test persons and 1 training persons, but at least 2 of each are needed",
        ),
        (make_set([[1, 2], [1], [2], [3]]), SplitRule(), "1 of 4 persons in crops are seen in two or more cameras;"),
        (make_set([[1, 2]] * 9), SplitRule(test_share=0.05), "share of 0.05 gives 0 test persons and 9 training"),
        (make_set([], unknown=4), SplitRule(), "one camera only"),
        (PAIRS, SplitRule(min_frames=9), "0 of 0 persons .* with tracklets of at least 9 frames"),
        (PAIRS, SplitRule(queries="camera:roof"), "no camera 'roof' in crops; its cameras are door, gate, hall"),
        (PAIRS, SplitRule(queries="camera:hall"), "0 of 8 persons .* in camera hall and another camera"),
    ],
)
def test_impossible_splits_are_explained(whole: Dataset, rule: SplitRule, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        draw_splits(whole, rule)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"test_share": 0.0}, "between 0 and 1, such as 0.5 .* found 0.0"),
        ({"test_share": 1.0}, "between 0 and 1"),
        ({"test_share": float("nan")}, "between 0 and 1"),
        ({"number": 0}, "number of splits must be at least 1, found 0"),
        ({"min_frames": 0}, "minimum number of frames must be at least 1"),
        ({"seed": -1}, "seed must be at least 0"),
        ({"queries": "some"}, "one-per-camera, all, or camera:NAME, .* found 'some'"),
        ({"queries": "camera:"}, "camera:NAME"),
    ],
)
def test_an_invalid_rule_is_refused(values: dict[str, float | int | str], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        SplitRule(**values)  # type: ignore[arg-type]


def test_existing_splits_are_overwritten_only_on_request(tmp_path: Path) -> None:
    path = tmp_path / "splits.json"
    first, second = (draw_splits(PAIRS, SplitRule(seed=seed)) for seed in (0, 1))
    write_splits(path, first)
    before = path.read_bytes()
    write_splits(path, first)
    with pytest.raises(DatasetError, match=r"already contains other splits.* --replace"):
        write_splits(path, second)
    assert path.read_bytes() == before
    write_splits(path, second, replace=True)
    assert path.read_bytes() == second.to_bytes()
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["mars:/data/MARS", "folder:", "/data/crops"])
def test_only_own_data_gets_splits(name: str) -> None:
    with pytest.raises(DatasetError, match=r"your own data, folder:PATH or manifest:PATH, found"):
        make_splits(name, SplitRule())
