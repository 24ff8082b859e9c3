from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from resight.losses import stage2_loss
from resight.models import importance_weighted
from resight.models.aggregators import Learned
from resight.models.importance import FIRST_STEPS, Norm
from resight.models.importance_weighted import ImportanceWeighted
from resight.models.products import BothWays, Computed
from resight.studies.rivals.order_free import OrderFree

Make = Callable[[int, int, float], ImportanceWeighted]
KINDS: dict[str, Make] = {
    "constant": lambda dim, hidden, dropout: Learned(dim, hidden, dropout),
    "pair": lambda dim, hidden, dropout: Learned(dim, hidden, dropout, first="pair"),
    "order-free": OrderFree,
}


def trained(kind: str, dim: int, hidden: int, dropout: float) -> ImportanceWeighted:
    """Return an aggregator in training mode and double precision, past the first steps, with varying importance."""
    made = KINDS[kind](dim, hidden, dropout).double().train()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(3)
        for norm in (made.importance.first_norm, made.importance.second_norm):
            assert norm.running_mean is not None and norm.running_var is not None
            norm.running_mean.uniform_(-0.3, 0.3)
            norm.running_var.uniform_(0.2, 2)
            norm.steps.fill_(FIRST_STEPS)
    return made


def step(aggregator: ImportanceWeighted, features: Tensor, persons: Tensor, **order: Tensor) -> dict[str, Tensor]:
    """Return the results of a training step: loss, gradients and statistics."""
    torch.manual_seed(5)  # for dropout
    x = features.clone().requires_grad_()
    loss = stage2_loss(aggregator(x, x, **order), persons).loss
    loss.backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
    gradients = {name: p.grad for name, p in aggregator.named_parameters() if p.grad is not None}
    return {"loss": loss.detach(), "features": x.grad} | gradients | dict(aggregator.named_buffers())


@settings(max_examples=15, deadline=None)
@given(
    kind=st.sampled_from(sorted(KINDS)),
    persons=st.integers(2, 3),
    tracklets=st.integers(2, 3),
    clips=st.integers(1, 3),
    dim=st.integers(2, 6),
    hidden=st.integers(2, 6),
    dropout=st.sampled_from([0.0, 0.3, 0.5]),
    shuffled=st.booleans(),
    chunk=st.integers(1, 20),
    tile=st.sampled_from([1, 400, 10**6]),
    seed=st.integers(0, 1000),
)
def test_recomputing_hard_pairs_changes_nothing(
    kind: str, persons: int, tracklets: int, clips: int, dim: int, hidden: int, dropout: float, shuffled: bool,
    chunk: int, tile: int, seed: int,
) -> None:  # fmt: skip
    torch.manual_seed(seed)
    ours = trained(kind, dim, hidden, dropout)
    plain = copy.deepcopy(ours)
    plain.recompute = False
    features = torch.randn(persons * tracklets, clips, dim, dtype=torch.float64)
    order = {"order": torch.randperm(clips**2)} if shuffled and kind != "order-free" else {}
    owners = torch.arange(persons).repeat_interleave(tracklets)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importance_weighted, "_CHUNK", chunk)
        patch.setattr(importance_weighted, "_TILE", {"cpu": tile})
        found = step(ours, features, owners, **order)
    expected = step(plain, features, owners, **order)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-10, atol=1e-10, equal_nan=True, msg=name)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_only_pairs_that_the_loss_needs_are_computed_with_gradients(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    aggregator, features = trained(kind, 6, 5, 0.5), torch.randn(8, 2, 6, dtype=torch.float64)
    with_gradient: list[int] = []
    inner = aggregator.importance.from_hidden

    def counted(hidden: Tensor, kept: Tensor, norms: tuple[Norm, Norm]) -> Tensor:
        if torch.is_grad_enabled():
            with_gradient.append(len(hidden))
        return inner(hidden, kept, norms)

    monkeypatch.setattr(aggregator.importance, "from_hidden", counted)
    step(aggregator, features, torch.arange(8) // 2)
    assert 0 < max(with_gradient) <= 16  # of 64


def test_the_first_steps_normalise_by_the_whole_batch() -> None:
    torch.manual_seed(0)
    aggregator, features = trained("constant", 6, 5, 0.5), torch.randn(4, 2, 6, dtype=torch.float64)
    aggregator.importance.first_norm.steps.zero_()
    plain = copy.deepcopy(aggregator)
    plain.recompute = False
    persons = torch.tensor([0, 0, 1, 1])
    for name, value in step(plain, features, persons).items():
        torch.testing.assert_close(step(copy.deepcopy(aggregator), features, persons)[name], value, msg=name)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_training_with_another_gallery_scores_as_in_evaluation(kind: str) -> None:
    torch.manual_seed(0)
    aggregator = trained(kind, 6, 5, 0.0)
    query, gallery = torch.randn(3, 2, 6, dtype=torch.float64), torch.randn(4, 3, 6, dtype=torch.float64)
    in_evaluation = copy.deepcopy(aggregator).eval()(query, gallery)
    in_training = aggregator(query, gallery)  # no dropout, and running statistics
    torch.testing.assert_close(in_training, in_evaluation)


def test_half_precision_products_have_similar_gradients() -> None:
    torch.manual_seed(0)
    aggregator = trained("constant", 16, 16, 0.0).float()
    features, persons = torch.randn(8, 3, 16), torch.arange(8) // 2
    exact = step(copy.deepcopy(aggregator), features, persons)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = step(aggregator, features, persons)
    for name in ("loss", "features", "importance.first.weight", "importance.second.weight"):
        assert rounded[name].dtype == torch.float32
        assert rounded[name].norm() > 0
        assert (rounded[name] - exact[name]).norm() < 0.1 * exact[name].norm(), name


def test_products_of_both_directions_equal_those_of_each_direction() -> None:
    torch.manual_seed(0)
    a, b, weight = torch.randn(2, 3, 6), torch.randn(2, 3, 6), torch.randn(4, 6)
    both, one = BothWays.of(a, b, weight, 2), BothWays.of(a, b, weight, 1)
    there, back = Computed(a, b, weight), Computed(b, a, weight)
    for number in range(9):
        torch.testing.assert_close(both.pair(number), torch.cat([there.pair(number), back.pair(number)]))
        torch.testing.assert_close(one.pair(number), there.pair(number))
    torch.testing.assert_close(both.mean(), torch.cat([there.mean(), back.mean()]))
    torch.testing.assert_close(there.mean(), torch.stack([there.pair(n) for n in range(9)]).mean(0))


def test_dropout_of_a_pair_depends_only_on_the_pair() -> None:
    importance = trained("constant", 6, 40, 0.25).importance
    all_of_them = importance.draw_kept(9, range(50), 30)
    some = importance.draw_kept(9, [7, 3], 30)
    assert all_of_them is not None and some is not None
    assert torch.equal(some, all_of_them[[7, 3]])
    assert abs(float(all_of_them.float().mean()) - 0.75) < 0.01
    agree = (all_of_them[0] == all_of_them[1]).float().mean()
    assert abs(float(agree) - 0.625) < 0.05  # 0.75^2 + 0.25^2, as for independent samples
    assert importance.eval().draw_kept(9, [0], 3) is None
