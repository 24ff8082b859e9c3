"""From similarities to probabilities, in one gallery: its calibration, and the levels of its tracklets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resight.evaluation.threshold import Threshold
from resight.gallery.calibration import Calibration, shipped
from resight.gallery.contract import GalleryStore
from resight.gallery.levels import COHORT, adjustment, levels
from resight.gallery.types import StoredTracklet

SETTING = "calibration"
"""Name of the setting with the calibration."""

RATE = 0.05
"""False-alarm rate of the reported threshold."""


@dataclass(frozen=True, eq=False)
class Judge:
    """What is needed to judge similarities.

    Attributes:
        calibration: The calibration.
        own: Whether the gallery calibrated itself; otherwise these are the values of its model.
        typical: Median level in the gallery.
        sample: (C, D) mean features that levels refer to; None if similarities are not adjusted.
        gallery: Number of tracklets in the gallery.
    """

    calibration: Calibration
    own: bool
    typical: float
    sample: NDArray[np.float32] | None
    gallery: int

    def adjust(
        self, similarity: NDArray[np.floating], first: NDArray[np.float32], second: NDArray[np.float32]
    ) -> NDArray[np.float64]:
        """Return adjusted similarities of n pairs from their mean features, (n, D) or (1, D) each."""
        if self.sample is None or not len(similarity):
            return np.asarray(similarity, np.float64)
        return similarity - adjustment(levels(first, self.sample), levels(second, self.sample), self.typical)

    def probability(self, adjusted: NDArray[np.float64], one_camera: Sequence[float]) -> NDArray[np.float64]:
        """Return the probabilities of adjusted similarities.

        Args:
            adjusted: (n,) adjusted similarities.
            one_camera: Share of the references that are from the camera of each tracklet, 0 ... 1.
        """
        return self.calibration.probability(adjusted, self.gallery, one_camera=np.array(one_camera, np.float64))

    def above(self, adjusted: NDArray[np.float64], searched: int, one_camera: Sequence[float]) -> NDArray[np.bool_]:
        """Return whether adjusted similarities are at or above the threshold of a search in some tracklets."""
        threshold = self.calibration.threshold(RATE, max(1, searched))
        reached: NDArray[np.bool_] = adjusted - self.calibration.within * np.array(one_camera, np.float64) >= threshold
        return reached

    def assess(
        self, references: Sequence[StoredTracklet], tracklets: Sequence[StoredTracklet],
        similarity: NDArray[np.floating], searched: int,
    ) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:  # fmt: skip
        """Return whether n tracklets reach the threshold, and the probabilities that they show a person.

        Args:
            references: Tracklets of the person, one or more, whose clips were pooled.
            tracklets: The n tracklets, one or more.
            similarity: (n,) their similarities.
            searched: Number of tracklets that were searched.
        """
        mean = np.stack([reference.mean for reference in references]).mean(0)
        mean /= max(float(np.linalg.norm(mean)), 1e-12)  # as long as the mean of one reference
        adjusted = self.adjust(similarity, mean[None], np.stack([tracklet.mean for tracklet in tracklets]))
        cameras = [reference.entry.camera for reference in references]
        names = [tracklet.entry.camera for tracklet in tracklets]
        inside = [cameras.count(name) / len(cameras) if name else 0.0 for name in names]
        return self.above(adjusted, searched, inside), self.probability(adjusted, inside)

    def line(self) -> str:
        """Return rate and source of the threshold in one sentence."""
        return f"false-alarm rate {100 * RATE:g} %, {self.calibration.line()}"


def judge_of(store: GalleryStore, threshold: Threshold | None) -> Judge | None:
    """Return the judge of a gallery: its own calibration, or that of its model; None if there is neither.

    Args:
        store: The gallery.
        threshold: Threshold of the model; None if it has none.
    """
    saved: Mapping[str, Any] | None = store.read_setting(SETTING)
    gallery = max(store.count(), 1)
    if saved is not None:
        values = dict(saved)
        typical = float(values.pop("typical"))
        return Judge(Calibration.from_json(values), True, typical, store.spaced_means(COHORT), gallery)
    return None if threshold is None else Judge(shipped(threshold), False, 0.0, None, gallery)
