"""What trains the clip encoder where a recipe departs from Eq. 7 + Eq. 8: cosines, smoothed labels, means over a batch.

B tracklets in the batch, D features, C training identities.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from resight.losses import ClipLoss, batch_hard_triplet, euclidean
from resight.recipe import Stage1


def clip_loss(features: Tensor, logits: Tensor, targets: Tensor, stage: Stage1) -> ClipLoss:
    """Batch-hard triplets and identity cross entropy, as a recipe combines them.

    With the settings of the paper (no smoothing, Euclidean distances, sums, weight 1) this is `losses.stage1_loss`. The
    others are those of Luo et al., "Bag of tricks and a strong baseline for deep person re-identification" (2019), and
    cosine triplets as in Gu et al., "Appearance-preserving 3D convolution" (2020).

    Args:
        features: (B, D) that triplets compare.
        logits: (B, C) of the identity layer.
        targets: (B,) int64 in 0 … C - 1, the identities.
        stage: margin, weight of the triplets, their distance, smoothing, sum or mean.

    Returns:
        Its `loss` is the weighted sum; `triplet` is before weighting.

    Raises:
        ShapeError: as `losses.batch_hard_triplet`.
    """
    distances = euclidean(features) if stage.triplet_distance == "euclidean" else cosine_distances(features)
    triplet = batch_hard_triplet(distances, targets, stage.optimisation.margin)
    cross_entropy = F.cross_entropy(logits, targets, reduction="sum", label_smoothing=stage.label_smoothing)
    share = 1 / len(targets) if stage.reduction == "mean" else 1.0
    parts = share * triplet.loss, share * cross_entropy
    return ClipLoss(stage.triplet_weight * parts[0] + parts[1], *parts, triplet.active_share)


def cosine_distances(features: Tensor) -> Tensor:
    """One minus the cosine of all pairs, 0 … 2.

    Args:
        features: (B, D), of any length.

    Returns:
        (B, B).
    """
    unit = F.normalize(features, dim=1)
    return 1 - unit @ unit.T
