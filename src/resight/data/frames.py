"""From files to pixels."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from resight.data.corruption import corrupt_frames
from resight.data.transforms import Pixels, augment_clip, draw_augmentation, enlarged_size, resize_frames
from resight.errors import FrameError
from resight.recipe import ClipSpec, Stage1
from resight.tracklet import Tracklet

__all__ = ["Pixels", "load_augmented", "load_clips", "read_frame", "read_frames", "resize_frame"]


def read_frame(path: Path) -> Pixels:
    """One picture as (h, w, 3) RGB.

    Raises:
        FrameError: if the file is missing, empty, or not a picture.
    """
    frame: Pixels = read_frames([path])[0][0]
    return frame


def read_frames(paths: Sequence[Path]) -> list[Pixels]:
    """Pictures as blocks (n, h, w, 3), one for each run of pictures of equal size.

    JPEG files are decoded straight into their block, since fresh memory for each costs a third of the decoding.

    Raises:
        FrameError: if a file is missing, empty, or not a picture.
    """
    blocks: list[Pixels] = []
    block, filled = np.empty((0, 0, 0, 3), np.uint8), 0
    for n, path in enumerate(paths):
        data = _content(path)
        try:
            is_jpeg = data[:2] == b"\xff\xd8"
            other = None if is_jpeg else np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
            size = simplejpeg.decode_jpeg_header(data)[:2] if other is None else other.shape[:2]
            if size != block.shape[1:3]:
                blocks.append(block[:filled])
                block, filled = np.empty((len(paths) - n, *size, 3), np.uint8), 0
            if other is None:
                simplejpeg.decode_jpeg(data, colorspace="RGB", buffer=block[filled])
            else:
                block[filled] = other
        except (ValueError, UnidentifiedImageError, OSError) as error:
            raise FrameError(
                f"frame {path} ({len(data)} bytes) is not a readable picture: {error}; restore it or drop its tracklet"
            ) from error
        filled += 1
    return [*blocks[1:], block[:filled]]


def load_clips(
    tracklet: Tracklet,
    frame_numbers: NDArray[np.int64],
    size: tuple[int, int],
    corrupted: NDArray[np.bool_] | None = None,
    *,
    out: Pixels | None = None,
) -> Pixels:
    """Pixels of some clips of a tracklet, all at one size.

    A frame in several clips is decoded once, and resized once with and once without damage if both are asked for.

    Args:
        tracklet: whose frames.
        frame_numbers: (M, L), from `sample_clips`.
        size: (height, width) to which every frame is resized.
        corrupted: (M,) clips whose frames are corrupted before they are resized (paper, Sec. 4.4); None: no clip.
        out: (M, L, height, width, 3) to fill.

    Returns:
        (M, L, height, width, 3) uint8: `out` if it was given.

    Raises:
        FrameError: if a frame cannot be read.
    """
    if out is None:
        out = np.empty((*frame_numbers.shape, *size, 3), np.uint8)
    for clips, places, frames in _resized(tracklet, frame_numbers, size, corrupted):
        for m, numbers in zip(clips, places, strict=True):
            np.take(frames, numbers, axis=0, out=out[m], mode="clip")
    return out


def load_augmented(
    tracklet: Tracklet,
    frame_numbers: NDArray[np.int64],
    spec: ClipSpec,
    augmentation: Stage1,
    rng: np.random.Generator,
    corrupted: NDArray[np.bool_] | None = None,
    *,
    out: Pixels | None = None,
) -> Pixels:
    """Pixels of some clips, each seen through one random crop, flip and tint of its own.

    Returns:
        (M, L, spec.height, spec.width, 3) uint8: `out` if it was given.

    Raises:
        FrameError: if a frame cannot be read.
    """
    size = spec.height, spec.width
    if out is None:
        out = np.empty((*frame_numbers.shape, *size, 3), np.uint8)
    drawn = [draw_augmentation(augmentation, rng) for _ in frame_numbers]
    enlarged = enlarged_size(*size, augmentation)
    for clips, places, frames in _resized(tracklet, frame_numbers, enlarged, corrupted):
        for m, numbers in zip(clips, places, strict=True):
            first = numbers[0]
            consecutive = (numbers == np.arange(first, first + len(numbers))).all()
            clip = frames[first : first + len(numbers)] if consecutive else frames[numbers]
            augment_clip(clip, size, drawn[m], out[m])
    return out


def resize_frame(frame: Pixels, size: tuple[int, int]) -> Pixels:
    """(h, w, 3) to (height, width, 3), as `resize_frames`."""
    resized: Pixels = resize_frames(frame[None], size)[0]
    return resized


def _resized(
    tracklet: Tracklet,
    frame_numbers: NDArray[np.int64],
    size: tuple[int, int],
    corrupted: NDArray[np.bool_] | None,
) -> list[tuple[NDArray[np.int64], NDArray[np.int64], Pixels]]:
    """Of the clean and of the corrupted clips: their numbers, where their frames are found, and these frames."""
    damaged = np.zeros(len(frame_numbers), bool) if corrupted is None else corrupted
    place = {number: n for n, number in enumerate(sorted(set(frame_numbers.ravel().tolist())))}
    blocks = read_frames([tracklet.frame(number) for number in place])
    views = []
    for damage in (False, True):
        clips = np.flatnonzero(damaged == damage)
        if len(clips):
            places = np.array([[place[number] for number in clip] for clip in frame_numbers[clips].tolist()])
            used = np.arange(len(place))
            if len(clips) < len(damaged):  # the other clips need other frames
                used, places = np.unique(places, return_inverse=True)
            frames = [resize_frames(corrupt_frames(b) if damage else b, size) for b in _chosen(blocks, used)]
            whole = frames[0] if len(frames) == 1 else np.concatenate(frames)
            views.append((clips, places.reshape(len(clips), -1), whole))
    return views


def _chosen(blocks: Sequence[Pixels], used: NDArray[np.int64]) -> list[Pixels]:
    """Some frames of the blocks, a block left as it is where all of it is used."""
    chosen, start = [], 0
    for block in blocks:
        rows = used[(used >= start) & (used < start + len(block))] - start
        if len(rows):
            chosen.append(block if len(rows) == len(block) else block[rows])
        start += len(block)
    return chosen


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise FrameError(
            f"cannot read frame {path}: {error.strerror}; restore the file or drop its tracklet"
        ) from error
