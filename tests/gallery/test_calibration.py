"""Calibration: probabilities and thresholds are right for similarities whose distribution is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from resight.errors import GalleryError
from resight.evaluation.threshold import Threshold
from resight.gallery.calibration import (
    CERTAIN,
    LEAST_LABELS,
    LEAST_PAIRS,
    TAIL_SHAPE,
    Calibration,
    Similarities,
    fit,
    shipped,
)

LABELS = np.zeros((0, 2))


def draw(shift: float, stretch: float, pairs: int = 40_000, share: float = 0.01, seed: int = 0) -> Similarities:
    """Return similarities of a gallery, moved and stretched."""
    rng = np.random.default_rng(seed)

    def different(count: int) -> np.ndarray:
        body = np.abs(rng.normal(0, 0.12 * stretch, count)) * rng.choice([-1, 1], count)
        start = 1.85 * 0.12 * stretch
        tail = 1 - (1 - shift - start) * rng.random(count) ** (1 / 7.5)
        return np.where(rng.random(count) < 0.06, tail, shift + np.minimum(body, start))

    same = rng.normal(shift + 3.7 * 0.12 * stretch, 1.2 * 0.12 * stretch, int(share * pairs)).clip(-1, 0.99)
    across = np.concatenate([different(pairs - len(same)), same])
    return Similarities(across, different(400), different(1000), same[:20], LABELS, 200, 200)


@pytest.mark.parametrize(("shift", "stretch"), [(0.0, 1.0), (0.2, 1.0), (0.1, 0.7), (-0.1, 1.3)])
def test_location_scale_and_number_of_matches_are_found(shift: float, stretch: float) -> None:
    calibration = fit(draw(shift, stretch))
    assert calibration is not None
    assert calibration.different == pytest.approx(shift, abs=0.02)
    assert calibration.scale == pytest.approx(0.12 * stretch, rel=0.1)
    assert calibration.same == pytest.approx(shift + 3.7 * 0.12 * stretch, abs=0.05)
    assert calibration.matches == pytest.approx(2.0, rel=0.3)  # 1 % of 199
    assert calibration.tail_shape == pytest.approx(7.5, rel=0.25)


def test_probabilities_are_the_shares_of_right_pairs() -> None:
    known = draw(0.1, 1.0, share=0.02)
    calibration = fit(known)
    assert calibration is not None
    right = np.arange(len(known.across)) >= len(known.across) - int(0.02 * len(known.across))
    probability = calibration.probability(known.across, known.gallery)
    for low, high in ((0.2, 0.5), (0.5, 0.8), (0.8, 1.0)):
        chosen = (probability >= low) & (probability < high)
        assert probability[chosen].mean() == pytest.approx(right[chosen].mean(), abs=0.1)


def test_a_threshold_keeps_its_rate_for_any_gallery() -> None:
    known = draw(0.1, 1.0)
    calibration = fit(replace(known, different=draw(0.1, 1.0, share=0.0, seed=3).across))
    assert calibration is not None
    fresh = draw(0.1, 1.0, pairs=400_000, share=0.0, seed=5).across
    for gallery in (20, 200):
        best = fresh[: len(fresh) // gallery * gallery].reshape(-1, gallery).max(1)
        rate = (best >= calibration.threshold(0.05, gallery)).mean()
        assert rate == pytest.approx(0.05, abs=0.02)


def test_few_pairs_in_the_tail_raise_the_threshold() -> None:
    calibration = fit(replace(draw(0.1, 1.0), different=draw(0.1, 1.0, share=0.0, seed=3).across[:300]))
    assert calibration is not None and 15 < calibration.tail_weight < 45
    certain = replace(calibration, tail_weight=CERTAIN)
    shapes = np.random.default_rng(0).gamma(calibration.tail_weight, 1 / calibration.tail_weight, 200_000)
    for gallery in (20, 200):
        threshold = calibration.threshold(0.05, gallery)
        assert calibration.false_alarm_rate(threshold, gallery) == pytest.approx(0.05, abs=1e-6)
        assert certain.threshold(0.05, gallery) < threshold < 1
        # The share above it is the mean over the shapes that the pairs leave open.
        rest = (1 - threshold) / (1 - calibration.tail_start)
        mean = float((rest ** (calibration.tail_shape * shapes)).mean())
        assert calibration.exceeding(threshold) == pytest.approx(calibration.tail_share * mean, rel=0.03)
    grid = np.linspace(calibration.tail_start + 1e-3, 0.95, 400)
    slope = -np.gradient(calibration.exceeding(grid), grid)
    assert calibration.density_different(grid)[1:-1] == pytest.approx(slope[1:-1], rel=0.02)


def test_thresholds_and_probabilities_are_consistent() -> None:
    calibration = fit(draw(0.1, 1.0))
    assert calibration is not None
    previous = -1.0
    for gallery in (1, 10, 1000, 10**6, 10**9):
        threshold = calibration.threshold(0.05, gallery)
        assert previous < threshold < 1
        assert calibration.false_alarm_rate(threshold, gallery) == pytest.approx(0.05, abs=1e-6)
        previous = threshold
    values = np.linspace(-1, 1, 201)
    probability = calibration.probability(values, 200)
    assert (np.diff(probability) >= 0).all() and 0 <= probability[0] < 0.01 and 0.9 < probability[-1] <= 1
    assert (calibration.probability(values, 20_000) <= probability).all()
    assert (np.diff(calibration.exceeding(values)) <= 1e-12).all()


def test_one_camera_moves_similarities() -> None:
    known = draw(0.1, 1.0)
    moved = fit(replace(known, within=known.within + 0.06, different=known.different + 0.06))
    assert moved is not None and moved.within == pytest.approx(0.06, abs=0.02)
    plain, inside = (moved.probability(0.5, 200, one_camera=camera) for camera in (False, True))
    assert inside < plain


def test_too_few_pairs_are_not_calibrated() -> None:
    known = draw(0.1, 1.0)
    assert fit(replace(known, across=known.across[: LEAST_PAIRS - 1])) is None
    few = fit(replace(known, different=known.different[:3], within=known.within[:3]))
    assert few is not None and few.tail_shape == pytest.approx(TAIL_SHAPE, rel=0.15) and few.within == 0


def test_labels_correct_probabilities() -> None:
    known = draw(0.1, 1.0)
    plain = fit(known)
    values = np.linspace(0.3, 0.8, 60)
    labels = np.stack([values, (values > 0.7).astype(float)], 1)  # right answers only above 0.7
    corrected = fit(replace(known, labelled=labels))
    assert plain is not None and corrected is not None
    assert corrected.probability(0.6, 200) < 0.7 * plain.probability(0.6, 200)
    assert "60 labelled pairs" in corrected.line() and corrected.pairs["labelled"] == 60
    assert fit(replace(known, labelled=labels[: LEAST_LABELS - 1])).offset == 0  # type: ignore[union-attr]


def test_shipped_values_follow_from_the_threshold_of_the_model() -> None:
    threshold = Threshold(0.65, 0.18, 140, 144, 36, "synthetic persons", 0.05, 140)
    calibration = shipped(threshold)
    for gallery in (140, 1000):
        expected = threshold.for_gallery(gallery).similarity
        assert calibration.threshold(0.05, gallery) == pytest.approx(expected, abs=0.01)
    assert calibration.source == "36 synthetic persons"


def test_values_survive_json_and_wrong_ones_are_refused() -> None:
    calibration = fit(draw(0.1, 1.0))
    assert calibration is not None and Calibration.from_json(calibration.to_json()) == calibration
    with pytest.raises(GalleryError, match="calibrate it again"):
        Calibration.from_json({"different": 0.1})
    for rate, gallery in ((0.0, 10), (1.0, 10), (0.05, 0)):
        with pytest.raises(GalleryError, match="threshold needs"):
            calibration.threshold(rate, gallery)
