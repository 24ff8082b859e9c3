"""The cost model, with some of its figures computed by hand, and the page that shows them."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from experiments.scale import PAGE, RESULTS, filled, read_units
from experiments.scale_model import Prices, Units, as_int8, bottleneck, coded_means, plot_costs

UNITS = Units(
    dim=512, clips=8, shortlist=100, encode_s={8: 0.18, 2: 0.05}, store_s=0.02, other_bytes=11_808, scan_s=2e-7,
    fetch_s=1e-4, rescore_s={8: 1e-3, 2: 1e-4},
)  # fmt: skip


def test_a_million_tracklets_by_hand() -> None:
    cost = UNITS.cost(10**6)
    assert cost.encode_s == pytest.approx(200_000)
    assert cost.storage == pytest.approx(20e9)  # 8 * 512 * 2 = 8,192 bytes of features, and 11,808 others
    assert cost.memory == pytest.approx(2.048e9)
    assert cost.query_s == pytest.approx(0.2 + 0.11)
    prices = Prices(core_hour=0.05, memory_hour=0.01, terabyte_month=20)
    assert prices.encoding(cost) == pytest.approx(200_000 / 3600 * 0.05)
    assert prices.storage(cost) == pytest.approx(0.4) and prices.memory(cost) == pytest.approx(2.048 * 7.3)


def test_fewer_clips_and_shorter_numbers_by_hand() -> None:
    cost = UNITS.cost(10**6, clips=2, form="int8", mean_bytes=1 / 8)
    assert cost.encode_s == pytest.approx(70_000)
    assert cost.storage == pytest.approx((11_808 + 2 * 516) * 1e6)
    assert cost.memory == pytest.approx(64e6)
    assert cost.query_s == pytest.approx(0.2 / 32 + 100 * 2e-4)
    assert UNITS.cost(10).query_s == pytest.approx(10 * (2e-7 + 1.1e-3)), "a shortlist cannot exceed the gallery"


def test_the_bottleneck_is_the_limit_that_is_exceeded_most() -> None:
    assert bottleneck(UNITS.cost(10**4)) == "none; next: query"  # 0.11 of 1 s; encoding takes 1,000 of 86,400 s
    assert bottleneck(UNITS.cost(10**7)) == "encoding (12 ×), query (2.1 ×), memory (1.3 ×)"


def test_int8_keeps_each_clip_within_half_a_step_of_its_scale() -> None:
    values = np.random.default_rng(0).normal(size=(3, 2, 16)).astype(np.float32)
    values[:, 1] *= 100
    step = np.abs(values).max(-1, keepdims=True) / 127
    error = np.abs(as_int8(values) - values)
    assert (error <= 0.501 * step).all() and error.max() > 0
    assert len(np.unique(as_int8(values)[0, 0] / step[0, 0])) <= 16 and not as_int8(np.zeros((1, 4), np.float32)).any()


def test_means_are_coded_by_their_directions() -> None:
    clips = np.array([[[3.0, 0.0], [0.0, 4.0]], [[1.0, -1.0], [1.0, -1.0]]], np.float32)
    np.testing.assert_allclose(coded_means(clips, "float32"), np.array([[1, 1], [1, -1]]) / np.sqrt(2), rtol=1e-6)
    np.testing.assert_array_equal(coded_means(clips, "1 bit"), [[1, 1], [1, -1]])


def test_the_page_shows_the_measured_costs() -> None:
    if not RESULTS.is_file():
        pytest.skip("nothing was measured: python -m experiments.scale measure")
    text, results = PAGE.read_text(encoding="utf-8"), json.loads(RESULTS.read_text(encoding="utf-8"))
    assert filled(text, results) == text, "run `python -m experiments.scale page`"
    units = read_units(results)
    assert re.search(r"\| 1,000,000 \|.*\| 2 GB \|", text) and units.dim == 512, "memory of 10⁶ means"
    assert len(plot_costs(units).axes[0].lines) == 5
    assert {row[1] for row in results["curves"]} == {"float32", "float16", "int8"} and len(results["curves"]) == 9
