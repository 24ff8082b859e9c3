from __future__ import annotations

import re

import numpy as np
from experiments.protocol_mistakes import MISTAKES, mistake_table

from resight.evaluation.metrics import score_similarities
from resight.evaluation.protocols import PROTOCOLS, Labels
from resight.tracklet import JUNK


def test_each_mistake_moves_the_scores_in_its_direction() -> None:
    rng = np.random.default_rng(0)
    gallery = Labels(tuple(f"t{place}" for place in range(400)), rng.integers(JUNK, 20, 400), rng.integers(1, 5, 400))
    query = gallery.rows(slice(0, 400, 5))
    query = query.rows(slice(0, 60))
    similarity = rng.normal(size=(60, 400)) + 1.2 * (query.persons[:, None] == gallery.persons)
    similarity += 0.6 * (query.cameras[:, None] == gallery.cameras)
    similarity[np.arange(60), np.arange(60) * 5] = 9
    table = mistake_table(similarity, query, gallery, "8 clips of 4 frames")
    rows = [re.split(r" ?\| ?", line)[1:-1] for line in table.splitlines()[2:-2]]
    assert [row[0] for row in rows] == ["**correct protocol**", *MISTAKES, "trapezoid AP reported as mAP"]
    change = {row[0]: float(row[2]) for row in rows[1:]}
    assert change["queries dropped, unmatched ones counted as zero"] <= change["queries dropped from the gallery"]
    assert change["junk (person -1) counted as wrong"] <= 0 <= change["distractors (person 0) ignored"]
    assert change["matches in the query's camera counted as correct"] > 0
    assert change["trapezoid AP reported as mAP"] < 0
    itself = next(row for row in rows if "match of itself" in row[0])
    assert float(itself[3]) == 100
    right = score_similarities(similarity, query, gallery, PROTOCOLS["mars"])
    assert float(rows[0][1]) == round(100 * right.map, 1)
    assert "8 clips of 4 frames; no re-ranking" in table and "95 % interval" in table
