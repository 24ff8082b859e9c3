from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from resight.clip_losses import TEMPERATURE, clip_loss, contrast, cosine_distances
from resight.errors import ShapeError
from resight.losses import stage1_loss
from resight.recipe import Optimisation, Stage1
from resight.recipes import modern

PERSONS = torch.tensor([0, 0, 1, 1, 2, 2])


def drawn() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(6, 8, generator=generator), torch.randn(6, 3, generator=generator)


def test_the_settings_of_the_paper_give_its_loss() -> None:
    features, logits = drawn()
    ours, paper = clip_loss(features, logits, PERSONS, Stage1()), stage1_loss(features, logits, PERSONS, PERSONS)
    assert torch.equal(ours.loss, paper.loss)
    assert torch.equal(ours.triplet, paper.triplet) and torch.equal(ours.cross_entropy, paper.cross_entropy)
    assert torch.equal(ours.active_share, paper.active_share)


def test_vectors_at_known_angles() -> None:
    angles = torch.tensor([0.0, 60.0, 90.0, 180.0]).deg2rad()
    lengths = torch.tensor([1.0, 5.0, 0.1, 2.0])[:, None]
    distances = cosine_distances(lengths * torch.stack([angles.cos(), angles.sin()], 1))
    assert distances[0].tolist() == pytest.approx([0.0, 0.5, 1.0, 2.0], abs=1e-6)
    assert distances[1, 2].item() == pytest.approx(1 - math.cos(math.radians(30)), abs=1e-6)


def test_every_setting_in_loops() -> None:
    features, logits = drawn()
    stage = replace(modern().stage1, optimisation=Optimisation(margin=0.4), triplet_weight=0.5, label_smoothing=0.2)
    triplets, entropies, active = [], [], 0
    for i in range(6):
        cosines = [F.cosine_similarity(features[i], features[j], dim=0).item() for j in range(6)]
        same = min(cosines[j] for j in range(6) if PERSONS[j] == PERSONS[i] and j != i)
        other = max(cosines[j] for j in range(6) if PERSONS[j] != PERSONS[i])
        triplets.append(max(0.4 + (1 - same) - (1 - other), 0.0))
        active += triplets[-1] > 0
        logs = logits[i].log_softmax(0)
        wanted = [0.2 / 3 + 0.8 * (c == PERSONS[i].item()) for c in range(3)]
        entropies.append(-sum(w * log.item() for w, log in zip(wanted, logs, strict=True)))
    found = clip_loss(features, logits, PERSONS, stage)
    assert found.triplet.item() == pytest.approx(sum(triplets) / 6, abs=1e-5)
    assert found.cross_entropy.item() == pytest.approx(sum(entropies) / 6, abs=1e-5)
    assert found.loss.item() == pytest.approx(0.5 * sum(triplets) / 6 + sum(entropies) / 6, abs=1e-5)
    assert found.active_share.item() == pytest.approx(active / 6)
    summed = clip_loss(features, logits, PERSONS, replace(stage, reduction="sum"))
    assert summed.loss.item() == pytest.approx(6 * found.loss.item(), rel=1e-5)


def test_cosine_distances_do_not_depend_on_feature_lengths() -> None:
    features, logits = drawn()
    lengths = torch.linspace(0.1, 9, 6)[:, None]
    one, other = (clip_loss(f, logits, PERSONS, modern().stage1) for f in (features, features * lengths))
    assert one.triplet.item() == pytest.approx(other.triplet.item(), abs=1e-5)


def test_rejects_a_batch_without_triplets() -> None:
    features, logits = drawn()
    with pytest.raises(ShapeError, match="at least 2 persons"):
        clip_loss(features, logits, torch.tensor([0, 0, 1, 1, 2, 0]), modern().stage1)


def test_contrast_in_loops_and_its_weight() -> None:
    features, logits = drawn()
    persons = torch.tensor([0, 0, 1, 1, 1, 0])
    expected = 0.0
    for i in range(6):
        cosines = [F.cosine_similarity(features[i], features[j], dim=0).item() / TEMPERATURE for j in range(6)]
        total = math.log(sum(math.exp(cosines[j]) for j in range(6) if j != i))
        same = [total - cosines[j] for j in range(6) if j != i and persons[j] == persons[i]]
        expected += sum(same) / len(same)
    assert contrast(features, persons).item() == pytest.approx(expected, rel=1e-5)
    plain, weighted = (
        clip_loss(features, logits, persons, replace(modern().stage1, contrast_weight=weight)).loss for weight in (0, 3)
    )
    assert (weighted - plain).item() == pytest.approx(3 * expected / 6, rel=1e-5)


def test_contrast_sends_a_gradient_to_every_tracklet() -> None:
    features = drawn()[0].requires_grad_()
    contrast(features, PERSONS).backward()  # type: ignore[no-untyped-call]
    assert features.grad is not None and features.grad.isfinite().all() and (features.grad.norm(dim=1) > 0).all()
