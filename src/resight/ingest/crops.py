"""From tracks to the plan of every tracklet: which pictures, and what to cut out of them. No pixel is touched."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resight.ingest.account import Account
from resight.ingest.cameras import Source
from resight.ingest.mot import Boxes
from resight.ingest.settings import IngestSettings
from resight.ingest.video import Footage

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PlannedTracklet:
    """A tracklet before it is cut; n frames in order.

    Attributes:
        person: the folder of its track, ``door-0007``.
        camera: the name of the camera.
        name: ``0007``, or ``0007-1``, ``0007-2``, … for the parts of a track that was split.
        frames: (n,) frame numbers as the tracker counts them.
        places: (n,) pictures of the footage.
        corners: (n, 4) left, top, right, bottom of the crop in pixels, inside the picture, right and bottom exclusive.
        start: seconds from the first picture of the footage to the tracklet's first.
        end: the same for its last.
    """

    person: str
    camera: str
    name: str
    frames: IntArray
    places: IntArray
    corners: IntArray
    start: float
    end: float

    @property
    def id(self) -> str:
        """As a folder reader names it: ``door-0007/door/0007``."""
        return f"{self.person}/{self.camera}/{self.name}"


def keep_in_footage(boxes: Boxes, source: Source, footage: Footage, account: Account) -> Boxes:
    """The boxes whose frames are pictures of the footage; the others go into the account."""
    places = find_places(boxes.frame, source, footage.times)
    hint = "" if source.first_frame == 0 else "; does your tracker count from 0? then say first_frame = 0"
    early, late = places < 0, places >= len(footage.times)
    for wrong, reason in (
        (early, f"box before the first picture (frame {source.first_frame}){hint}"),
        (late, f"box past the last picture ({len(footage.times)} in all)"),
    ):
        account.leave_out(reason, _where(boxes, wrong), int(wrong.sum()))
    kept = ~early & ~late
    return Boxes(boxes.frame[kept], boxes.track[kept], boxes.box[kept], boxes.score[kept])


def plan_tracklets(
    boxes: Boxes, source: Source, footage: Footage, settings: IngestSettings, account: Account
) -> list[PlannedTracklet]:
    """Decide what is cut, in the order of tracks and time.

    Args:
        boxes: of one camera, every one with a track and in a picture of the footage, as `keep_in_footage` leaves them.
        source: the camera; its `rate` and `first_frame` say which picture a frame number means.
        footage: its pictures.
        settings: margin, smallest sizes, longest gap.
        account: receives boxes and tracklets that are left out.
    """
    places = find_places(boxes.frame, source, footage.times)
    times = frame_times(boxes.frame, source, footage.times)
    corners, usable = _crop_corners(boxes.box, footage.size, settings.margin)
    inside = clip_boxes(boxes.box, footage.size)
    large = (inside[:, 2] - inside[:, 0] >= settings.min_width) & (inside[:, 3] - inside[:, 1] >= settings.min_height)
    kept = np.ones(len(boxes), bool)
    for wrong, reason in (
        (~usable, "box outside the picture"),
        (~large, f"box smaller than {settings.min_width} × {settings.min_height} pixels"),
    ):
        new = wrong & kept
        account.leave_out(reason, _where(boxes, new), int(new.sum()))
        kept &= ~wrong
    planned: list[PlannedTracklet] = []
    # Boxes are sorted by frame, and a stable sort by track keeps that order within a track.
    order = np.argsort(boxes.track, kind="stable")
    order = order[kept[order]]
    for rows in np.split(order, np.flatnonzero(np.diff(boxes.track[order])) + 1):
        parts = np.split(rows, np.flatnonzero(np.diff(times[rows]) > settings.max_gap) + 1)
        for number, part in enumerate(parts, start=1):
            if not len(part):
                continue
            track = f"{boxes.track[part[0]]:04d}"
            if len(part) < settings.min_frames:
                reason = f"tracklet of fewer than {settings.min_frames} frames"
                account.leave_out(reason, f"track {track}, {_where(boxes, part[:1])}, {len(part)} frames")
                continue
            planned.append(
                PlannedTracklet(
                    person=f"{source.name}-{track}",
                    camera=source.name,
                    name=track if len(parts) == 1 else f"{track}-{number}",
                    frames=boxes.frame[part],
                    places=places[part],
                    corners=corners[part],
                    start=float(times[part[0]]),
                    end=float(times[part[-1]]),
                )
            )
    return planned


def find_places(frames: IntArray, source: Source, times: FloatArray) -> IntArray:
    """Which picture each frame number means.

    Args:
        frames: (n,) as the tracker counts.
        source: with a `rate`, the picture whose time is nearest to the frame's; without, pictures are counted.
        times: (N,) seconds, ascending.

    Returns:
        (n,) places in `times`; below 0 before the first picture, N past the last.
    """
    counted = frames - source.first_frame
    if source.rate is None:
        return np.minimum(counted, len(times))
    seconds = counted / source.rate
    after = np.searchsorted(times, seconds).clip(0, len(times) - 1)
    before = (after - 1).clip(0)
    nearest = np.where(seconds - times[before] <= times[after] - seconds, before, after)
    # The last picture is shown for as long as one of the tracker's frames lasts.
    nearest = np.where(seconds >= times[-1] + 1 / source.rate, len(times), nearest)
    return np.where(counted < 0, -1, nearest).astype(np.int64)


def frame_times(frames: IntArray, source: Source, times: FloatArray) -> FloatArray:
    """When each frame was, (n,) seconds from the first picture; beyond the footage the pictures go on evenly."""
    counted = frames - source.first_frame
    if source.rate is not None:
        return np.asarray(counted / source.rate)
    step = times[-1] / max(1, len(times) - 1) or 1.0
    beyond = np.where(counted < 0, counted, np.maximum(0, counted - (len(times) - 1)))
    return np.asarray(times[counted.clip(0, len(times) - 1)] + step * beyond)


def clip_boxes(boxes: FloatArray, size: tuple[int, int]) -> FloatArray:
    """Boxes (n, 4) of left, top, width, height to corners (n, 4), cut off at the border of the picture."""
    corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
    height, width = size
    return corners.clip(0, [width, height, width, height])


def _crop_corners(boxes: FloatArray, size: tuple[int, int], margin: float) -> tuple[IntArray, BoolArray]:
    """What to cut in whole pixels, and which boxes have any of themselves in the picture."""
    around = np.concatenate([boxes[:, :2] - margin * boxes[:, 2:], (1 + 2 * margin) * boxes[:, 2:]], axis=1)
    clipped = clip_boxes(around, size)
    corners = np.concatenate([np.floor(clipped[:, :2]), np.ceil(clipped[:, 2:])], axis=1).astype(np.int64)
    inside = clip_boxes(boxes, size)
    return corners, (inside[:, 2] > inside[:, 0]) & (inside[:, 3] > inside[:, 1])


def _where(boxes: Boxes, chosen: BoolArray | IntArray) -> str:
    rows = np.flatnonzero(chosen) if chosen.dtype == bool else chosen
    if not len(rows):
        return ""
    track = f"track {boxes.track[rows[0]]}, " if boxes.track[rows[0]] >= 0 else ""
    return f"{track}frame {boxes.frame[rows[0]]}"
