from typing import Literal

import pytest
import torch
from torch import nn

from resight.errors import RecipeError, ShapeError
from resight.losses import stage2_loss
from resight.models.aggregators import Learned, MeanPair
from resight.models.importance import FIRST_STEPS, Importance


@pytest.fixture
def g() -> Importance:
    """Return a network whose BatchNorms differ from their initial values."""
    torch.manual_seed(0)
    g = Importance(dim=6, hidden=8)
    for norm in (g.first_norm, g.second_norm):
        assert norm.running_mean is not None and norm.running_var is not None
        norm.running_mean.uniform_(-1, 1)
        norm.running_var.uniform_(0.3, 3)
        nn.init.uniform_(norm.weight, 0.5, 2)
        nn.init.uniform_(norm.bias, -1, 1)
    return g


def test_is_positive_for_any_leading_axes(g: Importance) -> None:
    for mode in (True, False):
        g.train(mode)
        found = g(torch.randn(5, 4, 3, 6) * 10)
        assert found.shape == (5, 4, 3)
        assert (found > 0).all()


def test_is_the_network_of_the_paper(g: Importance) -> None:
    layers = nn.Sequential(g.first, nn.ReLU(), g.first_norm, nn.Dropout(0.5), g.second, nn.ReLU(), g.second_norm)
    layers.append(nn.Dropout(0.5)).append(g.last).append(nn.Softplus())
    x = torch.randn(9, 6)
    g.eval(), layers.eval()
    torch.testing.assert_close(g(x), layers(x)[:, 0])
    g.train(), layers.train()
    g.dropout = 0.0
    layers[3], layers[7] = nn.Identity(), nn.Identity()
    torch.testing.assert_close(g(x), layers(x)[:, 0])


def test_dropout_keeps_the_expected_value_and_the_given_share() -> None:
    torch.manual_seed(0)
    dropped = Importance(4, 4, dropout=0.25)._dropped(torch.ones(200_000))
    assert abs(float((dropped == 0).float().mean()) - 0.25) < 0.01
    assert abs(float(dropped.mean()) - 1) < 0.01


def test_folding_changes_nothing(g: Importance) -> None:
    g.eval()
    x = torch.randn(7, 6)
    folded = g.folded()
    torch.testing.assert_close(folded.from_hidden(x @ folded.weight1.T), g(x))


def test_at_zero_equals_evaluation_and_has_gradients(g: Importance) -> None:
    expected = g.eval()(torch.zeros(1, 6))[0]
    before = {name: buffer.clone() for name, buffer in g.named_buffers()}
    found = g.train().at_zero()
    torch.testing.assert_close(found, expected)
    assert all(torch.equal(before[name], buffer) for name, buffer in g.named_buffers())
    found.backward()  # type: ignore[no-untyped-call]
    assert g.second.weight.grad is not None and g.second.weight.grad.abs().sum() > 0


def test_a_step_updates_the_statistics_once_by_the_mean_over_its_calls(g: Importance) -> None:
    norm = g.first_norm
    assert norm.running_mean is not None and norm.running_var is not None and norm.num_batches_tracked is not None
    norm.num_batches_tracked.fill_(1000)
    batches = [torch.randn(50, 8) for _ in range(4)]
    mean, var = norm.running_mean.clone(), norm.running_var.clone()
    for hidden in batches:
        g.from_hidden(hidden)
        assert torch.equal(norm.running_mean, mean)
    g.settle()
    units = [torch.relu(hidden + g.first.bias) for hidden in batches]
    torch.testing.assert_close(norm.running_mean, 0.9 * mean + 0.1 * torch.stack([u.mean(0) for u in units]).mean(0))
    torch.testing.assert_close(norm.running_var, 0.9 * var + 0.1 * torch.stack([u.var(0) for u in units]).mean(0))


def test_the_first_step_replaces_the_statistics(g: Importance) -> None:
    assert g.first_norm.running_var is not None
    x = torch.randn(50, 6) * 1e-4
    g(x)
    torch.testing.assert_close(g.first_norm.running_var, torch.relu(g.first(x)).var(0))


def test_after_the_first_steps_training_normalises_as_evaluation_does() -> None:
    torch.manual_seed(0)
    g = Importance(dim=6, hidden=8, dropout=0.0).train()
    for step in range(4):
        g.train()
        x = torch.randn(50, 6) * (1 + step)
        statistics = [buffer.clone() for name, buffer in g.named_buffers() if "running" in name]
        trained = g(x)
        for buffer, value in zip((b for n, b in g.named_buffers() if "running" in n), statistics, strict=True):
            buffer.copy_(value)  # as at the start of the step
        same = torch.allclose(trained, g.eval()(x), atol=1e-6)
        assert same == (step >= FIRST_STEPS)


@pytest.mark.parametrize("first", ["constant", "pair"])
def test_evaluation_agrees_with_training_once_trained(first: Literal["constant", "pair"]) -> None:
    # Some clips of each tracklet are moved towards a common point, so that they are similar across persons.
    torch.manual_seed(1)
    learned = Learned(dim=16, hidden=16, dropout=0.0, first=first)
    optimiser = torch.optim.Adam(learned.parameters(), lr=1e-3, amsgrad=True)
    persons = torch.arange(48) // 4
    common = torch.randn(16)

    def batch() -> torch.Tensor:
        clips = (torch.randn(12, 1, 1, 16) + 0.5 * torch.randn(12, 4, 3, 16)).flatten(0, 1)
        damaged = torch.rand(48, 3, 1) < 0.3
        return torch.where(damaged, 0.3 * clips + 2 * common, clips)

    for _ in range(40):
        optimiser.zero_grad()
        x = batch()
        stage2_loss(learned(x, x), persons).loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    x = batch()
    with torch.no_grad():
        in_evaluation = learned.eval()(x, x)
        in_training = learned.train()(x, x)
    difference = in_training - in_evaluation
    learnt = (in_evaluation - MeanPair()(x, x)).abs().mean()
    assert difference.abs().mean() < 0.02, "training and evaluation disagree"
    assert learnt > 2 * difference.abs().mean(), "nothing was learnt, so the agreement says nothing"


def test_rejects_invalid_arguments(g: Importance) -> None:
    with pytest.raises(ShapeError, match="6"):
        g(torch.zeros(3, 5))
    with pytest.raises(RecipeError, match="dropout"):
        Importance(4, 4, dropout=1.0)
