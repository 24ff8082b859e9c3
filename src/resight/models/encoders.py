"""All clip encoders: selection by recipe, the BN neck, and copies for inference."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from resight.compute import keep_freed_memory
from resight.errors import RecipeError
from resight.models.camera_encoder import CameraEncoder
from resight.models.efficientnet import EfficientNetLite0, efficientnet_encoder, public_name
from resight.models.external import ExternalEncoder
from resight.models.frame_encoder import FrameEncoder, FrameWise
from resight.models.i3d import I3D
from resight.models.i3d_inference import inference_encoder
from resight.models.kinetics import LoadReport, load_public_weights
from resight.models.onnx_encoder import OnnxEncoder
from resight.models.pixel_format import PixelFormat
from resight.models.projected_encoder import ProjectedEncoder
from resight.recipe import EFFICIENTNET, GIVEN, Stage1

FRAMES_AT_ONCE = 64
"""Number of frames that an image network gets at once, to bound its memory."""


class NeckedEncoder(nn.Module):
    """An encoder followed by BatchNorm: features before it are for triplets, features after it for identities.

    The two losses pull a common feature in different directions (Luo et al. 2019), so each gets its own. The BatchNorm
    has no bias, so that the decision planes of the identity layer pass through the origin.

    Attributes:
        body: The encoder.
        neck: BatchNorm over its D features.
        after: Whether clip features are those after the neck.
        dim: Features per clip, D.
    """

    def __init__(self, body: I3D | FrameEncoder, after: bool) -> None:
        super().__init__()
        self.body = body
        self.neck = nn.BatchNorm1d(body.dim)
        self.neck.register_parameter("bias", None)
        self.after = after
        self.dim = body.dim

    def forward(self, clips: Tensor) -> Tensor:
        """Return clip features, (B, 3, L, H, W) in [-1, 1] to (B, D)."""
        before, after = self.both(clips)
        return after if self.after else before

    def both(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        """Return features before and after the neck, (B, 3, L, H, W) in [-1, 1] to (B, D) each."""
        features: Tensor = self.body(clips)
        return features, self.neck(features)


ClipEncoder = I3D | FrameEncoder | NeckedEncoder | ExternalEncoder | ProjectedEncoder | CameraEncoder
"""Encodes clips (B, 3, L, H, W) in [-1, 1] as features (B, D), with D its `dim`."""


def make_encoder(
    stage: Stage1, architecture: Mapping[str, Any] | None = None, onnx: bytes | None = None
) -> ClipEncoder:
    """Return the clip encoder of a recipe, ready for training unless it is an ONNX network.

    Args:
        stage: Encoder, width, instance normalisation and neck.
        architecture: Architecture of a frame encoder or of an ONNX network, from its attribute `architecture`. If
            given, no folder is read and the weights are random, to be loaded from a model file.
        onnx: With `architecture`, the ONNX file.

    Raises:
        RecipeError: If the folder of a frame encoder does not hold one, the recipe is for stage 2 alone, or the pixel
            format of an ONNX file is unknown.
        CheckpointError: If an ONNX file cannot be run.
    """
    if stage.encoder == GIVEN:
        raise RecipeError(
            "this recipe trains stage 2 alone: name the model whose encoder to use, such as --encoder open-small"
        )
    kind, _, folder = stage.encoder.partition(":")
    if kind == "python":
        raise RecipeError(f"the encoder of this recipe, {folder}, is a Python object: use Model.from_encoder")
    if kind == "onnx":
        if architecture is None or onnx is None:
            return OnnxEncoder.from_file(Path(folder))
        return OnnxEncoder(onnx, PixelFormat.from_json(architecture["pixels"]), architecture["name"])
    body: I3D | FrameEncoder
    if kind == "i3d":
        body = I3D(width=stage.encoder_width, instance_norm=stage.instance_norm)
    elif kind == EFFICIENTNET:
        body = efficientnet_encoder(stage.frozen)
    elif architecture is not None:
        body = FrameEncoder.from_architecture(architecture)
    else:
        body = FrameEncoder.from_folder(Path(folder).expanduser())
    return body if stage.neck == "none" else NeckedEncoder(body, after=stage.neck == "after")


def encoder_body(encoder: nn.Module) -> nn.Module:
    """Return the encoder without its neck, and without statistics of cameras and projection."""
    while isinstance(encoder, CameraEncoder | ProjectedEncoder):
        encoder = encoder.trained
    return encoder.body if isinstance(encoder, NeckedEncoder) else encoder


def load_initial_weights(encoder: ClipEncoder, path: Path) -> LoadReport:
    """Load public weights to start training from: Kinetics weights of the I3D, or ImageNet weights of EfficientNet.

    Args:
        encoder: The encoder, changed in place.
        path: File of a state dict; see `load_public_weights`.

    Raises:
        RecipeError: If the encoder has its own weights already.
        CheckpointError: If the file does not fit the encoder.
    """
    body = encoder_body(encoder)
    if isinstance(body, I3D):
        return load_public_weights(body, path)
    if isinstance(body, FrameEncoder) and isinstance(body.network, EfficientNetLite0):
        return load_public_weights(body.network, path, public_name)
    raise RecipeError(
        "initial weights are for the encoders i3d and efficientnet-lite0, but the recipe has another one: omit the "
        "weights, or change the encoder"
    )


def is_frame_wise(encoder: nn.Module) -> bool:
    """Return whether clip features are means of frame features, so that `encode_distinct` applies."""
    body = encoder_body(encoder)
    return isinstance(body, FrameWise) and body.frame_wise


def encode_distinct(encoder: nn.Module, frames: Tensor, places: Tensor) -> Tensor:
    """Return the features of clips that share frames; each frame is encoded once.

    Args:
        encoder: `inference_copy` of an encoder for which `is_frame_wise` holds.
        frames: (F, 3, H, W) in [-1, 1].
        places: (..., L) int64: the frames of each clip.

    Returns:
        (..., D) float32, the same as `encoder` returns for the clips up to rounding.
    """
    network, rest = (encoder[0], encoder[1:]) if isinstance(encoder, nn.Sequential) else (encoder, nn.Identity())
    assert isinstance(network, FrameWise)
    parts = [network.frame_features(part) for part in torch.split(frames, FRAMES_AT_ONCE)]
    clips = torch.cat(parts)[places.flatten()].view(-1, places.shape[-1], parts[0].shape[1]).mean(1)
    features: Tensor = rest(clips)
    return features.view(*places.shape[:-1], -1)


def inference_copy(encoder: nn.Module, dtype: torch.dtype = torch.float32, camera: str = "") -> nn.Module:
    """Return a faster copy for inference; later changes of `encoder` do not affect it.

    Args:
        encoder: Encoder from (B, 3, L, H, W) to (B, D). An encoder of another class than those of this module is
            returned itself, in evaluation mode.
        dtype: What the copy computes in.
        camera: The camera whose statistics a `CameraEncoder` uses; the trained ones if it does not know the camera.

    Returns:
        Encoder from (B, 3, L, H, W) in [-1, 1] to (B, D) float32, in evaluation mode.
    """
    keep_freed_memory()
    if isinstance(encoder, CameraEncoder):
        return inference_copy(encoder.of_camera(camera), dtype)
    if isinstance(encoder, ProjectedEncoder):
        fast_encoder = inference_copy(encoder.trained, dtype)
        layers = fast_encoder if isinstance(fast_encoder, nn.Sequential) else [fast_encoder]
        return nn.Sequential(*layers, encoder.layer()).eval()
    if isinstance(encoder, I3D):
        return inference_encoder(encoder, dtype)
    if isinstance(encoder, NeckedEncoder):
        body = inference_copy(encoder.body, dtype)
        return nn.Sequential(body, copy.deepcopy(encoder.neck)).eval() if encoder.after else body
    if isinstance(encoder, FrameEncoder):
        fast = copy.deepcopy(encoder).eval()
        if isinstance(fast.network, EfficientNetLite0):
            fast.network = fast.network.folded()
        return fast.to_precision(dtype)
    return encoder.eval()
