"""Detect people in video frames: the detector interface, and OpenCV's built-in detector, which needs no weights."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np

from resight.data.frames import Pixels, resize_frame
from resight.errors import DatasetError
from resight.ingest.overlaps import FloatArray, suppress_overlaps


class Detector(Protocol):
    """Detects people in single images.

    Attributes:
        identity: String that changes whenever the detections may change: the detector's name, and a hash of its weights
            and description if it has any.
    """

    identity: str

    def detect(self, image: Pixels) -> tuple[FloatArray, FloatArray]:
        """Return the people in one image.

        Args:
            image: (h, w, 3) RGB uint8.

        Returns:
            Boxes (n, 4) as left, top, width and height in pixels, and scores (n,) from 0 to 1, best first. Include
            low-scoring boxes: the tracker uses them to continue tracks, not to start them.
        """


def open_detector(name: str) -> Detector:
    """Return the detector with the given name.

    Args:
        name: ``hog``, or the path of an ONNX file with a description of the same name (``people.toml``).

    Raises:
        DatasetError: If there is no such detector, or a package that it needs is not installed.
    """
    if name == "hog":
        return HogDetector()
    if name.endswith(".onnx"):
        from resight.ingest.onnx_detector import OnnxDetector

        return OnnxDetector(Path(name).expanduser())
    raise DatasetError(
        f"unknown detector {name!r}: expected hog, or an ONNX file such as people.onnx, described by people.toml"
    )


class HogDetector:
    """Histograms of oriented gradients with a linear classifier (Dalal and Triggs, CVPR 2005), as shipped with OpenCV.

    Detects people who are upright, fully visible and at least about one eighth of the image height tall, at a few
    images per second. It is meant for trying things out; use an ONNX detector for real work.
    """

    identity = "hog 1"

    _ROWS = 864
    """Images are resized to this height, so that the detection window of 128 pixels is about one eighth of it."""
    _STEP = 1.15
    _OVERLAP = 0.4
    _HALF_SCORE_DISTANCE = 1.25
    """Distance from the decision boundary that is mapped to a score of 0.5: most false alarms are below it, most people
    above."""
    _BODY = (0.22, 0.1, 0.56, 0.8)
    """Position of the person in a detection window: left, top, width and height as fractions."""

    def __init__(self) -> None:
        try:
            import cv2
        except ImportError as error:
            raise DatasetError(
                f"detecting people needs OpenCV ({error}): pip install 'resight[detect]'; if libGL is missing, apt "
                "install libgl1. Or pass tracks"
            ) from error
        if not hasattr(cv2, "HOGDescriptor"):
            raise DatasetError(f"OpenCV {cv2.__version__} has no people detector: pip install 'resight[detect]'")
        self._hog = cv2.HOGDescriptor()
        self._hog.setSVMDetector(np.asarray(cv2.HOGDescriptor.getDefaultPeopleDetector()))

    def detect(self, image: Pixels) -> tuple[FloatArray, FloatArray]:
        """Return boxes and scores; see `Detector.detect`. A distance d from the boundary has score d / (1.25 + d)."""
        scale = self._ROWS / image.shape[0]
        resized = resize_frame(image, (self._ROWS, round(image.shape[1] * scale)))
        windows, distances = self._hog.detectMultiScale(
            np.ascontiguousarray(resized[:, :, ::-1]),
            winStride=(8, 8),
            scale=self._STEP,
            groupThreshold=0,
        )
        boxes = np.asarray(windows, np.float64).reshape(-1, 4) / scale
        distance = np.asarray(distances, np.float64).reshape(-1).clip(0)
        # OpenCV's threads return windows in varying order; sort them to make the result reproducible.
        order = np.lexsort((*boxes.T, -distance))
        boxes, scores = boxes[order], (distance / (self._HALF_SCORE_DISTANCE + distance))[order]
        kept = suppress_overlaps(boxes, scores, self._OVERLAP)
        left, top, width, height = boxes[kept].T
        x, y, w, h = self._BODY
        body = np.stack([left + x * width, top + y * height, w * width, h * height], axis=1)
        return body, scores[kept]
