"""The shortlist of a gallery's search against comparing everything."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.search import clustered, uneven_importance
from experiments.gallery_shortlist import LENGTHS, joined, table


def test_a_shortlist_of_everything_is_exact() -> None:
    sets = {name: clustered(persons=15, each=4, seed=seed) for seed, name in enumerate(("first", "second"))}
    rows = {row.name: row.cells for row in table(sets, uneven_importance()).rows}
    assert list(rows) == [f"{name}, {score}" for name in (*sets, "all together") for score in ("recall", "mAP")]
    assert [rows[f"{name}, mAP"][0] for name in (*sets, "all together")] == [60, 60, 120]
    for name in (*sets, "all together"):
        recall = [float(str(cell)) for cell in rows[f"{name}, recall"][1:]]
        assert recall == sorted(recall) and recall[LENGTHS.index(200)] == 100
        assert rows[f"{name}, mAP"][1 + LENGTHS.index(200)] == pytest.approx(rows[f"{name}, mAP"][-1])
    assert float(str(rows["all together, recall"][1])) < 100  # 25 of 120


def test_worlds_have_persons_and_cameras_of_their_own() -> None:
    one = clustered(persons=3, each=2, seed=0)
    both = joined([one, one])
    assert len(set(both.ids)) == 12 and len(np.unique(both.persons)) == 6
    assert not set(both.cameras[:6].tolist()) & set(both.cameras[6:].tolist())
