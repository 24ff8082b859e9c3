from typing import TypeVar

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from resight.errors import RecipeError, ShapeError
from resight.models.aggregators import (
    AGGREGATORS,
    Aggregator,
    ClipAgreement,
    ImportanceWeighted,
    Learned,
    MaxPair,
    MeanFeature,
    MeanPair,
    TopShare,
)
from resight.recipe import Stage2
from resight.studies.rivals.order_free import OrderFree
from resight.studies.rivals.symmetric import Symmetric

D = 12


def learned(**settings: object) -> Learned:
    """Return an aggregator whose importance varies, as after training."""
    torch.manual_seed(3)
    return varied(Learned(dim=D, hidden=16, **settings))  # type: ignore[arg-type]


def order_free() -> OrderFree:
    torch.manual_seed(3)
    return varied(OrderFree(dim=D, hidden=16))


Weighted = TypeVar("Weighted", bound=ImportanceWeighted)


def varied(made: Weighted) -> Weighted:
    with torch.no_grad():
        for p in made.importance.parameters():
            p.mul_(3)
        for norm in (made.importance.first_norm, made.importance.second_norm):
            norm.running_mean.uniform_(-1, 1)  # type: ignore[union-attr]
            norm.running_var.uniform_(0.2, 2)  # type: ignore[union-attr]
    return made


def clip_agreement() -> ClipAgreement:
    torch.manual_seed(3)
    made = ClipAgreement(D, 8)
    torch.nn.init.normal_(made.last.weight)
    return made


def projected() -> TopShare:
    torch.manual_seed(4)
    made = TopShare(35, dim=D)
    torch.nn.init.normal_(made.projection.get_parameter("weight"))
    return made


ALL = {
    "mean of normalised features": MeanFeature(normalise=True),
    "mean of features": MeanFeature(normalise=False),
    "mean pair": MeanPair(),
    "max pair": MaxPair(),
    "top 35 %": TopShare(35),
    "top 35 %, projected": projected(),
    "learned, constant first": learned(),
    "learned, pair first": learned(first="pair"),
    "clip agreement": clip_agreement(),
    "order-free": order_free(),
    "learned, symmetric": Symmetric(learned()),
}
each = pytest.mark.parametrize("aggregator", ALL.values(), ids=ALL.keys())


@pytest.fixture
def tracklets() -> tuple[Tensor, Tensor]:
    """Return features of 3 query tracklets of 4 clips and 5 gallery tracklets of 3 clips, of various lengths."""
    torch.manual_seed(0)
    query, gallery = torch.randn(3, 4, D) + 0.5, torch.randn(5, 3, D) + 0.5
    return query * torch.rand(3, 4, 1) * 9, gallery * torch.rand(5, 3, 1) * 9


@each
def test_weighted_cosines_sum_to_the_similarity(aggregator: Aggregator, tracklets: tuple[Tensor, Tensor]) -> None:
    query, gallery = tracklets
    aggregator.eval()
    similarity = aggregator(query, gallery)
    assert similarity.shape == (3, 5)
    for i, q in enumerate(query):
        for j, g in enumerate(gallery):
            account = aggregator.pair_weights(q, g)
            assert account.weight.shape == account.importance.shape == account.cosine.shape == (4, 3)
            torch.testing.assert_close((account.weight * account.cosine).sum(), similarity[i, j], rtol=1e-5, atol=1e-5)
            shares = account.importance / account.importance.sum()
            torch.testing.assert_close(account.weight / account.weight.sum(), shares)


@each
def test_similarity_is_a_cosine_and_one_for_the_same_clip(
    aggregator: Aggregator, tracklets: tuple[Tensor, Tensor]
) -> None:
    aggregator.eval()
    assert aggregator(*tracklets).abs().max() <= 1 + 1e-6
    clip = torch.randn(2, 1, D)
    torch.testing.assert_close(aggregator(clip, clip * 5).diagonal(), torch.ones(2))


@each
def test_pair_weights_are_those_of_evaluation_also_in_training_mode(
    aggregator: Aggregator, tracklets: tuple[Tensor, Tensor]
) -> None:
    query, gallery = tracklets[0][0], tracklets[1][0]
    expected = aggregator.eval().pair_weights(query, gallery)
    found = aggregator.train().pair_weights(query, gallery)
    assert torch.equal(found.weight, expected.weight) and aggregator.training


@each
def test_gradients_reach_features_and_weights(aggregator: Aggregator, tracklets: tuple[Tensor, Tensor]) -> None:
    query, gallery = (x.clone().requires_grad_() for x in tracklets)
    aggregator.train()
    aggregator.zero_grad()
    (aggregator(query, gallery) * torch.randn(3, 5)).sum().backward()
    for x in (query, gallery, *aggregator.parameters()):
        assert x.grad is not None and torch.isfinite(x.grad).all()
    assert query.grad is not None and query.grad.abs().sum() > 0


@each
def test_rejects_features_that_do_not_fit(aggregator: Aggregator) -> None:
    with pytest.raises(ShapeError, match=r"\(Q, M, D\)"):
        aggregator(torch.zeros(2, 3, D), torch.zeros(2, 3, D + 1))
    with pytest.raises(ShapeError, match=r"\(Q, M, D\)"):
        aggregator(torch.zeros(3, D), torch.zeros(2, 3, D))


def test_rejects_features_of_another_encoder() -> None:
    for aggregator in (learned(), projected()):
        with pytest.raises(ShapeError, match="D = 12"):
            aggregator(torch.zeros(2, 3, 8), torch.zeros(2, 3, 8))
        with pytest.raises(ShapeError, match="D = 12"):
            aggregator.pair_weights(torch.zeros(3, 8), torch.zeros(3, 8))


def test_simple_aggregators_by_hand() -> None:
    query = torch.tensor([[[3.0, 0.0], [0.0, 1.0]]])
    gallery = torch.tensor([[[2.0, 0.0], [1.0, 1.0]]])
    # Cosines: first row 1, sqrt(1/2); second row 0, sqrt(1/2).
    half = 0.5**0.5
    assert MeanPair()(query, gallery).item() == pytest.approx((1 + 2 * half) / 4)
    assert MaxPair()(query, gallery).item() == pytest.approx(1)
    assert TopShare(50)(query, gallery).item() == pytest.approx((1 + half) / 2)
    assert MeanFeature(normalise=False)(query, gallery).item() == pytest.approx((3 * 3 + 1) / 10)
    means = torch.tensor([1.0, 1.0]), torch.tensor([1 + half, half])
    assert MeanFeature()(query, gallery).item() == pytest.approx(float(F.cosine_similarity(*means, dim=0)))


def test_top_share_spans_max_to_mean_and_may_change_after_training(tracklets: tuple[Tensor, Tensor]) -> None:
    top = TopShare(100, dim=D)
    torch.testing.assert_close(top(*tracklets), MeanPair()(*tracklets))
    top.share = 0.1
    torch.testing.assert_close(top(*tracklets), MaxPair()(*tracklets))


@pytest.mark.parametrize(("share", "pairs", "count"), [(7, 100, 7), (10, 64, 7), (30, 10, 3), (1, 1, 1), (55, 20, 11)])
def test_top_share_rounds_the_number_of_pairs_up(share: float, pairs: int, count: int) -> None:
    weights = TopShare(share).pair_weights(torch.randn(1, D), torch.randn(pairs, D))
    assert int(weights.importance.sum()) == count


@pytest.mark.parametrize("share", [0, -5, 101])
def test_top_share_rejects_invalid_percentages(share: float) -> None:
    with pytest.raises(RecipeError, match=r"\(0, 100\]"):
        TopShare(share)


def test_importance_of_the_first_pair_is_a_constant_or_depends_on_the_pair(tracklets: tuple[Tensor, Tensor]) -> None:
    constant, pair = learned().eval(), learned(first="pair").eval()
    firsts = [constant.pair_weights(q, tracklets[1][0]).importance[0, 0] for q in tracklets[0]]
    torch.testing.assert_close(firsts, [constant.importance(torch.zeros(D))] * 3)
    firsts = [pair.pair_weights(q, tracklets[1][0]).importance[0, 0] for q in tracklets[0]]
    c = F.normalize(tracklets[0][:, 0], dim=-1) * F.normalize(tracklets[1][:1, 0], dim=-1)
    torch.testing.assert_close(firsts, list(pair.importance(-c)))


def test_order_is_the_order_of_clip_pairs(tracklets: tuple[Tensor, Tensor]) -> None:
    aggregator, (query, gallery) = learned(first="pair").eval(), tracklets
    default = aggregator(query, gallery)
    torch.testing.assert_close(aggregator(query, gallery, order=torch.arange(12)), default)
    shuffled = aggregator(query, gallery, order=torch.randperm(12))
    assert (shuffled - default).abs().max() > 1e-5
    # Gallery-major order is the query-major order after swapping query and gallery.
    gallery_major = torch.arange(12).view(4, 3).t().flatten()
    torch.testing.assert_close(aggregator(query, gallery, order=gallery_major), aggregator(gallery, query).t())


def test_rejects_an_order_that_is_not_a_permutation(tracklets: tuple[Tensor, Tensor]) -> None:
    for order in (torch.arange(11), torch.zeros(12, dtype=torch.int64)):
        with pytest.raises(ShapeError, match="permutation of 0"):
            learned()(*tracklets, order=order)


def test_training_and_evaluation_differ_only_by_batch_statistics(tracklets: tuple[Tensor, Tensor]) -> None:
    aggregator = learned(dropout=0.0).train()
    in_training = aggregator(*tracklets)
    assert (in_training - aggregator.eval()(*tracklets)).abs().max() > 1e-6
    assert aggregator.importance.first_norm.num_batches_tracked == 1


def test_rejects_an_unknown_reading_of_the_first_pair() -> None:
    with pytest.raises(RecipeError, match="constant"):
        Learned(D, first="zero")  # type: ignore[arg-type]


def test_every_aggregator_can_be_made_from_a_recipe() -> None:
    for name, make in AGGREGATORS.items():
        made = make.from_recipe(D, Stage2(hidden=4, dropout=0.25, first="pair"))
        assert isinstance(made, make) and made.kind == name
        assert made.dim in (None, D)
        assert made.depends_on_order == (made.recurrence() is not None) == (name == "learned")


def test_a_recipe_sets_the_size_of_the_importance_network() -> None:
    made = Learned.from_recipe(D, Stage2(hidden=4, dropout=0.25, first="pair"))
    assert made.first == "pair"
    assert (made.importance.dim, made.importance.hidden, made.importance.dropout) == (D, 4, 0.25)


def test_labels_of_aggregators_differ() -> None:
    labels = [aggregator.label for aggregator in ALL.values()]
    # Both readings of the first pair are the same method; `ClipAgreement` is learned importance too, in other recipes.
    assert len(set(labels)) == len(labels) - 2
    assert learned().label == "learned importance"
    assert TopShare(12.5).label == "top 12.5 %"
