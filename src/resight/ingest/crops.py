"""Plan tracklets from tracks: which video frames each tracklet uses and where to crop them. No pixels are read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resight.ingest.cameras import Source
from resight.ingest.mot import Boxes
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
        person: Folder of the track, such as ``door-0007``.
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


def keep_in_footage(boxes: Boxes, source: Source, footage: Footage, skipped: SkipLog) -> Boxes:
    """Return the boxes whose frames exist in the footage; log the others as skipped."""
    indices = frame_indices(boxes.frame, source, footage.times)
    hint = "" if source.first_frame == 0 else "; if your tracker counts from 0, set first_frame = 0"
    early, late = indices < 0, indices >= len(footage.times)
    for rejected, reason in (
        (early, f"box before the first video frame (frame {source.first_frame}){hint}"),
        (late, f"box after the last video frame ({len(footage.times)} in total)"),
    ):
        skipped.add(reason, _where(boxes, rejected), int(rejected.sum()))
    kept = ~early & ~late
    return Boxes(boxes.frame[kept], boxes.track[kept], boxes.box[kept], boxes.score[kept])


def plan_tracklets(
    boxes: Boxes, source: Source, footage: Footage, settings: IngestSettings, skipped: SkipLog
) -> list[PlannedTracklet]:
    """Plan the tracklets of one camera.

    Args:
        boxes: Boxes that all have a track and a frame in the footage, as returned by `keep_in_footage`.
        source: The camera; its `rate` and `first_frame` map frame numbers to video frames.
        footage: Its video frames.
        settings: Margin, minimum sizes and maximum gap.
        skipped: Receives the boxes and tracklets that are skipped.

    Returns:
        Tracklets ordered by track and then by time.
    """
    indices = frame_indices(boxes.frame, source, footage.times)
    times = frame_times(boxes.frame, source, footage.times)
    corners, visible = _crop_corners(boxes.box, footage.size, settings.margin)
    clipped = clip_boxes(boxes.box, footage.size)
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
                    person=f"{source.name}-{track}",
                    camera=source.name,
                    name=track if len(parts) == 1 else f"{track}-{number}",
                    frames=boxes.frame[part],
                    indices=indices[part],
                    corners=corners[part],
                    start=float(times[part[0]]),
                    end=float(times[part[-1]]),
                )
            )
    return planned


def frame_indices(frames: IntArray, source: Source, times: FloatArray) -> IntArray:
    """Return the index of the video frame that each of the tracker's frame numbers refers to.

    Args:
        frames: (n,) Frame numbers as the tracker counts them.
        source: The camera. With a `rate`, a frame number refers to the video frame nearest in time; without, frame
            numbers count video frames.
        times: (N,) Times of the video frames in seconds, ascending.

    Returns:
        (n,) Indices into `times`; negative before the first video frame, at least N after the last.
    """
    offsets = frames - source.first_frame
    if source.rate is None:
        return np.minimum(offsets, len(times))
    seconds = offsets / source.rate
    after = np.searchsorted(times, seconds).clip(0, len(times) - 1)
    before = (after - 1).clip(0)
    nearest = np.where(seconds - times[before] <= times[after] - seconds, before, after)
    # The last video frame is shown for the duration of one of the tracker's frames.
    nearest = np.where(seconds >= times[-1] + 1 / source.rate, len(times), nearest)
    return np.where(offsets < 0, -1, nearest).astype(np.int64)


def frame_times(frames: IntArray, source: Source, times: FloatArray) -> FloatArray:
    """Return the time of each of the tracker's frames.

    Args:
        frames: (n,) Frame numbers as the tracker counts them.
        source: The camera; see `frame_indices`.
        times: (N,) Times of the video frames in seconds, ascending.

    Returns:
        (n,) Seconds since the first video frame. Frames outside the footage are extrapolated at its mean frame rate.
    """
    offsets = frames - source.first_frame
    if source.rate is not None:
        return np.asarray(offsets / source.rate)
    step = times[-1] / max(1, len(times) - 1) or 1.0
    outside = np.where(offsets < 0, offsets, np.maximum(0, offsets - (len(times) - 1)))
    return np.asarray(times[offsets.clip(0, len(times) - 1)] + step * outside)


def clip_boxes(boxes: FloatArray, size: tuple[int, int]) -> FloatArray:
    """Return the corners of boxes, clipped to the image.

    Args:
        boxes: (n, 4) Left, top, width and height in pixels.
        size: Height and width of the image.

    Returns:
        (n, 4) Left, top, right and bottom.
    """
    corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
    height, width = size
    return corners.clip(0, [width, height, width, height])


def _crop_corners(boxes: FloatArray, size: tuple[int, int], margin: float) -> tuple[IntArray, BoolArray]:
    """Return the corners of the crops in whole pixels, and whether any part of each box is inside the image."""
    enlarged = np.concatenate([boxes[:, :2] - margin * boxes[:, 2:], (1 + 2 * margin) * boxes[:, 2:]], axis=1)
    clipped = clip_boxes(enlarged, size)
    corners = np.concatenate([np.floor(clipped[:, :2]), np.ceil(clipped[:, 2:])], axis=1).astype(np.int64)
    without_margin = clip_boxes(boxes, size)
    visible = (without_margin[:, 2] > without_margin[:, 0]) & (without_margin[:, 3] > without_margin[:, 1])
    return corners, visible


def _where(boxes: Boxes, chosen: BoolArray | IntArray) -> str:
    """Describe the first chosen box: its track, if it has one, and its frame."""
    rows = np.flatnonzero(chosen) if chosen.dtype == bool else chosen
    if not len(rows):
        return ""
    track = f"track {boxes.track[rows[0]]}, " if boxes.track[rows[0]] >= 0 else ""
    return f"{track}frame {boxes.frame[rows[0]]}"
