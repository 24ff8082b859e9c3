from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from resight.data.batches import BatchPlan, ClipBatches, hold_out_persons
from resight.errors import DatasetError
from resight.recipe import ClipSpec, Optimisation, Stage1
from resight.tracklet import DISTRACTOR, JUNK, Tracklet

MakeTracklets = Callable[..., list[Tracklet]]


def tracklets(persons: int, each: int) -> list[Tracklet]:
    return [
        Tracklet(f"{p}-{n}", p, 1 + n % 2, Path("nowhere"), ("1.jpg",))
        for p in (JUNK, DISTRACTOR, *range(5, 5 + persons))
        for n in range(each)
    ]


def test_an_epoch_draws_each_person_once_and_k_tracklets_of_each() -> None:
    data = tracklets(persons=11, each=6)
    plan = BatchPlan(data, Optimisation(persons=4, tracklets=3, epochs=5), seed=0)
    assert plan.steps_per_epoch == 2 and plan.n_steps == 10
    for epoch in range(5):
        drawn = [data[i] for step in range(2) for i in plan.batch(2 * epoch + step)]
        persons = [t.person for t in drawn]
        assert len(set(persons)) == 8 and min(persons) > DISTRACTOR
        assert all(persons.count(p) == 3 for p in persons)
        assert len({t.id for t in drawn}) == 24  # no tracklet twice while there are enough
    assert plan.batch(0) != plan.batch(2)


def test_a_person_with_few_tracklets_repeats_them() -> None:
    data = tracklets(persons=2, each=3)
    plan = BatchPlan(data, Optimisation(persons=2, tracklets=4), seed=0)
    drawn = [data[i] for i in plan.batch(0)]
    for person in {t.person for t in drawn}:
        own = [t.id for t in drawn if t.person == person]
        assert len(own) == 4 and len(set(own)) == 3


def test_targets_number_the_persons() -> None:
    data = tracklets(persons=3, each=2)
    plan = BatchPlan(data, Optimisation(persons=2, tracklets=2), seed=0)
    assert plan.targets.tolist() == [-1, -1, -1, -1, 0, 0, 1, 1, 2, 2]


def test_a_batch_depends_on_the_step_alone(make_tracklets: MakeTracklets) -> None:
    data = make_tracklets(persons=4, frames=9)
    plan = BatchPlan(data, Optimisation(persons=2, tracklets=2), seed=3)
    spec = ClipSpec(length=2, count=3, height=32, width=16)
    batches = ClipBatches(data, plan, spec, Stage1(), max_corrupted=2)
    pixels, targets = batches[5]
    assert pixels.shape == (4, 3, 2, 32, 16, 3) and targets.shape == (4,)
    batches[1]
    assert (ClipBatches(data, plan, spec, Stage1(), max_corrupted=2)[5][0] == pixels).all()


def test_too_few_persons_is_an_error() -> None:
    with pytest.raises(DatasetError, match="3 persons"):
        BatchPlan(tracklets(persons=3, each=2), Optimisation(persons=4), seed=0)


def test_held_out_persons_are_disjoint_and_seen_twice() -> None:
    data = [*tracklets(persons=20, each=2), Tracklet("lonely", 99, 1, Path("nowhere"), ("1.jpg",))]
    train, validation = hold_out_persons(data, 0.2, seed=0)
    assert not {t.person for t in train} & {t.person for t in validation}
    assert len({t.person for t in validation}) == 4
    assert 99 not in {t.person for t in validation}
    assert len(train) + len(validation) == 41
    assert hold_out_persons(data, 0.2, seed=0)[1] == validation
    assert any(hold_out_persons(data, 0.2, seed=s)[1] != validation for s in range(1, 4))
    with pytest.raises(DatasetError, match="two cameras"):
        hold_out_persons([t for t in data if t.camera == 1], 0.2, seed=0)
