"""Any detector that was saved as ONNX, its input and output told by a small TOML file beside it."""

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
    """What goes into a detector and what comes out: the keys of the TOML file.

    Attributes:
        size: height and width of its input.
        boxes: name of the output that holds the boxes, a candidate per row.
        scores: name of the output that holds the scores; None: the same as `boxes`.
        labels: name of an output with the class of each candidate, for detectors that give one score each.
        keep_aspect: fit the picture into the top left corner and fill the rest; otherwise it is stretched.
        fill: grey level of the rest.
        channels: ``rgb`` or ``bgr``.
        layout: ``nchw`` or ``nhwc``.
        mean: subtracted from each channel, of pixels between 0 and 255.
        std: what the difference is divided by.
        transposed: candidates are columns, as in (1, 84, 8400).
        box_column: the first of the four columns of the box.
        form: ``centre`` (x, y, width, height), ``corners`` (left, top, right, bottom) or ``corner`` (left, top, width,
            height).
        unit: ``pixels`` of the input, or ``share`` of its sides.
        score_column: column of the first class's score.
        objectness_column: a score that the class's is multiplied by, if there is one.
        person: number of the class of people.
        sigmoid: scores are logits.
        threshold: candidates with a lower score are dropped; low ones help the tracker.
        overlap: intersection over union above which the worse of two boxes is dropped.
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
    """Read a description.

    Raises:
        DatasetError: if it is missing, is not TOML, or a key is missing, unknown or has a value that cannot work.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DatasetError(
            f"there is no {path} ({error.strerror}): a detector needs its description beside it, with at least "
            "size = [640, 640] and boxes = 'name of the output'"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} is not TOML: {error}") from error
    known = {field.name: field for field in fields(OnnxDescription)}
    for name, value in values.items():
        if name not in known:
            raise DatasetError(f"{path}: {name!r} is not a key; known: {', '.join(known)}")
        if not _fits(name, value, str(known[name].type)):
            wanted = " or ".join(_CHOICES[name]) if name in _CHOICES else known[name].type
            raise DatasetError(f"{path}: expected {name} to be {wanted}, found {value!r}")
    for name in ("size", "boxes"):
        if name not in values:
            raise DatasetError(f"{path} has no {name}, which a description needs")
    plain: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    return OnnxDescription(**plain)


class OnnxDetector:
    """A detector in an ONNX file, run by onnxruntime on the CPU; ``people.toml`` describes ``people.onnx``."""

    def __init__(self, path: Path):
        """Load it.

        Raises:
            DatasetError: if a file is missing or does not fit the other, or onnxruntime is not installed.
        """
        try:
            import onnxruntime
        except ImportError as error:
            raise DatasetError(f"running {path} needs onnxruntime: pip install 'resight[detect]'") from error
        if not path.is_file():
            raise DatasetError(f"there is no detector {path}; check the path")
        described = path.with_suffix(".toml")
        self.description = read_description(described)
        try:
            self._session: Any = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own errors have no common base
            raise DatasetError(f"{path} is not a model that onnxruntime can run: {error}") from error
        outputs = [output.name for output in self._session.get_outputs()]
        for name in (self.description.boxes, self.description.scores, self.description.labels):
            if name is not None and name not in outputs:
                has = ", ".join(outputs)
                raise DatasetError(f"{described} has an output {name!r}, but the outputs of {path.name} are {has}")
        hashed = hashlib.sha256(path.read_bytes() + described.read_bytes()).hexdigest()
        self.identity = f"onnx {hashed}"

    def detect(self, picture: Pixels) -> tuple[FloatArray, FloatArray]:
        """See `Detector.detect`.

        Raises:
            DatasetError: if the outputs are not as described.
        """
        values, scale = prepare_picture(picture, self.description)
        outputs = [output.name for output in self._session.get_outputs()]
        try:
            found = self._session.run(outputs, {self._session.get_inputs()[0].name: values})
            return read_candidates(dict(zip(outputs, found, strict=True)), scale, self.description)
        except Exception as error:  # as above; and IndexError where columns are missing
            raise DatasetError(f"the detector does not fit its description: {error}") from error


def prepare_picture(picture: Pixels, description: OnnxDescription) -> tuple[NDArray[np.float32], tuple[float, float]]:
    """A picture as a detector's input.

    Returns:
        (1, 3, H, W) or (1, H, W, 3) float32, and the input's pixels per pixel of the picture, across and down.
    """
    (height, width), (h, w) = description.size, picture.shape[:2]
    if description.keep_aspect:
        ratio = min(height / h, width / w)
        rows, columns = max(1, round(h * ratio)), max(1, round(w * ratio))
    else:
        rows, columns = height, width
    canvas = np.full((height, width, 3), description.fill, np.float32)
    canvas[:rows, :columns] = resize_frame(picture, (rows, columns))
    if description.channels == "bgr":
        canvas = canvas[:, :, ::-1]
    values = (canvas - np.array(description.mean, np.float32)) / np.array(description.std, np.float32)
    values = values.transpose(2, 0, 1) if description.layout == "nchw" else values
    return np.ascontiguousarray(values[None], np.float32), (columns / w, rows / h)


def read_candidates(
    outputs: dict[str, NDArray[Any]], scale: tuple[float, float], description: OnnxDescription
) -> tuple[FloatArray, FloatArray]:
    """Boxes (n, 4) of people in pixels of the picture, and scores (n,), best first, without overlaps."""
    d = description
    table = _rows(outputs[d.boxes], d)
    scored = _rows(outputs[d.scores], d) if d.scores else table
    if d.labels:
        scores = scored[:, d.score_column if scored.shape[1] > 1 else 0]
        mine = outputs[d.labels].reshape(-1) == d.person
    else:
        scores = scored[:, d.score_column + d.person]
        mine = np.ones(len(scores), bool)
    scores = 1 / (1 + np.exp(-scores)) if d.sigmoid else scores
    if d.objectness_column is not None:
        objectness = table[:, d.objectness_column]
        scores = scores * (1 / (1 + np.exp(-objectness)) if d.sigmoid else objectness)
    mine &= np.isfinite(table).all(1) & (scores >= d.threshold)
    first, second = table[mine, d.box_column : d.box_column + 2], table[mine, d.box_column + 2 : d.box_column + 4]
    corner = first - second / 2 if d.form == "centre" else first
    extent = second - first if d.form == "corners" else second
    whole = np.array(d.size[::-1]) if d.unit == "share" else 1
    boxes = np.concatenate([corner, extent], axis=1) * np.tile(whole / np.array(scale), 2)
    positive = (extent > 0).all(1)
    boxes, kept_scores = boxes[positive], scores[mine][positive].clip(0, 1)
    kept = suppress_overlaps(boxes, kept_scores, d.overlap)
    return boxes[kept], kept_scores[kept]


def _rows(output: NDArray[Any], description: OnnxDescription) -> FloatArray:
    """A candidate per row, whatever axes of length 1 came before."""
    values = np.asarray(output, np.float64)
    if values.ndim == 1:
        return values[:, None]
    table = values.reshape(values.shape[-2:]) if values.size else values.reshape(0, values.shape[-1])
    if values.ndim == 2 and len(values) == 1 and description.labels:
        return values.T  # (1, n) scores beside labels
    return table.T if description.transposed else table


def _fits(name: str, value: Any, kind: str) -> bool:
    if name in _CHOICES:
        return value in _CHOICES[name]
    if kind.startswith("tuple"):
        count = kind.count(",") + 1
        return isinstance(value, list) and len(value) == count and all(type(v) in (int, float) for v in value)
    types: dict[str, tuple[type, ...]] = {"str": (str,), "bool": (bool,), "int": (int,), "float": (int, float)}
    return type(value) in types[kind.removesuffix(" | None")]
