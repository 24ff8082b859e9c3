import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from resight.models.i3d_layers import convolve, max_pool, same_padding, times_as_channels


def padded(x: Tensor, size: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
    """Return (B, H, W, T, C) as (B, C, H, W, T) with explicit zero padding."""
    both = [same_padding(n, k, s) for n, k, s in zip(x.shape[1:4], size, stride, strict=True)]
    return F.pad(x.permute(0, 4, 1, 2, 3), [n for ends in reversed(both) for n in ends])


@pytest.mark.parametrize("n", range(1, 12))
@pytest.mark.parametrize(("size", "stride"), [(7, 2), (3, 2), (3, 1), (2, 2)])
def test_same_padding_covers_every_input(n: int, size: int, stride: int) -> None:
    before, after = same_padding(n, size, stride)
    assert (before + n + after - size) // stride + 1 == -(-n // stride)
    assert 0 <= after - before <= 1 or after == before == 0


@pytest.mark.parametrize("length", range(1, 10))
@pytest.mark.parametrize(("size", "stride"), [(3, 1), (7, 2)])
def test_times_as_channels_equals_a_convolution_over_time(size: int, stride: int, length: int) -> None:
    x = torch.randn(2, 9, 6, length, 3, dtype=torch.float64)
    weight = torch.randn(5, 3, size, size, size, dtype=torch.float64)
    bias = torch.randn(5, dtype=torch.float64)
    taps_last = weight.permute(0, 1, 3, 4, 2)
    expected = F.conv3d(padded(x, (size,) * 3, (stride,) * 3), taps_last, bias, stride).permute(0, 2, 3, 4, 1)
    pieces = times_as_channels(weight, length, stride)
    torch.testing.assert_close(convolve(x, pieces, bias, stride), expected)


def test_short_clips_become_one_convolution_without_unused_taps() -> None:
    ((first, end, kernel),) = times_as_channels(torch.ones(5, 3, 7, 7, 7), 4, 2)
    assert (first, end) == (0, 4) and kernel.shape == (2 * 5, 4 * 3, 7, 7) and bool(kernel.all())
    ((_, _, kernel),) = times_as_channels(torch.ones(5, 3, 3, 3, 3), 2, 1)
    assert kernel.shape == (2 * 5, 2 * 3, 3, 3) and bool(kernel.all())


@pytest.mark.parametrize("length", range(1, 6))
@pytest.mark.parametrize(
    ("size", "stride"), [((3, 3, 1), (2, 2, 1)), ((3, 3, 3), (2, 2, 2)), ((2, 2, 2), (2, 2, 2)), ((3, 3, 3), (1, 1, 1))]
)
def test_max_pooling_equals_torch(size: tuple[int, int, int], stride: tuple[int, int, int], length: int) -> None:
    x = torch.rand(2, 5, 4, length, 3, dtype=torch.float64)
    expected = F.max_pool3d(padded(x, size, stride), size, stride).permute(0, 2, 3, 4, 1)
    torch.testing.assert_close(max_pool(x, size, stride).expand(expected.shape), expected, rtol=0, atol=0)
