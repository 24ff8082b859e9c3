"""Ingest cameras: cut tracklets from their videos into a folder, resumably, and report what was skipped."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resight.errors import DatasetError
from resight.ingest.cameras import Source, check_names
from resight.ingest.crops import keep_in_footage, plan_tracklets
from resight.ingest.cut import cut_tracklets
from resight.ingest.detect import open_detector
from resight.ingest.mot import Boxes, read_boxes, write_boxes
from resight.ingest.records import CameraReport, IngestReport, Records, manifest_line
from resight.ingest.settings import IngestSettings
from resight.ingest.skipped import SkipLog
from resight.ingest.tracking import detect_people, track_boxes
from resight.ingest.video import Footage, fingerprint, open_footage
from resight.progress import Progress

THUMBNAILS = ".thumbnails"


@dataclass(frozen=True)
class _Job:
    """A camera to ingest, whose inputs have been read and checked."""

    source: Source
    identity: dict[str, Any]
    footage: Footage
    boxes: Boxes | None
    skipped: SkipLog

    @property
    def steps(self) -> int:
        """Number of video frames to process. A camera without tracks is decoded twice: to detect, and to crop."""
        return len(self.footage.times) * (1 if self.boxes is not None else 2)


def ingest(
    sources: Sequence[Source],
    out: Path,
    settings: IngestSettings | None = None,
    progress: Progress | None = None,
) -> IngestReport:
    """Cut tracklets of people from the videos of one or more cameras, and write them as a data set.

    Writes ``<out>/<camera>-<track>/<camera>/<track>/<frame>.jpg``, ``manifest.jsonl``, ``report.json``, and a thumbnail
    strip of each tracklet in ``.thumbnails/<camera>/<track>.jpg``. Tracks do not identify people: the manifest has no
    persons, and in the folders each track counts as a separate person until its folder is moved to another.

    All inputs are checked before anything is written. Finished cameras are skipped, so an interrupted call can be
    repeated; it continues and produces the same bytes as an uninterrupted one. Cameras can be added to a folder later.

    Args:
        sources: The cameras; see `read_cameras`.
        out: A new or an empty folder, or one written by this function with the same settings.
        settings: Settings; None uses the defaults.
        progress: Called with the number of video frames processed and their total, which is known from the first call.
            Cameras without tracks count twice, once for detection and once for cropping.

    Returns:
        The report of all cameras in the folder.

    Raises:
        DatasetError: If an input cannot be used, or `out` contains other files or was made with other settings.
    """
    started = time.monotonic()
    settings = settings or IngestSettings()
    if not sources:
        raise DatasetError("no camera to ingest: name a video, or a TOML file with [[camera]] tables")
    check_names(tuple(sources))
    records = Records(out)
    records.check(settings)
    identities = [_identity(source, settings) for source in sources]
    unfinished = [
        (source, identity)
        for source, identity in zip(sources, identities, strict=True)
        if records.check_camera(source, identity) is None
    ]
    jobs = [_prepare(source, identity, settings) for source, identity in unfinished]
    total = sum(job.steps for job in jobs)

    def tick(done: int) -> None:
        if progress is not None:
            progress(done, total)

    records.begin(settings)
    done = 0
    tick(done)
    for job in jobs:
        _ingest_camera(job, records, settings, _offset(tick, done))
        done += job.steps
        tick(done)
    return records.publish(time.monotonic() - started)


def _prepare(source: Source, identity: dict[str, Any], settings: IngestSettings) -> _Job:
    footage, skipped = open_footage(source.video, source.rate), SkipLog()
    boxes = read_boxes(source.tracks, skipped, settings.min_score) if source.tracks else None
    return _Job(source, identity, footage, boxes, skipped)


def _ingest_camera(job: _Job, records: Records, settings: IngestSettings, tick: Callable[[int], None]) -> None:
    source, footage, skipped = job.source, job.footage, job.skipped
    records.write_camera(source, job.identity, None)
    boxes, detections_path = job.boxes, records.hidden / f"people-{source.name}.jsonl"
    if boxes is None:
        detector = open_detector(settings.detector)
        boxes = detect_people(footage, detector, detections_path, source.first_frame, tick)
        tick = _offset(tick, len(footage.times))
    usable = len(boxes)
    boxes = keep_in_footage(boxes, source, footage, skipped)
    if not boxes.tracked:
        write_boxes(records.hidden / f"detections-{source.name}.txt", boxes)
        boxes = track_boxes(boxes, source, footage.times)
        write_boxes(records.hidden / f"tracks-{source.name}.txt", boxes)
    planned = plan_tracklets(boxes, source, footage, settings, skipped)
    staging = records.hidden / f"staging-{source.name}"
    cut_tracklets(footage, planned, records.out, staging, records.out / THUMBNAILS, settings, skipped, tick)
    tracklets = []
    for plan in planned:
        folder = records.out / plan.id
        if folder.is_dir():
            tracklets.append(manifest_line(plan, source, sum(1 for _ in folder.iterdir())))
    report = CameraReport(source.name, len(footage.times), usable, tuple(tracklets), skipped.entries())
    records.write_camera(source, job.identity, report)
    detections_path.unlink(missing_ok=True)
    records.publish(0)


def _identity(source: Source, settings: IngestSettings) -> dict[str, Any]:
    """Return what the tracklets of a camera depend on, apart from the settings."""
    return {
        "video": fingerprint(source.video),
        "tracks": _hash(source.tracks),
        "start": source.start.isoformat() if source.start else None,
        "rate": source.rate,
        "first_frame": source.first_frame,
        "detector": None if source.tracks else open_detector(settings.detector).identity,
    }


def _hash(path: Path | None) -> str | None:
    if path is None:
        return None
    if not path.is_file():
        raise DatasetError(f"there is no file {path}: expected boxes as MOT Challenge text; check the path")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _offset(tick: Callable[[int], None], before: int) -> Callable[[int], None]:
    """Return a function that adds the number of video frames processed before to the number it is called with."""
    return lambda done: tick(before + done)
