"""Run a detector saved as ONNX; a small TOML file next to it describes its input and output."""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resight.data.frames import Pixels, resize_frame
from resight.errors import DatasetError
from resight.ingest.overlaps import FloatArray, suppress_overlaps

_CHOICES = {
    "channels": ("rgb", "bgr"),
    "layout": ("nchw", "nhwc"),
    "form": ("centre", "corners", "corner"),
    "unit": ("pixels", "share"),
}


@dataclass(frozen=True)
class OnnxDescription:
    """Input and output format of a detector: the keys of its TOML file.

    Attributes:
        size: Height and width of the input.
        boxes: Name of the output with the boxes, one candidate per row.
        scores: Name of the output with the scores; None: the same output as `boxes`.
        labels: Name of the output with the class of each candidate, for detectors with one score per candidate.
        keep_aspect: Fit the image into the top left corner and fill the remaining area; False: stretch it.
        fill: Grey level of the remaining area, 0 to 255.
        channels: Channel order, ``rgb`` or ``bgr``.
        layout: Axis order, ``nchw`` or ``nhwc``.
        mean: Value subtracted from the pixels of each channel, which range from 0 to 255.
        std: Value by which the difference is divided.
        transposed: Candidates are columns instead of rows, as in a (1, 84, 8400) output.
        box_column: First of the four box columns.
        form: Box format: ``centre`` (x, y, width, height), ``corners`` (left, top, right, bottom) or ``corner`` (left,
            top, width, height).
        unit: Box unit: ``pixels`` of the input, or ``share`` for fractions of its width and height.
        score_column: Column with the score of class 0.
        objectness_column: Column with an objectness score that is multiplied by the class score; None: there is none.
        person: Class number of people.
        sigmoid: Scores are logits.
        threshold: Minimum score; low-scoring candidates help the tracker to continue tracks.
        overlap: Intersection over union above which the lower-scoring of two boxes is dropped.
    """

    size: tuple[int, int]
    boxes: str
    scores: str | None = None
    labels: str | None = None
    keep_aspect: bool = True
    fill: int = 114
    channels: str = "rgb"
    layout: str = "nchw"
    mean: tuple[float, float, float] = (0, 0, 0)
    std: tuple[float, float, float] = (255, 255, 255)
    transposed: bool = False
    box_column: int = 0
    form: str = "centre"
    unit: str = "pixels"
    score_column: int = 4
    objectness_column: int | None = None
    person: int = 0
    sigmoid: bool = False
    threshold: float = 0.1
    overlap: float = 0.6


def read_description(path: Path) -> OnnxDescription:
    """Read the description of a detector.

    Raises:
        DatasetError: If the file is missing or not TOML, or a key is missing, unknown or has an invalid value.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DatasetError(
            f"cannot read {path} ({error.strerror}): an ONNX detector needs its description next to it, with at least "
            "size = [640, 640] and boxes = 'name of the output'"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} is not TOML: {error}") from error
    known = {field.name: field for field in fields(OnnxDescription)}
    for name, value in values.items():
        if name not in known:
            raise DatasetError(f"{path}: unknown key {name!r}; known keys: {', '.join(known)}")
        if not _is_valid(name, value, str(known[name].type)):
            expected = " or ".join(_CHOICES[name]) if name in _CHOICES else known[name].type
            raise DatasetError(f"{path}: expected {name} to be {expected}, found {value!r}")
    for name in ("size", "boxes"):
        if name not in values:
            raise DatasetError(f"{path} has no {name}, which every description needs; add it")
    arguments: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
    }
    return OnnxDescription(**arguments)


class OnnxDetector:
    """A detector in an ONNX file such as ``people.onnx``, described by ``people.toml``; runs onnxruntime on the CPU.

    Args:
        path: ONNX file.

    Raises:
        DatasetError: If a file is missing, the two files do not match, or onnxruntime is not installed.
    """

    def __init__(self, path: Path):
        try:
            import onnxruntime
        except ImportError as error:
            raise DatasetError(f"running {path} needs onnxruntime: pip install 'resight[detect]'") from error
        if not path.is_file():
            raise DatasetError(f"there is no detector {path}; check the path")
        description_path = path.with_suffix(".toml")
        self.description = read_description(description_path)
        try:
            self._session: Any = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        except Exception as error:  # the exceptions of onnxruntime have no common base class
            raise DatasetError(f"{path} is not a model that onnxruntime can run: {error}") from error
        outputs = [output.name for output in self._session.get_outputs()]
        for name in (self.description.boxes, self.description.scores, self.description.labels):
            if name is not None and name not in outputs:
                raise DatasetError(
                    f"{description_path} names an output {name!r}, but the outputs of {path.name} are "
                    f"{', '.join(outputs)}"
                )
        digest = hashlib.sha256(path.read_bytes() + description_path.read_bytes()).hexdigest()
        self.identity = f"onnx {digest}"

    def detect(self, image: Pixels) -> tuple[FloatArray, FloatArray]:
        """Return boxes and scores; see `Detector.detect`.

        Raises:
            DatasetError: If the outputs do not match the description.
        """
        values, scale = prepare_image(image, self.description)
        names = [output.name for output in self._session.get_outputs()]
        try:
            outputs = self._session.run(names, {self._session.get_inputs()[0].name: values})
            return read_candidates(dict(zip(names, outputs, strict=True)), scale, self.description)
        except Exception as error:  # from onnxruntime, or IndexError if columns are missing
            raise DatasetError(
                f"the detector's outputs do not match its description ({error}); correct the TOML file"
            ) from error


def prepare_image(image: Pixels, description: OnnxDescription) -> tuple[NDArray[np.float32], tuple[float, float]]:
    """Return an image in the input format of a detector.

    Args:
        image: (h, w, 3) RGB uint8.
        description: Input format.

    Returns:
        (1, 3, H, W) or (1, H, W, 3) float32 input, and the horizontal and vertical scale from image to input pixels.
    """
    (height, width), (h, w) = description.size, image.shape[:2]
    if description.keep_aspect:
        ratio = min(height / h, width / w)
        rows, columns = max(1, round(h * ratio)), max(1, round(w * ratio))
    else:
        rows, columns = height, width
    canvas = np.full((height, width, 3), description.fill, np.float32)
    canvas[:rows, :columns] = resize_frame(image, (rows, columns))
    if description.channels == "bgr":
        canvas = canvas[:, :, ::-1]
    values = (canvas - np.array(description.mean, np.float32)) / np.array(description.std, np.float32)
    values = values.transpose(2, 0, 1) if description.layout == "nchw" else values
    return np.ascontiguousarray(values[None], np.float32), (columns / w, rows / h)


def read_candidates(
    outputs: dict[str, NDArray[Any]], scale: tuple[float, float], description: OnnxDescription
) -> tuple[FloatArray, FloatArray]:
    """Return the people in a detector's outputs, after non-maximum suppression.

    Args:
        outputs: Output arrays by name.
        scale: Horizontal and vertical scale from image to input pixels, as returned by `prepare_image`.
        description: Output format.

    Returns:
        Boxes (n, 4) as left, top, width and height in pixels of the image, and scores (n,), best first.
    """
    d = description
    table = _rows(outputs[d.boxes], d)
    score_table = _rows(outputs[d.scores], d) if d.scores else table
    if d.labels:
        scores = score_table[:, d.score_column if score_table.shape[1] > 1 else 0]
        kept = outputs[d.labels].reshape(-1) == d.person
    else:
        scores = score_table[:, d.score_column + d.person]
        kept = np.ones(len(scores), bool)
    scores = 1 / (1 + np.exp(-scores)) if d.sigmoid else scores
    if d.objectness_column is not None:
        objectness = table[:, d.objectness_column]
        scores = scores * (1 / (1 + np.exp(-objectness)) if d.sigmoid else objectness)
    kept &= np.isfinite(table).all(1) & (scores >= d.threshold)
    first, second = table[kept, d.box_column : d.box_column + 2], table[kept, d.box_column + 2 : d.box_column + 4]
    corner = first - second / 2 if d.form == "centre" else first
    extent = second - first if d.form == "corners" else second
    unit = np.array(d.size[::-1]) if d.unit == "share" else 1
    boxes = np.concatenate([corner, extent], axis=1) * np.tile(unit / np.array(scale), 2)
    positive = (extent > 0).all(1)
    boxes, box_scores = boxes[positive], scores[kept][positive].clip(0, 1)
    best = suppress_overlaps(boxes, box_scores, d.overlap)
    return boxes[best], box_scores[best]


def _rows(output: NDArray[Any], description: OnnxDescription) -> FloatArray:
    """Return an output as a table with one candidate per row, without leading axes of length 1."""
    values = np.asarray(output, np.float64)
    if values.ndim == 1:
        return values[:, None]
    table = values.reshape(values.shape[-2:]) if values.size else values.reshape(0, values.shape[-1])
    if values.ndim == 2 and len(values) == 1 and description.labels:
        return values.T  # (1, n) scores of a detector with labels
    return table.T if description.transposed else table


def _is_valid(name: str, value: Any, type_: str) -> bool:
    """Return whether a value in a description has the type, and is one of the choices, of its key."""
    if name in _CHOICES:
        return value in _CHOICES[name]
    if type_.startswith("tuple"):
        count = type_.count(",") + 1
        return isinstance(value, list) and len(value) == count and all(type(v) in (int, float) for v in value)
    types: dict[str, tuple[type, ...]] = {"str": (str,), "bool": (bool,), "int": (int,), "float": (int, float)}
    return type(value) in types[type_.removesuffix(" | None")]
