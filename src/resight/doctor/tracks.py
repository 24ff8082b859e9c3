"""Check a tracker's boxes: the rows of the file, and whether they fit the video."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from resight.data.readers.listing import decode_text, read_file
from resight.doctor.report import Findings
from resight.errors import DatasetError
from resight.ingest.boxes import Boxes, look_like_corners, look_swapped
from resight.ingest.cameras import Source
from resight.ingest.crops import keep_in_footage, plan_tracklets
from resight.ingest.numbering import number_frames
from resight.ingest.settings import IngestSettings
from resight.ingest.skipped import SkipLog
from resight.ingest.tracks import Tracks, read_tracks
from resight.ingest.video import Footage

REASONS: Mapping[str, str] = MappingProxyType(
    {
        "row with too few columns": "mot-columns",
        "row with non-numeric values": "mot-not-numbers",
        "number that is not finite": "mot-not-finite",
        "frame or id that is not a whole number": "mot-not-whole",
        "box without area": "mot-no-area",
        "box that is marked as lost": "mot-lost",
        "number too large to be plausible": "mot-huge",
        "row without a track": "mot-without-track",
        "row of another class": "mot-other-class",
        "second box for a track in one frame": "mot-duplicate",
        "box before the first video frame": "mot-before-start",
        "box after the last video frame": "mot-past-end",
        "box in a frame without a picture": "mot-no-picture",
        "box outside the video frame": "mot-outside",
        "box smaller than": "mot-small",
        "tracklet with fewer than": "mot-short",
    }
)
"""Beginning of the reason for which ingestion skips something → kind of finding."""

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
    tracks, planned = None, 0
    try:
        tracks = read_tracks(
            path, skipped, classes=source.classes, columns=source.columns, camera=source.name,
            video=source.files[0].stem,
        )  # fmt: skip
    except DatasetError as error:
        findings.add("tracks-unreadable", str(error), expected=_FORM, places=[str(path)])
    if tracks is not None:
        for note in tracks.notes:
            findings.add("mot-classes", note, expected="one class, or a choice of classes", places=[str(path)])
        if tracks.form.startswith("MOT"):
            _check_text(path, findings)
    if tracks is not None and footage is not None:
        planned = _plan(source, tracks, path, footage, skipped, findings)
    for entry in skipped.entries():
        kind = next(kind for start, kind in REASONS.items() if entry.reason.startswith(start))
        findings.add(
            kind, f"{entry.reason}: skipped in {path.name}", expected=_FORM, places=[entry.first], count=entry.count
        )
    return planned


def _plan(source: Source, tracks: Tracks, path: Path, footage: Footage, skipped: SkipLog, findings: Findings) -> int:
    """Check boxes against the pictures, and return the number of tracklets that ingestion would cut."""
    try:
        numbers = number_frames(source, footage, tracks.boxes, tracks.base)
    except DatasetError as error:
        findings.add("frame-numbers", str(error), expected="frames that fit the pictures", places=[str(path)])
        return 0
    if numbers.note:
        findings.add("frames-from-zero", numbers.note, expected="frames from 1", places=[str(path)])
    boxes = keep_in_footage(tracks.boxes, numbers, skipped)
    sizes = footage.sizes[numbers.indices(boxes.frame)]
    if tracks.shares:
        findings.add("mot-shares", f"boxes in shares of the picture in {path.name}", places=[str(path)])
        boxes = boxes.scaled(sizes)
    if not tracks.declared and boxes.tracked:
        if look_like_corners(boxes, sizes):
            findings.add(
                "mot-corners", f"columns 5 and 6 of {path.name} are right and bottom",
                expected="left, top, width, height, or a header that names the columns", places=[str(path)],
            )  # fmt: skip
            return 0
        if look_swapped(boxes):
            findings.add(
                "mot-swapped", f"columns 1 and 2 of {path.name} are id and frame",
                expected="frame, id, or a header that names the columns", places=[str(path)],
            )  # fmt: skip
            return 0
    _check_huge(boxes, path, sizes, findings)
    planned = 0
    if boxes.tracked and len(boxes):
        planned = len(plan_tracklets(boxes, source.name, footage, numbers, IngestSettings(), skipped))
    if not planned and (boxes.tracked or not len(boxes)):
        findings.add(
            "nothing-to-cut", f"no tracklet for camera {source.name}", expected="at least one", places=[str(path)]
        )
    return planned


def _check_text(path: Path, findings: Findings) -> None:
    """Check the order of the rows and their numbers of columns, which the reader of tracks tolerates."""
    lines = decode_text(read_file(path)).splitlines()
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


def _check_huge(boxes: Boxes, path: Path, sizes: NDArray[np.int64], findings: Findings) -> None:
    """Check for boxes that are larger than the picture."""
    huge = np.flatnonzero((boxes.box[:, 2:] > 1.2 * sizes[:, ::-1]).any(axis=1))
    places = [f"{path.name}: track {boxes.track[row]}, frame {boxes.frame[row]}" for row in huge]
    findings.add_each("mot-huge", places, f"{len(huge)} boxes", expected="boxes within the picture")
