"""Plan tracklets from tracks: which video frames each tracklet uses and where to crop them. No pixels are read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resight.ingest.boxes import Boxes
from resight.ingest.numbering import MISSING, FrameNumbers
from resight.ingest.settings import IngestSettings
from resight.ingest.skipped import SkipLog
from resight.ingest.video import Footage

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PlannedTracklet:
    """A tracklet of n frames that has not been cropped yet.

    Attributes:
        person: Folder of the track, such as ``door-0007``, or ``0007`` if track ids are the same in all cameras.
        camera: Camera name.
        name: Track number, such as ``0007``; ``0007-1``, ``0007-2``, … for the parts of a track that was split.
        frames: (n,) Frame numbers as the tracker counts them, ascending.
        indices: (n,) Indices of the video frames.
        corners: (n, 4) Left, top, right and bottom of each crop in pixels, inside the video frame; right and bottom are
            exclusive.
        start: Time of the first frame, in seconds since the first video frame.
        end: Time of the last frame, in the same units.
    """

    person: str
    camera: str
    name: str
    frames: IntArray
    indices: IntArray
    corners: IntArray
    start: float
    end: float

    @property
    def id(self) -> str:
        """Tracklet id as given by the folder reader, such as ``door-0007/door/0007``."""
        return f"{self.person}/{self.camera}/{self.name}"


def keep_in_footage(boxes: Boxes, numbers: FrameNumbers, skipped: SkipLog) -> Boxes:
    """Return the boxes whose frames exist in the footage; log the others as skipped."""
    indices, count = numbers.indices(boxes.frame), len(numbers.times)
    early, late, missing = indices == -1, indices >= count, indices == MISSING
    for rejected, reason in (
        (early, f"box before the first video frame (frame {numbers.of_pictures()[0]})"),
        (late, f"box after the last video frame ({count} in total)"),
        (missing, "box in a frame without a picture"),
    ):
        skipped.add(reason, _where(boxes, rejected), int(rejected.sum()))
    return boxes.chosen(~(early | late | missing))


def plan_tracklets(
    boxes: Boxes, camera: str, footage: Footage, numbers: FrameNumbers, settings: IngestSettings, skipped: SkipLog
) -> list[PlannedTracklet]:
    """Plan the tracklets of one camera.

    Args:
        boxes: Boxes that all have a track and a frame in the footage, as returned by `keep_in_footage`.
        camera: Name of the camera.
        footage: Its video frames.
        numbers: Which of them each frame number means.
        settings: Margin, minimum sizes, maximum gap, and whether track ids are persons.
        skipped: Receives the boxes and tracklets that are skipped.

    Returns:
        Tracklets ordered by track and then by time.
    """
    indices = numbers.indices(boxes.frame)
    times = numbers.seconds(boxes.frame)
    sizes = footage.sizes[indices]
    corners, visible = _crop_corners(boxes.box, sizes, settings.margin)
    clipped = clip_boxes(boxes.box, sizes)
    widths, heights = clipped[:, 2] - clipped[:, 0], clipped[:, 3] - clipped[:, 1]
    large = (widths >= settings.min_width) & (heights >= settings.min_height)
    kept = np.ones(len(boxes), bool)
    for rejected, reason in (
        (~visible, "box outside the video frame"),
        (~large, f"box smaller than {settings.min_width} × {settings.min_height} pixels"),
    ):
        rows = rejected & kept
        skipped.add(reason, _where(boxes, rows), int(rows.sum()))
        kept &= ~rejected
    planned: list[PlannedTracklet] = []
    # Boxes are sorted by frame, and a stable sort by track keeps that order within each track.
    order = np.argsort(boxes.track, kind="stable")
    order = order[kept[order]]
    for track_rows in np.split(order, np.flatnonzero(np.diff(boxes.track[order])) + 1):
        parts = np.split(track_rows, np.flatnonzero(np.diff(times[track_rows]) > settings.max_gap) + 1)
        for number, part in enumerate(parts, start=1):
            if not len(part):
                continue
            track = f"{boxes.track[part[0]]:04d}"
            if len(part) < settings.min_frames:
                reason = f"tracklet with fewer than {settings.min_frames} frames"
                skipped.add(reason, f"{_where(boxes, part[:1])}, {len(part)} frames")
                continue
            planned.append(
                PlannedTracklet(
                    person=track if settings.same_ids else f"{camera}-{track}",
                    camera=camera,
                    name=track if len(parts) == 1 else f"{track}-{number}",
                    frames=boxes.frame[part],
                    indices=indices[part],
                    corners=corners[part],
                    start=float(times[part[0]]),
                    end=float(times[part[-1]]),
                )
            )
    return planned


def clip_boxes(boxes: FloatArray, sizes: IntArray) -> FloatArray:
    """Return the corners of boxes, each clipped to its own image.

    Args:
        boxes: (n, 4) Left, top, width and height in pixels.
        sizes: (n, 2) Height and width of the image of each box.

    Returns:
        (n, 4) Left, top, right and bottom.
    """
    corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
    return corners.clip(0, sizes[:, [1, 0, 1, 0]])


def _crop_corners(boxes: FloatArray, sizes: IntArray, margin: float) -> tuple[IntArray, BoolArray]:
    """Return the corners of the crops in whole pixels, and whether any part of each box is inside the image."""
    enlarged = np.concatenate([boxes[:, :2] - margin * boxes[:, 2:], (1 + 2 * margin) * boxes[:, 2:]], axis=1)
    clipped = clip_boxes(enlarged, sizes)
    corners = np.concatenate([np.floor(clipped[:, :2]), np.ceil(clipped[:, 2:])], axis=1).astype(np.int64)
    without_margin = clip_boxes(boxes, sizes)
    visible = (without_margin[:, 2] > without_margin[:, 0]) & (without_margin[:, 3] > without_margin[:, 1])
    return corners, visible


def _where(boxes: Boxes, chosen: BoolArray | IntArray) -> str:
    """Describe the first chosen box: its track, if it has one, and its frame."""
    rows = np.flatnonzero(chosen) if chosen.dtype == bool else chosen
    if not len(rows):
        return ""
    track = f"track {boxes.track[rows[0]]}, " if boxes.track[rows[0]] >= 0 else ""
    return f"{track}frame {boxes.frame[rows[0]]}"
