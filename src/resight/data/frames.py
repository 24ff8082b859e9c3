"""From files to pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from resight.data.corruption import corrupt_frame
from resight.data.transforms import augment_clip, draw_augmentation, enlarged_size
from resight.errors import FrameError
from resight.recipe import ClipSpec, Stage1
from resight.tracklet import Tracklet

Pixels = NDArray[np.uint8]


def read_frame(path: Path) -> Pixels:
    """One picture as (h, w, 3) RGB uint8.

    Raises:
        FrameError: if the file is missing, empty, or not a picture.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FrameError(
            f"cannot read frame {path}: {error.strerror}; restore the file or drop its tracklet"
        ) from error
    try:
        if data[:2] == b"\xff\xd8":
            return np.asarray(simplejpeg.decode_jpeg(data, colorspace="RGB", fastdct=False))
        with Image.open(path) as picture:
            return np.asarray(picture.convert("RGB"))
    except (ValueError, UnidentifiedImageError, OSError) as error:
        raise FrameError(
            f"frame {path} ({len(data)} bytes) is not a readable picture: {error}; restore it or drop its tracklet"
        ) from error


def load_clips(
    tracklet: Tracklet,
    frame_numbers: NDArray[np.int64],
    size: tuple[int, int],
    corrupted: NDArray[np.bool_] | None = None,
) -> Pixels:
    """Pixels of some clips of a tracklet, all at one size.

    A frame in several clips is decoded once.

    Args:
        tracklet: whose frames.
        frame_numbers: (M, L), from `sample_clips`.
        size: (height, width) to which every frame is resized.
        corrupted: (M,) clips whose frames are corrupted before they are resized (paper, Sec. 4.4); None: no clip.

    Returns:
        (M, L, height, width, 3) uint8.

    Raises:
        FrameError: if a frame cannot be read.
    """
    originals = {int(n): read_frame(tracklet.frame(int(n))) for n in np.unique(frame_numbers)}
    clean: dict[int, Pixels] = {}
    damaged: dict[int, Pixels] = {}
    clips = np.empty((*frame_numbers.shape, *size, 3), np.uint8)
    for m, numbers in enumerate(frame_numbers):
        is_corrupted = corrupted is not None and bool(corrupted[m])
        ready = damaged if is_corrupted else clean
        for place, number in enumerate(numbers.tolist()):
            if number not in ready:
                frame = originals[number]
                ready[number] = resize_frame(corrupt_frame(frame) if is_corrupted else frame, size)
            clips[m, place] = ready[number]
    return clips


def load_augmented(
    tracklet: Tracklet,
    frame_numbers: NDArray[np.int64],
    spec: ClipSpec,
    augmentation: Stage1,
    rng: np.random.Generator,
    corrupted: NDArray[np.bool_] | None = None,
) -> Pixels:
    """Pixels of some clips, each seen through one random crop, flip and tint of its own.

    Returns:
        (M, L, spec.height, spec.width, 3) uint8.
    """
    size = spec.height, spec.width
    clips = load_clips(tracklet, frame_numbers, enlarged_size(*size, augmentation), corrupted)
    return np.stack([augment_clip(clip, size, draw_augmentation(augmentation, rng)) for clip in clips])


def resize_frame(frame: Pixels, size: tuple[int, int]) -> Pixels:
    """(h, w, 3) to (height, width, 3), bilinear with anti-aliasing."""
    if frame.shape[:2] == size:
        return frame
    return np.asarray(Image.fromarray(frame).resize((size[1], size[0]), Image.Resampling.BILINEAR))
