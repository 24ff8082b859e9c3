"""Low importance against damaged clips."""

from __future__ import annotations

import numpy as np
import pytest

from resight.errors import ShapeError
from resight.evaluation.damage import DamageAuroc, auroc_by_fault, clip_fault


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
