"""Low importance against damaged clips, and scores under each kind of damage."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from resight.errors import ShapeError
from resight.evaluation.damage import SHARES, DamageAuroc, auroc_by_fault, clip_fault, damage_table
from resight.evaluation.evaluate import evaluate_across
from resight.features.damaged import DamagedFeatures
from resight.features.types import ClipFeatures
from resight.models.aggregators import Aggregator, MaxPair, MeanFeature, MeanPair, TopShare


def test_each_fault_is_compared_only_with_clean_clips() -> None:
    importance = np.array([[0.1, 0.9, 0.8], [0.7, 0.95, 0.75]])
    fault = np.array([["dark", "", ""], ["", "blur", "blur"]])
    assert auroc_by_fault(importance, fault) == {
        # Clean are 0.9, 0.8, 0.7. Blurred 0.95 is below none of them, 0.75 below two; dark 0.1 below all.
        "blur": DamageAuroc(auroc=pytest.approx(2 / 6), damaged=2, clean=3),  # type: ignore[arg-type]
        "dark": DamageAuroc(auroc=1.0, damaged=1, clean=3),
    }


def test_without_clean_or_damaged_clips_there_is_no_auroc() -> None:
    assert auroc_by_fault(np.ones((2, 3)), np.full((2, 3), "")) == {}
    assert auroc_by_fault(np.ones((1, 2)), np.full((1, 2), "dark")) == {"dark": DamageAuroc(None, 2, 0)}


def test_equal_importance_is_chance() -> None:
    assert auroc_by_fault(np.ones((1, 2)), np.array([["dark", ""]]))["dark"].auroc == 0.5


def test_errors() -> None:
    with pytest.raises(ShapeError, match=r"expected \(T, M\)"):
        auroc_by_fault(np.ones((2, 3)), np.full((3, 2), ""))
    with pytest.raises(ShapeError, match="not finite"):
        auroc_by_fault(np.array([[np.nan, 1.0]]), np.array([["dark", ""]]))


@pytest.mark.parametrize(
    ("faults", "expected"),
    [
        ("....", ""),
        ("A...", ""),
        ("A.A.", "A"),
        ("AAAA", "A"),
        ("AB..", "A"),  # half of the frames are faulty but neither fault reaches half: the earliest fault
        ("ABB.", "B"),
        ("BBAA", "B"),
        ("A.", "A"),
        ("A..", ""),
        ("A", "A"),
    ],
)
def test_clip_fault(faults: str, expected: str) -> None:
    names = [f"{place}.jpg" for place in range(len(faults))]
    assert clip_fault(names, {name: f for name, f in zip(names, faults, strict=True) if f != "."}) == expected
    assert clip_fault(names, {name: f.strip(".") for name, f in zip(names, faults, strict=True)}) == expected


def test_a_repeated_frame_counts_each_time() -> None:
    assert clip_fault(["1.jpg", "2.jpg", "1.jpg", "2.jpg"], {"1.jpg": "dark"}) == "dark"
    assert clip_fault(["1.jpg", "2.jpg", "3.jpg", "1.jpg", "2.jpg"], {"3.jpg": "dark"}) == ""
    assert clip_fault([], {}) == ""


def side(camera: int, seed: int) -> DamagedFeatures:
    """Return features of one tracklet of each of nine persons; empty clips are alike."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(9, 16))
    clean = centres[:, None] + 0.8 * rng.normal(size=(9, 4, 16))
    ids = tuple(f"{camera}-{number}" for number in range(9))

    def features(values: NDArray[np.floating]) -> ClipFeatures:
        return ClipFeatures(
            ids, np.arange(1, 10), np.full(9, camera), values.astype(np.float32), np.zeros((9, 4, 1), np.int64)
        )

    empty = np.ones(16) + 0.1 * rng.normal(size=(9, 4, 16))
    noisy = clean + rng.normal(size=(9, 4, 16))
    return DamagedFeatures(features(clean), {"empty": features(empty), "corrupted": features(noisy)})


def test_the_table_of_damage_compares_with_the_best_share_under_mixed_damage() -> None:
    first, second = side(1, 1), side(2, 2)
    calls: list[tuple[int, int]] = []
    table = damage_table(MaxPair(), first, second, 3, 5, progress=lambda done, total: calls.append((done, total)))
    assert table.columns == ("clean", "empty", "corrupted", "mixed")

    def score(aggregator: Aggregator, kinds: tuple[str, ...]) -> float:
        x, y = (one.mixed(3 if kinds else 0, kinds or ("empty",), 5) for one in (first, second))
        return 100 * evaluate_across(x, y, aggregator)

    columns = ((), ("empty",), ("corrupted",), ("empty", "corrupted"))
    best = max(SHARES, key=lambda share: score(TopShare(share), columns[-1]))
    compared = (MeanFeature(), MeanPair(), TopShare(best), MaxPair())
    for aggregator in compared:
        assert table.means(aggregator.label) == pytest.approx([score(aggregator, kinds) for kinds in columns])
    mean, learned = table.means("mean of pairs"), table.means("max of pairs")
    assert table.row("gain over mean of pairs").cells == tuple(
        f"{b - a:+.1f}" for a, b in zip(mean, learned, strict=True)
    )
    assert [row.name for row in table.rows][-1] == f"gain over top {best} %"
    assert len(set(mean)) == 3 and calls == [(n, 25) for n in range(1, 26)]
