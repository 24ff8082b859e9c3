"""Every format and pixel type reads as the same picture, or is refused with a sentence."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resight.data.frames import Pixels, frame_size, read_frame
from resight.data.readers.folder import read_tracklet
from resight.errors import DatasetError, FrameError


def scene() -> Pixels:
    y, x = np.mgrid[:88, :36]
    picture = np.stack([110 + 20 * np.sin(x / 17), 115 + 15 * np.cos(y / 11), 120 + 0 * x], 2)
    picture[22:54, 8:28], picture[54:80, 10:26], picture[8:22, 13:23] = (200, 30, 30), (40, 40, 45), (205, 165, 140)
    return picture.clip(0, 255).astype(np.uint8)


def grey16(picture: Image.Image, path: Path) -> None:
    Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257).save(path)


def grey32(picture: Image.Image, path: Path) -> None:
    Image.fromarray(np.asarray(picture.convert("L")).astype(np.int32) * 257).save(path)


def shares(picture: Image.Image, path: Path) -> None:
    Image.fromarray(np.asarray(picture.convert("L")).astype(np.float32) / 255).save(path)


def cut_out(picture: Image.Image, path: Path) -> None:
    alpha = np.dstack([np.asarray(picture), np.full(picture.size[::-1], 255, np.uint8)])
    inside = np.zeros(alpha.shape[:2], bool)
    inside[8:-8, 4:-4] = True
    alpha[~inside] = (255, 0, 255, 0)
    Image.fromarray(alpha).save(path)


def rotated(value: int, turn: Image.Transpose) -> Callable[[Image.Image, Path], None]:
    def save(picture: Image.Image, path: Path) -> None:
        exif = Image.Exif()
        exif[0x0112] = value
        picture.transpose(turn).save(path, quality=95, exif=exif)

    return save


WAYS: dict[str, Callable[[Image.Image, Path], None]] = {
    "plain.jpg": lambda picture, path: picture.save(path, quality=95),
    "grey8.png": lambda picture, path: picture.convert("L").save(path),
    "grey16.png": grey16,
    "grey16.tif": grey16,
    "grey32.tif": grey32,
    "shares.tif": shares,
    "cmyk.jpg": lambda picture, path: picture.convert("CMYK").save(path, quality=95),
    "alpha.png": cut_out,
    "alpha.webp": lambda picture, path: picture.convert("RGBA").save(path, lossless=True),
    "palette.png": lambda picture, path: picture.quantize(64).save(path),
    "exif6.jpg": rotated(6, Image.Transpose.ROTATE_90),
    "exif8.webp": rotated(8, Image.Transpose.ROTATE_270),
    "exif3.jpg": rotated(3, Image.Transpose.ROTATE_180),
    "a.webp": lambda picture, path: picture.save(path, quality=95),
    "a.bmp": lambda picture, path: picture.save(path),
    "a.tif": lambda picture, path: picture.save(path),
    "a.jfif": lambda picture, path: picture.save(path, format="JPEG", quality=95),
}


@pytest.mark.parametrize("name", WAYS)
def test_a_picture_looks_the_same_however_it_is_stored(tmp_path: Path, name: str) -> None:
    WAYS[name](Image.fromarray(scene()), tmp_path / name)
    expected = scene().astype(float)
    if name.startswith(("grey", "shares")):
        expected = np.repeat(expected @ [[0.299], [0.587], [0.114]], 3, axis=2)
    found = read_frame(tmp_path / name)
    assert found.shape == expected.shape == (*frame_size(tmp_path / name), 3)
    assert np.abs(found - expected).mean() < 12
    assert read_tracklet(tmp_path).names == (name,)


@pytest.mark.parametrize("scale", [(8, 7000), (4, 0), (1, 29000)])
def test_a_picture_that_uses_a_small_part_of_its_range_is_refused(tmp_path: Path, scale: tuple[int, int]) -> None:
    factor, offset = scale
    Image.fromarray(scene()[..., 0].astype(np.uint16) * factor + offset).save(tmp_path / "thermal.png")
    with pytest.raises(FrameError, match=r"small part of 16 bits.*convert the pictures to 8 bits"):
        read_frame(tmp_path / "thermal.png")


def test_pictures_of_other_formats_are_named(tmp_path: Path) -> None:
    (tmp_path / "1.heic").write_bytes(b"x")
    with pytest.raises(DatasetError, match=r"holds no picture \(pictures such as 1\.heic are not read: convert"):
        read_tracklet(tmp_path)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "1.jpg")
    with pytest.raises(FrameError, match="not a regular file"):
        read_frame(tmp_path / "1.jpg")
    with pytest.raises(DatasetError, match="not a regular file"):
        read_tracklet(tmp_path)


def test_a_header_that_cannot_be_true_is_refused_at_once(tmp_path: Path) -> None:
    Image.fromarray(scene()).save(tmp_path / "a.bmp")
    content = bytearray((tmp_path / "a.bmp").read_bytes())
    content[18:26] = (9_000).to_bytes(4, "little") * 2  # width and height
    (tmp_path / "a.bmp").write_bytes(content)
    with pytest.raises(FrameError, match=r"9000 × 9000 pixels, but the file has 9,\d+ bytes"):
        read_frame(tmp_path / "a.bmp")
