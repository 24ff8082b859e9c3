from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from resight.errors import DatasetError
from resight.ingest.detect import HogDetector, open_detector
from resight.ingest.overlaps import box_overlaps


def test_an_unknown_detector_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DatasetError, match="unknown detector 'yolo': expected hog, or an ONNX file"):
        open_detector("yolo")
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(DatasetError, match=r"pip install 'resight\[detect\]'"):
        open_detector("hog")


def test_hog_detects_the_drawing_of_a_person() -> None:
    pytest.importorskip("cv2", exc_type=ImportError, reason="OpenCV is not installed: pip install 'resight[detect]'")
    scene = np.full((432, 324, 3), 150, np.uint8)
    rows, columns = np.mgrid[:432, :324]
    for y, x, h, w in ((200, 160, 9, 7), (235, 160, 28, 17), (285, 152, 40, 7), (285, 168, 40, 7)):
        scene[((rows - y) / h) ** 2 + ((columns - x) / w) ** 2 <= 1] = 30
    detector = HogDetector()
    boxes, scores = detector.detect(scene)
    assert len(boxes) and (np.diff(scores) <= 0).all() and (scores >= 0).all() and (scores < 1).all()
    assert box_overlaps(boxes[0], np.array([[140.0, 188, 40, 140]]))[0] > 0.4
    again, _ = detector.detect(scene)
    np.testing.assert_array_equal(boxes, again)
    assert len(detector.detect(np.full((60, 80, 3), 90, np.uint8))[0]) == 0
