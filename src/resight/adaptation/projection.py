"""A matrix that shrinks the directions in which the features of one person vary from tracklet to tracklet.

Tracklets of other cameras show a person in another light, from another side and in front of another background. The
directions of this variation are estimated from groups of tracklets that probably show one person each, and shrunk
(within-class covariance normalisation, Hatch et al. 2006). Legend: T tracklets, D features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from resight.adaptation.agreement import agreement_table, compare_agreement, helped_across_cameras
from resight.adaptation.groups import group_tracklets
from resight.adaptation.steps import MOST_GROUPED, Step, encoded, mean_features, note_on, scores
from resight.adaptation.unlabelled import Parts, assign_folds, different_persons, folds_of, thinned
from resight.checkpoints import Checkpoint
from resight.models.camera_encoder import CameraEncoder
from resight.models.encoders import ClipEncoder
from resight.models.projected_encoder import ProjectedEncoder
from resight.tracklet import Tracklet
from resight.training.loop import RunOptions

PRIOR = 100
"""Number of observed variations at which the regularisation is twice its smallest value."""

_LEAST = 1e-9
"""Total variance that is only rounding, because no group has two different tracklets."""


@dataclass(frozen=True)
class Projection:
    """A fitted projection.

    Attributes:
        matrix: (D, D), symmetric; features are rows that are multiplied by it.
        groups: (T,), the group of each tracklet.
    """

    matrix: NDArray[np.float32]
    groups: NDArray[np.int64]

    @property
    def n_groups(self) -> int:
        """Number of groups of at least two tracklets."""
        return int((np.bincount(self.groups) > 1).sum())

    @property
    def n_grouped(self) -> int:
        """Number of tracklets in these groups."""
        counts = np.bincount(self.groups)
        return int(counts[counts > 1].sum())


def fit_projection(features: NDArray[np.floating], apart: NDArray[np.bool_]) -> Projection:
    """Return the projection for the tracklets of some cameras.

    With W the covariance of the features within groups, from n = (tracklets - groups) degrees of freedom, the matrix is
    (I + W / λ)^(-1/2) with λ = (1 + 100 / n) trace(W) / D: the fewer tracklets, the closer it is to the identity.
    Without groups it is the identity.

    Args:
        features: (T, D), one vector of length 1 for each tracklet.
        apart: (T, T), whether two tracklets show different persons.
    """
    groups = group_tracklets(features, apart)
    values = features.astype(np.float64)
    counts = np.bincount(groups)
    sums = np.zeros((len(counts), values.shape[1]))
    np.add.at(sums, groups, values)
    varied = values - (sums / counts[:, None])[groups]
    freedom = len(groups) - len(counts)
    within = varied.T @ varied / max(freedom, 1)
    if np.trace(within) <= _LEAST:
        return Projection(np.eye(values.shape[1], dtype=np.float32), groups)
    strength = (1 + PRIOR / freedom) * np.trace(within) / len(within)
    variances, directions = np.linalg.eigh(within)
    factors = (1 + variances.clip(min=0) / strength) ** -0.5
    return Projection(((directions * factors) @ directions.T).astype(np.float32), groups)


def try_projection(
    model: Checkpoint, own: Sequence[Tracklet], parts: Parts, seed: int, options: RunOptions
) -> tuple[Checkpoint, Step]:
    """Try a projection of the features, computed from groups of tracklets.

    Each fold of the tracklets is judged with the projection that is computed from the other. For the arguments see
    `adapt_model`.
    """
    grouped = thinned(own, MOST_GROUPED)
    features = mean_features(model, grouped, options)
    apart, proven = different_persons(grouped)
    apart &= proven  # without times, two tracklets of a camera may show one person
    projection = fit_projection(features, apart)
    tried = replace(model, encoder=_projected(model.encoder, projection))
    summary = {
        "tracklets": len(grouped), "grouped": projection.n_grouped, "groups": projection.n_groups, "constraints": proven
    }  # fmt: skip
    counts = f"  {projection.n_grouped} of {len(grouped)} tracklets in {projection.n_groups} groups"
    folds = assign_folds(own)
    other = [np.array([folds[tracklet.id] != fold for tracklet in grouped]) for fold in (0, 1)]
    matrices = [fit_projection(features[rows], apart[np.ix_(rows, rows)]).matrix for rows in other]
    fold = folds_of(parts, own)
    judged = parts.within(fold)
    first, last = np.split(encoded(model, (*parts.first, *parts.last), options), 2)
    before, after = scores(model.aggregator, first, last, options), np.empty((len(parts), len(parts)))
    for number, matrix in enumerate(matrices):
        rows = fold == number
        after[rows] = scores(model.aggregator, first[rows] @ matrix, last @ matrix, options)
    changes = compare_agreement(before, after, judged, seed)
    table = agreement_table(changes, "Projection of features, percent", note_on(judged))
    # If it does not clearly reduce the influence of cameras, it is as often worse as better for other persons.
    kept = helped_across_cameras(changes)
    outcome = "projection helped, and is used" if kept else "projection did not help, and is not used"
    return tried if kept else model, Step(kept, (outcome, counts), table, summary, tried, projection.groups)


def _projected(encoder: ClipEncoder, projection: Projection) -> ClipEncoder:
    """Return an encoder with a projection; statistics of cameras stay, and an earlier projection is applied first."""
    if isinstance(encoder, CameraEncoder):
        own = dict(zip(encoder.cameras, encoder.values.cpu(), strict=True))
        return CameraEncoder(_projected(encoder.trained, projection), own).eval()
    matrix = torch.from_numpy(projection.matrix)
    if isinstance(encoder, ProjectedEncoder):
        matrix = encoder.matrix @ matrix.to(encoder.matrix.device)
        return ProjectedEncoder(encoder.trained, matrix).eval()
    device = next(encoder.parameters(), matrix).device
    return ProjectedEncoder(encoder, matrix.to(device)).eval()
