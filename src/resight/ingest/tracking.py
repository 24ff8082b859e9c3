"""Detect people in every video frame, resumably, and link the detections to tracks with ByteTrack."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from resight.errors import DatasetError
from resight.ingest.boxes import Boxes
from resight.ingest.detect import Detector
from resight.ingest.numbering import FrameNumbers
from resight.ingest.video import Footage

START_SCORE = 0.6
"""Minimum score of a box that starts a track; boxes with a lower score can only continue one."""
HIGH_SCORE = 0.5
"""Minimum score of a box that is matched to tracks in ByteTrack's first round."""
MIN_OVERLAP = 0.3
"""Minimum intersection over union between a track and a box. With a lower value, tracks switch between people."""
LOST_SECONDS = 1.0
"""Time for which a track without a matching box is kept."""


def detect_people(
    footage: Footage, detector: Detector, path: Path, numbers: FrameNumbers, tick: Callable[[int], None]
) -> Boxes:
    """Return the people detected in every video frame.

    The result for each video frame is appended to a file immediately. If the file already exists, detection continues
    after its last complete line, so an interruption costs at most one video frame.

    Args:
        footage: The video frames.
        detector: The detector.
        path: File of results, one line of JSON per video frame. The caller deletes it when it is no longer needed.
        numbers: Frame number of each video frame.
        tick: Called after each video frame with the number of video frames up to and including it.

    Returns:
        Boxes without tracks (track -1).
    """
    results = _read_results(path)[: len(footage.times)]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("r+b" if path.is_file() else "wb") as file:
        file.truncate(sum(len(line) for line, _ in results))
        file.seek(0, 2)
        for index, image in footage.decode(range(len(results), len(footage.times))):
            boxes, scores = detector.detect(image) if image is not None else (np.zeros((0, 4)), np.zeros(0))
            detections = np.concatenate([boxes, scores[:, None]], axis=1).round(4).tolist()
            line = (json.dumps(detections) + "\n").encode()
            file.write(line)
            file.flush()
            results.append((line, detections))
            tick(index + 1)
    return Boxes.from_rows(
        (frame, -1, *detection)
        for frame, (_, detections) in zip(numbers.of_pictures().tolist(), results, strict=True)
        for detection in detections
    )


def track_boxes(detections: Boxes, numbers: FrameNumbers) -> Boxes:
    """Link detections to tracks with ByteTrack (Zhang et al., ECCV 2022), as implemented by the library trackers.

    Args:
        detections: Boxes and scores. If a score is above 1, all scores are divided by the largest.
        numbers: Frame numbers that have a picture, and their times.

    Returns:
        The boxes that belong to a track. Tracks are numbered from 1 in order of their first frame.

    Raises:
        DatasetError: If the library is not installed.
    """
    try:
        from supervision import Detections
        from trackers import ByteTrackTracker
    except ImportError as error:
        raise DatasetError(
            f"tracking people needs the library trackers ({error}): pip install 'resight[detect]'; if libGL is "
            "missing, apt install libgl1. Or pass tracks"
        ) from error
    tracker = ByteTrackTracker(
        lost_track_buffer=round(30 * LOST_SECONDS),  # the library counts in units of 1/30 s
        track_activation_threshold=START_SCORE,
        high_conf_det_threshold=HIGH_SCORE,
        minimum_iou_threshold=MIN_OVERLAP,
    )
    scores = detections.score / max(1.0, float(detections.score.max(initial=0)))
    corners = np.concatenate([detections.box[:, :2], detections.box[:, :2] + detections.box[:, 2:]], axis=1)
    frames = numbers.of_pictures()
    if len(detections):
        frames = frames[(frames >= detections.frame[0]) & (frames <= detections.frame[-1])]
    starts = np.searchsorted(detections.frame, frames, side="left")
    ends = np.searchsorted(detections.frame, frames, side="right")
    renumbered: dict[int, int] = {}
    rows: list[tuple[float, ...]] = []
    for frame, start, end, time in zip(
        frames.tolist(), starts.tolist(), ends.tolist(), numbers.seconds(frames), strict=True
    ):
        boxes = Detections(xyxy=corners[start:end].astype(np.float32), confidence=scores[start:end].astype(np.float32))
        boxes.data["row"] = np.arange(start, end)
        tracked = tracker.update(boxes, timestamp=float(time))
        # If a frame has no boxes, the library drops the "row" column.
        tracked_rows = np.asarray(tracked.data.get("row", ()), np.int64)
        for id_, row in zip(np.asarray(tracked.tracker_id).tolist(), tracked_rows.tolist(), strict=True):
            if id_ >= 0:
                track = renumbered.setdefault(id_, len(renumbered) + 1)
                rows.append((frame, track, *detections.box[row].tolist(), float(detections.score[row])))
    return Boxes.from_rows(rows)


def _read_results(path: Path) -> list[tuple[bytes, list[list[float]]]]:
    """Return the lines of a file of results, with their detections, up to the first that is truncated or damaged."""
    results: list[tuple[bytes, list[list[float]]]] = []
    for line in path.read_bytes().splitlines(keepends=True) if path.is_file() else ():
        try:
            detections = json.loads(line)
        except (ValueError, RecursionError):
            break
        if not line.endswith(b"\n") or not isinstance(detections, list):
            break
        results.append((line, detections))
    return results
