"""Decode one picture of any supported format and pixel type as RGB."""

from __future__ import annotations

import io
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

_ORIENTATION = 0x0112
_BACKGROUND = 128
"""Grey level behind transparent pixels: the middle of the range, so that no edge stands out more than it must."""
_EXIF_AT = 1 << 16
"""The orientation of a JPEG is stored in one of its first segments, none of which is longer."""
_LARGEST = 1 << 27
_PLAUSIBLE = 1 << 20
_PIXELS_PER_BYTE = 5000
_LEAST_MAXIMUM = 1 << 14
_LEAST_RANGE = 1 << 12
_DAMAGED = (
    SyntaxError, EOFError, IndexError, OverflowError, TypeError, KeyError, Image.DecompressionBombError,
)  # fmt: skip
"""What Pillow raises for damaged pictures, besides OSError and ValueError."""


def is_plain_jpeg(data: bytes) -> bool:
    """Return whether the fast JPEG decoder returns the picture as it should be seen: no rotation to apply."""
    if data[:2] != b"\xff\xd8":
        return False
    if data.find(b"Exif\0\0", 0, _EXIF_AT) < 0:
        return True
    with Image.open(io.BytesIO(data)) as picture:
        return orientation_of(picture) == 1


def orientation_of(picture: Image.Image) -> int:
    """Return the EXIF orientation of a picture, 1 (upright) if it has none or it is damaged."""
    try:
        value = picture.getexif().get(_ORIENTATION, 1)
    except (ValueError, TypeError, KeyError, SyntaxError, OSError, EOFError, OverflowError):
        return 1
    return value if isinstance(value, int) and value in range(1, 9) else 1


def decode_picture(data: bytes) -> NDArray[np.uint8]:
    """Return a picture as (h, w, 3) uint8 RGB, upright.

    The EXIF orientation is applied. Transparent pixels show a grey background. 16- and 32-bit values are scaled to 8
    bits with one fixed scale, so that all pictures of a tracklet keep their relative brightness.

    Args:
        data: Content of the file.

    Raises:
        ValueError: If the picture is damaged, or its values do not tell how to scale them.
        OSError: If it has an unknown format or is incomplete.
    """
    try:
        with Image.open(io.BytesIO(data)) as opened:
            check_size(*opened.size, len(data))
            picture: Image.Image = opened
            if orientation_of(opened) != 1:
                picture = ImageOps.exif_transpose(opened)
            return _as_rgb(picture)
    except _DAMAGED as error:
        raise ValueError(f"damaged ({error})") from error


def check_size(width: int, height: int, length: int) -> None:
    """Refuse a picture whose header claims more pixels than a camera has, or than a file of its size can hold.

    Raises:
        ValueError: If it does.
    """
    if width * height > min(_LARGEST, max(_PLAUSIBLE, _PIXELS_PER_BYTE * length)):
        raise ValueError(f"its header says {width} × {height} pixels, but the file has {length:,} bytes")


def upright_size(file: BinaryIO, length: int) -> tuple[int, int]:
    """Return height and width of a picture as it should be seen; of most formats, only the header is read.

    Args:
        file: The picture.
        length: Its number of bytes.

    Raises:
        ValueError: If the header is damaged.
        OSError: If it has an unknown format.
    """
    try:
        with Image.open(file) as picture:
            width, height = picture.size
            check_size(width, height, length)
            return (width, height) if orientation_of(picture) >= 5 else (height, width)
    except _DAMAGED as error:
        raise ValueError(f"damaged ({error})") from error


def _as_rgb(picture: Image.Image) -> NDArray[np.uint8]:
    if picture.mode.startswith(("I", "F")):
        grey = _scaled(np.asarray(picture))
        return np.repeat(grey[..., None], 3, axis=2)
    if picture.has_transparency_data:
        shown = picture.convert("RGBA")
        behind = Image.new("RGBA", shown.size, (_BACKGROUND, _BACKGROUND, _BACKGROUND, 255))
        picture = Image.alpha_composite(behind, shown)
    return np.asarray(picture.convert("RGB"))


def _scaled(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Return grey values of more than 8 bits, scaled to 8 bits.

    Raises:
        ValueError: If the values cannot be those of a picture that uses the range of its type.
    """
    numbers = np.asarray(values, np.float64)
    if not np.isfinite(numbers).all():
        raise ValueError("its values are not finite")
    least, most = float(numbers.min()), float(numbers.max())
    if least >= 0 and most <= 1 and values.dtype.kind == "f":
        scale = 255.0
    elif least >= 0 and most <= 255 and values.dtype != np.uint16:
        scale = 1.0
    elif least >= 0 and most <= 65535 and most >= _LEAST_MAXIMUM and most - least >= _LEAST_RANGE:
        scale = 255 / 65535
    elif least >= 0 and most >= 2**29 and values.dtype.kind in "iu":
        scale = 255 / (2**31 - 1)
    else:
        raise ValueError(
            f"its values are {least:g} to {most:g}, a small part of 16 bits, as of a thermal camera: "
            "convert the pictures to 8 bits, all with the same scale"
        )
    return np.asarray((numbers * scale).round().clip(0, 255), np.uint8)
