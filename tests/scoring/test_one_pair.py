import numpy as np
import pytest
import torch

from resight.errors import RecipeError, ShapeError
from resight.models.aggregators import Aggregator, ClipAgreement, Learned, MaxPair, MeanFeature, MeanPair, TopShare
from resight.scoring.one_pair import score_one_pair

AGGREGATORS = [
    MeanFeature(),
    MeanFeature(normalise=False),
    MeanPair(),
    MaxPair(),
    TopShare(30),
    Learned(6, 4),
    ClipAgreement(6),
]


@pytest.mark.parametrize("aggregator", AGGREGATORS, ids=lambda a: type(a).__name__)
def test_contributions_sum_to_the_similarity_of_the_aggregator(aggregator: Aggregator) -> None:
    torch.manual_seed(0)
    query, gallery = torch.randn(4, 6), torch.randn(3, 6)
    aggregator.train()
    found = score_one_pair(query.numpy(), gallery.numpy(), aggregator)
    assert aggregator.training and next(aggregator.parameters(), query).dtype == torch.float32
    for account in (found.cosine, found.importance, found.weight, found.contribution):
        assert account.shape == (4, 3) and account.dtype == np.float64
    assert found.contribution.sum() == pytest.approx(found.score, abs=1e-12)
    np.testing.assert_allclose(found.contribution, found.weight * found.cosine)
    expected = aggregator.eval()(query[None], gallery[None]).item()
    assert found.score == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("first", ["constant", "pair"])
def test_learned_agrees_with_its_pair_weights(first: str) -> None:
    torch.manual_seed(0)
    learned = Learned(6, 4, first=first)  # type: ignore[arg-type]
    query, gallery, order = torch.randn(4, 6), torch.randn(3, 6), torch.randperm(12)
    slow, fast = score_one_pair(query, gallery, learned, order=order), learned.pair_weights(query, gallery, order=order)
    np.testing.assert_allclose(slow.importance, fast.importance.numpy(), rtol=1e-5)
    np.testing.assert_allclose(slow.weight, fast.weight.numpy(), rtol=1e-5)
    np.testing.assert_allclose(slow.cosine, fast.cosine.numpy(), atol=1e-6)


def test_rejects_features_that_do_not_fit_and_an_order_without_effect() -> None:
    with pytest.raises(ShapeError, match="found"):
        score_one_pair(np.zeros((2, 3)), np.zeros((2, 4)), MeanPair())
    with pytest.raises(RecipeError, match="MaxPair"):
        score_one_pair(np.ones((2, 3)), np.ones((2, 3)), MaxPair(), order=torch.arange(4))
