"""The clip encoder: Inception-V1 inflated to three dimensions (Carreira and Zisserman 2017), through Mixed_5c.

B clips, C channels, L frames of H x W, D features.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resight.errors import CheckpointError, ShapeError

Triple = tuple[int, int, int]

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


class I3D(nn.Module):
    """One clip in, one feature out: I3D through Mixed_5c, then the mean over time, height and width.

    Paper: Sec. 4.2. Parameters are named as in the public PyTorch port, so its Kinetics weights load as they are.
    Any clip length from 1 and any picture size from 1 x 1 will do.

    Args:
        width: factor on every channel count, each rounded to a multiple of 8; 1 is the published network.
        momentum: of the running statistics of BatchNorm; the port's value is the default.

    Attributes:
        dim: features per clip, D; 1024 at width 1.
    """

    def __init__(self, width: float = 1.0, momentum: float = 0.01) -> None:
        super().__init__()

        def scaled(channels: int) -> int:
            return max(8, int(channels * width / 8 + 0.5) * 8)

        def unit(c_in: int, c_out: int, size: int, stride: int = 1) -> _Unit:
            return _Unit(c_in, c_out, size, stride, momentum)

        self.Conv3d_1a_7x7 = unit(3, scaled(64), 7, 2)
        self.Conv3d_2b_1x1 = unit(scaled(64), scaled(64), 1)
        self.Conv3d_2c_3x3 = unit(scaled(64), scaled(192), 3)
        channels = scaled(192)
        for name, counts in _MIXED.items():
            block = _Mixed(channels, [scaled(c) for c in counts], momentum)
            self.add_module(name, block)
            channels = block.c_out
        self.dim = channels

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
        # Channels last: pooling and the thin layers are several times faster so on a CPU, and nothing is slower.
        x = self.Conv3d_1a_7x7(clips.contiguous(memory_format=torch.channels_last_3d))
        x = _max_pool(x, (1, 3, 3), (1, 2, 2))
        x = self.Conv3d_2c_3x3(self.Conv3d_2b_1x1(x))
        x = _max_pool(x, (1, 3, 3), (1, 2, 2))
        for name in _MIXED:
            if name == "Mixed_4b":
                x = _max_pool(x, (3, 3, 3), (2, 2, 2))
            elif name == "Mixed_5b":
                x = _max_pool(x, (2, 2, 2), (2, 2, 2))
            x = self.get_submodule(name)(x)
        features: Tensor = x.mean((2, 3, 4))
        return features


class _Unit(nn.Module):
    """Convolution, BatchNorm, ReLU; "same" padding as in TensorFlow; taps that only meet padding left out."""

    def __init__(self, c_in: int, c_out: int, size: int, stride: int, momentum: float) -> None:
        super().__init__()
        self.size, self.stride = size, stride
        self.conv3d = nn.Conv3d(c_in, c_out, size, stride, bias=False)
        self.bn = nn.BatchNorm3d(c_out, eps=0.001, momentum=momentum)
        nn.init.kaiming_normal_(self.conv3d.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        (t0, t1, *time), (h0, h1, *high), (w0, w1, *wide) = (_taps(n, self.size, self.stride) for n in x.shape[2:])
        weight, bias = self.conv3d.weight[:, :, t0:t1, h0:h1, w0:w1], None
        if not self.training:  # BatchNorm is affine then, and goes into the convolution
            mean, var = self.bn.running_mean, self.bn.running_var
            assert mean is not None and var is not None
            scale = self.bn.weight * torch.rsqrt(var + self.bn.eps)
            weight, bias = weight * scale.view(-1, 1, 1, 1, 1), self.bn.bias - mean * scale
        padding = (time[0], high[0], wide[0])
        if padding != (time[1], high[1], wide[1]):  # conv3d pads both ends alike
            x, padding = F.pad(x, (*wide, *high, *time)), (0, 0, 0)
        x = F.conv3d(x, weight, bias, self.stride, padding)
        return F.relu(self.bn(x) if self.training else x, inplace=True)


class _Mixed(nn.Module):
    """An Inception block: four branches side by side."""

    def __init__(self, c_in: int, counts: Sequence[int], momentum: float) -> None:
        super().__init__()
        b0, b1a, b1b, b2a, b2b, b3b = counts
        self.b0 = _Unit(c_in, b0, 1, 1, momentum)
        self.b1a = _Unit(c_in, b1a, 1, 1, momentum)
        self.b1b = _Unit(b1a, b1b, 3, 1, momentum)
        self.b2a = _Unit(c_in, b2a, 1, 1, momentum)
        self.b2b = _Unit(b2a, b2b, 3, 1, momentum)
        self.b3b = _Unit(c_in, b3b, 1, 1, momentum)
        self.c_out = b0 + b1b + b2b + b3b

    def forward(self, x: Tensor) -> Tensor:
        pooled = _max_pool(x, (3, 3, 3), (1, 1, 1))
        return torch.cat([self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(pooled)], 1)


def _taps(n: int, size: int, stride: int) -> tuple[int, int, int, int]:
    """Which taps of a kernel ever meet one of `n` inputs, and the padding that they need.

    Returns:
        First tap, last tap + 1, padding before, padding after.
    """
    reach = (-(-n // stride) - 1) * stride  # where the last window begins, counted from the first
    before = max(reach + size - n, 0) // 2
    first, end = max(0, before - reach), min(size, before + n)
    return first, end, before - first, max(reach + end - n - before, 0)


def _max_pool(x: Tensor, size: Triple, stride: Triple) -> Tensor:
    """Max pooling with "same" padding; x is not negative, so padding with -inf equals the port's zeros."""
    before = [max((-(-n // s) - 1) * s + k - n, 0) // 2 for n, k, s in zip(x.shape[2:], size, stride, strict=True)]
    return F.max_pool3d(x, size, stride, before, ceil_mode=True)  # ceil_mode pads the end


@dataclass(frozen=True)
class LoadReport:
    """What became of a file of weights.

    Attributes:
        path: the file.
        matched: names that were loaded.
        missing: names of the model that the file lacks; they keep their values.
        unexpected: names in the file that the model lacks; ignored.
        wrong_shape: names in both, with another shape in the file; not loaded.
    """

    path: Path
    matched: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    wrong_shape: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"{self.path}: {len(self.matched)} tensors loaded"]
        for words, names in (
            ("missing from the file, left as they were", self.missing),
            ("in the file but not in the model, ignored", self.unexpected),
            ("of another shape, not loaded", self.wrong_shape),
        ):
            if names:
                lines.append(f"  {len(names)} {words}: {', '.join(names[:6])}{', …' if len(names) > 6 else ''}")
        return "\n".join(lines)


def load_kinetics(model: I3D, path: Path | str) -> LoadReport:
    """Copy the weights of a state dict, such as the public port's ``rgb_imagenet.pt``, into an I3D.

    Counters of batches carry no weight and are left out of the account, and a leading ``module.`` is dropped.

    Args:
        model: changed in place.
        path: a file written by `torch.save`; only tensors are read from it, code in it is never run.

    Raises:
        CheckpointError: if the file is not a state dict, or no name and shape in it fits the model.
    """
    path = Path(path)
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise CheckpointError(
            f"expected a state dict written by torch.save at {path}, cannot read it: {error}"
        ) from error
    if not isinstance(found, dict) or not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in found.items()):
        raise CheckpointError(f"expected a dictionary of named tensors in {path}: save model.state_dict() itself")
    found = {k.removeprefix("module."): v for k, v in found.items() if not k.endswith("num_batches_tracked")}
    own = {k: v for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}
    both = own.keys() & found.keys()
    matched = {k: found[k] for k in own if k in both and own[k].shape == found[k].shape}
    if not matched:
        raise CheckpointError(
            f"none of the {len(found)} tensors in {path} fits an I3D of {model.dim} features, which has names such as "
            f"{next(iter(own))}: give weights of the PyTorch I3D port, for the same width"
        )
    model.load_state_dict(matched, strict=False)
    return LoadReport(
        path,
        matched=tuple(matched),
        missing=tuple(k for k in own if k not in found),
        unexpected=tuple(k for k in found if k not in own),
        wrong_shape=tuple(k for k in own if k in both and k not in matched),
    )
