"""Area under the curve by rank sums, against counting pairs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resight.errors import ShapeError
from resight.evaluation.auroc import auroc


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=20))
def test_against_counting_pairs(pairs: list[tuple[int, bool]]) -> None:
    positive = [score for score, yes in pairs if yes]
    negative = [score for score, yes in pairs if not yes]
    found = auroc([score for score, _ in pairs], [yes for _, yes in pairs])
    if not positive or not negative:
        assert found is None
    else:
        wins = sum((p > n) + 0.5 * (p == n) for p in positive for n in negative)
        assert found == pytest.approx(wins / (len(positive) * len(negative)))


def test_any_shape() -> None:
    assert auroc(np.array([[3, 1], [0, 2]]), np.array([[True, False], [False, True]])) == 1.0


def test_errors() -> None:
    with pytest.raises(ShapeError, match="one flag per score"):
        auroc([1.0, 2.0], [True])
    with pytest.raises(ShapeError, match="1 of 2 scores"):
        auroc([1.0, np.nan], [True, False])
