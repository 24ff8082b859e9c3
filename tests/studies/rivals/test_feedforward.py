from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from resight.errors import RecipeError, ShapeError
from resight.models.contract import Aggregator
from resight.models.importance import Importance
from resight.scoring import all_pairs
from resight.scoring.all_pairs import score_all_pairs, score_pairs
from resight.scoring.one_pair import score_one_pair
from resight.studies.rivals.feedforward import ClipQuality, PairAttention, _Hidden

D = 12
KINDS = (ClipQuality, PairAttention)
each = pytest.mark.parametrize("kind", KINDS)


def trained(kind: type[ClipQuality | PairAttention], dropout: float = 0.0) -> ClipQuality | PairAttention:
    """Return an aggregator whose weights differ between clips, with its own running statistics."""
    torch.manual_seed(3)
    made = kind(D, 16, dropout)
    with torch.no_grad():
        for p in made.parameters():
            p.mul_(2)
        for name, buffer in made.named_buffers():
            if name.endswith("running_mean"):
                buffer.uniform_(-1, 1)
            elif name.endswith("running_var"):
                buffer.uniform_(0.2, 2)
    return made.eval()


@pytest.fixture
def tracklets() -> tuple[Tensor, Tensor]:
    """Return clip features of 3 query tracklets with 4 clips and 5 gallery tracklets with 3, with various lengths."""
    torch.manual_seed(0)
    query, gallery = torch.randn(3, 4, D) + 0.5, torch.randn(5, 3, D) + 0.5
    return query * torch.rand(3, 4, 1) * 9, gallery * torch.rand(5, 3, 1) * 9


def by_hand(network: torch.nn.Module, x: Tensor) -> Tensor:
    """Return the network output for one product (D,), layer by layer, in evaluation mode."""
    x = x * D
    for layer in network.get_submodule("layers").children():
        linear, norm = layer.get_submodule("linear"), layer.get_submodule("norm")
        x = F.relu(linear(x))
        mean, var = norm.get_buffer("running_mean"), norm.get_buffer("running_var")
        scale = norm.get_parameter("weight") / (var + 1e-5).sqrt()
        x = (x - mean) * scale + norm.get_parameter("bias")
    number: Tensor = network.get_submodule("last")(x)[0]
    return number


@each
def test_similarity_is_the_formula_in_loops(
    kind: type[ClipQuality | PairAttention], tracklets: tuple[Tensor, Tensor]
) -> None:
    aggregator = trained(kind)
    found = aggregator(*tracklets)
    for a, query in enumerate(F.normalize(tracklets[0], dim=-1)):
        for b, gallery in enumerate(F.normalize(tracklets[1], dim=-1)):
            total = weights = torch.zeros(())
            for f_q in query:
                for f_g in gallery:
                    if isinstance(aggregator, ClipQuality):
                        u = F.softplus(by_hand(aggregator.quality, f_q * gallery.mean(0)))
                        alpha = u * F.softplus(by_hand(aggregator.quality, f_g * query.mean(0)))
                    else:
                        alpha = by_hand(aggregator.logit, f_q * f_g).exp()
                    total, weights = total + alpha * (f_q @ f_g), weights + alpha
            torch.testing.assert_close(found[a, b], total / weights)


@each
def test_weights_sum_to_the_similarity_as_in_evaluation(
    kind: type[ClipQuality | PairAttention], tracklets: tuple[Tensor, Tensor]
) -> None:
    aggregator = trained(kind, dropout=0.5)
    similarity = aggregator(*tracklets)
    query, gallery = tracklets
    before = {name: one.clone() for name, one in aggregator.state_dict().items()}
    for mode in (False, True):
        aggregator.train(mode)
        for a in range(3):
            for b in range(5):
                account = aggregator.pair_weights(query[a], gallery[b])
                torch.testing.assert_close((account.weight * account.cosine).sum(), similarity[a, b])
                torch.testing.assert_close(account.weight.sum(), torch.ones(()))
                assert account.importance.shape == (4, 3) and account.importance.std() > 1e-4
        assert aggregator.training == mode
    assert all(torch.equal(before[name], one) for name, one in aggregator.state_dict().items())


@each
def test_similarity_lies_between_the_cosines_and_is_one_for_the_same_clip(
    kind: type[ClipQuality | PairAttention], tracklets: tuple[Tensor, Tensor]
) -> None:
    aggregator = trained(kind)
    q, g = (F.normalize(x, dim=-1) for x in tracklets)
    cosine = torch.einsum("qmd,gnd->qgmn", q, g).flatten(2)
    found = aggregator(*tracklets)
    assert (found >= cosine.amin(2) - 1e-6).all() and (found <= cosine.amax(2) + 1e-6).all()
    clip = torch.randn(2, 1, D)
    torch.testing.assert_close(aggregator(clip, clip * 5).diagonal(), torch.ones(2))


@each
def test_training_has_gradients_and_updates_statistics(
    kind: type[ClipQuality | PairAttention], tracklets: tuple[Tensor, Tensor]
) -> None:
    aggregator = trained(kind, dropout=0.5).train()
    query, gallery = (x.clone().requires_grad_() for x in tracklets)
    before = {name: one.clone() for name, one in aggregator.named_buffers()}
    torch.manual_seed(1)
    first = aggregator(query, gallery)
    (first * torch.randn(3, 5)).sum().backward()
    for x in (query, gallery, *aggregator.parameters()):
        assert x.grad is not None and torch.isfinite(x.grad).all()
    assert query.grad is not None and query.grad.abs().sum() > 0
    moved = {name for name, one in aggregator.named_buffers() if not torch.equal(one, before[name])}
    assert {name for name in before if "running" in name} == moved
    assert not torch.equal(first, aggregator(query, gallery))  # dropout
    aggregator.eval()
    assert torch.equal(aggregator(query, gallery), aggregator(query, gallery))


def test_gradients_are_those_of_finite_differences(tracklets: tuple[Tensor, Tensor]) -> None:
    query, gallery = (x[:2].double().requires_grad_() for x in tracklets)
    for kind in KINDS:
        aggregator = trained(kind).double()
        for mode in (False, True):
            aggregator.train(mode)
            assert torch.autograd.gradcheck(aggregator, (query, gallery))


@each
def test_all_scoring_functions_agree(
    kind: type[ClipQuality | PairAttention], tracklets: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    aggregator: Aggregator = trained(kind).train()
    query, gallery = (x.numpy() for x in tracklets)
    whole = score_all_pairs(query, gallery, aggregator)
    with monkeypatch.context() as patch:
        patch.setattr(all_pairs, "MEMORY_BUDGET", 1)
        tiled = score_all_pairs(query, gallery, aggregator)
    assert aggregator.training and whole == pytest.approx(tiled, abs=1e-6)
    rows, columns = torch.tensor([2, 0, 0, 1]).numpy(), torch.tensor([4, 3, 0, 0]).numpy()
    assert score_pairs(query, gallery, rows, columns, aggregator) == pytest.approx(whole[rows, columns], abs=1e-6)
    for q, g in zip(rows.tolist(), columns.tolist(), strict=True):
        assert score_one_pair(query[q], gallery[g], aggregator).score == pytest.approx(float(whole[q, g]), abs=1e-5)


def test_networks_are_about_as_large_as_that_of_the_paper() -> None:
    for dim, hidden in ((1024, 1024), (256, 64)):
        g = sum(p.numel() for p in Importance(dim, hidden).parameters())
        for kind in KINDS:
            assert sum(p.numel() for p in kind(dim, hidden).parameters()) == pytest.approx(g, rel=0.02)


@each
def test_a_smaller_budget_is_kept_by_what_a_pair_holds(kind: type[ClipQuality | PairAttention]) -> None:
    few, many = (kind(D, 16).floats_per_pair(m, m) for m in (2, 8))
    assert 4 * few <= many <= 16 * few
    assert kind(D, 16).floats_per_pair(8, 8) > 8 * D


@each
def test_rejects_invalid_arguments(kind: type[ClipQuality | PairAttention]) -> None:
    aggregator = kind(D, 4)
    for query, gallery in ((torch.zeros(2, 3, D), torch.zeros(2, 3, D + 1)), (torch.zeros(3, D), torch.zeros(2, 3, D))):
        with pytest.raises(ShapeError, match=r"\(Q, M, D\)"):
            aggregator(query, gallery)
    with pytest.raises(ShapeError, match="D = 12"):
        aggregator(torch.zeros(2, 3, 8), torch.zeros(2, 3, 8))
    with pytest.raises(ShapeError, match="D = 12"):
        aggregator.pair_weights(torch.zeros(3, 8), torch.zeros(3, 8))
    with pytest.raises(RecipeError, match=r"\[0, 1\)"):
        kind(D, 4, dropout=1.0)


def test_a_batch_with_itself_computes_each_tracklet_pair_once(tracklets: tuple[Tensor, Tensor]) -> None:
    attention = PairAttention(D, 16, 0.0).double().train()
    features = tracklets[0].double()
    found = attention(features, features)
    unit = F.normalize(features, dim=-1)
    pairs = [(a, b) for a in range(3) for b in range(a, 3)]
    x = torch.stack([D * unit[a, i] * unit[b, j] for a, b in pairs for i in range(4) for j in range(4)])
    for layer in attention.logit.layers:
        assert isinstance(layer, _Hidden)
        x = F.relu(layer.linear(x))
        x = (x - x.mean(0)) / torch.sqrt(
            x.var(0, unbiased=False) + layer.norm.eps
        ) * layer.norm.weight + layer.norm.bias
    logits = attention.logit.last(x).view(len(pairs), 16)
    for (a, b), logit in zip(pairs, logits, strict=True):
        cosine = (unit[a] @ unit[b].T).flatten()
        expected = (logit.softmax(0) * cosine).sum()
        assert found[a, b].item() == pytest.approx(expected.item(), abs=1e-10)
        assert found[b, a].item() == found[a, b].item()
