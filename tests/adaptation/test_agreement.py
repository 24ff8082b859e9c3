from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from resight.adaptation.agreement import (
    AUROC,
    BIAS,
    REASSOCIATION,
    Change,
    agreement_table,
    compare_agreement,
    helped,
    helped_across_cameras,
)
from resight.adaptation.unlabelled import Parts
from resight.evaluation.confidence import Interval
from resight.tracklet import Tracklet

T = 24


def made_parts(cameras: int = 2) -> Parts:
    tracklets = tuple(Tracklet(f"{n}", -1, n % cameras + 1, Path(), ("1.jpg",)) for n in range(T))
    camera = np.arange(T) % cameras
    apart = (camera[:, None] == camera) & ~np.eye(T, dtype=bool)
    last = tuple(replace(t, id=f"{t.id}/last") for t in tracklets)
    return Parts(tracklets, last, apart, camera[:, None] != camera, True)


def drawn(own: float, bias: float, seed: int = 0) -> np.ndarray:
    """Similarities: parts of a tracklet are more similar by `own`, tracklets of a camera by `bias`."""
    values = np.random.default_rng(seed).normal(0, 1, (T, T)) + own * np.eye(T)
    return values + bias * made_parts().apart


def test_measures_are_those_of_their_definition() -> None:
    parts, values = made_parts(), drawn(2, 0.5)
    changes = compare_agreement(values, values, parts)
    hits = []
    for i in range(T):
        others = [values[i, j] for j in range(T) if parts.apart[i, j]]
        hits.append(values[i, i] > max(others))
    negatives = values[parts.apart]
    wins = [float(np.mean(values[i, i] > negatives)) for i in range(T)]
    elsewhere = values[parts.elsewhere]
    bias = [float(np.mean(value > elsewhere)) for value in negatives]
    assert changes[REASSOCIATION].before == pytest.approx(100 * np.mean(hits))
    assert changes[AUROC].before == pytest.approx(100 * np.mean(wins))
    assert changes[BIAS].before == pytest.approx(abs(100 * np.mean(bias) - 50))
    for change in changes.values():
        assert tuple(change.difference) == (0, 0, 0) and change.before == change.after
    assert not helped(changes)


def test_pairs_of_different_folds_do_not_count() -> None:
    parts, fold = made_parts(), np.arange(T) // 2 % 2
    values = drawn(2, 0.5)
    changed = np.where(fold[:, None] == fold, values, 9.0)
    same = compare_agreement(values, changed, parts.within(fold))
    assert all(change.before == change.after for change in same.values())
    assert any(change.before != change.after for change in compare_agreement(values, changed, parts).values())


def test_ties_count_one_half() -> None:
    changes = compare_agreement(np.ones((T, T)), np.ones((T, T)), made_parts())
    assert changes[REASSOCIATION].before == 0 and changes[AUROC].before == 50 and changes[BIAS].before == 0


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ((1.5, 0.0), (4.0, 0.0), True),  # parts agree more
        ((4.0, 0.0), (1.5, 0.0), False),
        ((4.0, 1.0), (4.0, 0.0), True),  # tracklets of a camera are less alike
        ((4.0, 0.0), (4.0, 1.0), False),
        ((3.0, 0.0), (9.0, 3.0), False),  # parts agree more, but only because all of the camera is alike
    ],
)
def test_what_counts_as_help(before: tuple[float, float], after: tuple[float, float], expected: bool) -> None:
    changes = compare_agreement(drawn(*before), drawn(*after), made_parts())
    assert helped(changes) is expected


def test_one_camera_has_no_camera_bias() -> None:
    changes = compare_agreement(drawn(1, 0), drawn(3, 0), made_parts(cameras=1))
    assert set(changes) == {REASSOCIATION, AUROC} and helped(changes)


def test_an_interval_holds_the_difference_and_depends_on_the_seed_only() -> None:
    first, second = (compare_agreement(drawn(1, 0), drawn(1.5, 0, seed=1), made_parts(), seed=3) for _ in range(2))
    assert first == second
    for change in first.values():
        assert change.difference.low <= change.difference.value <= change.difference.high
        assert change.difference.value == pytest.approx(change.after - change.before)


def test_a_fall_outweighs_a_smaller_bias() -> None:
    def change(value: float, low: float, high: float) -> Change:
        return Change(50, 50 + value, Interval(value, low, high))

    better = change(-2, -3, -1)
    assert helped({REASSOCIATION: change(-1, -3, 1), AUROC: change(0, -1, 1), BIAS: better})
    assert not helped({REASSOCIATION: change(-2, -3, -1), AUROC: change(2, 1, 3), BIAS: better})
    assert not helped({REASSOCIATION: change(1, -1, 3), AUROC: change(0, -1, 1)})


@pytest.mark.parametrize(("high", "expected"), [(-1.0, True), (1.0, False)])
def test_across_cameras_the_bias_has_to_fall_clearly(high: float, expected: bool) -> None:
    same, risen = Change(50, 50, Interval(0, -1, 1)), Change(50, 52, Interval(2, 1, 3))
    bias = Change(10, 8, Interval(-2, -3, high))
    assert helped_across_cameras({REASSOCIATION: same, AUROC: risen, BIAS: bias}) is expected
    assert helped({REASSOCIATION: same, AUROC: risen, BIAS: bias})
    assert helped_across_cameras({REASSOCIATION: same, AUROC: risen})
    assert not helped_across_cameras({REASSOCIATION: same, AUROC: same})


def test_the_table_states_before_after_and_interval() -> None:
    table = agreement_table(compare_agreement(drawn(1, 0), drawn(3, 0), made_parts()), "title", "note")
    assert [row.name for row in table.rows] == [REASSOCIATION, AUROC, f"{BIAS}, distance from 50"]
    assert "to" in str(table.rows[0].cells[2]) and str(table.rows[0].cells[2]).startswith("+")
