from __future__ import annotations

from pathlib import Path

import pytest

from resight.data.split import TrainingSplit
from resight.errors import DatasetError
from resight.tracklet import DISTRACTOR, JUNK, Tracklet


def tracklets(persons: int, each: int) -> list[Tracklet]:
    return [
        Tracklet(f"{p}-{n}", p, 1 + n % 2, Path("nowhere"), ("1.jpg",))
        for p in (JUNK, DISTRACTOR, *range(5, 5 + persons))
        for n in range(each)
    ]


def test_validation_persons_are_disjoint_from_the_others_and_seen_twice() -> None:
    data = [*tracklets(persons=20, each=2), Tracklet("lonely", 99, 1, Path("nowhere"), ("1.jpg",))]
    split = TrainingSplit.draw(data, 0.2, seed=0)
    assert not {t.person for t in split.train} & {t.person for t in split.validation}
    assert len({t.person for t in split.validation}) == 4
    assert 99 not in {t.person for t in split.validation}
    assert len(split.train) + len(split.validation) == 41
    assert TrainingSplit.draw(data, 0.2, seed=0) == split
    assert any(TrainingSplit.draw(data, 0.2, seed=s).validation != split.validation for s in range(1, 4))
    with pytest.raises(DatasetError, match="two cameras"):
        TrainingSplit.draw([t for t in data if t.camera == 1], 0.2, seed=0)


def test_a_seed_draws_the_same_persons_as_in_earlier_versions() -> None:
    split = TrainingSplit.draw(tracklets(persons=20, each=2), 0.2, seed=0)
    assert {t.person for t in split.validation} == {11, 13, 14, 15}
    assert {t.person for t in split.limit_persons(5, seed=0).train} == {5, 12, 17, 19, 24}


def test_with_given_validation_tracklets_all_persons_are_trained_on() -> None:
    data, validation = tracklets(persons=20, each=2), tracklets(persons=3, each=2)
    split = TrainingSplit.with_validation(data, validation)
    assert split.train == tuple(t for t in data if t.person > DISTRACTOR)
    assert split.validation == tuple(t for t in validation if t.person > DISTRACTOR)
    with pytest.raises(DatasetError, match="validation data has no training persons"):
        TrainingSplit.with_validation(data, tracklets(persons=0, each=2))


def test_limited_persons_are_whole_persons_drawn_from_a_seed() -> None:
    split = TrainingSplit.with_validation(tracklets(persons=20, each=2), tracklets(persons=3, each=2))
    limited = split.limit_persons(5, seed=0)
    assert len({t.person for t in limited.train}) == 5 and len(limited.train) == 10
    assert limited.validation == split.validation
    assert limited == split.limit_persons(5, seed=0) != split.limit_persons(5, seed=1)
    assert split.limit_persons(0, seed=0) == split.limit_persons(20, seed=0) == split


def test_sides_have_other_cameras_of_the_same_persons() -> None:
    def seen(person: int, *cameras: int) -> list[Tracklet]:
        return [Tracklet(f"{person}-{c}", person, c, Path("nowhere"), ("1.jpg",)) for c in cameras]

    split = TrainingSplit((), (*seen(1, 2, 4, 6), *seen(2, 1, 3), *seen(3, 5)), donors=(), validation_donors=())
    first, second = ([t.id for t in side] for side in split.sides())
    assert (first, second) == (["1-2", "1-6", "2-3", "3-5"], ["1-4", "2-1"])
