"""An image network applied to every frame of a clip, with its features averaged over the frames.

Legend: B clips of L frames of H x W, D features. The networks are those of the transformers library (extra
``encoders``), read from a local folder; this package never downloads weights.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from resight.errors import CheckpointError, RecipeError, ShapeError

NETWORKS = {
    "clip": "CLIPVisionModel",
    "clip_vision_model": "CLIPVisionModel",
    "dinov2": "Dinov2Model",
    "resnet": "ResNetModel",
}
"""``model_type`` in config.json to the class in the transformers library; of CLIP, only the vision model."""


class FrameWise(nn.Module, ABC):
    """Encodes a clip as one feature vector: the mean of the features of its frames.

    A frame that is in several clips of a tracklet is encoded once, see `resight.features.extract`.

    Attributes:
        dim: Features per clip, D.
        frame_wise: Whether `frame_features` can be used. A subclass that also supports networks of whole clips sets it
            to False for these, and replaces `forward`.
    """

    dim: int
    frame_wise: bool = True

    @abstractmethod
    def frame_features(self, frames: Tensor) -> Tensor:
        """Return the features of frames, (N, 3, H, W) in [-1, 1] to (N, D) float32."""

    def forward(self, clips: Tensor) -> Tensor:
        """Return clip features, not normalised.

        Args:
            clips: (B, 3, L, H, W) in [-1, 1].

        Returns:
            (B, D) float32.

        Raises:
            ShapeError: If `clips` has another number of axes or channels.
        """
        check_clips(clips)
        features = self.frame_features(clips.transpose(1, 2).flatten(0, 1))
        return features.view(clips.shape[0], clips.shape[2], -1).mean(1)


def check_clips(clips: Tensor) -> None:
    """Check that clips are (B, 3, L, H, W).

    Raises:
        ShapeError: If they are not.
    """
    if clips.ndim != 5 or clips.shape[1] != 3:
        raise ShapeError(f"expected clips (B, 3, L, H, W), found {tuple(clips.shape)}: put the RGB axis second")


class FrameEncoder(FrameWise):
    """Encodes a clip as one feature vector: the mean of an image network's features over the L frames.

    Attributes:
        network: Image network, from normalised frames (N, 3, H, W) to features (N, D).
        dim: Features per clip, D.
        architecture: Argument of `from_architecture`, as JSON values; empty for a custom network.
    """

    scale: Tensor
    shift: Tensor

    def __init__(
        self,
        network: nn.Module,
        dim: int,
        mean: Sequence[float],
        std: Sequence[float],
        architecture: Mapping[str, Any] | None = None,
    ) -> None:
        """Wrap a network that expects this mean and standard deviation per RGB channel, for values 0 … 1."""
        super().__init__()
        self.network = network
        self.dim = dim
        self.architecture = dict(architecture or {})
        mean_3, std_3 = torch.tensor(mean), torch.tensor(std)
        # ((x + 1) / 2 - mean) / std as one factor and one summand.
        self.register_buffer("scale", (0.5 / std_3)[:, None, None])
        self.register_buffer("shift", ((0.5 - mean_3) / std_3)[:, None, None])

    def frame_features(self, frames: Tensor) -> Tensor:
        """Return the features of frames, (N, 3, H, W) in [-1, 1] to (N, D) float32."""
        scaled = frames * self.scale + self.shift
        features: Tensor = self.network(scaled.to(next(self.network.parameters()).dtype))
        return features.float()

    def to_precision(self, dtype: torch.dtype) -> FrameEncoder:
        """Convert the network to `dtype` in place, and return this encoder."""
        self.network.to(dtype)
        return self

    @classmethod
    def from_folder(cls, folder: Path) -> FrameEncoder:
        """Return a network with the weights in a folder.

        Args:
            folder: Folder with config.json, preprocessor_config.json (mean and deviation of pixels) and weights, as on
                the Hugging Face hub; ``hf download facebook/dinov2-small --local-dir FOLDER`` fetches one.

        Raises:
            RecipeError: If a file is missing or invalid, if the type of network is unknown, or if the transformers
                library is not installed.
            CheckpointError: If the weights do not fit the network.
        """
        config = _read_json(folder, "config.json")
        name = NETWORKS.get(str(config.get("model_type")))
        if name is None:
            raise RecipeError(
                f"{folder / 'config.json'} has model_type {config.get('model_type')!r}, expected one of "
                f"{', '.join(NETWORKS)}"
            )
        pixels = _read_json(folder, "preprocessor_config.json")
        mean, std = pixels.get("image_mean"), pixels.get("image_std")
        if not (_three_numbers(mean) and _three_numbers(std)):
            raise RecipeError(
                f"{folder / 'preprocessor_config.json'}: image_mean is {mean} and image_std is {std}, expected three "
                "numbers each"
            )
        model_class = getattr(_transformers(), name)
        try:
            model, report = model_class.from_pretrained(
                folder, local_files_only=True, output_loading_info=True, dtype=torch.float32
            )
        except (OSError, RuntimeError) as error:
            raise CheckpointError(
                f"cannot load weights from {folder}: {error}; download them, for instance with "
                f"`hf download OWNER/NAME --local-dir {folder}`"
            ) from error
        if report["missing_keys"] or report["mismatched_keys"]:
            missing = sorted(str(key) for key in (*report["missing_keys"], *report["mismatched_keys"]))
            raise CheckpointError(
                f"the weights in {folder} do not fit its config.json: {len(missing)} tensors are missing or have "
                f"another shape (first: {missing[0]}); download the folder again"
            )
        return cls._around(model, {"network": name, "config": model.config.to_dict(), "mean": mean, "std": std})

    @classmethod
    def from_architecture(cls, architecture: Mapping[str, Any]) -> FrameEncoder:
        """Return a network with random weights.

        Args:
            architecture: ``network`` (a class in `NETWORKS`), ``config`` (its settings), ``mean`` and ``std``.

        Raises:
            RecipeError: If the network is unknown, or the transformers library is not installed.
        """
        name = str(architecture.get("network"))
        if name not in NETWORKS.values():
            raise RecipeError(f"unknown image network {name!r}, expected one of {', '.join(set(NETWORKS.values()))}")
        model_class = getattr(_transformers(), name)
        return cls._around(model_class(model_class.config_class.from_dict(dict(architecture["config"]))), architecture)

    @classmethod
    def _around(cls, model: nn.Module, architecture: Mapping[str, Any]) -> FrameEncoder:
        config = architecture["config"]
        dim = int(config["hidden_sizes"][-1] if "hidden_sizes" in config else config["hidden_size"])
        return cls(_Pooled(model), dim, architecture["mean"], architecture["std"], architecture)


class _Pooled(nn.Module):
    """A model of the transformers library, from frames (N, 3, H, W) to features (N, D)."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        # The other networks always interpolate their position embeddings.
        self.options = {"interpolate_pos_encoding": True} if type(model).__name__ == "CLIPVisionModel" else {}
        if type(model).__name__ == "ResNetModel":
            _keep_last_resolution(model)

    def forward(self, frames: Tensor) -> Tensor:
        pooled: Tensor = self.model(pixel_values=frames, **self.options).pooler_output
        return pooled.flatten(1)


def _keep_last_resolution(model: nn.Module) -> None:
    """Set the last stage of a ResNet to stride 1, as usual in re-identification (Sun et al. 2018, Luo et al. 2019)."""
    last = list(model.get_submodule("encoder.stages").children())[-1]
    for module in last.modules():
        if isinstance(module, nn.Conv2d):
            module.stride = (1, 1)


def _three_numbers(values: object) -> bool:
    return isinstance(values, list) and len(values) == 3 and all(isinstance(v, int | float) for v in values)


def _read_json(folder: Path, name: str) -> dict[str, Any]:
    try:
        values = json.loads((folder / name).read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(
            f"no {name} in {folder}: expected a folder with an image network, such as one downloaded with `hf download "
            f"OWNER/NAME --local-dir {folder}`"
        ) from error
    except ValueError as error:
        raise RecipeError(f"{folder / name} is not JSON: {error}; download it again") from error
    if not isinstance(values, dict):
        raise RecipeError(f"{folder / name} holds a {type(values).__name__}, expected an object; download it again")
    return values


def _transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise RecipeError("frame encoders need the transformers library: pip install 'resight[encoders]'") from error
    return transformers
