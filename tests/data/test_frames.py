from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resight.data.corruption import corrupt_frame
from resight.data.frames import load_augmented, load_clips, read_frame
from resight.errors import FrameError
from resight.recipe import ClipSpec, Stage1
from resight.tracklet import Tracklet

MakeTracklets = Callable[..., list[Tracklet]]


def test_png_and_jpeg_agree(tmp_path: Path) -> None:
    ramp = np.linspace(0, 255, 32 * 16 * 3).reshape(32, 16, 3).astype(np.uint8)
    Image.fromarray(ramp).save(tmp_path / "a.png")
    Image.fromarray(ramp).save(tmp_path / "a.jpg", quality=98, subsampling=0)
    assert (read_frame(tmp_path / "a.png") == ramp).all()
    assert np.abs(read_frame(tmp_path / "a.jpg").astype(int) - ramp).max() <= 6


def test_a_grey_picture_becomes_rgb(tmp_path: Path) -> None:
    Image.fromarray(np.full((8, 4), 77, np.uint8)).save(tmp_path / "grey.png")
    assert read_frame(tmp_path / "grey.png").shape == (8, 4, 3)


@pytest.mark.parametrize(
    ("content", "message"), [(None, "No such file"), (b"", "0 bytes"), (b"\xff\xd8\xff junk", "not a readable picture")]
)
def test_a_bad_frame_is_named(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "0001C1T0001F001.jpg"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FrameError, match=message) as caught:
        read_frame(path)
    assert str(path) in str(caught.value)


def test_load_clips_resizes_and_corrupts_only_what_it_is_told(make_tracklets: MakeTracklets) -> None:
    tracklet: Tracklet = make_tracklets(persons=1, cameras=1, frames=4)[0]
    numbers = np.array([[0, 1], [1, 2]])
    clean = load_clips(tracklet, numbers, (64, 32))
    damaged = load_clips(tracklet, numbers, (64, 32), np.array([False, True]))
    assert clean.shape == (2, 2, 64, 32, 3) and clean.dtype == np.uint8
    assert (clean[0] == damaged[0]).all()
    assert (clean[1] != damaged[1]).any()
    # frame 1 is in both clips, and is corrupted in one of them only
    same_size = load_clips(tracklet, numbers, (32, 16), np.array([False, True]))
    assert (same_size[0, 1] == read_frame(tracklet.frame(1))).all()
    assert (same_size[1, 0] == corrupt_frame(read_frame(tracklet.frame(1)))).all()


def test_augmentation_draws_once_a_clip(make_tracklets: MakeTracklets) -> None:
    tracklet: Tracklet = make_tracklets(persons=1, cameras=1, frames=1)[0]
    numbers = np.zeros((6, 4), np.int64)  # one frame, again and again
    clips = load_augmented(
        tracklet, numbers, ClipSpec(4, 6, height=32, width=16), Stage1(colour=0.5), np.random.default_rng(0)
    )
    assert all((frame == clip[0]).all() for clip in clips for frame in clip)
    assert len({clip.tobytes() for clip in clips}) == 6
