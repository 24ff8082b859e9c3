"""Plain learned similarity: Eq. 1 and 2 as a loop, batched over all tracklet pairs."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from resight.models.aggregators import Learned


@torch.inference_mode()
def plain_similarity(query: Tensor, gallery: Tensor, aggregator: Learned) -> Tensor:
    """Return the similarities of all pairs of tracklets by Eq. 1 to 6, one step of the recurrence at a time.

    Args:
        query: (Q, M, D).
        gallery: (G, N, D).
        aggregator: Aggregator in evaluation mode.

    Returns:
        (Q, G).
    """
    q, g = F.normalize(query, dim=-1), F.normalize(gallery, dim=-1)
    r = q[:, None, 0] * g[None, :, 0]
    total = aggregator.importance(torch.zeros_like(r))
    for t in range(1, q.shape[1] * g.shape[1]):
        c = q[:, None, t // g.shape[1]] * g[None, :, t % g.shape[1]]
        alpha = aggregator.importance(r - c)
        r = (total[..., None] * r + alpha[..., None] * c) / (total + alpha)[..., None]
        total = total + alpha
    return r.sum(-1)
