"""The clip encoder: Inception-V1 inflated to three dimensions (Carreira and Zisserman 2017), up to Mixed_5c.

Legend: B clips, L frames of H x W, T time steps, C channels, D features; activations are (B, H, W, T, C), see
`i3d_layers`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resight.errors import ShapeError
from resight.models.checkpointed import block
from resight.models.i3d_layers import convolve, max_pool, times_as_channels
from resight.models.instance_norm import normalise_first

# Output channels at width 1: 1x1x1 branch; bottleneck and 3x3x3 convolution of two branches; 1x1x1 after pooling.
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
"""The eps of BatchNorm in the published network."""

_BRANCHES = ("b0", "b1a", "b1b", "b2a", "b2b", "b3b")


class Inception(nn.Module, ABC):
    """The order of the layers; subclasses define how a layer is computed.

    A unit is a convolution with BatchNorm and ReLU, and has the name of its parameters in `I3D`. Units that are
    computed together are passed together; their output channels are concatenated.

    Args:
        channels: Unit to number of output channels.
        normalised: Unit to number of channels, from the first, that are instance-normalised between convolution and
            BatchNorm. Units that are not listed have none, and so must units that are computed together.

    Attributes:
        channels: See above.
        normalised: See above.
        dim: Features per clip, D.
        recompute: Whether training computes the blocks again in the backward pass instead of keeping their activations.
    """

    recompute = False

    def __init__(self, channels: Mapping[str, int], normalised: Mapping[str, int]) -> None:
        super().__init__()
        self.channels = dict(channels)
        self.normalised = dict(normalised)
        self.dim = sum(channels[f"{list(_MIXED)[-1]}.{branch}"] for branch in ("b0", "b1b", "b2b", "b3b"))

    def forward(self, clips: Tensor) -> Tensor:
        """Return clip features, not normalised.

        Args:
            clips: (B, 3, L, H, W) in [-1, 1].

        Returns:
            (B, D).

        Raises:
            ShapeError: If `clips` has another number of axes or channels.
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
            x = block(self, self._mixed, x, name)
        return x.mean((1, 2, 3), dtype=torch.promote_types(x.dtype, torch.float32))

    @abstractmethod
    def _convolve(self, x: Tensor, *units: str) -> Tensor:
        """Apply the convolutions of units: (B, H, W, T, C) to (B, H', W', T', O)."""

    @abstractmethod
    def _activate(self, x: Tensor, *units: str) -> Tensor:
        """Apply what follows the convolutions of units; may overwrite `x`."""

    def _unit(self, x: Tensor, name: str) -> Tensor:
        return self._activate(self._convolve(x, name), name)

    def _mixed(self, x: Tensor, name: str) -> Tensor:
        """Apply an Inception block of four branches."""
        b0, b1a, b1b, b2a, b2b, b3b = (f"{name}.{branch}" for branch in _BRANCHES)
        narrow = self._activate(self._convolve(x, b1a, b2a), b1a, b2a)
        narrow_1, narrow_2 = torch.split(narrow, [self.channels[b1a], self.channels[b2a]], -1)
        pooled = self._convolve(max_pool(x, (3, 3, 3), (1, 1, 1)), b3b)
        wide = [
            self._convolve(x, b0),
            self._convolve(narrow_1, b1b),
            self._convolve(narrow_2, b2b),
            pooled.expand(*x.shape[:4], -1),  # one time step may stand for two
        ]
        return self._activate(torch.cat(wide, -1), b0, b1b, b2b, b3b)


class I3D(Inception):
    """Encodes a clip as one feature vector: I3D up to Mixed_5c, averaged over time, height and width.

    Paper: Sec. 4.2. Parameters have the names of the public PyTorch port, so its Kinetics weights can be loaded
    unchanged. Clips may have any length from 1 and any frame size from 1 x 1. `inference_encoder` makes a faster copy
    for inference.

    Args:
        width: Factor of all channel counts, which are rounded to multiples of 8; 1 is the published network.
        momentum: Momentum of the running statistics of BatchNorm; the default is the port's value.
        instance_norm: Instance-normalise half of the channels of the three units before the first block (IBN, Pan et
            al. 2018), to be less sensitive to a camera's light and contrast. Names and shapes of parameters stay the
            same; with Kinetics weights, the running statistics of these channels have to be trained again.

    Attributes:
        observer: If set, called with BatchNorm layers and their input (B, H, W, T, C), which are all of their channels
            in order, before the layers are applied. A forward hook of the layers is never called, because the I3D
            computes several of them at once.
    """

    def __init__(self, width: float = 1.0, momentum: float = 0.01, instance_norm: bool = False) -> None:
        def scaled(channels: int) -> int:
            return max(8, int(channels * width / 8 + 0.5) * 8)

        stem = {"Conv3d_1a_7x7": 64, "Conv3d_2b_1x1": 64, "Conv3d_2c_3x3": 192}
        mixed = {f"{name}.{b}": c for name, counts in _MIXED.items() for b, c in zip(_BRANCHES, counts, strict=True)}
        outputs = {name: scaled(c) for name, c in (stem | mixed).items()}
        super().__init__(outputs, {name: outputs[name] // 2 for name in stem} if instance_norm else {})
        self.observer: Callable[[Sequence[nn.BatchNorm3d], Tensor], None] | None = None

        def unit(name: str, c_in: int, size: int, stride: int = 1) -> Unit:
            return Unit(c_in, self.channels[name], size, stride, momentum)

        self.Conv3d_1a_7x7 = unit("Conv3d_1a_7x7", 3, 7, 2)
        self.Conv3d_2b_1x1 = unit("Conv3d_2b_1x1", self.channels["Conv3d_1a_7x7"], 1)
        self.Conv3d_2c_3x3 = unit("Conv3d_2c_3x3", self.channels["Conv3d_2b_1x1"], 3)
        c_in = self.channels["Conv3d_2c_3x3"]
        for name in _MIXED:
            block = nn.Module()
            for branch in _BRANCHES:
                narrow = {"b1b": "b1a", "b2b": "b2a"}.get(branch)  # its input; otherwise the block's input
                size, channels = (3, self.channels[f"{name}.{narrow}"]) if narrow else (1, c_in)
                block.add_module(branch, unit(f"{name}.{branch}", channels, size))
            self.add_module(name, block)
            c_in = sum(self.channels[f"{name}.{branch}"] for branch in ("b0", "b1b", "b2b", "b3b"))

    def unit(self, name: str) -> Unit:
        """Return the parameters of a unit."""
        unit = self.get_submodule(name)
        assert isinstance(unit, Unit)
        return unit

    def _convolve(self, x: Tensor, *units: str) -> Tensor:
        stride = self.unit(units[0]).stride
        weight = _join([self.unit(name).conv3d.weight for name in units])
        if weight.shape[2] == 1:
            return F.linear(x, weight.flatten(1))
        return convolve(x, times_as_channels(weight, x.shape[3], stride), None, stride)

    def _activate(self, x: Tensor, *units: str) -> Tensor:
        parameters = [self.unit(name) for name in units]
        if units[0] in self.normalised:
            x = normalise_first(x, self.normalised[units[0]], EPS)
        if self.observer is not None:
            self.observer([unit.bn for unit in parameters], x)
        mean, var = (_join(tensors) for tensors in zip(*(unit.statistics() for unit in parameters), strict=True))
        weight, bias = _join([unit.bn.weight for unit in parameters]), _join([unit.bn.bias for unit in parameters])
        momentum = parameters[0].bn.momentum
        assert momentum is not None
        images = x.flatten(2, 3).permute(0, 3, 1, 2)  # channels last
        y = F.batch_norm(images, mean, var, weight, bias, self.training, momentum, EPS)
        if self.training:
            _store_statistics(parameters, mean, var)
        return F.relu(y, inplace=True).permute(0, 2, 3, 1).reshape(x.shape)


class Unit(nn.Module):
    """Parameters of a convolution and its BatchNorm; `I3D` computes with them."""

    def __init__(self, c_in: int, c_out: int, size: int, stride: int, momentum: float) -> None:
        super().__init__()
        self.stride = stride
        self.conv3d = nn.Conv3d(c_in, c_out, size, stride, bias=False)
        self.bn = nn.BatchNorm3d(c_out, eps=EPS, momentum=momentum)
        nn.init.kaiming_normal_(self.conv3d.weight, nonlinearity="relu")

    def statistics(self) -> tuple[Tensor, Tensor]:
        """Return running mean and variance, (O,) each."""
        mean, var = self.bn.running_mean, self.bn.running_var
        assert mean is not None and var is not None
        return mean, var


@torch.no_grad()
def _store_statistics(units: Sequence[Unit], mean: Tensor, var: Tensor) -> None:
    """Store the running statistics of units that were computed together in each of them."""
    for unit in units:
        assert unit.bn.num_batches_tracked is not None
        unit.bn.num_batches_tracked += 1
    if len(units) > 1:  # the statistics of a single unit were updated in place
        sizes = [len(unit.bn.bias) for unit in units]
        for unit, new_mean, new_var in zip(units, torch.split(mean, sizes), torch.split(var, sizes), strict=True):
            running_mean, running_var = unit.statistics()
            running_mean.copy_(new_mean)
            running_var.copy_(new_var)


def _join(tensors: Sequence[Tensor]) -> Tensor:
    """Concatenate along the channels; a single tensor is not copied."""
    return tensors[0] if len(tensors) == 1 else torch.cat(list(tensors))
