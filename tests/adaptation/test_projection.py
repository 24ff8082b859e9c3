from __future__ import annotations

import numpy as np
import pytest

from resight.adaptation import projection
from resight.adaptation.projection import PRIOR, fit_projection

D, PERSONS, EACH = 24, 30, 4


def drawn(seed: int, direction: np.ndarray) -> np.ndarray:
    """Persons whose features vary along one direction from camera to camera: (PERSONS * EACH, D)."""
    rng = np.random.default_rng(seed)
    values = np.repeat(rng.normal(0, 1, (PERSONS, D)), EACH, axis=0)
    values += np.tile(np.linspace(-2, 2, EACH), PERSONS)[:, None] * direction
    values += 0.2 * rng.normal(0, 1, values.shape)
    units: np.ndarray = values / np.linalg.norm(values, axis=1, keepdims=True)
    return units


@pytest.fixture
def known_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projection, "group_tracklets", lambda features, _: np.arange(len(features)) // EACH)


@pytest.mark.usefixtures("known_groups")
def test_the_matrix_is_that_of_the_definition() -> None:
    features = drawn(0, np.eye(D)[0])[:12]
    fitted = fit_projection(features, np.zeros((12, 12), bool))
    within = np.zeros((D, D))
    for group in range(3):
        own = features[group * EACH : (group + 1) * EACH]
        within += sum(np.outer(x - own.mean(0), x - own.mean(0)) for x in own)
    within /= 9
    strength = (1 + PRIOR / 9) * np.trace(within) / D
    square = np.linalg.inv(np.eye(D) + within / strength)
    np.testing.assert_allclose(fitted.matrix @ fitted.matrix, square, atol=1e-5)
    np.testing.assert_allclose(fitted.matrix, fitted.matrix.T, atol=1e-6)
    assert (fitted.n_groups, fitted.n_grouped) == (3, 12)


def test_it_helps_other_persons() -> None:
    direction = np.linalg.qr(np.random.default_rng(5).normal(size=(D, D)))[0][0]
    fitted = fit_projection(drawn(0, direction), np.zeros((PERSONS * EACH,) * 2, bool))
    others = drawn(1, direction)

    def margin(features: np.ndarray) -> float:
        """Mean difference between the least similar tracklet of a person and the most similar one of another."""
        units = features / np.linalg.norm(features, axis=1, keepdims=True)
        person = np.arange(len(units)) // EACH
        same = person[:, None] == person
        similarity = units @ units.T
        return float((np.where(same, similarity, 2).min(1) - np.where(same, -2, similarity).max(1)).mean())

    assert margin(others @ fitted.matrix) > margin(others) + 0.1


def test_without_groups_it_is_the_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projection, "group_tracklets", lambda features, _: np.arange(len(features)))
    fitted = fit_projection(drawn(0, np.eye(D)[0]), np.zeros((PERSONS * EACH,) * 2, bool))
    assert (fitted.matrix == np.eye(D)).all() and fitted.n_groups == fitted.n_grouped == 0


@pytest.mark.usefixtures("known_groups")
def test_tracklets_that_are_all_alike_change_nothing() -> None:
    fitted = fit_projection(np.tile(np.eye(D)[:1], (8, 1)), np.zeros((8, 8), bool))
    assert (fitted.matrix == np.eye(D)).all()
