"""Ingest cameras: cut tracklets from their videos into a folder, resumably, and report what was skipped."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from resight.data.readers.listing import list_names, read_file
from resight.errors import DatasetError
from resight.ingest.boxes import Boxes, look_like_corners, look_swapped, write_boxes
from resight.ingest.cameras import Source, check_names
from resight.ingest.crops import PlannedTracklet, keep_in_footage, plan_tracklets
from resight.ingest.cut import cut_tracklets
from resight.ingest.detect import open_detector
from resight.ingest.footage import fingerprint, open_footage
from resight.ingest.numbering import FrameNumbers, number_frames
from resight.ingest.records import CameraReport, IngestReport, Records, manifest_line
from resight.ingest.settings import IngestSettings
from resight.ingest.skipped import SkipLog
from resight.ingest.tracking import detect_people, track_boxes
from resight.ingest.tracks import Tracks, read_tracks
from resight.ingest.video import Footage
from resight.outputs import check_output_folder
from resight.progress import Progress
from resight.words import counted

THUMBNAILS = ".thumbnails"


@dataclass(frozen=True)
class Prepared:
    """A camera whose inputs have been read and checked.

    Attributes:
        source: The camera.
        footage: Its pictures.
        numbers: Which picture each frame number means.
        boxes: Boxes in pixels, in frames that have a picture; None: people have to be detected.
        usable: Number of boxes in the tracks.
        planned: Tracklets to cut; None: boxes have to be tracked first.
        skipped: What was skipped so far.
        notes: What the user should know.
    """

    source: Source
    footage: Footage
    numbers: FrameNumbers
    boxes: Boxes | None
    usable: int
    planned: list[PlannedTracklet] | None
    skipped: SkipLog
    notes: tuple[str, ...]

    @property
    def steps(self) -> int:
        """Number of video frames to process. A camera without tracks is decoded twice: to detect, and to crop."""
        return len(self.footage.times) * (1 if self.boxes is not None else 2)


def ingest(
    sources: Source | Sequence[Source],
    out: Path | str,
    settings: IngestSettings | None = None,
    progress: Progress | None = None,
    *,
    redo: bool = False,
) -> IngestReport:
    """Cut tracklets of people from the videos of one or more cameras, and write them as a data set.

    Writes ``<out>/<camera>-<track>/<camera>/<track>/<frame>.jpg``, ``manifest.jsonl``, ``report.json``, and a thumbnail
    strip of each tracklet in ``.thumbnails/<camera>/<track>.jpg``. Tracks do not identify people: the manifest has no
    persons, and in the folders each track counts as a separate person until its folder is moved to another. With
    `IngestSettings.same_ids`, the person of a tracklet is its track id.

    All inputs are checked before anything is written. Finished cameras are skipped, so an interrupted call can be
    repeated; it continues and produces the same bytes as an uninterrupted one. Cameras can be added to a folder later.

    Args:
        sources: The cameras; see `read_cameras`.
        out: A new or an empty folder, or one written by this function with the same settings.
        settings: Settings; None uses the defaults.
        progress: Called with the number of video frames processed and their total, which is known from the first call.
            Cameras without tracks count twice, once for detection and once for cropping.
        redo: Whether to delete the tracklets of cameras whose input has changed and to cut them again. Cameras that
            yielded no tracklet are always done again.

    Returns:
        The report of all cameras in the folder.

    Raises:
        DatasetError: If an input cannot be used, `out` contains other files or was made with other settings, or no
            camera yields a tracklet.
    """
    started = time.monotonic()
    settings = settings or IngestSettings()
    sources, out = ((sources,) if isinstance(sources, Source) else tuple(sources)), Path(out)
    if not sources:
        raise DatasetError("no camera to ingest: name a video, or a TOML file with [[camera]] tables")
    check_names(sources)
    records = Records(out)
    records.check(settings)
    check_output_folder(out, keep=False)
    identities = [_identity(source, settings) for source in sources]
    unfinished = []
    for source, identity in zip(sources, identities, strict=True):
        try:
            finished = records.is_finished(source, identity, redo=redo)
        except DatasetError:
            if source.tracks is not None:
                _read_tracks(source, settings, SkipLog())  # their own fault is the better message
            raise
        if not finished:
            unfinished.append((source, identity))
    jobs = [(prepare(source, settings), identity) for source, identity in unfinished]
    empty = [_report(job, []) for job, _ in jobs if job.planned == []]
    if empty and (redo or len(empty) == len(sources)):  # redoing would delete tracklets and cut none
        raise DatasetError(_nothing(empty))
    total = sum(job.steps for job, _ in jobs)

    def tick(done: int) -> None:
        if progress is not None:
            progress(done, total)

    records.begin(settings)
    done = 0
    tick(done)
    for job, identity in jobs:
        _ingest_camera(job, identity, records, settings, _offset(tick, done))
        done += job.steps
        tick(done)
    report = records.publish(time.monotonic() - started)
    names = {source.name for source in sources}
    own = [camera for camera in report.cameras if camera.camera in names]
    if not any(camera.tracklets for camera in own):
        raise DatasetError(_nothing(own))
    return report


def prepare(source: Source, settings: IngestSettings) -> Prepared:
    """Read and check the inputs of a camera, and plan its tracklets if it has tracks. No picture is cropped.

    Args:
        source: The camera.
        settings: Settings of the ingestion.

    Raises:
        DatasetError: If an input cannot be used, or the frame numbers, the columns or the ids are ambiguous.
    """
    footage, skipped = open_footage(source.video, source.rate, in_order=source.numbers == "order"), SkipLog()
    notes = []
    if footage.lost:
        notes.append(
            f"{counted(footage.lost, 'pictures')} of the video cannot be decoded, and are not counted, as in OpenCV"
        )
    if source.tracks is None:
        if settings.same_ids:
            raise DatasetError(f"camera {source.name} has no tracks, so its ids cannot be the same in all cameras")
        return Prepared(source, footage, number_frames(source, footage), None, 0, None, skipped, tuple(notes))
    tracks = _read_tracks(source, settings, skipped)
    numbers = number_frames(source, footage, tracks.boxes, tracks.base)
    boxes = keep_in_footage(tracks.boxes, numbers, skipped)
    if tracks.shares:
        boxes = boxes.scaled(footage.sizes[numbers.indices(boxes.frame)])
    notes += [text for text in (numbers.note, *tracks.notes) if text]
    if tracks.several_cameras and not settings.same_ids:
        notes.append("the tracks are for several cameras, so an id is probably one person in all: see --same-ids")
    if settings.same_ids and not boxes.tracked:
        raise DatasetError(f"the boxes of camera {source.name} have no ids, so they cannot be the same in all cameras")
    _check_columns(source, tracks, boxes, footage, numbers)
    planned = None
    if boxes.tracked:
        planned = plan_tracklets(boxes, source.name, footage, numbers, settings, skipped)
    return Prepared(source, footage, numbers, boxes, len(tracks.boxes), planned, skipped, tuple(notes))


def _read_tracks(source: Source, settings: IngestSettings, skipped: SkipLog) -> Tracks:
    if source.tracks is None:
        raise DatasetError(f"camera {source.name} has no tracks")
    return read_tracks(
        source.tracks, skipped, min_score=settings.min_score, classes=source.classes, columns=source.columns,
        camera=source.name, video=source.files[0].stem,
    )  # fmt: skip


def _check_columns(source: Source, tracks: Tracks, boxes: Boxes, footage: Footage, numbers: FrameNumbers) -> None:
    """Refuse text whose columns are only assumed, if its boxes show that they mean something else."""
    if tracks.declared or not boxes.tracked:
        return
    name_them = "write the names as the first line of the file, or as columns = … in a camera file: "
    if look_swapped(boxes):
        raise DatasetError(
            f"the first two columns of {source.tracks} look like id and frame, not frame and id: boxes of a track "
            f"overlap only if they are swapped; {name_them}id,frame,left,top,width,height"
        )
    if look_like_corners(boxes, footage.sizes[numbers.indices(boxes.frame)]):
        raise DatasetError(
            f"the boxes of {source.tracks} look like corners, not left, top, width, height; {name_them}"
            "frame,id,x1,y1,x2,y2,score, or frame,id,left,top,width,height,score if they are right"
        )


def _ingest_camera(
    job: Prepared, identity: dict[str, Any], records: Records, settings: IngestSettings, tick: Callable[[int], None]
) -> None:
    source, footage, skipped = job.source, job.footage, job.skipped
    before = records.begin_camera(source, identity, records.out / THUMBNAILS)
    boxes, usable, planned = job.boxes, job.usable, job.planned
    detections_path = records.hidden / f"people-{source.name}.jsonl"
    if boxes is None:
        detector = open_detector(settings.detector)
        boxes = detect_people(footage, detector, detections_path, job.numbers, tick)
        usable = len(boxes)
        tick = _offset(tick, len(footage.times))
    if planned is None:
        write_boxes(records.hidden / f"detections-{source.name}.txt", boxes)
        boxes = track_boxes(boxes, job.numbers)
        write_boxes(records.hidden / f"tracks-{source.name}.txt", boxes)
        planned = plan_tracklets(boxes, source.name, footage, job.numbers, settings, skipped)
    staging = records.hidden / f"staging-{source.name}"
    cut_tracklets(footage, planned, records.out, staging, records.out / THUMBNAILS, settings, skipped, tick)
    tracklets = []
    for plan in planned:
        folder = records.out / plan.id
        if folder.is_dir():
            count, recording = sum(1 for _ in folder.iterdir()), footage.place(int(plan.indices[0]))
            line = manifest_line(plan, source, count, recording, records.out)
            tracklets.append(line | {"person": plan.person} if settings.same_ids else line)
    kept, note = before.apply(tracklets)
    report = _report(replace(job, usable=usable, notes=(*job.notes, *note)), kept)
    records.write_camera(source, identity, report)
    detections_path.unlink(missing_ok=True)
    records.publish(0)


def _report(job: Prepared, tracklets: Sequence[dict[str, Any]]) -> CameraReport:
    return CameraReport(
        job.source.name, len(job.footage.times), job.usable, tuple(tracklets), job.skipped.entries(), job.notes
    )


def _nothing(reports: Sequence[CameraReport]) -> str:
    """Return the message that no tracklet came out, with the reasons."""
    reasons = ". ".join(report.to_text().replace("\n  ", "; ") for report in reports)
    return (
        f"no tracklet came out. {reasons}. Correct the tracks or the options and run the same command again; "
        "`resight doctor` on the camera file says more"
    )


def _identity(source: Source, settings: IngestSettings) -> dict[str, Any]:
    """Return what the tracklets of a camera depend on, apart from the settings."""
    return {
        "video": fingerprint(source.video),
        "tracks": _hash(source.tracks),
        "start": source.start.isoformat() if source.start else None,
        "rate": source.rate,
        "first_frame": source.first_frame,
        "numbers": source.numbers,
        "columns": list(source.columns),
        "classes": list(source.classes),
        "detector": None if source.tracks else open_detector(settings.detector).identity,
    }


def _hash(path: Path | None) -> str | None:
    """Return a hash of a file, or of all files in a folder."""
    if path is None:
        return None
    if not path.exists():
        raise DatasetError(f"there is no file {path}: expected the boxes of a tracker; check the path")
    if not path.is_dir():
        return hashlib.sha256(read_file(path, "the tracks")).hexdigest()
    digest = hashlib.sha256()
    for name in list_names(path):
        digest.update(name.encode() + b"\0" + read_file(path / name, "the tracks"))
    return digest.hexdigest()


def _offset(tick: Callable[[int], None], before: int) -> Callable[[int], None]:
    """Return a function that adds the number of video frames processed before to the number it is called with."""
    return lambda done: tick(before + done)
