"""One person in a video as the tracklets of a search: a box in one video frame, or a track of a tracks file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resight.data.frames import Pixels
from resight.data.readers.folder import read_tracklet
from resight.errors import DatasetError
from resight.ingest.boxes import Boxes
from resight.ingest.cameras import find_sources
from resight.ingest.crops import PlannedTracklet, keep_in_footage, plan_tracklets
from resight.ingest.cut import cut_tracklets
from resight.ingest.follow import follow
from resight.ingest.footage import VIDEOS, open_footage
from resight.ingest.ingest import prepare
from resight.ingest.numbering import FrameNumbers
from resight.ingest.settings import IngestSettings
from resight.ingest.skipped import SkipLog
from resight.ingest.video import Footage
from resight.progress import note
from resight.tracklet import JUNK, Tracklet
from resight.words import counted

FORM = "VIDEO#FRAME:LEFT,TOP,WIDTH,HEIGHT for a box in pixels, or VIDEO#TRACKS:ID for a track"

SETTINGS = IngestSettings(min_width=8, min_height=16, min_frames=1)
"""Settings of a person who is picked by hand: a small or short tracklet is better than none."""

_MOST_AFTER = 240
"""Video frames that are read after the one with the box."""

_NUMBER = r"(-?\d+(?:\.\d+)?)"
_BOX = re.compile(rf"(.+)#(\d+):{_NUMBER},{_NUMBER},{_NUMBER},{_NUMBER}", re.DOTALL)
_TRACK = re.compile(r"(.+)#(.+):(\d+)", re.DOTALL)


@dataclass(frozen=True)
class Pick:
    """A person in a video, named by a box or by a track.

    Attributes:
        video: Video file, or folder of images.
        frame: Number of the video frame with the box: counted from 1 in a video, and the number in the name in a
            folder of images, as in `resight ingest`. In a video, 0 is the first one too.
        box: Left, top, width and height in pixels; None for a track.
        tracks: File of tracks in any format of `resight ingest`; None for a box.
        track: Id of the track.
    """

    video: Path
    frame: int = 0
    box: tuple[float, float, float, float] | None = None
    tracks: Path | None = None
    track: int = 0

    @property
    def name(self) -> str:
        """Name of the person in answers."""
        if self.box is None:
            return f"{self.video.stem} track {self.track}"
        return f"{self.video.stem} frame {self.frame}"


def read_pick(text: str) -> Pick | None:
    """Return the person in a video that a text names, see `FORM`; None if it names none.

    Raises:
        DatasetError: If the text names a video, but no person in it.
    """
    if match := _BOX.fullmatch(text):
        left, top, width, height = map(float, match.groups()[2:])
        return Pick(Path(match[1]).expanduser(), int(match[2]), (left, top, width, height))
    if match := _TRACK.fullmatch(text):
        return Pick(Path(match[1]).expanduser(), tracks=Path(match[2]).expanduser(), track=int(match[3]))
    video = text.rpartition("#")[0] or text
    with suppress(OSError, ValueError):  # a name that is too long, or a zero byte
        if video.lower().endswith(VIDEOS) and Path(video).expanduser().is_file():
            raise DatasetError(f"{text[:200]!r} does not name a person in the video: expected {FORM}")
    return None


def crop_at(video: Path, frame: int, box: Sequence[float], margin: float = SETTINGS.margin) -> Pixels:
    """Return the picture in a box of one video frame.

    Args:
        video: Video file, or folder of images. A video is decoded up to the video frame only.
        frame: Number of the video frame, see `Pick`.
        box: Left, top, width and height in pixels.
        margin: Margin added to each side, as a share of width and height, up to the edge of the video frame.

    Returns:
        (h, w, 3) RGB uint8.

    Raises:
        DatasetError: If the video cannot be read or has no such video frame, or the part of the box inside it is
            smaller than 8 × 16 pixels.
        RecipeError: If the margin is not from 0 to 1.
    """
    footage, numbers, index = _open_at(video, frame)
    boxes = np.asarray(box, np.float64).reshape(1, 4)
    planned = _planned(boxes, footage, numbers, index, replace(SETTINGS, margin=margin), f"{video}, frame {frame}")
    left, top, right, bottom = planned.corners[0].tolist()
    _, image = next(iter(footage.decode([index])))
    if image is None:
        raise DatasetError(f"frame {frame} of {video} cannot be decoded; choose another one")
    return np.ascontiguousarray(image[top:bottom, left:right])


def cut_pick(pick: Pick, out: Path) -> list[Tracklet]:
    """Write the frames of a person in a video into a folder, as `resight ingest` cuts them.

    From a box, the person is followed for up to three seconds, see `follow`; without OpenCV, the picture in the box is
    all there is, and a note says so. A track gives one tracklet, or several if it has gaps.

    Args:
        pick: The person.
        out: Empty folder.

    Returns:
        The tracklets, at least one.

    Raises:
        DatasetError: If the video or the tracks cannot be read, or have no such person.
    """
    footage, planned = _planned_box(pick) if pick.box is not None else _planned_track(pick)
    hidden = out / ".parts"
    cut_tracklets(footage, planned, out, hidden / "staging", hidden / "strips", SETTINGS, SkipLog(), lambda _: None)
    written = [plan for plan in planned if (out / plan.id).is_dir()]
    if not written:
        raise DatasetError(f"the frames of {pick.name} in {pick.video} cannot be decoded; choose others")
    names = [pick.name if len(written) == 1 else f"{pick.name} part {n}" for n in range(1, len(written) + 1)]
    return [
        Tracklet(name, JUNK, 0, out / plan.id, read_tracklet(out / plan.id).names)
        for name, plan in zip(names, written, strict=True)
    ]


def _planned_box(pick: Pick) -> tuple[Footage, list[PlannedTracklet]]:
    footage, numbers, index = _open_at(pick.video, pick.frame, _MOST_AFTER)
    where = f"{pick.video}, frame {pick.frame}"
    boxes = np.asarray(pick.box, np.float64).reshape(1, 4)
    planned = _planned(boxes, footage, numbers, index, SETTINGS, where)  # before the work of following
    try:
        followed = follow(footage, index, boxes[0])
    except ImportError as error:
        note(
            f"only frame {pick.frame} is used, because following the person needs OpenCV ({error}): pip install "
            "'resight[detect]'; if libGL is missing, apt install libgl1"
        )
    else:
        planned = _planned(followed, footage, numbers, index, SETTINGS, where)
        note(f"{pick.name}: followed for {counted(len(followed), 'video frames')}")
    return footage, [planned]


def _planned_track(pick: Pick) -> tuple[Footage, list[PlannedTracklet]]:
    (source,) = find_sources(pick.video, tracks=pick.tracks)
    job = prepare(source, SETTINGS)
    if job.boxes is None or not job.boxes.tracked:
        raise DatasetError(f"the boxes of {pick.tracks} have no ids: name a box, {FORM}")
    own = job.boxes.chosen(job.boxes.track == pick.track)
    if not len(own):
        ids = ", ".join(map(str, np.unique(job.boxes.track).tolist()[:12]))
        raise DatasetError(f"{pick.tracks} has no usable box of track {pick.track}; its tracks are {ids}")
    skipped = SkipLog()
    planned = plan_tracklets(own, source.name, job.footage, job.numbers, SETTINGS, skipped)
    if not planned:
        raise DatasetError(f"track {pick.track} of {pick.tracks}: {_reasons(skipped)}")
    return job.footage, planned


def _open_at(video: Path, frame: int, after: int = 0) -> tuple[Footage, FrameNumbers, int]:
    """Return the footage up to some video frames after `frame`, its numbers, and the index of `frame`.

    Raises:
        DatasetError: If there is no such video frame.
    """
    footage = open_footage(video, most=max(frame, 1) + after)
    numbers = FrameNumbers(footage.times, 1, None, footage.numbers)
    wanted = frame if footage.numbers is not None else max(frame, 1)
    index = int(numbers.indices(np.array([wanted]))[0])
    if not 0 <= index < len(footage.times):
        present = numbers.of_pictures()
        raise DatasetError(f"{video} has no frame {frame}: its frames are {present[0]} to {present[-1]}")
    return footage, numbers, index


def _planned(
    boxes: NDArray[np.float64],
    footage: Footage,
    numbers: FrameNumbers,
    index: int,
    settings: IngestSettings,
    where: str,
) -> PlannedTracklet:  # fmt: skip
    """Return the tracklet of boxes in video frames from `index` on.

    Raises:
        DatasetError: If no box can be used.
    """
    frames = numbers.of_pictures()[index : index + len(boxes)].tolist()
    skipped = SkipLog()
    rows = Boxes.from_rows((f, 1, *box, 1) for f, box in zip(frames, boxes.tolist(), strict=True))
    if (boxes[:, 2:] <= 0).any() or not np.isfinite(boxes).all():
        raise DatasetError(f"{where}: the box is {boxes[0].tolist()}, expected left, top, width and height above 0")
    usable = keep_in_footage(rows, numbers, skipped)
    planned = plan_tracklets(usable, "video", footage, numbers, replace(settings, max_gap=np.inf), skipped)
    if not planned:
        height, width = footage.sizes[index].tolist()
        raise DatasetError(f"{where}, {width} × {height} pixels: {_reasons(skipped)}")
    return planned[0]


def _reasons(skipped: SkipLog) -> str:
    return "; ".join(entry.reason for entry in skipped.entries())
