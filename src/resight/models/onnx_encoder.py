"""Any ONNX network as a clip encoder, run by onnxruntime.

Legend: N frames or clips, L frames per clip of H x W, D features.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from resight.errors import CheckpointError, RecipeError
from resight.models.external import DEFAULT_LENGTH, ExternalEncoder
from resight.models.onnx_weights import take_weights_in
from resight.models.pixel_format import (
    CLIP_LAYOUTS,
    FRAME_LAYOUTS,
    PRESETS,
    PixelFormat,
    find_preset,
    format_of_metadata,
    read_pixel_format,
)
from resight.progress import note

BATCH = 16
"""Frames or clips that a network without a fixed batch gets at once. More is not faster on a CPU, and takes memory."""

_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


class _Input(NamedTuple):
    """The input of a network: its name, number type, batch (0: any), and the format with size, layout and length."""

    name: str
    type: str
    batch: int
    pixels: PixelFormat


class OnnxEncoder(ExternalEncoder):
    """An ONNX network as a clip encoder.

    The state dict holds the whole file as bytes, so that a model file with this encoder needs no other file, and its
    hash covers the network. It uses as many threads as torch, each for a part of the frames.

    Args:
        content: The ONNX file, with all weights in it.
        pixels: The format of its input.
        name: Name of the network, for messages.

    Attributes:
        onnx: The file as bytes, (n,) uint8.

    Raises:
        CheckpointError: If onnxruntime cannot run the network, or it does not take frames or clips and return features.
        RecipeError: If onnxruntime is not installed, the size of frames is unknown, or the output is ambiguous.
    """

    onnx: Tensor

    def __init__(self, content: bytes, pixels: PixelFormat, name: str) -> None:
        session = _open_session(content, name)
        entry = _input_of(session, pixels, name)
        super().__init__(entry.pixels, name)
        self._sessions: dict[tuple[int, str], Any] = {}
        self.register_buffer("onnx", torch.frombuffer(bytearray(content), dtype=torch.uint8))
        self._input = entry
        self._output = _output_of(session, pixels.output, name)
        self._batch = entry.batch
        self.dim = self._try_out()

    @classmethod
    def from_file(cls, path: Path, preset: str | None = None) -> OnnxEncoder:
        """Return the network in a file.

        Args:
            path: The ONNX file, or FILE#PRESET. Weights in a second file are taken in.
            preset: Name of the format of its input, a key of `PRESETS`. None reads it from the TOML file of the same
                name, or from the metadata of the ONNX file.

        Raises:
            CheckpointError: As for the class, or if the file cannot be read.
            RecipeError: As for the class, or if the format of the input is unknown.
        """
        path = path.expanduser()
        if preset is None and "#" in path.name and not path.is_file():
            name, _, preset = path.name.rpartition("#")
            path = path.with_name(name)
        if not path.is_file():
            raise CheckpointError(f"there is no ONNX file {path}; check the path")
        content = take_weights_in(path.read_bytes(), path.parent)
        beside = path.with_suffix(".toml")
        if preset is not None:
            pixels: PixelFormat | None = find_preset(preset)
            if beside.is_file():
                note(f"using preset {preset} instead of {beside}")
        elif beside.is_file():
            pixels = read_pixel_format(beside)
        else:
            metadata = _open_session(content, str(path)).get_modelmeta().custom_metadata_map
            pixels = format_of_metadata(metadata)
        if pixels is None:
            raise RecipeError(
                f"the pixel format of {path} is unknown: name a preset as onnx:{path.name}#PRESET, one of "
                f"{', '.join(PRESETS)}; or write {beside.name} beside it with size, channels, mean, std and "
                "value_range; docs/encoders.md explains both"
            )
        return cls(content, pixels, path.name)

    @property
    def architecture(self) -> dict[str, Any]:
        """See `ExternalEncoder.architecture`."""
        return {"pixels": self.pixels.to_json(), "name": self.name}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_sessions": {}}  # sessions can be neither copied nor sent to another process

    def _try_out(self) -> int:
        """Run the network on two inputs and return D; a network that can only take one at a time is noted as such."""
        shape = (2, 3, *self.size) if self.frame_wise else (2, 3, self.length, *self.size)
        values = self.prepared(torch.linspace(-1, 1, int(np.prod(shape))).view(shape))
        if self._batch:
            return self._run(values).shape[1]
        alone = torch.cat([self._run(value[None]) for value in values])
        try:
            together = self._run(values)
        except CheckpointError:
            self._batch = 1  # exported with a batch of one in its inner shapes
        else:
            tolerance = 1e-2 * float(alone.abs().max())
            if together.shape != alone.shape or not torch.allclose(together, alone, rtol=0, atol=tolerance):
                raise CheckpointError(
                    f"the features of {self.name} depend on the other pictures of a batch: export the network in "
                    "evaluation mode (model.eval()), or with a batch of 1"
                )
        return alone.shape[1]

    def _run(self, values: Tensor) -> Tensor:
        session = self._session(values.device)
        array = values.cpu().numpy().astype(_TYPES[self._input.type], copy=False)
        size = self._batch or BATCH
        parts = [array[start : start + size] for start in range(0, len(array), size)]
        # Parts side by side in one thread each are faster than one part in all threads, which wait for each other.
        threads = 1 if values.device.type == "cuda" else min(torch.get_num_threads(), len(parts))
        if threads > 1:
            with ThreadPoolExecutor(threads) as pool:
                rows = list(pool.map(partial(self._run_part, session), parts))
        else:
            rows = [self._run_part(session, part) for part in parts]
        return self._checked(torch.from_numpy(np.concatenate(rows)), len(array)).to(values.device)

    def _run_part(self, session: Any, part: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return the features of at most one batch; a network with a fixed batch gets the last input repeatedly."""
        missing = self._batch - len(part) if self._batch else 0
        whole = np.concatenate([part, np.repeat(part[-1:], missing, 0)]) if missing else part
        try:
            (out,) = session.run([self._output], {self._input.name: whole})
        except Exception as error:  # the exceptions of onnxruntime have no common base class
            raise CheckpointError(f"{self.name} failed on an input of {whole.shape}: {_first_line(error)}") from error
        if out.ndim < 2 or len(out) != len(whole):
            self._checked(torch.from_numpy(out), len(whole))  # says what is wrong
        features: NDArray[np.floating] = out[: len(part)]
        return features

    def _session(self, device: torch.device) -> Any:
        """Return the session for this process and device: it does not survive a fork."""
        key = os.getpid(), device.type
        if key not in self._sessions:
            content = self.onnx.cpu().numpy().tobytes()
            self._sessions = {key: _open_session(content, self.name, device.type)}
        return self._sessions[key]


def _open_session(content: bytes, name: str, device: str = "cpu") -> Any:
    onnxruntime = _onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    wanted = ["CPUExecutionProvider"] if device == "cpu" else ["CUDAExecutionProvider", "CPUExecutionProvider"]
    providers = [provider for provider in wanted if provider in onnxruntime.get_available_providers()]
    try:
        return onnxruntime.InferenceSession(content, options, providers=providers)
    except Exception as error:  # the exceptions of onnxruntime have no common base class
        raise CheckpointError(
            f"{name} is not a network that onnxruntime {onnxruntime.__version__} can run: {_first_line(error)}"
        ) from error


def _input_of(session: Any, pixels: PixelFormat, name: str) -> _Input:
    """Return the input of a network, and its format with size, layout and length."""
    inputs = session.get_inputs()
    if len(inputs) != 1:
        names = ", ".join(entry.name for entry in inputs)
        raise CheckpointError(f"{name} has {len(inputs)} inputs ({names}), expected one: export the network with one")
    (entry,) = inputs
    if entry.type not in _TYPES:
        raise CheckpointError(
            f"the input {entry.name!r} of {name} is {entry.type}, expected tensor(float): export the network with "
            "floating-point input, without its own decoding or quantisation of pixels"
        )
    shape = [n if isinstance(n, int) and n > 0 else 0 for n in entry.shape]
    layout = _layout_of(shape, pixels.layout, f"the input {entry.name!r} of {name} is {entry.shape}")
    axes = dict(zip(layout, shape, strict=True))
    height, width = axes["h"] or pixels.size[0], axes["w"] or pixels.size[1]
    if not height or not width:
        raise RecipeError(
            f"{name} has no fixed size of frames: write size = [height, width] in its TOML file, such as [256, 128]"
        )
    length = axes["l"] or pixels.length or DEFAULT_LENGTH if "l" in axes else pixels.length
    return _Input(
        entry.name, entry.type, axes["n"], replace(pixels, size=(height, width), layout=layout, length=length)
    )


def _layout_of(shape: list[int], wanted: str, found: str) -> str:
    """Return the layout with its RGB axis at an axis of 3 or of unknown size; 0 in `shape` stands for unknown."""
    layouts = [wanted] if wanted else [*FRAME_LAYOUTS, *CLIP_LAYOUTS]
    possible = [layout for layout in layouts if len(layout) == len(shape) and shape[layout.index("c")] in (0, 3)]
    certain = [layout for layout in possible if shape[layout.index("c")] == 3]
    if len(certain) == 1 or (possible and not certain):
        return (certain or possible)[0]
    if certain:
        raise RecipeError(f"{found}, so its layout can be {' or '.join(certain)}: write layout in its TOML file")
    raise CheckpointError(
        f"{found}, expected {wanted or 'frames (N, 3, H, W) or clips (N, 3, L, H, W)'}, with three channels"
    )


def _output_of(session: Any, wanted: str, name: str) -> str:
    """Return the name of the output with the features."""
    outputs: dict[str, list[Any]] = {output.name: output.shape for output in session.get_outputs()}
    listed = ", ".join(f"{key} {shape}" for key, shape in outputs.items())
    if wanted:
        if wanted not in outputs:
            raise RecipeError(f"{name} has no output {wanted!r}, its outputs are {listed}")
        return wanted
    if len(outputs) == 1:
        return next(iter(outputs))
    vectors = [key for key, shape in outputs.items() if len(shape) == 2 or (shape[2:] and set(shape[2:]) == {1})]
    if len(vectors) != 1:
        raise RecipeError(
            f"{name} has several outputs ({listed}): name the features as output = '...' in its TOML file"
        )
    return vectors[0]


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise RecipeError("ONNX encoders need onnxruntime: pip install 'resight[encoders]'") from error
    return onnxruntime
