"""An encoder with BatchNorm statistics for each camera, and the collection of such statistics.

A camera's light and colours shift the mean and variance of every channel. Source: Li et al., "Revisiting batch
normalization for practical domain adaptation" (2017). Legend: B clips, C channels of a layer, S channels of all layers
with positions in time or space; a BatchNorm of whole clip features keeps the trained statistics.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm

from resight.models.i3d import I3D


class CameraEncoder(nn.Module):
    """Encodes the clips of a known camera with statistics of this camera, and all others with the trained ones.

    Args:
        trained: An encoder with BatchNorm.
        cameras: Name of each camera to its statistics (2, S), see `read_statistics`.

    Attributes:
        trained: As given.
        dim: Features per clip, D.
        cameras: Names of the cameras.
    """

    values: Tensor

    def __init__(self, trained: Any, cameras: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.trained = trained
        self.dim: int = trained.dim
        self.cameras = tuple(cameras)
        size = read_statistics(trained).shape
        values = torch.stack(list(cameras.values())) if cameras else torch.zeros((0, *size))
        self.register_buffer("values", values.to(next(trained.parameters()).device))

    def forward(self, clips: Tensor) -> Tensor:
        """Return clip features with the trained statistics, (B, 3, L, H, W) in [-1, 1] to (B, D)."""
        features: Tensor = self.trained(clips)
        return features

    def of_cameras(self, clips: Tensor, cameras: Sequence[str]) -> Tensor:
        """Return clip features, each with the statistics of its camera, with gradients: (B, 3, L, H, W) to (B, D)."""
        features = torch.empty(len(clips), self.dim, device=clips.device)
        for camera in sorted(set(cameras)):
            rows = torch.tensor([i for i, name in enumerate(cameras) if name == camera], device=clips.device)
            own = functional_call(self.trained, self._statistics(camera), (clips[rows],))
            features = features.index_copy(0, rows, own.float())
        return features

    def _statistics(self, camera: str) -> dict[str, Tensor]:
        """Return the running means and variances of a known camera by the names of the buffers, else nothing."""
        if camera not in self.cameras:
            return {}
        values, start, named = self.values[self.cameras.index(camera)], 0, {}
        norms = set(_batch_norms(self.trained))
        for name, module in self.trained.named_modules():
            if module in norms:
                end = start + module.num_features
                named[f"{name}.running_mean"], named[f"{name}.running_var"] = values[:, start:end]
                start = end
        return named

    def of_camera(self, camera: str) -> nn.Module:
        """Return the encoder for clips of a camera: a copy, or `trained` itself if the camera is not known."""
        trained: nn.Module = self.trained
        if camera not in self.cameras:
            return trained
        own = copy.deepcopy(trained)
        write_statistics(own, self.values[self.cameras.index(camera)])
        return own

    def identity(self, camera: str) -> str:
        """Return what distinguishes the features of a camera from those of `trained`: a hash, empty if nothing does."""
        if camera not in self.cameras:
            return ""
        row = self.values[self.cameras.index(camera)].detach().cpu().contiguous()
        return hashlib.sha256(row.numpy().tobytes()).hexdigest()


def read_statistics(encoder: nn.Module) -> Tensor:
    """Return the running means and variances of the BatchNorm layers, (2, S); S is 0 if there is none."""
    parts = [torch.stack(_running(norm)) for norm in _batch_norms(encoder)]
    return torch.cat(parts, 1).clone() if parts else torch.zeros(2, 0)


@torch.no_grad()
def write_statistics(encoder: nn.Module, values: Tensor) -> None:
    """Set the running means and variances of the BatchNorm layers to `values` (2, S)."""
    norms = _batch_norms(encoder)
    for norm, (mean, variance) in zip(norms, torch.split(values, [n.num_features for n in norms], 1), strict=True):
        for running, new in zip(_running(norm), (mean, variance), strict=True):
            running.copy_(new)


@torch.no_grad()
def camera_statistics(encoder: nn.Module, batches: Iterable[Tensor], share: float) -> Tensor:
    """Return the trained statistics mixed with those of a camera's clips.

    Each layer sees clips that the layers before it have normalised with the mixture for their batch, as they will be
    normalised later. The statistics of all batches are pooled exactly.

    Args:
        encoder: An encoder with BatchNorm; it is not changed.
        batches: Clips (B, 3, L, H, W) in [-1, 1] of one camera. A batch should show many tracklets.
        share: Share of the camera's own statistics in the mixture, 0 … 1.

    Returns:
        (2, S) for `CameraEncoder`.
    """
    copied = copy.deepcopy(encoder).eval()
    norms = _batch_norms(copied)
    pools = {norm: _Pool(norm, share) for norm in norms}
    hooks = [norm.register_forward_pre_hook(lambda norm, inputs: pools[norm].add(inputs[0], 1)) for norm in norms]
    for module in copied.modules():
        if isinstance(module, I3D):  # it computes with its BatchNorm layers, but does not call them
            module.observer = lambda own, x: _add_joined([pools[norm] for norm in own], x)
    for batch in batches:
        copied(batch)
    for hook in hooks:
        hook.remove()
    for pool in pools.values():
        pool.finish()
    return read_statistics(copied)


class _Pool:
    """Pools the statistics of a layer over batches, and sets the layer to the mixture with the trained ones."""

    def __init__(self, norm: _BatchNorm, share: float) -> None:
        self._running = _running(norm)
        self._trained = [values.double().clone() for values in self._running]
        self._share = share
        self._count = 0
        self._sums = [torch.zeros_like(values) for values in self._trained]

    def add(self, x: Tensor, axis: int) -> None:
        """Add a batch whose channels are on `axis`, and set the layer to the mixture for this batch."""
        variance, mean = torch.var_mean(x.movedim(axis, -1).flatten(0, -2).float(), 0, correction=0)
        self.add_moments(mean.double(), variance.double(), x.numel() // len(mean))

    def add_moments(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Add a batch of `count` positions with this mean and variance, (C,) each."""
        self._count += count
        self._sums[0] += mean * count
        self._sums[1] += (variance + mean.square()) * count
        self._set(mean, variance)

    def finish(self) -> None:
        """Set the layer to the mixture for all batches."""
        if self._count:
            mean = self._sums[0] / self._count
            self._set(mean, (self._sums[1] / self._count - mean.square()).clamp(min=0))

    def _set(self, *own: Tensor) -> None:
        for running, trained, values in zip(self._running, self._trained, own, strict=True):
            running.copy_(trained + self._share * (values - trained))


def _add_joined(pools: Sequence[_Pool], x: Tensor) -> None:
    """Add a batch of several layers of the I3D, whose channels are joined on the last axis of `x`."""
    variance, mean = torch.var_mean(x.flatten(0, -2).float(), 0, correction=0)
    sizes = [len(pool._trained[0]) for pool in pools]
    parts = zip(pools, torch.split(mean.double(), sizes), torch.split(variance.double(), sizes), strict=True)
    for pool, own_mean, own_variance in parts:
        pool.add_moments(own_mean, own_variance, x.numel() // x.shape[-1])


def _batch_norms(encoder: nn.Module) -> list[_BatchNorm]:
    """Return the layers with statistics of a camera.

    Not those over features without positions, such as a neck: a few tracklets tell more about persons than about the
    camera there.
    """
    return [
        module for module in encoder.modules()
        if isinstance(module, _BatchNorm) and not isinstance(module, nn.BatchNorm1d) and module.track_running_stats
    ]  # fmt: skip


def _running(norm: _BatchNorm) -> tuple[Tensor, Tensor]:
    assert norm.running_mean is not None and norm.running_var is not None
    return norm.running_mean, norm.running_var
