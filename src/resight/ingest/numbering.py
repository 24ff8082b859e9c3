"""Which picture a tracker's frame number means: the one rule for videos and for folders of frames."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resight.errors import DatasetError
from resight.ingest.boxes import Boxes
from resight.ingest.cameras import Source
from resight.ingest.video import Footage

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

MISSING = -2
"""Index of a frame number between the first and the last picture that no picture has."""


@dataclass(frozen=True, eq=False)
class FrameNumbers:
    """The frame numbers of N pictures, as a tracker counts them.

    Attributes:
        times: (N,) Times of the pictures in seconds since the first, ascending.
        first: Frame number of the first picture.
        rate: Frames per second that the tracker counted; None: it counted the pictures.
        numbers: (N,) Frame number of each picture, ascending; None: they count on from `first`.
        note: What was concluded about the numbers, for the report; empty if nothing had to be.
    """

    times: FloatArray
    first: int = 1
    rate: float | None = None
    numbers: IntArray | None = None
    note: str = ""

    def indices(self, frames: IntArray) -> IntArray:
        """Return the index of the picture that each frame number means.

        Args:
            frames: (n,) Frame numbers.

        Returns:
            (n,) Indices into `times`; -1 before the first picture, N after the last, and `MISSING` where no picture
            has the number.
        """
        count = len(self.times)
        if self.numbers is not None:
            place = np.searchsorted(self.numbers, frames).clip(0, count - 1)
            index = np.where(self.numbers[place] == frames, place, MISSING)
            index = np.where(frames < self.numbers[0], -1, index)
            return np.where(frames > self.numbers[-1], count, index).astype(np.int64)
        offsets = frames - self.first
        if self.rate is None:
            return np.asarray(offsets.clip(-1, count), np.int64)
        seconds = offsets / self.rate
        after = np.searchsorted(self.times, seconds).clip(0, count - 1)
        before = (after - 1).clip(0)
        nearest = np.where(seconds - self.times[before] <= self.times[after] - seconds, before, after)
        # The last picture is shown for the duration of one of the tracker's frames.
        nearest = np.where(seconds >= self.times[-1] + 1 / self.rate, count, nearest)
        return np.where(offsets < 0, -1, nearest).astype(np.int64)

    def fit(self, frames: IntArray) -> bool:
        """Return whether every frame number has a picture."""
        index = self.indices(frames)
        return bool(((index >= 0) & (index < len(self.times))).all())

    def seconds(self, frames: IntArray) -> FloatArray:
        """Return the times of frames that have a picture, in seconds since the first picture."""
        if self.rate is not None and self.numbers is None:
            return np.asarray((frames - self.first) / self.rate)
        return np.asarray(self.times[self.indices(frames).clip(0, len(self.times) - 1)], np.float64)

    def of_pictures(self) -> IntArray:
        """Return every frame number that has a picture, ascending; without a `rate`, one for each picture."""
        if self.numbers is not None:
            return self.numbers
        count = len(self.times)
        if self.rate is not None:
            count = int(np.ceil((self.times[-1] + 1 / self.rate) * self.rate - 1e-6))
        return np.arange(self.first, self.first + count)


def numbers_of_names(names: Sequence[str]) -> IntArray | None:
    """Return the frame numbers in the names of pictures, None if no name has a digit.

    If names have several numbers, such as ``cam2_000300``, the frame number is the last one that differs in all names.

    Args:
        names: File names of the pictures of one camera.

    Raises:
        DatasetError: If some names have a number and others have none, or two pictures have the same number.
    """
    runs = [[int(run) for run in re.findall(r"[0-9]+", name.rpartition(".")[0])] for name in names]
    without = [name for name, run in zip(names, runs, strict=True) if not run]
    if len(without) == len(names):
        return None
    if without:
        raise DatasetError(
            f"{without[0]} has no number in its name, but other pictures have one, which is taken for the frame "
            f"number: rename or remove {without[0]}; {IN_ORDER}"
        )
    if len({len(run) for run in runs}) == 1:
        for column in reversed(list(zip(*runs, strict=True))):
            if len(set(column)) == len(names) and max(column) < 2**62:
                return np.array(column, np.int64)
    last = [run[-1] for run in runs]
    if len(set(last)) == len(names) and max(last) < 2**62:
        return np.array(last, np.int64)
    seen: dict[int, str] = {}
    for name, number in zip(names, last, strict=True):
        if number in seen:
            raise DatasetError(
                f"the pictures {seen[number]} and {name} have the same frame number {number}: keep the frames of one "
                f"camera in one folder; {IN_ORDER}"
            )
        seen[number] = name
    raise DatasetError(f"the numbers in the names of the pictures are too large to be frame numbers; {IN_ORDER}")


IN_ORDER = 'or write numbers = "order" in a camera file, to count the pictures in the order of their names'


def number_frames(
    source: Source, footage: Footage, boxes: Boxes | None = None, base: int | None = None
) -> FrameNumbers:
    """Decide which picture each frame number of a camera means.

    In a folder whose file names carry numbers, frame n is the file numbered n. In a video, frame n is the n-th picture
    that can be decoded, counted from `Source.first_frame`, or else from `base`, or else from 0 if there are boxes in
    frame 0, or else from 1.

    Args:
        source: The camera.
        footage: Its pictures.
        boxes: Boxes of its tracker; None or without tracks of a tracker: our own numbers.
        base: Number of the first picture in the format of the tracks, None if the format does not define it.

    Raises:
        DatasetError: If the numbers do not fit the pictures, and which of several reasons applies cannot be known.
    """
    least, most = (int(boxes.frame.min()), int(boxes.frame.max())) if boxes is not None and len(boxes) else (1, 1)
    used = f"the tracks of camera {source.name} use frames {least} to {most}"
    explicit = source.first_frame
    if footage.numbers is not None:
        first = int(footage.numbers[0]) if explicit is None else explicit
        numbers = footage.numbers + (first - int(footage.numbers[0]))
        counted = FrameNumbers(footage.times, 0, None, numbers)
        # Numbers that fit only in part, but would fit if the pictures were counted, may be either.
        either = boxes is not None and least >= 0 and most <= len(numbers) and not counted.fit(boxes.frame)
        beyond = boxes is not None and (least < numbers[0] or most > numbers[-1])
        if explicit is None and (beyond or either):
            raise DatasetError(
                f"{used}, but the pictures in {source.place} are numbered {numbers[0]} to {numbers[-1]}. If the "
                f"numbers are those of the file names, confirm it with --first-frame {numbers[0]} (first_frame in a "
                "camera file), and frames without a picture are skipped. If the tracker counted from 0 or 1, use "
                f"--first-frame 0 or 1: it is the tracker's number of the first picture, {numbers[0]}. If it counted "
                'the pictures themselves, whatever their numbers, write numbers = "order" in a camera file'
            )
        return FrameNumbers(footage.times, first, None, numbers)
    count, note = len(footage.times), ""
    first = 1 if explicit is None and base is None else explicit if explicit is not None else int(base or 0)
    if explicit is None and base is None and boxes is not None and least == 0:
        first, note = 0, "frames are counted from 0, because there are boxes in frame 0"
    rate = source.rate if boxes is not None else None
    if explicit is None and boxes is not None and rate is None and first == 0 and most == count:
        raise DatasetError(
            f"{used}, but {source.place} has {count} pictures: frames 0 to {count - 1} if counted from 0, and "
            f"1 to {count} if counted from 1. Say which with --first-frame 0 or 1 (first_frame in a camera file)"
        )
    return FrameNumbers(footage.times, first, rate, None, note)
