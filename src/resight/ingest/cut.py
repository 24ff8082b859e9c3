"""Cut planned tracklets out of the pictures, so that being killed loses no more than the tracklets under work."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import simplejpeg

from resight.data.frames import Pixels, resize_frame
from resight.ingest.account import Account
from resight.ingest.crops import PlannedTracklet
from resight.ingest.settings import IngestSettings
from resight.ingest.video import Footage

THUMBNAIL_TILES = 8
THUMBNAIL_SIZE = (128, 64)
"""Height and width of one of the pictures that a thumbnail shows in a row."""


@dataclass
class _Open:
    """A tracklet that is being cut."""

    plan: PlannedTracklet
    folder: Path
    tiles: dict[int, Pixels] = field(default_factory=dict)
    ahead: int = 0
    written: int = 0


def cut_tracklets(
    footage: Footage,
    planned: Sequence[PlannedTracklet],
    out: Path,
    staging: Path,
    thumbnails: Path,
    settings: IngestSettings,
    account: Account,
    tick: Callable[[int], None],
) -> None:
    """Write every planned tracklet as ``out/<person>/<camera>/<name>/<frame>.jpg``.

    A tracklet is written in `staging` and moved to its place in one step when it is whole, after its thumbnail; one
    that is in its place already is not written again. Frames are bytes of the same pictures by the same settings, so
    a run that goes on where another was killed ends with the same files.

    Args:
        footage: the pictures, decoded once, in order.
        planned: what to cut.
        out: the folder data set.
        staging: a folder for unfinished tracklets, on the same file system; what lies in it is deleted.
        thumbnails: the folder of the contact strips, ``<camera>/<name>.jpg``.
        settings: quality and smallest length.
        account: receives pictures that cannot be decoded, and tracklets that are too short without them.
        tick: called with the place of each picture that is done.
    """
    shutil.rmtree(staging, ignore_errors=True)
    tasks: dict[int, list[tuple[_Open, int]]] = defaultdict(list)
    for number, plan in enumerate(planned):
        if not (out / plan.id).is_dir():
            opened = _Open(plan, staging / str(number), ahead=len(plan.frames))
            for row, place in enumerate(plan.places.tolist()):
                tasks[place].append((opened, row))
    lost: set[int] = set()
    for place, picture in footage.pictures(sorted(tasks)):
        if picture is None:
            lost.add(place)
        for opened, row in tasks.pop(place):
            if picture is not None:
                _cut_frame(opened, row, picture, settings.quality)
            opened.ahead -= 1
            if not opened.ahead:
                _finish(opened, out, thumbnails, settings, account)
        tick(place)
    shutil.rmtree(staging, ignore_errors=True)
    # What an earlier run could not decode is seen by what it did not write, so that every run has the same account.
    for plan in planned:
        if (out / plan.id).is_dir():
            there = {path.name for path in (out / plan.id).iterdir()}
            rows = zip(plan.frames.tolist(), plan.places.tolist(), strict=True)
            lost |= {place for frame, place in rows if frame_name(frame) not in there}
    account.leave_out("picture that cannot be decoded", f"picture {min(lost, default=0) + 1}", len(lost))


def frame_name(frame: int) -> str:
    """File name of a frame."""
    return f"{frame:06d}.jpg"


def _cut_frame(opened: _Open, row: int, picture: Pixels, quality: int) -> None:
    left, top, right, bottom = opened.plan.corners[row].tolist()
    crop = np.ascontiguousarray(picture[top:bottom, left:right])
    if not opened.written:
        opened.folder.mkdir(parents=True)
    content = simplejpeg.encode_jpeg(crop, quality=quality, colorspace="RGB", colorsubsampling="444")
    (opened.folder / frame_name(opened.plan.frames[row])).write_bytes(content)
    opened.written += 1
    if not opened.tiles or row in np.linspace(0, len(opened.plan.frames) - 1, THUMBNAIL_TILES).round():
        opened.tiles[row] = resize_frame(crop, THUMBNAIL_SIZE)


def _finish(opened: _Open, out: Path, thumbnails: Path, settings: IngestSettings, account: Account) -> None:
    plan = opened.plan
    if opened.written < settings.min_frames:
        reason = f"tracklet of fewer than {settings.min_frames} frames that can be decoded"
        account.leave_out(reason, f"{plan.id}, {opened.written} frames")
        return
    strip = np.concatenate([opened.tiles[row] for row in sorted(opened.tiles)], axis=1)
    thumbnail, place = thumbnails / plan.camera / f"{plan.name}.jpg", out / plan.id
    for path in (thumbnail, place):
        path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = opened.folder.with_suffix(".jpg")
    unfinished.write_bytes(simplejpeg.encode_jpeg(strip, quality=settings.quality, colorspace="RGB"))
    unfinished.replace(thumbnail)
    opened.folder.rename(place)
