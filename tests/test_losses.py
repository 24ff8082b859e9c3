import math

import pytest
import torch

from resight.errors import ShapeError
from resight.losses import batch_hard_triplet, euclidean, identity_cross_entropy, stage1_loss, stage2_loss

PERSONS = torch.tensor([1, 1, 2, 2])


def test_batch_hard_by_hand() -> None:
    # Points on a line: 0 and 1 are person 1, 3 and 7 are person 2.
    points = torch.tensor([[0.0], [1.0], [3.0], [7.0]])
    # Anchor 0: 1 - 3, anchor 1: 1 - 2, anchor 3: 4 - 2, anchor 7: 4 - 6; plus the margin, at least 0.
    found = batch_hard_triplet(euclidean(points), PERSONS, margin=1.5)
    assert found.loss.item() == pytest.approx(0 + 0.5 + 3.5 + 0)
    assert found.active_share.item() == 0.5
    assert not found.active_share.requires_grad


def test_an_anchor_is_never_its_own_positive_when_distance_is_minus_similarity() -> None:
    similarities = torch.tensor(
        [[0.2, 0.9, 0.1, 0.0], [0.9, 0.2, 0.0, 0.1], [0.1, 0.0, 0.2, 0.8], [0.0, 0.1, 0.8, 0.2]]
    )
    found = stage2_loss(similarities, PERSONS)
    assert found.loss.item() == pytest.approx(2 * (1 - 0.9 + 0.1) + 2 * (1 - 0.8 + 0.1))
    similarities.fill_diagonal_(-5)
    assert stage2_loss(similarities, PERSONS).loss.item() == pytest.approx(found.loss.item())


def test_rows_are_the_anchors() -> None:
    similarities = torch.rand(4, 4)
    by_rows = [
        max(0.0, 1 - similarities[a, p].item() + max(similarities[a, n].item() for n in negatives))
        for a, p, negatives in ((0, 1, (2, 3)), (1, 0, (2, 3)), (2, 3, (0, 1)), (3, 2, (0, 1)))
    ]
    assert stage2_loss(similarities, PERSONS).loss.item() == pytest.approx(sum(by_rows), rel=1e-5)


def test_euclidean_is_exact_for_small_distances_and_has_a_finite_gradient_at_zero() -> None:
    features = torch.full((3, 1024), 100.0, requires_grad=True)
    with torch.no_grad():
        features[2, 0] += 0.01
    distances = euclidean(features)
    assert distances[0, 2].item() == pytest.approx(0.01, rel=1e-2)
    assert distances[0, 1].item() == 0
    distances.sum().backward()  # type: ignore[no-untyped-call]
    assert features.grad is not None and torch.isfinite(features.grad).all()


def test_loss_falls_when_persons_move_apart() -> None:
    torch.manual_seed(0)
    features = torch.randn(4, 5, requires_grad=True)
    before = batch_hard_triplet(euclidean(features), PERSONS, 1.0).loss
    before.backward()  # type: ignore[no-untyped-call]
    assert features.grad is not None
    after = batch_hard_triplet(euclidean(features.detach() - 0.01 * features.grad), PERSONS, 1.0).loss
    assert after < before


@pytest.mark.parametrize("persons", [[1, 1, 2, 3], [1, 1, 1, 1]])
def test_every_anchor_needs_a_positive_and_a_negative(persons: list[int]) -> None:
    with pytest.raises(ShapeError, match="at least 2 persons"):
        batch_hard_triplet(torch.rand(4, 4), torch.tensor(persons), 1.0)


def test_rejects_a_matrix_that_is_not_square() -> None:
    with pytest.raises(ShapeError, match=r"\(B, B\)"):
        batch_hard_triplet(torch.rand(4, 3), PERSONS, 1.0)


def test_cross_entropy_is_summed() -> None:
    logits = torch.tensor([[0.0, 0.0], [0.0, math.log(3.0)]])
    found = identity_cross_entropy(logits, torch.tensor([0, 1]))
    assert found.item() == pytest.approx(math.log(2) + math.log(4 / 3))


def test_stage_1_is_the_sum_of_its_parts() -> None:
    features, logits, targets = torch.randn(4, 6), torch.randn(4, 2), torch.tensor([0, 0, 1, 1])
    found = stage1_loss(features, logits, PERSONS, targets)
    torch.testing.assert_close(found.triplet, batch_hard_triplet(euclidean(features), PERSONS, 0.3).loss)
    torch.testing.assert_close(found.cross_entropy, identity_cross_entropy(logits, targets))
    torch.testing.assert_close(found.loss, found.triplet + found.cross_entropy)
