"""Read frames from files as pixels."""

from __future__ import annotations

import io
import stat
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import UnidentifiedImageError

from resight.data.corruption import corrupt_frames
from resight.data.damage import CORRUPTED, ClipDamage, damage_clip
from resight.data.pictures import check_size, decode_picture, is_plain_jpeg, upright_size
from resight.data.transforms import Augmentation, Pixels, augment_clip, enlarged_size, resize_frames
from resight.errors import FrameError
from resight.packs import packed_frame
from resight.recipe import ClipSpec, Stage1
from resight.tracklet import Tracklet

__all__ = [
    "Pixels", "frame_content", "frame_size", "frame_state", "load_augmented", "load_clips", "read_frame", "read_frames",
    "resize_frame",
]  # fmt: skip


def read_frame(path: Path) -> Pixels:
    """Read one picture as (h, w, 3) uint8 RGB.

    Raises:
        FrameError: If the file is missing, empty, or not a picture.
    """
    frame: Pixels = read_frames([path])[0][0]
    return frame


def frame_size(path: Path) -> tuple[int, int]:
    """Return height and width of a picture as `read_frame` returns it, from its header.

    Raises:
        FrameError: If the file is missing or has no header of a picture.
    """
    packed = packed_frame(path)
    if packed is None:
        _check_regular(path)
    length = path.stat().st_size if packed is None else packed.size
    try:
        with path.open("rb") if packed is None else io.BytesIO(packed.read()) as file:
            return upright_size(file, length)
    except (ValueError, OSError) as error:
        raise _unreadable(path, length, error) from error


def read_frames(paths: Sequence[Path]) -> list[Pixels]:
    """Read pictures as blocks (n, h, w, 3) uint8 RGB, one for each run of successive pictures of equal size.

    JPEG files are decoded directly into their block, because allocating memory for each takes a third of the time of
    decoding.

    Raises:
        FrameError: If a file is missing, empty, or not a picture.
    """
    blocks: list[Pixels] = []
    block, filled = np.empty((0, 0, 0, 3), np.uint8), 0
    for n, path in enumerate(paths):
        data = frame_content(path)
        try:
            other = None if is_plain_jpeg(data) else decode_picture(data)
            size = simplejpeg.decode_jpeg_header(data)[:2] if other is None else other.shape[:2]
            check_size(size[1], size[0], len(data))
            if size != block.shape[1:3]:
                blocks.append(block[:filled])
                block, filled = np.empty((len(paths) - n, *size, 3), np.uint8), 0
            if other is None:
                simplejpeg.decode_jpeg(data, colorspace="RGB", buffer=block[filled])
            else:
                block[filled] = other
        except (ValueError, OSError, MemoryError) as error:
            raise _unreadable(path, len(data), error) from error
        filled += 1
    return [*blocks[1:], block[:filled]]


def load_clips(
    tracklet: Tracklet,
    frame_numbers: NDArray[np.int64],
    size: tuple[int, int],
    damage: ClipDamage | NDArray[np.bool_] | None = None,
    *,
    out: Pixels | None = None,
) -> Pixels:
    """Read clips of a tracklet, with all frames resized to one size.

    A frame in several clips is decoded once. It is resized once without damage and once with the paper's corruption,
    if both are needed.

    Args:
        tracklet: The tracklet.
        frame_numbers: (M, L) frame numbers from `sample_clips`.
        size: (height, width) of the resized frames.
        damage: Damage of each clip, applied before resizing; or (M,) bool, True for clips with the paper's corruption
            (Sec. 4.4); None: no damage.
        out: (M, L, height, width, 3) array to fill.

    Returns:
        (M, L, height, width, 3) uint8 RGB: `out` if it was given.

    Raises:
        FrameError: If a frame cannot be read.
        DatasetError: If the damage needs a donor and there is none.
    """
    if out is None:
        out = np.empty((*frame_numbers.shape, *size, 3), np.uint8)
    for clips, places, frames in _resized(tracklet, frame_numbers, size, damage):
        for m, numbers in zip(clips, places, strict=True):
            np.take(frames, numbers, axis=0, out=out[m], mode="clip")
    return out


def load_augmented(
    tracklet: Tracklet,
    frame_numbers: NDArray[np.int64],
    spec: ClipSpec,
    augmentation: Stage1,
    drawn: Sequence[Augmentation],
    damage: ClipDamage | NDArray[np.bool_] | None = None,
    *,
    out: Pixels | None = None,
) -> Pixels:
    """Read clips of a tracklet, each with one random crop, flip and colour change for all of its frames.

    Args:
        tracklet: The tracklet.
        frame_numbers: (M, L) frame numbers from `sample_clips`.
        spec: Height and width of the clips.
        augmentation: How much frames are enlarged before the crop.
        drawn: M, the changes of each clip from `draw_augmentations`.
        damage: As in `load_clips`.
        out: (M, L, spec.height, spec.width, 3) array to fill.

    Returns:
        (M, L, spec.height, spec.width, 3) uint8 RGB: `out` if it was given.

    Raises:
        FrameError: If a frame cannot be read.
        DatasetError: If the damage needs a donor and there is none.
    """
    size = spec.height, spec.width
    if out is None:
        out = np.empty((*frame_numbers.shape, *size, 3), np.uint8)
    enlarged = enlarged_size(*size, augmentation)
    for clips, places, frames in _resized(tracklet, frame_numbers, enlarged, damage):
        for m, numbers in zip(clips, places, strict=True):
            first = numbers[0]
            consecutive = (numbers == np.arange(first, first + len(numbers))).all()
            clip = frames[first : first + len(numbers)] if consecutive else frames[numbers]
            augment_clip(clip, size, drawn[m], out[m])
    return out


def resize_frame(frame: Pixels, size: tuple[int, int]) -> Pixels:
    """Resize one frame (h, w, 3) to `size` (height, width) as `resize_frames` does."""
    resized: Pixels = resize_frames(frame[None], size)[0]
    return resized


def _resized(
    tracklet: Tracklet,
    frame_numbers: NDArray[np.int64],
    size: tuple[int, int],
    damage: ClipDamage | NDArray[np.bool_] | None,
) -> list[tuple[NDArray[np.int64], NDArray[np.int64], Pixels]]:
    """Return groups of clips as (indices of clips, indices of their frames, resized frames).

    All undamaged clips are one group and share its frames, and so are all corrupted clips. Other damage differs
    between clips, so that each of these is a group of its own.
    """
    if not isinstance(damage, ClipDamage):
        damage = ClipDamage.corrupted(np.zeros(len(frame_numbers), bool) if damage is None else damage)
    place = {number: n for n, number in enumerate(sorted(set(frame_numbers.ravel().tolist())))}
    blocks = read_frames([tracklet.frame(number) for number in place])
    views = []
    for kind in ("", CORRUPTED):
        clips = np.flatnonzero(damage.kinds == kind)
        if len(clips):
            places = np.array([[place[number] for number in clip] for clip in frame_numbers[clips].tolist()])
            used = np.arange(len(place))
            if len(clips) < len(frame_numbers):  # frames that only other clips use are not needed
                used, places = np.unique(places, return_inverse=True)
            frames = [resize_frames(corrupt_frames(b) if kind else b, size) for b in _chosen(blocks, used)]
            whole = frames[0] if len(frames) == 1 else np.concatenate(frames)
            views.append((clips, places.reshape(len(clips), -1), whole))
    for m in np.flatnonzero((damage.kinds != "") & (damage.kinds != CORRUPTED)).tolist():
        used, places = np.unique([place[number] for number in frame_numbers[m].tolist()], return_inverse=True)
        clip = _of_one_size(_chosen(blocks, used))[places]
        rng, source = damage.drawn(tracklet, m, len(clip))
        frames_of_donor = None if source is None else _clip_of(*source)
        whole = resize_frames(damage_clip(clip, str(damage.kinds[m]), rng, frames_of_donor), size)
        views.append((np.array([m]), np.arange(len(clip))[None], whole))
    return views


def _clip_of(tracklet: Tracklet, numbers: NDArray[np.int64]) -> Pixels:
    """Return the frames of one clip, (L, h, w, 3), at the size of its earliest frame."""
    used, places = np.unique(numbers, return_inverse=True)
    clip: Pixels = _of_one_size(read_frames([tracklet.frame(number) for number in used.tolist()]))[places]
    return clip


def _of_one_size(blocks: Sequence[Pixels]) -> Pixels:
    """Return all frames of some blocks at the size of the first block."""
    height, width = blocks[0].shape[1:3]
    return np.concatenate([resize_frames(block, (height, width)) for block in blocks])


def _chosen(blocks: Sequence[Pixels], used: NDArray[np.int64]) -> list[Pixels]:
    """Return the selected frames of the blocks. A block whose frames are all selected is not copied."""
    chosen, start = [], 0
    for block in blocks:
        rows = used[(used >= start) & (used < start + len(block))] - start
        if len(rows):
            chosen.append(block if len(rows) == len(block) else block[rows])
        start += len(block)
    return chosen


def _unreadable(path: Path, length: int, error: Exception) -> FrameError:
    reason = "unknown format" if isinstance(error, UnidentifiedImageError) else error
    return FrameError(
        f"frame {path} ({length} bytes) is not a readable picture: {reason}; restore it or remove its tracklet"
    )


def frame_content(path: Path) -> bytes:
    """Return the content of a frame's file, which may be in a pack.

    Raises:
        FrameError: If it is missing or not a regular file.
    """
    packed = packed_frame(path)
    if packed is not None:
        return packed.read()
    _check_regular(path)
    try:
        return path.read_bytes()
    except OSError as error:
        raise FrameError(
            f"cannot read frame {path}: {error.strerror}; restore the file or remove its tracklet"
        ) from error


def frame_state(path: Path) -> tuple[int, int] | None:
    """Return size in bytes and time of modification in nanoseconds of a frame's file; None if there is no such file."""
    try:
        packed = packed_frame(path)
        if packed is not None:
            return packed.size, packed.mtime_ns
        state = path.stat()
    except (OSError, ValueError, FrameError):  # ValueError: a zero byte in the path
        return None
    return (state.st_size, state.st_mtime_ns) if stat.S_ISREG(state.st_mode) else None


def _check_regular(path: Path) -> None:
    """Refuse what is not a regular file: reading a pipe would wait for ever."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise FrameError(f"frame {path} is not a regular file; restore the file or remove its tracklet")
    except OSError as error:
        raise FrameError(
            f"cannot read frame {path}: {error.strerror}; restore the file or remove its tracklet"
        ) from error
