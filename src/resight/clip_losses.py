"""The loss of the clip encoder for recipes that differ from Eq. 7 + Eq. 8: cosines, label smoothing, batch means.

Legend: B tracklets in the batch, D features, C training identities.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from resight.losses import ClipLoss, batch_hard_triplet, euclidean
from resight.recipe import Stage1

TEMPERATURE = 0.1
"""Cosines are divided by this temperature in the contrastive loss."""


def clip_loss(features: Tensor, logits: Tensor, targets: Tensor, stage: Stage1) -> ClipLoss:
    """Return the loss of stage 1 with the settings of a recipe.

    With the settings of the paper (no smoothing, Euclidean distances, sums, weight 1) this is `losses.stage1_loss`.
    Other settings follow Luo et al., "Bag of tricks and a strong baseline for deep person re-identification" (2019),
    and Gu et al., "Appearance-preserving 3D convolution" (2020), for cosine triplets. The contrastive loss can be added
    to both. It helps training from random weights with thousands of identities and few examples of each, where the
    other two losses start slowly.

    Args:
        features: (B, D), features for the triplets.
        logits: (B, C), output of the identity layer.
        targets: (B,) int64 in 0 … C - 1, the identities.
        stage: Margin, weights, triplet distance, label smoothing, and whether to sum or average.

    Returns:
        The loss, with `loss` the weighted sum of all parts, including the contrastive loss, and `triplet` before
        weighting.

    Raises:
        ShapeError: As `losses.batch_hard_triplet`.
    """
    distances = euclidean(features) if stage.triplet_distance == "euclidean" else cosine_distances(features)
    triplet = batch_hard_triplet(distances, targets, stage.optimisation.margin)
    cross_entropy = F.cross_entropy(logits, targets, reduction="sum", label_smoothing=stage.label_smoothing)
    share = 1 / len(targets) if stage.reduction == "mean" else 1.0
    parts = share * triplet.loss, share * cross_entropy
    loss = stage.triplet_weight * parts[0] + parts[1]
    if stage.contrast_weight:
        loss = loss + stage.contrast_weight * share * contrast(features, targets)
    return ClipLoss(loss, *parts, triplet.active_share)


def contrast(features: Tensor, persons: Tensor) -> Tensor:
    """Return the supervised contrastive loss (Khosla et al. 2020, L_out in Eq. 2), summed over the batch.

    For each tracklet: the mean, over the other tracklets of the same person, of the negative log softmax over the
    cosines to all other tracklets, divided by the temperature 0.1.

    Args:
        features: (B, D), of any length.
        persons: (B,), each person at least twice.
    """
    diagonal = torch.eye(len(persons), dtype=torch.bool, device=persons.device)
    unit = F.normalize(features, dim=1)
    logits = (unit @ unit.T / TEMPERATURE).masked_fill(diagonal, -torch.inf)
    same = (persons[:, None] == persons[None, :]) & ~diagonal
    shares = logits.log_softmax(1).masked_fill(~same, 0.0)
    return -(shares.sum(1) / same.sum(1)).sum()


def cosine_distances(features: Tensor) -> Tensor:
    """Return 1 minus the cosine of all pairs, 0 … 2.

    Args:
        features: (B, D), of any length.

    Returns:
        (B, B).
    """
    unit = F.normalize(features, dim=1)
    return 1 - unit @ unit.T
