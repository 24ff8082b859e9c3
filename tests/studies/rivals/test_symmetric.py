import pytest
import torch

from resight.losses import stage2_loss
from resight.models.aggregators import Aggregator, Learned, MeanPair
from resight.studies.rivals.order_free import OrderFree
from resight.studies.rivals.symmetric import Symmetric


def varied(aggregator: Aggregator) -> Aggregator:
    with torch.no_grad():
        for parameter in aggregator.parameters():
            parameter.mul_(3)
    return aggregator.eval()


def test_query_and_gallery_can_be_swapped() -> None:
    torch.manual_seed(0)
    query, gallery = torch.randn(3, 4, 6), torch.randn(5, 2, 6)
    learned = varied(Learned(6, 8, first="pair"))
    assert (learned(query, gallery) - learned(gallery, query).t()).abs().max() > 1e-4
    symmetric = Symmetric(learned)
    torch.testing.assert_close(symmetric(query, gallery), symmetric(gallery, query).t())
    expected = (learned(query, gallery) + learned(gallery, query).t()) / 2
    torch.testing.assert_close(symmetric(query, gallery), expected)


@pytest.mark.parametrize("inner", [MeanPair(), OrderFree(6, 8)], ids=["mean pair", "order-free"])
def test_does_not_change_aggregators_without_an_order(inner: Aggregator) -> None:
    query, gallery = torch.randn(3, 4, 6), torch.randn(5, 2, 6)
    torch.testing.assert_close(Symmetric(varied(inner))(query, gallery), inner(query, gallery))


def test_trains() -> None:
    torch.manual_seed(0)
    symmetric, features = Symmetric(Learned(6, 8)).train(), torch.randn(4, 2, 6)
    for _ in range(4):
        symmetric.zero_grad()
        stage2_loss(symmetric(features, features), torch.tensor([0, 0, 1, 1])).loss.backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in symmetric.parameters())
