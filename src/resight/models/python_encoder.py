"""A PyTorch module or any Python function as a clip encoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from resight.errors import CheckpointError, RecipeError
from resight.models.external import DEFAULT_LENGTH, ExternalEncoder
from resight.models.pixel_format import CLIP_LAYOUTS, PixelFormat

Function = Callable[[Tensor], Any]
"""From frames (N, 3, H, W) or clips (N, 3, L, H, W), float32 as the pixel format says, to features (N, D)."""


class PythonEncoder(ExternalEncoder):
    """A module or function as a clip encoder.

    Args:
        function: Maps a batch of frames, or of clips if the layout is one of clips, to a tensor or array (N, D).
        pixels: The format of its input, with a size.
        name: Name of the function and of its weights. A module with weights does not need one.
        device: Device of the module, and of the input.

    Raises:
        RecipeError: If the size is missing, or the features of a frame depend on the other frames of the batch.
        CheckpointError: If it fails, or returns something else than features.
    """

    def __init__(
        self, function: Function, pixels: PixelFormat, name: str | None = None, device: torch.device | str = "cpu"
    ) -> None:
        if not callable(function):
            raise RecipeError(
                f"the encoder is a {type(function).__name__}, expected a module or function from frames (N, 3, H, W) "
                "to features (N, D)"
            )
        if not all(pixels.size):
            raise RecipeError("size is missing: give height and width of the network's input, such as (256, 128)")
        layout = pixels.layout or "nchw"
        length = pixels.length or (DEFAULT_LENGTH if layout in CLIP_LAYOUTS else 0)
        kind = type(function).__name__ if isinstance(function, nn.Module) else getattr(function, "__name__", "function")
        super().__init__(replace(pixels, layout=layout, length=length), name or kind)
        self.function = function  # a module becomes part of this one, and its weights of the state dict
        self._named = name is not None
        self.eval().to(device)
        self.dim = self._try_out(device)

    @property
    def identity(self) -> str | None:
        """See `ExternalEncoder.identity`: None for a function, or a module without weights, that has no name."""
        if not self._named and not self.state_dict():
            return None
        kind = type(self.function)
        code = f"{kind.__module__}.{kind.__qualname__}" if isinstance(self.function, nn.Module) else ""
        return repr((self.pixels, code, self.name if self._named else None))

    @property
    def architecture(self) -> dict[str, Any]:
        """See `ExternalEncoder.architecture`: everything but the function itself."""
        return {"pixels": self.pixels.to_json(), "name": self.name, "named": self._named, "dim": self.dim}

    @classmethod
    def from_architecture(cls, architecture: Mapping[str, Any], function: Function) -> PythonEncoder:
        """Return the encoder of a model file.

        Args:
            architecture: The header of the model file.
            function: The same function or module as when the model was made.

        Raises:
            CheckpointError: If it returns another number of features.
        """
        name = architecture["name"] if architecture["named"] else None
        encoder = cls(function, PixelFormat.from_json(architecture["pixels"]), name)
        if encoder.dim != architecture["dim"]:
            raise CheckpointError(
                f"the encoder returns {encoder.dim} features, but the model was made for the {architecture['dim']} "
                f"features of {architecture['name']}: give that encoder"
            )
        return encoder

    def _try_out(self, device: torch.device | str) -> int:
        """Run the function on three inputs and return D."""
        shape = (3, *self.size) if self.frame_wise else (3, self.length, *self.size)
        noise = torch.rand(3, *shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
        noise *= torch.tensor([1.0, 0.5, 0.1]).view(3, *(1,) * len(shape))
        inputs = self.prepared(noise.to(device))
        try:
            with torch.inference_mode():
                pair, other = (self._run(inputs[rows]) for rows in ([0, 1], [0, 2]))
        except CheckpointError:
            raise
        except Exception as error:  # whatever the function raises
            raise CheckpointError(
                f"{self.name} failed on an input of {(2, *inputs.shape[1:])} {self.pixels.describe()}: {error}"
            ) from error
        if not torch.allclose(pair[0], other[0], rtol=0, atol=1e-2 * float(pair.abs().max())):
            raise RecipeError(
                f"the features of a picture from {self.name} depend on the other pictures of the batch, or are random: "
                "call .eval() on the network"
            )
        return pair.shape[1]

    def _run(self, values: Tensor) -> Tensor:
        features = self.function(values)
        if isinstance(features, np.ndarray):
            features = torch.from_numpy(features)
        if not isinstance(features, Tensor):
            raise CheckpointError(
                f"{self.name} returned a {type(features).__name__}, expected a tensor or array (N, D) of features: "
                "wrap it in a function that returns the features"
            )
        return self._checked(features.detach(), len(values)).to(values.device)
