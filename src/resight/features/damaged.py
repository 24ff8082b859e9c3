"""Clip features of damaged tracklets: clean and damaged features are extracted separately and then mixed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import nn

from resight.compute import Compute
from resight.data.damage import choose_damage
from resight.errors import RecipeError
from resight.features.extract import extract_clip_features
from resight.features.store import FeatureStore
from resight.features.types import ClipFeatures
from resight.features.view import View
from resight.progress import Progress
from resight.recipe import ClipSpec, Damage
from resight.tracklet import Tracklet


@dataclass(frozen=True)
class DamagedFeatures:
    """Features of the same clips, clean and damaged.

    Attributes:
        clean: Features of T tracklets without damage.
        damaged: For each kind of damage, features of the same tracklets with every clip damaged.
    """

    clean: ClipFeatures
    damaged: Mapping[str, ClipFeatures]

    def mixed(self, max_damaged: int, kinds: Sequence[str], seed: int) -> ClipFeatures:
        """Return features with 0 to M_c^max damaged clips per tracklet.

        Args:
            max_damaged: M_c^max.
            kinds: Kinds of damage to draw from.
            seed: Seed of the draws.

        Raises:
            RecipeError: If there are no features with one of these kinds of damage.
        """
        return mixed_damage(self.clean, {kind: self.of(kind) for kind in kinds}, max_damaged, seed)[0]

    def of(self, kind: str) -> ClipFeatures:
        """Return the features with one kind of damage.

        Raises:
            RecipeError: If there are none.
        """
        if kind not in self.damaged:
            raise RecipeError(
                f"there are no features of {kind} clips, only of {', '.join(self.damaged) or 'clean clips'}: prepare "
                "stage 2 with a recipe whose stage2.damages names all kinds of damage to train with"
            )
        return self.damaged[kind]


def extract_damaged_features(
    encoder: nn.Module,
    tracklets: Sequence[Tracklet],
    spec: ClipSpec,
    max_corrupted: int,
    seed: int = 0,
    *,
    kind: Damage = "corrupted",
    donors: Sequence[Tracklet] = (),
    store: FeatureStore | None = None,
    workers: int = 0,
    compute: Compute = Compute(),
    progress: Progress | None = None,
) -> tuple[ClipFeatures, NDArray[np.bool_]]:
    """Return clip features in which 0 to M_c^max clips of each tracklet are damaged. Paper: Sec. 4.4.

    Clean and damaged features are extracted and stored separately and then mixed, so another M_c^max or seed costs
    nothing.

    Args:
        encoder: See `extract_clip_features`, also for the arguments not listed here.
        tracklets: T tracklets.
        spec: M clips per tracklet.
        max_corrupted: M_c^max, 0 ... M; with 0 only clean features are extracted.
        seed: Seed of the choice of clips.
        kind: One of `DAMAGES`; by default the paper's.
        progress: Called with (passes over tracklets done, all).

    Returns:
        The features, and (T, M) whether each clip is damaged.
    """
    passes = 2 if max_corrupted else 1

    def extract(number: int) -> ClipFeatures:
        before, total = number * len(tracklets), passes * len(tracklets)
        return extract_clip_features(
            encoder,
            tracklets,
            spec,
            view=View(damage=kind if number else None),
            donors=donors,
            store=store,
            workers=workers,
            compute=compute,
            progress=progress and (lambda done, _: progress(before + done, total)),
        )

    clean = extract(0)
    features, kinds = mixed_damage(clean, {kind: extract(1) if max_corrupted else clean}, max_corrupted, seed)
    return features, kinds != ""


def mixed_damage(
    clean: ClipFeatures, damaged: Mapping[str, ClipFeatures], max_damaged: int, seed: int
) -> tuple[ClipFeatures, NDArray[np.str_]]:
    """Mix clean and damaged features so that 0 to M_c^max clips of each tracklet are damaged.

    Args:
        clean: Features of T tracklets with M clips each.
        damaged: Kind of damage to features of the same tracklets with that damage in every clip; one kind or several.
        max_damaged: M_c^max, 0 ... M.
        seed: Seed of the choice of clips and kinds, see `choose_damage`.

    Returns:
        The features, and (T, M) the kind of damage of each clip, ``""`` for none.

    Raises:
        RecipeError: If a kind is unknown, or there is none.
        ShapeError: If the tracklets differ.
    """
    kinds = choose_damage(clean.ids, clean.values.shape[1], max_damaged, tuple(damaged), seed)
    features = clean
    for kind, values in damaged.items():
        features = features.mixed_with(values, kinds == kind)
    return features, kinds
