import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from resight.models.instance_norm import clip_statistics, normalise_first, scale_first

EPS = 1e-3


def plain(x: Tensor, n: int) -> Tensor:
    """Return the same by torch's instance norm, which has channels second."""
    first, others = x.movedim(-1, 1).tensor_split([n], 1)
    return torch.cat([F.instance_norm(first, eps=EPS), others], 1).movedim(1, -1)


@pytest.mark.parametrize("n", [1, 2, 4])
@pytest.mark.parametrize("shape", [(2, 3, 4, 2, 4), (1, 1, 2, 1, 4), (2, 2, 3, 5, 4)])
def test_equals_torch_and_its_gradient_equals_finite_differences(shape: tuple[int, ...], n: int) -> None:
    x = (torch.randn(shape, dtype=torch.float64) * 3 + 1).requires_grad_()
    torch.testing.assert_close(normalise_first(x, n, EPS), plain(x, n))
    assert torch.autograd.gradcheck(lambda x: normalise_first(x, n, EPS), x)


def test_a_single_pixel_is_normalised_to_zero() -> None:
    x = torch.randn(2, 1, 1, 1, 4, requires_grad=True)
    y = normalise_first(x, 2, EPS)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert y[..., :2].abs().max() < 1e-5 and torch.equal(y[..., 2:], x[..., 2:])
    torch.testing.assert_close(gradient.flatten(0, 3), torch.tensor([[0.0, 0, 1, 1]] * 2))


def test_normalised_channels_are_invariant_to_brightness_and_contrast() -> None:
    x = torch.randn(3, 8, 8, 2, 4, dtype=torch.float64)
    contrast = torch.tensor([0.5, 1, 4]).double().view(3, 1, 1, 1, 1)
    brightness = torch.tensor([2, 0, -1]).double().view(3, 1, 1, 1, 1)
    seen, expected = normalise_first(contrast * x + brightness, 2, 1e-9), normalise_first(x, 2, 1e-9)
    torch.testing.assert_close(seen[..., :2], expected[..., :2])
    assert torch.equal(seen[..., 2:], (contrast * x + brightness)[..., 2:])


def test_uniform_bright_clips_do_not_cancel() -> None:
    x = torch.randn(2, 16, 8, 2, 4) * 0.1 + 50
    mean, scale = clip_statistics(x, 4, EPS)
    exact_mean, exact_scale = clip_statistics(x.double(), 4, EPS)
    torch.testing.assert_close(mean.double(), exact_mean, rtol=1e-6, atol=0)
    torch.testing.assert_close(scale.double(), exact_scale, rtol=1e-5, atol=0)


def test_statistics_of_bfloat16_are_computed_in_single_precision() -> None:
    x = (torch.randn(2, 16, 8, 2, 4) + 3).bfloat16().requires_grad_()
    for found, expected in zip(clip_statistics(x, 2, EPS), clip_statistics(x.float(), 2, EPS), strict=True):
        assert found.dtype == torch.float32 and torch.equal(found, expected)
    y = normalise_first(x, 2, EPS)
    assert y.dtype == torch.bfloat16 and torch.equal(y, normalise_first(x.float(), 2, EPS).bfloat16())
    (gradient,) = torch.autograd.grad(y.square().sum(), x)
    assert gradient.dtype == torch.bfloat16 and bool(gradient.isfinite().all())


def test_first_channels_are_scaled_per_clip() -> None:
    x = torch.ones(2, 1, 1, 1, 3)
    scale, shift = torch.tensor([2.0, 3]).view(2, 1, 1, 1, 1), torch.tensor([0.0, 1]).view(2, 1, 1, 1, 1)
    assert scale_first(x, scale, shift).flatten(1).tolist() == [[2, 1, 1], [4, 1, 1]]
