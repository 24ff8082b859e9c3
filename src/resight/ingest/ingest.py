"""Cameras in, a folder of tracklets out: resumable, and with an account of what was left out."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resight.errors import DatasetError
from resight.ingest.account import Account
from resight.ingest.cameras import Source, check_names
from resight.ingest.crops import keep_in_footage, plan_tracklets
from resight.ingest.cut import cut_tracklets
from resight.ingest.detect import open_detector
from resight.ingest.mot import Boxes, read_boxes, write_boxes
from resight.ingest.records import CameraReport, IngestReport, Records, manifest_line
from resight.ingest.settings import IngestSettings
from resight.ingest.tracking import detect_people, track_boxes
from resight.ingest.video import Footage, fingerprint, open_footage
from resight.progress import Progress

THUMBNAILS = ".thumbnails"


@dataclass(frozen=True)
class _Work:
    """A camera that is to be done, its inputs read and found usable."""

    source: Source
    identity: dict[str, Any]
    footage: Footage
    boxes: Boxes | None
    account: Account


def ingest(
    sources: Sequence[Source],
    out: Path,
    settings: IngestSettings | None = None,
    progress: Progress | None = None,
) -> IngestReport:
    """Cut the people of some cameras out of their videos, as a folder data set with a manifest.

    Writes ``<out>/<camera>-<track>/<camera>/<track>/<frame>.jpg``, ``manifest.jsonl``, ``report.json``, and a contact
    strip of each tracklet in ``.thumbnails/<camera>/<track>.jpg``. Who a track shows is not known: the manifest has no
    person, and in the folders each track is a person of its own until somebody moves it to another.

    All inputs are looked at before anything is written. A camera that is done is passed over, so the same call goes on
    where it was interrupted, however it was, and ends with the same bytes. New cameras may join a folder later.

    Args:
        sources: the cameras; see `read_cameras`.
        out: a new or empty folder, or one that this function made with the same settings.
        settings: how to cut; None: the defaults.
        progress: called with (pictures done, all).

    Returns:
        What became of every camera of the folder.

    Raises:
        DatasetError: if an input cannot be used, or `out` holds something else or was made with other settings.
    """
    started = time.monotonic()
    settings = settings or IngestSettings()
    if not sources:
        raise DatasetError("no camera to ingest: name a video, or a TOML file with [[camera]] tables")
    check_names(tuple(sources))
    records = Records(out)
    records.check(settings)
    identities = [_identity(source, settings) for source in sources]
    pending = [
        (source, identity)
        for source, identity in zip(sources, identities, strict=True)
        if records.check_camera(source, identity) is None
    ]
    works = [_prepare(source, identity, settings) for source, identity in pending]
    # A camera without tracks is gone through twice: to find people, and to cut them out.
    passes = [1 if work.source.tracks else 2 for work in works]
    total = sum(len(work.footage.times) * n for work, n in zip(works, passes, strict=True))
    before = 0
    records.begin(settings)
    for work, n in zip(works, passes, strict=True):
        _ingest_camera(work, records, settings, _ticker(progress, before, total))
        before += len(work.footage.times) * n
        if progress is not None:
            progress(before, total)
    return records.publish(time.monotonic() - started)


def _prepare(source: Source, identity: dict[str, Any], settings: IngestSettings) -> _Work:
    footage, account = open_footage(source.video, source.rate), Account()
    boxes = None
    if source.tracks:
        boxes = read_boxes(source.tracks, account, settings.min_score)
    return _Work(source, identity, footage, boxes, account)


def _ingest_camera(work: _Work, records: Records, settings: IngestSettings, tick: Callable[[int], None]) -> None:
    source, footage, account = work.source, work.footage, work.account
    records.write_camera(source, work.identity, None)
    boxes, answers = work.boxes, records.hidden / f"people-{source.name}.jsonl"
    if boxes is None:
        detector = open_detector(settings.detector)
        boxes = detect_people(footage, detector, answers, source.first_frame, tick)
        tick = _later(tick, len(footage.times))
    usable = len(boxes)
    boxes = keep_in_footage(boxes, source, footage, account)
    if not boxes.tracked:
        write_boxes(records.hidden / f"detections-{source.name}.txt", boxes)
        boxes = track_boxes(boxes, source, footage.times)
        write_boxes(records.hidden / f"tracks-{source.name}.txt", boxes)
    planned = plan_tracklets(boxes, source, footage, settings, account)
    staging = records.hidden / f"staging-{source.name}"
    cut_tracklets(footage, planned, records.out, staging, records.out / THUMBNAILS, settings, account, tick)
    tracklets = []
    for plan in planned:
        folder = records.out / plan.id
        if folder.is_dir():
            tracklets.append(manifest_line(plan, source, sum(1 for _ in folder.iterdir())))
    report = CameraReport(source.name, len(footage.times), usable, tuple(tracklets), account.entries())
    records.write_camera(source, work.identity, report)
    answers.unlink(missing_ok=True)
    records.publish(0)


def _identity(source: Source, settings: IngestSettings) -> dict[str, Any]:
    """What a camera's tracklets depend on, beside the settings."""
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
        raise DatasetError(f"there is no file {path}: expected boxes as MOT-challenge text; check the path")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _later(tick: Callable[[int], None], places: int) -> Callable[[int], None]:
    """The same, for a second time through the pictures."""
    return lambda place: tick(places + place)


def _ticker(progress: Progress | None, before: int, total: int) -> Callable[[int], None]:
    def tick(place: int) -> None:
        if progress is not None:
            progress(before + place + 1, total)

    return tick
