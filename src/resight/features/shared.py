"""Clip features computed by the processes of a training run together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np
from torch import nn

from resight.features.extract import extract_clip_features
from resight.features.types import PADDING, ClipFeatures
from resight.processes import Processes
from resight.recipe import ClipSpec
from resight.tracklet import Tracklet


def extract_together(
    processes: Processes, encoder: nn.Module, tracklets: Sequence[Tracklet], spec: ClipSpec, **options: Any
) -> ClipFeatures:
    """Return the features of tracklets, of which each process encodes its share.

    Args:
        processes: The processes, all of which have the same encoder and tracklets.
        encoder: As in `extract_clip_features`.
        tracklets: As there.
        spec: As there.
        options: Its other arguments.

    Returns:
        Features of all tracklets in all processes, in the order of `tracklets`.

    Raises:
        FrameError: If a frame cannot be read.
        TrainingError: If another process has ended.
    """
    if processes.count == 1:
        return extract_clip_features(encoder, tracklets, spec, **options)
    own = tracklets[processes.share(len(tracklets))]
    gathered = processes.values(extract_clip_features(encoder, own, spec, **options) if own else None)
    parts = [part for part in gathered if part is not None]
    longest = max(part.frame_numbers.shape[2] for part in parts)
    return reduce(ClipFeatures.joined_with, [_padded(part, longest) for part in parts])


def _padded(features: ClipFeatures, length: int) -> ClipFeatures:
    missing = length - features.frame_numbers.shape[2]
    numbers = np.pad(features.frame_numbers, ((0, 0), (0, 0), (0, missing)), constant_values=PADDING)
    return replace(features, frame_numbers=numbers)
