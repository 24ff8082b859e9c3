import torch
import torch.nn.functional as F
from torch import Tensor

from resight.scoring.all_pairs import score_all_pairs
from resight.scoring.one_pair import score_one_pair
from resight.studies.rivals.order_free import _BLOCK, OrderFree


def order_free() -> OrderFree:
    torch.manual_seed(1)
    made = OrderFree(6, 8).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(3)
    return made


@torch.no_grad()
def by_hand(query: Tensor, gallery: Tensor, aggregator: OrderFree) -> float:
    """Compute the formula clip pair by clip pair."""
    pairs = [F.normalize(f, dim=0) * F.normalize(h, dim=0) for f in query for h in gallery]
    mean = torch.stack(pairs).mean(0)
    alphas = [aggregator.importance(mean - c) for c in pairs]
    return float(sum(a * c.sum() for a, c in zip(alphas, pairs, strict=True)) / sum(alphas))


def test_agrees_with_the_formula() -> None:
    aggregator = order_free()
    query, gallery = torch.randn(3, 4, 6), torch.randn(2, 3, 6)
    expected = torch.tensor([[by_hand(q, g, aggregator) for g in gallery] for q in query])
    torch.testing.assert_close(aggregator(query, gallery), expected)
    torch.testing.assert_close(torch.from_numpy(score_all_pairs(query, gallery, aggregator)), expected)
    assert abs(score_one_pair(query[1], gallery[1], aggregator).score - expected[1, 1]) < 1e-6


def test_is_independent_of_clip_order_and_symmetric() -> None:
    aggregator, query, gallery = order_free(), torch.randn(3, 4, 6), torch.randn(2, 3, 6)
    expected = aggregator(query, gallery)
    torch.testing.assert_close(aggregator(query.flip(1), gallery[:, [2, 0, 1]]), expected)
    torch.testing.assert_close(aggregator(gallery, query).t(), expected)


def test_clip_pairs_have_different_weights() -> None:
    weights = order_free().pair_weights(torch.randn(4, 6), torch.randn(3, 6)).weight
    assert weights.max() > 1.05 * weights.min()


def test_many_pairs_are_scored_in_blocks() -> None:
    aggregator, query, gallery = order_free(), torch.randn(40, 2, 6), torch.randn(60, 2, 6)
    assert len(query) * len(gallery) > 2 * _BLOCK
    expected = torch.stack([aggregator(row[None], gallery)[0] for row in query])
    torch.testing.assert_close(aggregator(query, gallery), expected)
