from __future__ import annotations

import math
import os
from pathlib import Path

import pytest
import torch

from resight.data.readers.folder import read_folder
from resight.evaluation.evaluate import evaluate_features
from resight.evaluation.protocols import PROTOCOLS
from resight.features.extract import extract_clip_features
from resight.models.aggregators import MeanFeature
from resight.models.colour_histogram import LEVELS, STRIPES, ColourHistogram
from resight.recipe import ClipSpec


def test_the_histogram_counts_colours_of_stripes() -> None:
    torch.manual_seed(0)
    clips = torch.rand(2, 3, 2, 12, 8) * 2 - 1
    found = ColourHistogram()(clips)
    assert found.shape == (2, ColourHistogram.dim)
    for b in range(2):
        expected = [0.0] * ColourHistogram.dim
        for frame in range(2):
            for row in range(12):
                for column in range(2, 6):  # the middle half
                    r, g, b_ = (int((float(clips[b, c, frame, row, column]) + 1) * LEVELS / 2) for c in range(3))
                    stripe = row * STRIPES // 12
                    expected[stripe * LEVELS**3 + (r * LEVELS + g) * LEVELS + b_] += 1 / (2 * 12 * 4)
        assert found[b].tolist() == pytest.approx([math.sqrt(e) for e in expected])
    assert found.square().sum(1) == pytest.approx(torch.ones(2))
    assert ColourHistogram()(torch.ones(1, 3, 1, 6, 4)).square().sum() == pytest.approx(1)  # the brightest colour


def test_the_histogram_finds_most_of_the_real_pedestrians() -> None:
    root = os.environ.get("RESIGHT_WALKERS")
    if not root:
        pytest.skip("RESIGHT_WALKERS does not name the folder of the real pedestrians' tracklets")
    split = read_folder(Path(root)).between_cameras(1, 2)
    assert len(split.query) == len(split.gallery) == 19 and len({t.person for t in split.gallery}) == 16
    features = extract_clip_features(ColourHistogram(), [*split.query, *split.gallery], ClipSpec(height=96, width=48))
    query, gallery = features.of(split.query), features.of(split.gallery)
    _, scores = evaluate_features(query, gallery, MeanFeature(), PROTOCOLS["standard"])
    assert scores.valid_queries == 19 and scores.rank(1) > 0.6  # chance is about 0.07
