from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from resight.errors import RecipeError, ShapeError
from resight.scoring import all_pairs
from resight.scoring.all_pairs import score_all_pairs
from resight.scoring.one_pair import score_one_pair
from resight.studies.rivals.sliced_wasserstein import SlicedWasserstein, quantile_shares, unit_directions

D = 12


@pytest.fixture
def tracklets() -> tuple[Tensor, Tensor]:
    """Return clip features of 3 query tracklets with 4 clips and 5 gallery tracklets with 3, with various lengths."""
    torch.manual_seed(0)
    query, gallery = torch.randn(3, 4, D) + 0.5, torch.randn(5, 3, D) + 0.5
    return query * torch.rand(3, 4, 1) * 9, gallery * torch.rand(5, 3, 1) * 9


def slowly(query: Tensor, gallery: Tensor, projections: int) -> float:
    """Return equal masses of both sets by rank, with numbers repeated until both lists have the same length."""
    q, g = F.normalize(query, dim=-1), F.normalize(gallery, dim=-1)
    cost = 0.0
    for direction in unit_directions(projections, D, 0):
        a = sorted((q @ direction).tolist())
        b = sorted((g @ direction).tolist())
        pieces = list(zip([x for x in a for _ in range(len(b))], [y for y in b for _ in range(len(a))], strict=True))
        cost += sum((x - y) ** 2 for x, y in pieces) / len(pieces) / projections
    return 1 - D * cost / 2


@pytest.mark.parametrize("projections", [1, 5, 24])
def test_similarity_is_the_transport_by_rank_in_loops(projections: int, tracklets: tuple[Tensor, Tensor]) -> None:
    found = SlicedWasserstein(projections)(*tracklets)
    for a, query in enumerate(tracklets[0]):
        for b, gallery in enumerate(tracklets[1]):
            assert found[a, b].item() == pytest.approx(slowly(query, gallery, projections), abs=1e-5)
    same = SlicedWasserstein(projections)(tracklets[0], tracklets[0])
    torch.testing.assert_close(same.diagonal(), torch.ones(3))
    torch.testing.assert_close(same, same.t())


def test_one_clip_each_gives_the_cosine() -> None:
    torch.manual_seed(0)
    a, b = torch.randn(6, 1, D), torch.randn(7, 1, D)
    cosine = F.normalize(a[:, 0], dim=1) @ F.normalize(b[:, 0], dim=1).t()
    torch.testing.assert_close(SlicedWasserstein(2 * D)(a, b), cosine)
    # Neither the order of clips nor repeating all of them equally often changes the similarity.
    many = torch.randn(2, 4, D)
    expected = SlicedWasserstein(9)(many, a)
    torch.testing.assert_close(SlicedWasserstein(9)(many[:, torch.randperm(4)], a), expected)
    torch.testing.assert_close(SlicedWasserstein(9)(many.repeat_interleave(3, 1), a), expected)


def test_weights_show_the_matched_clips_and_sum_to_the_similarity(tracklets: tuple[Tensor, Tensor]) -> None:
    aggregator = SlicedWasserstein(24)
    similarity = aggregator(*tracklets)
    for a, query in enumerate(tracklets[0]):
        for b, gallery in enumerate(tracklets[1]):
            account = aggregator.pair_weights(query, gallery)
            torch.testing.assert_close((account.weight * account.cosine).sum(), similarity[a, b])
            torch.testing.assert_close(account.importance.sum(1), torch.full((4,), 1 / 4))
            torch.testing.assert_close(account.importance.sum(0), torch.full((3,), 1 / 3))
            torch.testing.assert_close(account.weight / account.weight.sum(), account.importance)
    itself = aggregator.pair_weights(tracklets[0][0], tracklets[0][0][[2, 0, 3, 1]])
    assert itself.importance.argmax(1).tolist() == [1, 3, 0, 2]
    torch.testing.assert_close(itself.importance.amax(1), torch.full((4,), 1 / 4))


def test_weights_are_finite_where_the_mean_cosine_is_zero() -> None:
    query, gallery = torch.eye(4)[:2], torch.eye(4)[2:]
    account = SlicedWasserstein(8).pair_weights(query, gallery)
    assert torch.isfinite(account.weight).all()


def test_gradients_are_correct_and_directions_are_not_parameters(tracklets: tuple[Tensor, Tensor]) -> None:
    aggregator = SlicedWasserstein(7)
    with torch.inference_mode():
        aggregator(*tracklets)
    query, gallery = (x[:2].double().requires_grad_() for x in tracklets)
    assert torch.autograd.gradcheck(aggregator, (query, gallery))
    single = tracklets[0].clone().requires_grad_()
    aggregator(single, tracklets[1]).sum().backward()
    assert single.grad is not None and single.grad.abs().sum() > 0
    assert not list(aggregator.parameters()) and not aggregator.state_dict()


def test_directions_have_length_one_at_right_angles_and_depend_on_the_seed() -> None:
    directions = unit_directions(20, 8, 3)
    torch.testing.assert_close(directions.norm(dim=1), torch.ones(20))
    torch.testing.assert_close(directions[8:16] @ directions[8:16].t(), torch.eye(8), atol=1e-6, rtol=0)
    unit_directions.cache_clear()
    assert torch.equal(unit_directions(20, 8, 3), directions)
    assert not torch.equal(unit_directions(20, 8, 4), directions)
    torch.testing.assert_close(directions[:16].t() @ directions[:16] / 2, torch.eye(8), atol=1e-6, rtol=0)


@pytest.mark.parametrize(("m", "n"), [(1, 1), (4, 4), (4, 3), (2, 5), (8, 1)])
def test_quantile_shares_transport_by_rank(m: int, n: int) -> None:
    moved = quantile_shares(m, n, torch.zeros((), dtype=torch.float64))
    expected = torch.zeros(m, n, dtype=torch.float64)
    for piece in range(m * n):
        expected[piece // n, piece // m] += 1 / (m * n)
    torch.testing.assert_close(moved, expected)


def test_all_scoring_functions_agree(tracklets: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    aggregator = SlicedWasserstein()
    query, gallery = (x.numpy() for x in tracklets)
    whole = score_all_pairs(query, gallery, aggregator)
    monkeypatch.setattr(all_pairs, "MEMORY_BUDGET", 1)
    assert whole == pytest.approx(score_all_pairs(query, gallery, aggregator), abs=1e-5)
    assert whole == pytest.approx(aggregator(*tracklets).numpy(), abs=1e-6)
    assert score_one_pair(query[1], gallery[2], aggregator).score == pytest.approx(float(whole[1, 2]), abs=1e-5)


def test_rejects_invalid_arguments() -> None:
    with pytest.raises(RecipeError, match="1 or more"):
        SlicedWasserstein(0)
    with pytest.raises(ShapeError, match=r"\(Q, M, D\)"):
        SlicedWasserstein()(torch.zeros(2, 3, 4), torch.zeros(2, 3, 5))
