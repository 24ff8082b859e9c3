from __future__ import annotations

import numpy as np
import torch

from resight.adaptation.importance import certainly_different
from resight.losses import stage2_loss


def test_certain_pairs_were_there_together_or_are_far_less_similar() -> None:
    angles = np.radians([0, 10, 40, 90, 170])
    features = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
    apart = np.zeros((5, 5), bool)
    apart[0, 1] = apart[1, 0] = apart[1, 2] = apart[2, 1] = True  # 10 and 30 degrees
    different = certainly_different(features, apart)
    limit = np.median([np.cos(np.radians(10)), np.cos(np.radians(30))])
    for i in range(5):
        for j in range(5):
            cosine = np.cos(angles[i] - angles[j])
            assert different[i, j] == (apart[i, j] or cosine < limit)
    assert not different.diagonal().any()


def test_only_certain_pairs_are_negatives() -> None:
    """The loss of Eq. 7, in plain loops, with negatives that certainly show different persons."""
    generator = torch.Generator().manual_seed(3)
    similarity = torch.rand(6, 6, generator=generator)
    persons, margin = torch.tensor([0, 1, 2, 0, 1, 2]), 1.0
    different = torch.zeros(6, 6, dtype=torch.bool)
    for i, j in ((0, 4), (0, 5), (1, 3)):
        different[i, j] = different[j, i] = True
    total = 0.0
    for i in range(6):
        positive = min(float(similarity[i, j]) for j in range(6) if persons[j] == persons[i] and i != j)
        negatives = [float(similarity[i, j]) for j in range(6) if different[i, j]]
        if negatives:
            total += max(0.0, margin - positive + max(negatives))
    similarity.requires_grad_()
    loss = stage2_loss(similarity, persons, margin, different).loss
    assert abs(loss.item() - total) < 1e-5
    torch.autograd.backward(loss)
    assert similarity.grad is not None and similarity.grad.isfinite().all()
    assert not similarity.grad[2, :2].any(), "an anchor without a certain negative has no loss"
