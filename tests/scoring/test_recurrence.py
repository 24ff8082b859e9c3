import pytest
import torch
from torch import Tensor

from resight.models.aggregators import Learned
from resight.scoring.recurrence import Recurrence, features_first, lay


def calibrated(dim: int, hidden: int, clips: Tensor) -> Learned:
    """Return an aggregator with the statistics of the clips, so that importance varies."""
    torch.manual_seed(0)
    learned = Learned(dim, hidden, dropout=0.0)
    with torch.no_grad():
        for _ in range(4):
            learned(clips, clips)
        learned.importance.last.weight.mul_(3)
    return learned.eval()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_importance_of_no_difference_is_exact(dtype: torch.dtype) -> None:
    """In spite of rounded weights, g(0) is exact, so that errors are relative to changes of g."""
    learned = calibrated(32, 48, torch.randn(6, 4, 32))
    g = Recurrence.of(learned.recurrence(), dtype, "cpu")
    d, z, y = torch.zeros(3, 48, 5, dtype=dtype)
    found = g._importance(d, z, y)
    assert found.dtype == torch.float32
    # The last product has the dtype of all products.
    slack = torch.finfo(dtype).eps * float((g.weight3.float().abs() @ y.float().abs()).max())
    torch.testing.assert_close(found, learned.importance.at_zero().expand(5), rtol=0, atol=slack)


def test_importance_too_small_for_float32_does_not_give_nan() -> None:
    learned = Learned(6, 4, first="pair").eval()
    with torch.no_grad():
        learned.importance.last.bias.fill_(-200)
    clips = torch.nn.functional.normalize(torch.randn(3, 2, 6), dim=-1)
    g, laid = Recurrence.of(learned.recurrence(), torch.float32, "cpu"), lay(clips, torch.float32)
    found = g.similarity(features_first(clips), laid, torch.ones(4, 3), [0, 1, 2, 3])
    assert torch.equal(found, torch.zeros(3))


def test_lay_puts_features_first_and_computes_differences() -> None:
    clips = torch.randn(5, 3, 4)
    laid = lay(clips, torch.bfloat16)
    for p in range(5):
        for j in range(3):
            assert torch.equal(laid.clips[j, :, p], clips[p, j])
            if j < 2:
                assert torch.equal(laid.steps[j, :, p], (clips[p, j] - clips[p, j + 1]).bfloat16())
