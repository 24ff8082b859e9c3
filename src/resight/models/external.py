"""Base class of encoders from elsewhere: networks whose code or file Resight did not write, with their input format.

Legend: N frames or clips, L frames per clip of H x W, D features.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from torch import Tensor

from resight.errors import CheckpointError
from resight.models.frame_encoder import FrameWise, check_clips
from resight.models.pixel_format import CLIP_LAYOUTS, PixelFormat

_AXES = {
    "nchw": (0, 1, 2, 3),
    "nhwc": (0, 2, 3, 1),
    "nclhw": (0, 1, 2, 3, 4),
    "nlchw": (0, 2, 1, 3, 4),
}
"""Where each axis of the network's input is in (N, 3, H, W) or (N, 3, L, H, W)."""

DEFAULT_LENGTH = 4
"""Frames per clip, if the network does not decide it; the paper's value."""


class ExternalEncoder(FrameWise):
    """A network for frames or for clips that cannot be trained, with the conversion of pixels to its input.

    Subclasses set `dim`.

    Args:
        pixels: The input, with its size and layout.
        name: Name of the network, for messages and tables.

    Attributes:
        dim: Features per clip, D.
        pixels: The input.
        name: Name of the network.
        frame_wise: Whether the network takes frames; its features are averaged over the frames of a clip.
    """

    def __init__(self, pixels: PixelFormat, name: str) -> None:
        super().__init__()
        self.pixels = pixels
        self.name = name
        self.frame_wise = pixels.layout not in CLIP_LAYOUTS

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of a frame."""
        return self.pixels.size

    @property
    def length(self) -> int:
        """L, frames per clip."""
        return self.pixels.length or DEFAULT_LENGTH

    @property
    def identity(self) -> str | None:
        """What decides the features besides the weights; None if nothing does reliably, so that none are stored."""
        return repr(self.pixels)

    @property
    @abstractmethod
    def architecture(self) -> dict[str, Any]:
        """Header of a model file from which the encoder is made again, as JSON values."""

    def frame_features(self, frames: Tensor) -> Tensor:
        """Return the features of frames, (N, 3, H, W) in [-1, 1] to (N, D) float32."""
        return self.features_as(frames)

    def forward(self, clips: Tensor) -> Tensor:
        """Return clip features, (B, 3, L, H, W) in [-1, 1] to (B, D), not normalised.

        Raises:
            ShapeError: If `clips` has another number of axes or channels.
            CheckpointError: If the network cannot compute them.
        """
        if self.frame_wise:
            return super().forward(clips)
        check_clips(clips)
        return self.features_as(clips)

    def prepared(self, values: Tensor, pixels: PixelFormat | None = None) -> Tensor:
        """Return frames (N, 3, H, W) or clips (N, 3, L, H, W) in [-1, 1] as the network's input.

        Args:
            values: Frames or clips.
            pixels: Channel order, value range, mean and standard deviation to use instead of the encoder's.
        """
        chosen = pixels or self.pixels
        column = (-1, *(1,) * (values.ndim - 2))
        scale, shift = (values.new_tensor(numbers).view(column) for numbers in chosen.scale_and_shift)
        values = (values.flip(1) if chosen.channels == "bgr" else values) * scale + shift
        return values.permute(_AXES[self.pixels.layout or "nchw"]).contiguous()

    def features_as(self, values: Tensor, pixels: PixelFormat | None = None) -> Tensor:
        """Return features (N, D) of what the network takes, frames or clips; for the arguments see `prepared`."""
        return self._run(self.prepared(values, pixels))

    @abstractmethod
    def _run(self, values: Tensor) -> Tensor:
        """Return features (N, D) float32 of the network's input, on the same device."""

    def _checked(self, features: Tensor, rows: int) -> Tensor:
        """Return features as (N, D) float32.

        Raises:
            CheckpointError: If they are not one vector of finite numbers for each row of the input.
        """
        found = tuple(features.shape)
        if features.ndim < 2 or found[0] != rows or any(n != 1 for n in found[2:]) or not features.is_floating_point():
            raise CheckpointError(
                f"{self.name} returned {found} {str(features.dtype).removeprefix('torch.')} for an input of {rows}, "
                f"expected ({rows}, D) floating-point features: one vector for each; export the network up to its "
                "pooled features"
            )
        features = features.reshape(rows, -1).float()
        if not features.isfinite().all():
            raise CheckpointError(
                f"{self.name} returned features that are not finite: check the pixel format ({self.pixels.describe()})"
            )
        return features
