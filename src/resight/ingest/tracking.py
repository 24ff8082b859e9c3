"""From single pictures to tracks: people detected, resumable, and followed with ByteTrack."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from resight.errors import DatasetError
from resight.ingest.cameras import Source
from resight.ingest.crops import FloatArray, frame_times
from resight.ingest.detect import Detector
from resight.ingest.mot import Boxes
from resight.ingest.video import Footage

BEGIN = 0.6
"""Score from which a box may begin a track; lower ones can only go on with one."""
SURE = 0.5
"""Score from which a box is matched before all others."""
OVERLAP = 0.3
"""Intersection over union below which two boxes are not one person; less lets tracks go over to other people."""
LOST_SECONDS = 1.0
"""How long a track that nobody is seen of is kept in mind."""


def detect_people(
    footage: Footage, detector: Detector, path: Path, first_frame: int, tick: Callable[[int], None]
) -> Boxes:
    """Find people in every picture.

    Each picture's answer is added to a file at once, and a call that finds such a file goes on after its last whole
    line: being killed loses one picture.

    Args:
        footage: the pictures.
        detector: who finds.
        path: the file of answers, a line of JSON each; delete it when nothing needs it any more.
        first_frame: number of the first picture.
        tick: called with the place of each picture that is done.

    Returns:
        Boxes with track -1.
    """
    done = _read_answers(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("r+b" if path.is_file() else "wb") as file:
        file.truncate(sum(len(line) for line, _ in done))
        file.seek(0, 2)
        for place, picture in footage.pictures(range(len(done), len(footage.times))):
            boxes, scores = detector.detect(picture) if picture is not None else (np.zeros((0, 4)), np.zeros(0))
            answer = np.concatenate([boxes, scores[:, None]], axis=1).round(4).tolist()
            line = (json.dumps(answer) + "\n").encode()
            file.write(line)
            file.flush()
            done.append((line, answer))
            tick(place)
    return Boxes.from_rows((place + first_frame, -1, *box) for place, (_, answer) in enumerate(done) for box in answer)


def track_boxes(detections: Boxes, source: Source, times: FloatArray) -> Boxes:
    """Follow people from picture to picture with ByteTrack (Zhang et al., ECCV 2022), as the library trackers has it.

    Args:
        detections: boxes and scores; where a score is above 1, all are divided by the largest.
        source: the camera; its `rate` and `first_frame` say when a frame was.
        times: (N,) of its pictures.

    Returns:
        The boxes that belong to a track, tracks numbered from 1 in the order in which they begin.

    Raises:
        DatasetError: if the library is not installed.
    """
    try:
        from supervision import Detections
        from trackers import ByteTrackTracker
    except ImportError as error:
        raise DatasetError(
            f"tracking people needs the library trackers ({error}): pip install 'resight[detect]', and if it is libGL "
            "that is missing, apt install libgl1; or give tracks"
        ) from error
    tracker = ByteTrackTracker(
        lost_track_buffer=round(30 * LOST_SECONDS),  # the library counts this in thirtieths of a second
        track_activation_threshold=BEGIN,
        high_conf_det_threshold=SURE,
        minimum_iou_threshold=OVERLAP,
    )
    scores = detections.score / max(1.0, float(detections.score.max(initial=0)))
    corners = np.concatenate([detections.box[:, :2], detections.box[:, :2] + detections.box[:, 2:]], axis=1)
    frames = np.arange(detections.frame.min(initial=0), detections.frame.max(initial=-1) + 1)
    ends = np.searchsorted(detections.frame, frames, side="right")
    numbers: dict[int, int] = {}
    rows: list[tuple[float, ...]] = []
    start = 0
    for frame, end, time in zip(frames.tolist(), ends.tolist(), frame_times(frames, source, times), strict=True):
        found = Detections(xyxy=corners[start:end].astype(np.float32), confidence=scores[start:end].astype(np.float32))
        found.data["row"] = np.arange(start, end)
        tracked = tracker.update(found, timestamp=float(time))
        # without anybody, the library forgets the rows
        chosen = np.asarray(tracked.data.get("row", ()), np.int64)
        for id_, row in zip(np.asarray(tracked.tracker_id).tolist(), chosen.tolist(), strict=True):
            if id_ >= 0:
                track = numbers.setdefault(id_, len(numbers) + 1)
                rows.append((frame, track, *detections.box[row].tolist(), float(detections.score[row])))
        start = end
    return Boxes.from_rows(rows)


def _read_answers(path: Path) -> list[tuple[bytes, list[list[float]]]]:
    """Whole lines of the file of answers; a last line that was cut off is not one."""
    if not path.is_file():
        return []
    lines = path.read_bytes().splitlines(keepends=True)
    return [(line, json.loads(line)) for line in lines if line.endswith(b"\n")]
