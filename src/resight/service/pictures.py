"""Pictures of the pages: small JPEGs of clips, joined to one film per tracklet."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from resight.data.transforms import resize_frames

_QUALITY = 85


def join(strip: Sequence[bytes]) -> bytes:
    """Return one JPEG with the pictures of a strip side by side, each as large as the first.

    Args:
        strip: JPEG bytes of at least one picture.
    """
    if len(strip) == 1:
        return strip[0]
    pictures = [simplejpeg.decode_jpeg(picture, colorspace="RGB") for picture in strip]
    size = pictures[0].shape[:2]
    same = [p if p.shape[:2] == size else resize_frames(p[None], size)[0] for p in pictures]
    return encode(np.concatenate(same, axis=1))


def encode(picture: NDArray[np.uint8]) -> bytes:
    """Return the JPEG bytes of a picture, (h, w, 3) uint8 RGB."""
    return bytes(
        simplejpeg.encode_jpeg(
            np.ascontiguousarray(picture), quality=_QUALITY, colorspace="RGB", colorsubsampling="420"
        )
    )
