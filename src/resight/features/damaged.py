"""Clip features of damaged tracklets: clean and damaged features are extracted separately and then mixed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from resight.data.damage import choose_damage
from resight.features.extract import View, extract_clip_features
from resight.features.types import ClipFeatures
from resight.models.i3d_inference import Precision
from resight.progress import Progress
from resight.recipe import ClipSpec, Damage
from resight.tracklet import Tracklet


def extract_damaged_features(
    encoder: nn.Module,
    tracklets: Sequence[Tracklet],
    spec: ClipSpec,
    max_corrupted: int,
    seed: int = 0,
    *,
    kind: Damage = "corrupted",
    donors: Sequence[Tracklet] = (),
    cache: Path | None = None,
    workers: int = 0,
    device: torch.device | str = "cpu",
    precision: Precision = "float32",
    progress: Progress | None = None,
) -> tuple[ClipFeatures, NDArray[np.bool_]]:
    """Clip features with damage: 0 to M_c^max clips of each tracklet, as the paper corrupts them. Paper: Sec. 4.4.

    Clean and damaged features are extracted (and cached) apart and then mixed, so that every M_c^max and seed
    costs nothing more.

    Args:
        encoder: as for `extract_clip_features`, like what is not named here.
        tracklets: T of them.
        spec: M clips.
        max_corrupted: M_c^max, 0 … M; 0 extracts clean features only.
        seed: which clips are damaged.
        kind: how, one of `DAMAGES`; the paper's by default.
        progress: called with (done, all).

    Returns:
        The features, and (T, M) which clips are damaged.
    """
    passes = 2 if max_corrupted else 1

    def one(number: int) -> ClipFeatures:
        before, total = number * len(tracklets), passes * len(tracklets)
        return extract_clip_features(
            encoder,
            tracklets,
            spec,
            view=View(damage=kind if number else None),
            donors=donors,
            cache=cache,
            workers=workers,
            device=device,
            precision=precision,
            progress=progress and (lambda done, _: progress(before + done, total)),
        )

    clean = one(0)
    features, kinds = mixed_damage(clean, {kind: one(1) if max_corrupted else clean}, max_corrupted, seed)
    return features, kinds != ""


def mixed_damage(
    clean: ClipFeatures, damaged: Mapping[str, ClipFeatures], max_damaged: int, seed: int
) -> tuple[ClipFeatures, NDArray[np.str_]]:
    """Features in which 0 to M_c^max clips of each tracklet are damaged, each of them in one of some ways.

    Args:
        clean: of T tracklets, M clips of each.
        damaged: kind to features of the same tracklets, all of whose clips have that damage; one kind or several.
        max_damaged: M_c^max, 0 … M.
        seed: which clips, and which kinds; see `choose_damage`.

    Returns:
        The features, and (T, M) the kind of each clip, ``""`` where it is sound.

    Raises:
        RecipeError: if a kind is unknown, or there is none.
        ShapeError: if the tracklets differ.
    """
    kinds = choose_damage(clean.ids, clean.values.shape[1], max_damaged, tuple(damaged), seed)
    features = clean
    for kind, others in damaged.items():
        features = features.mixed_with(others, kinds == kind)
    return features, kinds
