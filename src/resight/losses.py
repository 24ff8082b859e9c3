"""The paper's losses: batch-hard triplets on distances, and cross entropy on identities.

Legend: B tracklets in the batch, D features, C training identities. Distances are used only here and in re-ranking.
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
        loss: (), the value to minimise.
        active_share: (), share of anchors with a loss above 0, in [0, 1]; without gradient.
    """

    loss: Tensor
    active_share: Tensor


@dataclass(frozen=True)
class ClipLoss:
    """The loss of stage 1 and its parts.

    Attributes:
        loss: (), the value to minimise: triplet + cross_entropy, unless a recipe weights them.
        triplet: (), triplet loss.
        cross_entropy: (), cross entropy of the identities.
        active_share: (), share of anchors with a triplet loss above 0, in [0, 1]; without gradient.
    """

    loss: Tensor
    triplet: Tensor
    cross_entropy: Tensor
    active_share: Tensor


def batch_hard_triplet(
    distances: Tensor, persons: Tensor, margin: float, different: Tensor | None = None
) -> TripletLoss:
    """Return the batch-hard triplet loss, summed over anchors. Paper: Eq. 7.

    Each anchor is compared with the furthest tracklet of the same person and the nearest tracklet of another person.
    The diagonal of `distances` is ignored.

    Args:
        distances: (B, B), anchors in rows; smaller means more similar, and negative values are allowed.
        persons: (B,) int.
        margin: m, in the unit of the distances.
        different: (B, B) bool, pairs that certainly show different persons; by default all pairs of different
            `persons`. An anchor without such a pair has no loss.

    Raises:
        ShapeError: If the shapes do not fit, if a person appears only once, or if there is only one person.
    """
    if distances.ndim != 2 or distances.shape != (len(persons), len(persons)) or persons.ndim != 1:
        raise ShapeError(
            f"expected distances (B, B) and persons (B,), found {tuple(distances.shape)} and {tuple(persons.shape)}"
        )
    same = persons[:, None] == persons[None, :]
    positive = same & ~torch.eye(len(persons), dtype=torch.bool, device=persons.device)
    if not (positive.any(1) & ~same.all(1)).all():
        raise ShapeError(
            "expected at least 2 persons with at least 2 tracklets each in a batch, found these persons: "
            f"{persons.tolist()}"
        )
    hardest_positive = distances.masked_fill(~positive, -torch.inf).max(1).values
    negative = ~same if different is None else different & ~same
    hardest_negative = distances.masked_fill(~negative, torch.inf).min(1).values
    losses = F.relu(margin + hardest_positive - hardest_negative)
    return TripletLoss(losses.sum(), (losses.detach() > 0).float().mean())


def euclidean(features: Tensor) -> Tensor:
    """Return the Euclidean distances of all pairs, not squared, with gradient 0 at distance 0.

    Args:
        features: (B, D).

    Returns:
        (B, B).
    """
    # A matrix product would be faster, but loses half of the digits of small distances, which batch-hard needs.
    return torch.cdist(features, features, compute_mode="donot_use_mm_for_euclid_dist")


def identity_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the cross entropy of the training identities, summed over the batch. Paper: Eq. 8.

    Args:
        logits: (B, C).
        targets: (B,) int64 in 0 ... C - 1.

    Returns:
        ().
    """
    return F.cross_entropy(logits, targets, reduction="sum")


def stage1_loss(features: Tensor, logits: Tensor, persons: Tensor, targets: Tensor, margin: float = 0.3) -> ClipLoss:
    """Return the loss of the clip encoder: Eq. 7 on Euclidean distances of unnormalised features, plus Eq. 8.

    Args:
        features: (B, D) clip features.
        logits: (B, C), output of the identity layer.
        persons: (B,) int.
        targets: (B,) int64 in 0 ... C - 1, the class of each person.
        margin: m.

    Raises:
        ShapeError: As `batch_hard_triplet`.
    """
    triplet = batch_hard_triplet(euclidean(features), persons, margin)
    cross_entropy = identity_cross_entropy(logits, targets)
    return ClipLoss(triplet.loss + cross_entropy, triplet.loss, cross_entropy, triplet.active_share)


def stage2_loss(
    similarities: Tensor, persons: Tensor, margin: float = 1.0, different: Tensor | None = None
) -> TripletLoss:
    """Return the loss of the importance network: Eq. 7 with the negative similarity as distance.

    Args:
        similarities: (B, B), similarities of all pairs of the batch; the diagonal is ignored.
        persons: (B,) int.
        margin: m.
        different: As in `batch_hard_triplet`.

    Raises:
        ShapeError: As `batch_hard_triplet`.
    """
    return batch_hard_triplet(-similarities, persons, margin, different)
