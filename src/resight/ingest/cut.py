"""Crop planned tracklets from video frames. If the process is killed, only unfinished tracklets are lost."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import simplejpeg

from resight.data.frames import Pixels, resize_frame
from resight.ingest.crops import PlannedTracklet
from resight.ingest.settings import IngestSettings
from resight.ingest.skipped import SkipLog
from resight.ingest.video import Footage

THUMBNAIL_TILES = 8
THUMBNAIL_SIZE = (128, 64)
"""Height and width in pixels of each frame in a thumbnail strip."""


@dataclass
class _Job:
    """A tracklet that is being written."""

    plan: PlannedTracklet
    folder: Path
    remaining: int
    tiles: dict[int, Pixels] = field(default_factory=dict)
    written: int = 0


def cut_tracklets(
    footage: Footage,
    planned: Sequence[PlannedTracklet],
    out: Path,
    staging: Path,
    thumbnails: Path,
    settings: IngestSettings,
    skipped: SkipLog,
    tick: Callable[[int], None],
) -> None:
    """Write every planned tracklet as ``out/<person>/<camera>/<name>/<frame>.jpg``.

    A tracklet is written to `staging` and moved to its final folder in one step when it and its thumbnail are complete.
    Tracklets that already have a final folder are not written again. The bytes of a frame depend only on the video
    frame and the settings, so a run that continues an interrupted one produces the same files.

    Args:
        footage: Video frames; each is decoded once, in order.
        planned: Tracklets to write.
        out: Folder of the data set.
        staging: Folder for unfinished tracklets, on the same file system as `out`; its contents are deleted.
        thumbnails: Folder of the thumbnail strips, ``<camera>/<name>.jpg``.
        settings: JPEG quality and minimum number of frames.
        skipped: Receives the video frames that cannot be decoded, and the tracklets that are too short without them.
        tick: Called after each video frame with the number of video frames up to and including it.
    """
    shutil.rmtree(staging, ignore_errors=True)
    crops: dict[int, list[tuple[_Job, int]]] = defaultdict(list)
    for number, plan in enumerate(planned):
        if not (out / plan.id).is_dir():
            job = _Job(plan, staging / str(number), remaining=len(plan.frames))
            for row, index in enumerate(plan.indices.tolist()):
                crops[index].append((job, row))
    undecodable: set[int] = set()
    for index, image in footage.decode(sorted(crops)):
        if image is None:
            undecodable.add(index)
        for job, row in crops.pop(index):
            if image is not None:
                _write_crop(job, row, image, settings.quality)
            job.remaining -= 1
            if not job.remaining:
                _finish(job, out, thumbnails, settings, skipped)
        tick(index + 1)
    shutil.rmtree(staging, ignore_errors=True)
    # Frames missing from finished tracklets could not be decoded by an earlier run; count them too, so that a continued
    # run reports the same as an uninterrupted one.
    for plan in planned:
        if (out / plan.id).is_dir():
            existing = {path.name for path in (out / plan.id).iterdir()}
            rows = zip(plan.frames.tolist(), plan.indices.tolist(), strict=True)
            undecodable |= {index for frame, index in rows if _frame_name(frame) not in existing}
    first = f"video frame {min(undecodable, default=0) + 1}"
    skipped.add("video frame that cannot be decoded", first, len(undecodable))


def _frame_name(frame: int) -> str:
    """Return the file name of a frame."""
    return f"{frame:06d}.jpg"


def _write_crop(job: _Job, row: int, image: Pixels, quality: int) -> None:
    left, top, right, bottom = job.plan.corners[row].tolist()
    crop = np.ascontiguousarray(image[top:bottom, left:right])
    if not job.written:
        job.folder.mkdir(parents=True)
    content = simplejpeg.encode_jpeg(crop, quality=quality, colorspace="RGB", colorsubsampling="444")
    (job.folder / _frame_name(job.plan.frames[row])).write_bytes(content)
    job.written += 1
    if not job.tiles or row in np.linspace(0, len(job.plan.frames) - 1, THUMBNAIL_TILES).round():
        job.tiles[row] = resize_frame(crop, THUMBNAIL_SIZE)


def _finish(job: _Job, out: Path, thumbnails: Path, settings: IngestSettings, skipped: SkipLog) -> None:
    """Write the thumbnail and move the tracklet to its final folder, unless too few frames could be decoded."""
    plan = job.plan
    if job.written < settings.min_frames:
        reason = f"tracklet with fewer than {settings.min_frames} decodable frames"
        skipped.add(reason, f"{plan.id}, {job.written} frames")
        return
    strip = np.concatenate([job.tiles[row] for row in sorted(job.tiles)], axis=1)
    thumbnail, folder = thumbnails / plan.camera / f"{plan.name}.jpg", out / plan.id
    for path in (thumbnail, folder):
        path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = job.folder.with_suffix(".jpg")
    unfinished.write_bytes(simplejpeg.encode_jpeg(strip, quality=settings.quality, colorspace="RGB"))
    unfinished.replace(thumbnail)
    job.folder.rename(folder)
