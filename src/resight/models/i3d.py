"""The clip encoder: Inception-V1 inflated to three dimensions (Carreira and Zisserman 2017), through Mixed_5c.

B clips, L frames of H x W, T times, C channels, D features; activations are (B, H, W, T, C), see `i3d_layers`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resight.errors import ShapeError
from resight.models.i3d_layers import convolve, max_pool, times_as_channels
from resight.models.instance_norm import normalise_first

# Output channels at width 1: 1x1x1 branch; bottleneck and 3x3x3 of two branches; 1x1x1 after the pool.
_MIXED: dict[str, tuple[int, int, int, int, int, int]] = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}
EPS = 0.001
"""Of BatchNorm, as in the published network."""

_BRANCHES = ("b0", "b1a", "b1b", "b2a", "b2b", "b3b")


class Inception(nn.Module, ABC):
    """Which layer follows which; how a layer is computed is for subclasses to say.

    A unit is a convolution, BatchNorm and ReLU, and goes by its name among the parameters of `I3D`. Units that are
    computed together are named together: their output channels lie side by side.

    Args:
        channels: output channels of every unit, by its name.
        normalised: how many of them, the first ones, are instance-normalised between convolution and BatchNorm; by
            the name of a unit, all other units have none. Only for units that are computed alone.

    Attributes:
        channels: the same.
        normalised: the same.
        dim: features per clip, D.
    """

    def __init__(self, channels: Mapping[str, int], normalised: Mapping[str, int]) -> None:
        super().__init__()
        self.channels = dict(channels)
        self.normalised = dict(normalised)
        self.dim = sum(channels[f"{list(_MIXED)[-1]}.{branch}"] for branch in ("b0", "b1b", "b2b", "b3b"))

    def forward(self, clips: Tensor) -> Tensor:
        """Clip features, not normalised.

        Args:
            clips: (B, 3, L, H, W) in [-1, 1].

        Returns:
            (B, D).

        Raises:
            ShapeError: if `clips` has another number of axes or channels.
        """
        if clips.ndim != 5 or clips.shape[1] != 3:
            raise ShapeError(f"expected clips (B, 3, L, H, W), found {tuple(clips.shape)}: put the RGB axis second")
        x = self._unit(clips.permute(0, 3, 4, 2, 1), "Conv3d_1a_7x7")
        x = max_pool(x, (3, 3, 1), (2, 2, 1))
        x = self._unit(self._unit(x, "Conv3d_2b_1x1"), "Conv3d_2c_3x3")
        x = max_pool(x, (3, 3, 1), (2, 2, 1))
        for name in _MIXED:
            if name == "Mixed_4b":
                x = max_pool(x, (3, 3, 3), (2, 2, 2))
            elif name == "Mixed_5b":
                x = max_pool(x, (2, 2, 2), (2, 2, 2))
            x = self._mixed(x, name)
        return x.mean((1, 2, 3), dtype=torch.promote_types(x.dtype, torch.float32))

    @abstractmethod
    def _convolve(self, x: Tensor, *units: str) -> Tensor:
        """(B, H, W, T, C) to (B, H', W', T', O)."""

    @abstractmethod
    def _activate(self, x: Tensor, *units: str) -> Tensor:
        """What follows the convolution; may overwrite `x`."""

    def _unit(self, x: Tensor, name: str) -> Tensor:
        return self._activate(self._convolve(x, name), name)

    def _mixed(self, x: Tensor, name: str) -> Tensor:
        """An Inception block: four branches side by side."""
        b0, b1a, b1b, b2a, b2b, b3b = (f"{name}.{branch}" for branch in _BRANCHES)
        narrow = self._activate(self._convolve(x, b1a, b2a), b1a, b2a)
        narrow_1, narrow_2 = torch.split(narrow, [self.channels[b1a], self.channels[b2a]], -1)
        pooled = self._convolve(max_pool(x, (3, 3, 3), (1, 1, 1)), b3b)
        wide = [
            self._convolve(x, b0),
            self._convolve(narrow_1, b1b),
            self._convolve(narrow_2, b2b),
            pooled.expand(*x.shape[:4], -1),  # one time may stand for two
        ]
        return self._activate(torch.cat(wide, -1), b0, b1b, b2b, b3b)


class I3D(Inception):
    """One clip in, one feature out: I3D through Mixed_5c, then the mean over time, height and width.

    Paper: Sec. 4.2. Parameters are named as in the public PyTorch port, so its Kinetics weights load as they are.
    Any clip length from 1 and any picture size from 1 x 1 will do. `inference_encoder` makes a faster copy that does
    not learn.

    Args:
        width: factor on every channel count, each rounded to a multiple of 8; 1 is the published network.
        momentum: of the running statistics of BatchNorm; the port's value is the default.
        instance_norm: whether half of the channels of the three units before the first block are instance-normalised
            (IBN, Pan et al. 2018), so that less of a camera's light and contrast gets through. Parameters keep names
            and shapes; of Kinetics weights, the running statistics of these channels have to be learned anew.
    """

    def __init__(self, width: float = 1.0, momentum: float = 0.01, instance_norm: bool = False) -> None:
        def scaled(channels: int) -> int:
            return max(8, int(channels * width / 8 + 0.5) * 8)

        stem = {"Conv3d_1a_7x7": 64, "Conv3d_2b_1x1": 64, "Conv3d_2c_3x3": 192}
        mixed = {f"{name}.{b}": c for name, counts in _MIXED.items() for b, c in zip(_BRANCHES, counts, strict=True)}
        outputs = {name: scaled(c) for name, c in (stem | mixed).items()}
        super().__init__(outputs, {name: outputs[name] // 2 for name in stem} if instance_norm else {})

        def unit(name: str, c_in: int, size: int, stride: int = 1) -> Unit:
            return Unit(c_in, self.channels[name], size, stride, momentum)

        self.Conv3d_1a_7x7 = unit("Conv3d_1a_7x7", 3, 7, 2)
        self.Conv3d_2b_1x1 = unit("Conv3d_2b_1x1", self.channels["Conv3d_1a_7x7"], 1)
        self.Conv3d_2c_3x3 = unit("Conv3d_2c_3x3", self.channels["Conv3d_2b_1x1"], 3)
        c_in = self.channels["Conv3d_2c_3x3"]
        for name in _MIXED:
            block = nn.Module()
            for branch in _BRANCHES:
                narrow = {"b1b": "b1a", "b2b": "b2a"}.get(branch)  # whose output it takes; else the block's input
                size, channels = (3, self.channels[f"{name}.{narrow}"]) if narrow else (1, c_in)
                block.add_module(branch, unit(f"{name}.{branch}", channels, size))
            self.add_module(name, block)
            c_in = sum(self.channels[f"{name}.{branch}"] for branch in ("b0", "b1b", "b2b", "b3b"))

    def unit(self, name: str) -> Unit:
        """The parameters of a unit."""
        found = self.get_submodule(name)
        assert isinstance(found, Unit)
        return found

    def _convolve(self, x: Tensor, *units: str) -> Tensor:
        stride = self.unit(units[0]).stride
        weight = _join([self.unit(name).conv3d.weight for name in units])
        if weight.shape[2] == 1:
            return F.linear(x, weight.flatten(1))
        return convolve(x, times_as_channels(weight, x.shape[3], stride), None, stride)

    def _activate(self, x: Tensor, *units: str) -> Tensor:
        found = [self.unit(name) for name in units]
        mean, var = (_join(parts) for parts in zip(*(unit.statistics() for unit in found), strict=True))
        weight, bias = _join([unit.bn.weight for unit in found]), _join([unit.bn.bias for unit in found])
        momentum = found[0].bn.momentum
        assert momentum is not None
        if units[0] in self.normalised:
            x = normalise_first(x, self.normalised[units[0]], EPS)
        images = x.flatten(2, 3).permute(0, 3, 1, 2)  # channels last
        y = F.batch_norm(images, mean, var, weight, bias, self.training, momentum, EPS)
        if self.training:
            _keep_statistics(found, mean, var)
        return F.relu(y, inplace=True).permute(0, 2, 3, 1).reshape(x.shape)


class Unit(nn.Module):
    """The parameters of a convolution and of the BatchNorm after it; what is done with them stands in `I3D`."""

    def __init__(self, c_in: int, c_out: int, size: int, stride: int, momentum: float) -> None:
        super().__init__()
        self.stride = stride
        self.conv3d = nn.Conv3d(c_in, c_out, size, stride, bias=False)
        self.bn = nn.BatchNorm3d(c_out, eps=EPS, momentum=momentum)
        nn.init.kaiming_normal_(self.conv3d.weight, nonlinearity="relu")

    def statistics(self) -> tuple[Tensor, Tensor]:
        """Running mean and variance, (O,) each."""
        mean, var = self.bn.running_mean, self.bn.running_var
        assert mean is not None and var is not None
        return mean, var


@torch.no_grad()
def _keep_statistics(units: Sequence[Unit], mean: Tensor, var: Tensor) -> None:
    """Running statistics of units whose channels lie side by side back to where they are saved."""
    for unit in units:
        assert unit.bn.num_batches_tracked is not None
        unit.bn.num_batches_tracked += 1
    if len(units) > 1:  # one alone was not copied
        sizes = [len(unit.bn.bias) for unit in units]
        for unit, own_mean, own_var in zip(units, torch.split(mean, sizes), torch.split(var, sizes), strict=True):
            kept_mean, kept_var = unit.statistics()
            kept_mean.copy_(own_mean)
            kept_var.copy_(own_var)


def _join(tensors: Sequence[Tensor]) -> Tensor:
    """Along the channels; one alone is not copied."""
    return tensors[0] if len(tensors) == 1 else torch.cat(list(tensors))
