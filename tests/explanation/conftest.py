"""Two short tracklets of coloured frames, and evidence about them with known numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resight.explanation.evidence import MatchEvidence
from resight.scoring.one_pair import PairScore
from resight.tracklet import Tracklet

IMPORTANCE = np.array([[4.0, 1.0, 0.5], [0.01, 2.0, 0.5]])
COSINE = np.array([[0.9, 0.8, 0.7], [0.95, 0.6, 0.5]])


def write_tracklet(folder: Path, tracklet_id: str, camera: int, colour: tuple[int, int, int], count: int) -> Tracklet:
    folder.mkdir(parents=True, exist_ok=True)
    names = tuple(f"F{number:03d}.jpg" for number in range(1, count + 1))
    for shade, name in enumerate(names):
        Image.new("RGB", (32, 64), (*colour[:2], colour[2] + shade)).save(folder / name, quality=95)
    return Tracklet(tracklet_id, 1, camera, folder, names)


@pytest.fixture
def query(tmp_path: Path) -> Tracklet:
    return write_tracklet(tmp_path / "q", "0001C1T0001", 1, (200, 30, 30), 6)


@pytest.fixture
def gallery(tmp_path: Path) -> Tracklet:
    return write_tracklet(tmp_path / "g", "0001C2T0001", 2, (30, 30, 200), 5)


@pytest.fixture
def evidence(query: Tracklet, gallery: Tracklet) -> MatchEvidence:
    weight = IMPORTANCE / IMPORTANCE.sum()
    contribution = weight * COSINE
    scored = PairScore(
        score=float(contribution.sum()), cosine=COSINE, importance=IMPORTANCE, weight=weight, contribution=contribution
    )
    return MatchEvidence(
        query,
        gallery,
        scored,
        np.array([[0, 1, 2], [3, 4, 5]]),
        np.array([[0, 1, 2], [1, 2, 3], [2, 3, 4]]),
        "learned",
        np.array([False, True]),
        np.zeros(3, bool),
    )
