"""The two losses: batch-hard triplets on distances, and cross entropy on identities.

B tracklets in the batch, D features, C training identities. Distance appears here and in re-ranking, nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from resight.errors import ShapeError


@dataclass(frozen=True)
class TripletLoss:
    """A batch-hard triplet loss.

    Attributes:
        loss: (), to be minimised.
        active_share: (), share of anchors whose loss is above 0, in [0, 1]; carries no gradient.
    """

    loss: Tensor
    active_share: Tensor


@dataclass(frozen=True)
class ClipLoss:
    """What stage 1 minimises, and its parts.

    Attributes:
        loss: (), triplet + cross_entropy.
        triplet: ().
        cross_entropy: ().
        active_share: (), share of anchors whose triplet loss is above 0, in [0, 1]; carries no gradient.
    """

    loss: Tensor
    triplet: Tensor
    cross_entropy: Tensor
    active_share: Tensor


def batch_hard_triplet(distances: Tensor, persons: Tensor, margin: float) -> TripletLoss:
    """Each anchor against its furthest same person and its nearest other person, summed over anchors. Paper: Eq. 7.

    An anchor is never its own positive, whatever the diagonal holds.

    Args:
        distances: (B, B), from anchor (row) to the others; smaller is more alike, below 0 is allowed.
        persons: (B,) int.
        margin: m, in the unit of the distances.

    Raises:
        ShapeError: if the shapes do not fit, or some person appears once, or all the batch is one person.
    """
    if distances.ndim != 2 or distances.shape != (len(persons), len(persons)) or persons.ndim != 1:
        raise ShapeError(
            f"expected distances (B, B) and persons (B,), found {tuple(distances.shape)} and {tuple(persons.shape)}"
        )
    same = persons[:, None] == persons[None, :]
    positive = same & ~torch.eye(len(persons), dtype=torch.bool, device=persons.device)
    if not (positive.any(1) & ~same.all(1)).all():
        raise ShapeError(
            "expected every tracklet of the batch to meet the same person again and another person, found persons "
            f"{persons.tolist()}: draw at least 2 persons with at least 2 tracklets each"
        )
    hardest_positive = distances.masked_fill(~positive, -torch.inf).max(1).values
    hardest_negative = distances.masked_fill(same, torch.inf).min(1).values
    losses = F.relu(margin + hardest_positive - hardest_negative)
    return TripletLoss(losses.sum(), (losses.detach() > 0).float().mean())


def euclidean(features: Tensor) -> Tensor:
    """Euclidean distances, not squared, of all pairs; the gradient at distance 0 is 0.

    Args:
        features: (B, D).

    Returns:
        (B, B).
    """
    # The faster way over a matrix product loses half the digits of small distances, and batch-hard lives on those.
    return torch.cdist(features, features, compute_mode="donot_use_mm_for_euclid_dist")


def identity_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross entropy of the training identities, summed over the batch. Paper: Eq. 8.

    Args:
        logits: (B, C).
        targets: (B,) int64 in 0 ... C - 1.

    Returns:
        ().
    """
    return F.cross_entropy(logits, targets, reduction="sum")


def stage1_loss(features: Tensor, logits: Tensor, persons: Tensor, targets: Tensor, margin: float = 0.3) -> ClipLoss:
    """What trains the clip encoder: Eq. 7 on Euclidean distances of un-normalised features, plus Eq. 8.

    Args:
        features: (B, D) clip features.
        logits: (B, C) of the identity layer.
        persons: (B,) int.
        targets: (B,) int64 in 0 ... C - 1, the identities of `persons`.
        margin: m.

    Raises:
        ShapeError: as `batch_hard_triplet`.
    """
    triplet = batch_hard_triplet(euclidean(features), persons, margin)
    cross_entropy = identity_cross_entropy(logits, targets)
    return ClipLoss(triplet.loss + cross_entropy, triplet.loss, cross_entropy, triplet.active_share)


def stage2_loss(similarities: Tensor, persons: Tensor, margin: float = 1.0) -> TripletLoss:
    """What trains the importance: Eq. 7 with minus the similarity as distance, over all pairs of the batch.

    Args:
        similarities: (B, B) of the batch with itself; the diagonal is ignored.
        persons: (B,) int.
        margin: m.

    Raises:
        ShapeError: as `batch_hard_triplet`.
    """
    return batch_hard_triplet(-similarities, persons, margin)
