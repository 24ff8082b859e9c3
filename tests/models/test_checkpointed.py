"""Networks that compute their blocks again in the backward pass."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from resight.models.checkpointed import activation_bytes, free_memory, recompute_if_needed
from resight.models.efficientnet import efficientnet_encoder
from resight.models.i3d import I3D

NETWORKS: dict[str, Callable[[], nn.Module]] = {"i3d": lambda: I3D(0.25), "efficientnet": efficientnet_encoder}


@pytest.fixture(params=sorted(NETWORKS))
def network(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(0)
    return NETWORKS[str(request.param)]()


def clips() -> Tensor:
    return torch.rand(3, 3, 4, 64, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_gradients_and_statistics_are_the_same(network: nn.Module) -> None:
    saving = copy.deepcopy(network)
    assert recompute_if_needed(saving, clips(), 3, free=1000) is not None
    for one in (network, saving):
        torch.autograd.backward(one.train()(clips()).pow(2).sum())
    for (name, plain), again in zip(network.named_parameters(), saving.parameters(), strict=True):
        assert plain.grad is not None and again.grad is not None
        torch.testing.assert_close(again.grad, plain.grad, msg=name)
    for (name, buffer), other in zip(network.named_buffers(), saving.buffers(), strict=True):
        assert torch.equal(buffer, other), name


def test_less_is_kept_and_the_measurement_changes_nothing(network: nn.Module) -> None:
    before = copy.deepcopy(network.state_dict())
    whole = activation_bytes(network.eval(), clips())
    assert not network.training
    assert recompute_if_needed(network, clips(), 100, free=70 * whole // 3) is not None
    assert activation_bytes(network, clips()) < 0.6 * whole
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_activations_that_fit_are_kept(network: nn.Module) -> None:
    assert recompute_if_needed(network, clips(), 3) is None
    assert not any(getattr(module, "recompute", False) for module in network.modules())
    assert recompute_if_needed(nn.Flatten(), clips(), 10**9, free=1) is None  # it has no blocks
    assert free_memory(torch.device("cpu")) > 2**20
