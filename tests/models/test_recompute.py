import torch
from torch import Tensor, nn

from resight.models.recompute import recomputed


def test_the_gradient_is_exact_and_only_rows_with_a_gradient_are_recomputed() -> None:
    torch.manual_seed(0)
    layer, x = nn.Linear(3, 2).double(), torch.randn(7, 3, dtype=torch.float64, requires_grad=True)
    asked: list[list[int]] = []

    def again(rows: Tensor, x: Tensor) -> Tensor:
        asked.append(rows.tolist())
        return torch.tanh(layer(x[rows]))

    weights = torch.zeros(7, 2, dtype=torch.float64)
    weights[1, 0], weights[4], weights[6, 1] = 2, 3, -1
    sources = [x, *layer.parameters()]
    expected = torch.autograd.grad((layer(x).tanh() * weights).sum(), sources)
    with torch.no_grad():
        values = layer(x).tanh()
    found = recomputed(values, again, [x], list(layer.parameters()), chunk=2)
    assert torch.equal(found, values)
    torch.testing.assert_close(torch.autograd.grad((found * weights).sum(), sources), expected)
    assert asked == [[1, 4], [6]]


def test_inputs_without_requires_grad_get_no_gradient() -> None:
    layer, x = nn.Linear(3, 2), torch.randn(5, 3)
    layer.weight.requires_grad_(False)
    found = recomputed(layer(x).detach(), lambda rows, x: layer(x[rows]), [x], list(layer.parameters()), chunk=5)
    found.sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is None and layer.weight.grad is None
    assert layer.bias.grad is not None and torch.equal(layer.bias.grad, torch.full((2,), 5.0))


def test_a_zero_gradient_gives_zero_gradients() -> None:
    asked: list[Tensor] = []

    def again(rows: Tensor, x: Tensor) -> Tensor:
        asked.append(rows)
        return x[rows]

    x = torch.randn(5, requires_grad=True)
    (recomputed(x.detach(), again, [x], [], chunk=5) * 0).sum().backward()  # type: ignore[no-untyped-call]
    assert [len(rows) for rows in asked] == [0]
    assert x.grad is not None and not x.grad.any()
