from __future__ import annotations

import numpy as np

from resight.adaptation.groups import group_tracklets


def units(persons: int, each: int, noise: float, seed: int = 0) -> np.ndarray:
    """Features of `each` tracklets of every person, one after the other."""
    rng = np.random.default_rng(seed)
    values = np.repeat(rng.normal(0, 1, (persons, 32)), each, axis=0) + noise * rng.normal(0, 1, (persons * each, 32))
    units: np.ndarray = values / np.linalg.norm(values, axis=1, keepdims=True)
    return units


def test_similar_tracklets_are_grouped() -> None:
    groups = group_tracklets(units(12, 4, 0.3), np.zeros((48, 48), bool))
    assert groups.tolist() == np.repeat(groups[::4], 4).tolist() and len(set(groups.tolist())) == 12


def test_proven_different_persons_are_never_in_one_group() -> None:
    features = units(6, 8, 0.3)
    apart = np.zeros((48, 48), bool)
    rng = np.random.default_rng(1)
    for first, second in rng.integers(0, 48, (60, 2)).tolist():
        apart[first, second] = apart[second, first] = first != second
    groups = group_tracklets(features, apart)
    assert not (apart & (groups[:, None] == groups)).any()
    free = group_tracklets(features, np.zeros_like(apart))
    assert (apart & (free[:, None] == free)).any(), "without constraints, some are"


def test_the_order_of_tracklets_does_not_matter() -> None:
    features, order = units(10, 3, 0.8), np.random.default_rng(2).permutation(30)
    apart = np.zeros((30, 30), bool)
    one, other = group_tracklets(features, apart)[order], group_tracklets(features[order], apart)
    assert ((one[:, None] == one) == (other[:, None] == other)).all()


def test_few_tracklets() -> None:
    for count in (0, 1, 2, 3):
        assert len(group_tracklets(units(max(count, 1), 1, 0.1)[:count], np.zeros((count, count), bool))) == count
