"""What trains the clip encoder where a recipe departs from Eq. 7 + Eq. 8: cosines, smoothed labels, means over a batch.

B tracklets in the batch, D features, C training identities.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from resight.losses import ClipLoss, batch_hard_triplet, euclidean
from resight.recipe import Stage1

TEMPERATURE = 0.1
"""Of the contrast: cosines are divided by it."""


def clip_loss(features: Tensor, logits: Tensor, targets: Tensor, stage: Stage1) -> ClipLoss:
    """Batch-hard triplets and identity cross entropy, as a recipe combines them.

    With the settings of the paper (no smoothing, Euclidean distances, sums, weight 1) this is `losses.stage1_loss`. The
    others are those of Luo et al., "Bag of tricks and a strong baseline for deep person re-identification" (2019), and
    cosine triplets as in Gu et al., "Appearance-preserving 3D convolution" (2020). The contrast is an addition to both:
    from random weights and with thousands of identities, each drawn a few dozen times, it learns at once what the
    other two take long to begin with.

    Args:
        features: (B, D) that triplets compare.
        logits: (B, C) of the identity layer.
        targets: (B,) int64 in 0 … C - 1, the identities.
        stage: margin, weight of the triplets, their distance, smoothing, sum or mean.

    Returns:
        Its `loss` is the weighted sum of all, the contrast included; `triplet` is before weighting.

    Raises:
        ShapeError: as `losses.batch_hard_triplet`.
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
    """Cross entropy of each tracklet's own person among the other tracklets of the batch, summed over the batch.

    Supervised contrast (Khosla et al. 2020, the L_out of its Eq. 2), at their temperature of 0.1: mean over the
    tracklets of the same person of minus the log of the softmax over all other tracklets' cosines.

    Args:
        features: (B, D), of any length.
        persons: (B,), each at least twice.
    """
    own = torch.eye(len(persons), dtype=torch.bool, device=persons.device)
    unit = F.normalize(features, dim=1)
    logits = (unit @ unit.T / TEMPERATURE).masked_fill(own, -torch.inf)
    same = (persons[:, None] == persons[None, :]) & ~own
    shares = logits.log_softmax(1).masked_fill(~same, 0.0)
    return -(shares.sum(1) / same.sum(1)).sum()


def cosine_distances(features: Tensor) -> Tensor:
    """One minus the cosine of all pairs, 0 … 2.

    Args:
        features: (B, D), of any length.

    Returns:
        (B, B).
    """
    unit = F.normalize(features, dim=1)
    return 1 - unit @ unit.T
