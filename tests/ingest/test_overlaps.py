from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from resight.ingest.overlaps import box_overlaps, suppress_overlaps

BOXES = st.lists(st.tuples(*[st.integers(0, 20)] * 2, *[st.integers(1, 20)] * 2, st.integers(0, 9)), max_size=12)


def overlap(a: tuple[int, ...], b: tuple[int, ...]) -> float:
    """Return the intersection over union, counted pixel by pixel."""
    pixels = [{(x, y) for x in range(l, l + w) for y in range(t, t + h)} for l, t, w, h in (a[:4], b[:4])]  # noqa: E741
    return len(pixels[0] & pixels[1]) / len(pixels[0] | pixels[1])


@settings(deadline=None)
@given(BOXES)
def test_overlaps_and_suppression_match_counting_pixels(rows: list[tuple[int, ...]]) -> None:
    table = np.array(rows, np.float64).reshape(-1, 5)
    kept: list[tuple[int, ...]] = []
    for row in sorted(rows, key=lambda row: -row[4]):
        np.testing.assert_allclose(
            box_overlaps(np.array(row[:4], float), table[:, :4]), [overlap(row, o) for o in rows]
        )
        if all(overlap(row, other) <= 0.4 for other in kept):
            kept.append(row)
    assert [rows[n] for n in suppress_overlaps(table[:, :4], table[:, 4], 0.4)] == kept
