"""Where people are in a picture: one small interface, and OpenCV's own detector, which needs no weights."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np

from resight.data.frames import Pixels, resize_frame
from resight.errors import DatasetError
from resight.ingest.overlaps import FloatArray, suppress_overlaps


class Detector(Protocol):
    """Finds people in single pictures.

    Attributes:
        identity: changes whenever the answers may: the name, and a hash of weights and description if there are any.
    """

    identity: str

    def detect(self, picture: Pixels) -> tuple[FloatArray, FloatArray]:
        """People in one picture.

        Args:
            picture: (h, w, 3) RGB uint8.

        Returns:
            Boxes (n, 4) as left, top, width and height in pixels, and scores (n,) between 0 and 1, best first. Doubtful
            ones are welcome: the tracker uses them to go on with a track, not to begin one.
        """


def open_detector(name: str) -> Detector:
    """A detector by its name: ``hog``, or the path of an ONNX file with a description beside it.

    Raises:
        DatasetError: if there is none of that name, or the packages that it needs are missing.
    """
    if name == "hog":
        return HogDetector()
    if name.endswith(".onnx"):
        from resight.ingest.onnx_detector import OnnxDetector

        return OnnxDetector(Path(name).expanduser())
    raise DatasetError(f"{name!r} is no detector: expected hog, or an ONNX file such as people.onnx with people.toml")


class HogDetector:
    """Histograms of oriented gradients and a linear classifier (Dalal and Triggs, CVPR 2005), as OpenCV ships them.

    It finds upright people, seen whole, who are at least about an eighth as high as the picture, at a few
    pictures a second. Good enough to try things out; give an ONNX file for work.
    """

    identity = "hog 1"

    _ROWS = 864
    """Pictures are resized to this height: its window of 128 pixels then is what the class promises."""
    _STEP = 1.15
    _OVERLAP = 0.4
    _DOUBTFUL = 1.25
    """Distance from the boundary that gets the score 1/2: most false alarms are below it, most people above."""
    _BODY = (0.22, 0.1, 0.56, 0.8)
    """Where in a window the person is: left, top, width, height, as shares."""

    def __init__(self) -> None:
        try:
            import cv2
        except ImportError as error:
            raise DatasetError(
                f"detecting people needs OpenCV ({error}): pip install 'resight[detect]', and if it is libGL that is "
                "missing, apt install libgl1; or give tracks"
            ) from error
        if not hasattr(cv2, "HOGDescriptor"):
            raise DatasetError(f"OpenCV {cv2.__version__} has no people detector: pip install 'resight[detect]'")
        self._hog = cv2.HOGDescriptor()
        self._hog.setSVMDetector(np.asarray(cv2.HOGDescriptor.getDefaultPeopleDetector()))

    def detect(self, picture: Pixels) -> tuple[FloatArray, FloatArray]:
        """See `Detector.detect`. A score is s / (1.25 + s) for a distance s from the classifier's boundary."""
        scale = self._ROWS / picture.shape[0]
        resized = resize_frame(picture, (self._ROWS, round(picture.shape[1] * scale)))
        windows, distances = self._hog.detectMultiScale(
            np.ascontiguousarray(resized[:, :, ::-1]),
            winStride=(8, 8),
            scale=self._STEP,
            groupThreshold=0,
        )
        windows_ = np.asarray(windows, np.float64).reshape(-1, 4) / scale
        distance = np.asarray(distances, np.float64).reshape(-1).clip(0)
        # OpenCV's threads put windows in any order; the account must not depend on it.
        order = np.lexsort((*windows_.T, -distance))
        windows_, scores = windows_[order], (distance / (self._DOUBTFUL + distance))[order]
        kept = suppress_overlaps(windows_, scores, self._OVERLAP)
        left, top, width, height = windows_[kept].T
        x, y, w, h = self._BODY
        body = np.stack([left + x * width, top + y * height, w * width, h * height], axis=1)
        return body, scores[kept]
