"""Check a tracker's boxes: the rows of the file, and whether they fit the video."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from resight.doctor.report import Findings
from resight.errors import DatasetError
from resight.ingest.cameras import Source
from resight.ingest.crops import keep_in_footage, plan_tracklets
from resight.ingest.mot import Boxes, read_boxes
from resight.ingest.settings import IngestSettings
from resight.ingest.skipped import SkipLog
from resight.ingest.video import Footage

REASONS: Mapping[str, str] = MappingProxyType(
    {
        "row with fewer than six columns": "mot-columns",
        "row with non-numeric values": "mot-not-numbers",
        "number that is not finite": "mot-not-finite",
        "frame or id that is not a whole number": "mot-not-whole",
        "box without area": "mot-no-area",
        "number too large to be plausible": "mot-huge",
        "row without a track": "mot-without-track",
        "second box for a track in one frame": "mot-duplicate",
        "box before the first video frame": "mot-before-start",
        "box after the last video frame": "mot-past-end",
        "box outside the video frame": "mot-outside",
        "box smaller than": "mot-small",
        "tracklet with fewer than": "mot-short",
    }
)
"""Beginning of the reason for which ingestion skips something → kind of finding."""

_MANY = 0.5
_FORM = "frame,id,left,top,width,height,score"


def check_tracks(source: Source, footage: Footage | None, findings: Findings) -> int:
    """Read a camera's tracks as ingestion would, and report what it would skip and what looks wrong.

    Args:
        source: The camera.
        footage: Its video frames; None if they cannot be opened, so that only the text is checked.
        findings: Receives the findings.

    Returns:
        The number of tracklets that ingestion would produce with default settings; 0 without tracks or footage, and
        for detections that were not tracked.
    """
    path, skipped = source.tracks, SkipLog()
    if path is None:
        return 0
    boxes, planned = None, 0
    try:
        boxes = read_boxes(path, skipped)
    except DatasetError as error:
        findings.add("tracks-unreadable", str(error), expected=_FORM, places=[str(path)])
    if path.is_file():
        _check_text(path, findings)
    if boxes is not None and footage is not None:
        _check_boxes(boxes, path, footage.size, findings)
        boxes = keep_in_footage(boxes, source, footage, skipped)
        if boxes.tracked and len(boxes):
            planned = len(plan_tracklets(boxes, source, footage, IngestSettings(), skipped))
        if not planned and (boxes.tracked or not len(boxes)):
            findings.add(
                "nothing-to-cut", f"no tracklet for camera {source.name}", expected="at least one", places=[str(path)]
            )
    for entry in skipped.entries():
        kind = next(kind for start, kind in REASONS.items() if entry.reason.startswith(start))
        findings.add(
            kind, f"{entry.reason}: skipped in {path.name}", expected=_FORM, places=[entry.first], count=entry.count
        )
    return planned


def _check_text(path: Path, findings: Findings) -> None:
    """Check the order of the rows and their numbers of columns, which the reader of tracks tolerates."""
    lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    rows = [(n, re.split(r"[,;\s]+", line.strip(" \t,;"))) for n, line in enumerate(lines, start=1)]
    rows = [(n, row) for n, row in rows if len(row) > 1 and not row[0].startswith("#")]
    widths = Counter(len(row) for _, row in rows)
    if len(widths) > 1:
        usual = widths.most_common(1)[0][0]
        odd = [f"{path.name}, line {n}" for n, row in rows if len(row) != usual]
        findings.add(
            "mot-columns", f"{len(odd)} rows with another number of columns", expected=f"{usual} columns", places=odd
        )
    last, decreasing = -np.inf, list[str]()
    for n, row in rows:
        try:
            frame = float(row[0])
        except ValueError:
            continue
        if frame < last:
            decreasing.append(f"{path.name}, line {n}")
        last = frame
    findings.add_each(
        "mot-unsorted", decreasing, f"{len(decreasing)} rows with a lower frame number than the previous row"
    )


def _check_boxes(boxes: Boxes, path: Path, size: tuple[int, int], findings: Findings) -> None:
    """Check for boxes that are larger than the video frame, or in another form."""
    height, width = size
    left, top, wide, high = boxes.box.T
    huge = np.flatnonzero((wide > 1.2 * width) | (high > 1.2 * height))
    findings.add_each(
        "mot-huge",
        _rows(boxes, path, huge),
        f"{len(huge)} boxes",
        expected=f"boxes within {height} × {width} pixels (height × width)",
    )
    if (wide <= 1.5).all() and (high <= 1.5).all():
        findings.add(
            "mot-shares", f"no box larger than 1.5 pixels in {path.name}", expected="left, top, width, height in pixels"
        )
    beyond = (left + wide > width) | (top + high > height)
    if (wide > left).all() and (high > top).all() and beyond.mean() > _MANY:
        findings.add(
            "mot-corners", f"{int(beyond.sum())} of {len(boxes)} boxes of {path.name} extend beyond the video frame",
            expected="left, top, width, height",
        )  # fmt: skip


def _rows(boxes: Boxes, path: Path, rows: NDArray[np.int64]) -> list[str]:
    return [f"{path.name}: track {boxes.track[row]}, frame {boxes.frame[row]}" for row in rows]
