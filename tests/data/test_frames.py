from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from resight.data.corruption import corrupt_frame
from resight.data.frames import Pixels, load_augmented, load_clips, read_frame, read_frames, resize_frame
from resight.data.transforms import draw_augmentation, draw_augmentations, enlarged_size
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
def test_an_unreadable_frame_is_named_in_the_error(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "0001C1T0001F001.jpg"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FrameError, match=message) as caught:
        read_frame(path)
    assert str(path) in str(caught.value)


def test_load_clips_resizes_and_corrupts_only_the_requested_clips(make_tracklets: MakeTracklets) -> None:
    tracklet: Tracklet = make_tracklets(persons=1, cameras=1, frames=4)[0]
    numbers = np.array([[0, 1], [1, 2]])
    clean = load_clips(tracklet, numbers, (64, 32))
    damaged = load_clips(tracklet, numbers, (64, 32), np.array([False, True]))
    assert clean.shape == (2, 2, 64, 32, 3) and clean.dtype == np.uint8
    assert (clean[0] == damaged[0]).all()
    assert (clean[1] != damaged[1]).any()
    # Frame 1 is in both clips and is corrupted in only one of them.
    same_size = load_clips(tracklet, numbers, (32, 16), np.array([False, True]))
    assert (same_size[0, 1] == read_frame(tracklet.frame(1))).all()
    assert (same_size[1, 0] == corrupt_frame(read_frame(tracklet.frame(1)))).all()


def test_augmentation_is_drawn_once_per_clip(make_tracklets: MakeTracklets) -> None:
    tracklet: Tracklet = make_tracklets(persons=1, cameras=1, frames=1)[0]
    numbers = np.zeros((6, 4), np.int64)  # the same frame in every place
    spec, stage = ClipSpec(4, 6, height=32, width=16), Stage1(colour=0.5)
    clips = load_augmented(tracklet, numbers, spec, stage, draw_augmentations(stage, np.random.default_rng(0), 6))
    assert all((frame == clip[0]).all() for clip in clips for frame in clip)
    assert len({clip.tobytes() for clip in clips}) == 6


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of pictures of four sizes, two of them PNG, one grey."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for n, (height, width) in enumerate([(32, 16), (32, 16), (32, 16), (16, 32), (20, 11), (7, 3)]):
        picture = Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8))
        (picture.convert("L") if n == 2 else picture).save(folder / f"{n}.jpg", quality=90)
        if n in (1, 3):
            picture.save(folder / f"{n}.png")
    return folder


def test_blocks_contain_the_same_pixels_as_single_frames(pictures: Path) -> None:
    names = ["0.jpg", "1.png", "2.jpg", "3.jpg", "3.png", "0.jpg", "5.jpg"]
    blocks = read_frames([pictures / name for name in names])
    assert [block.shape for block in blocks] == [(3, 32, 16, 3), (2, 16, 32, 3), (1, 32, 16, 3), (1, 7, 3, 3)]
    frames = [frame for block in blocks for frame in block]
    for name, frame in zip(names, frames, strict=True):
        with Image.open(pictures / name) as picture:
            expected = np.asarray(picture.convert("RGB"))
        assert np.abs(frame.astype(int) - expected).max() <= (0 if name.endswith("png") else 2)
    assert [len(block) for block in read_frames([])] == [0]


def slowly_loaded(
    tracklet: Tracklet, numbers: NDArray[np.int64], size: tuple[int, int], corrupted: list[bool]
) -> Pixels:
    """Load clips frame by frame, without sharing frames."""
    clips = []
    for clip, damage in zip(numbers.tolist(), corrupted, strict=True):
        frames = [read_frame(tracklet.frame(number)) for number in clip]
        clips.append([resize_frame(corrupt_frame(frame) if damage else frame, size) for frame in frames])
    return np.array(clips)


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_fast_loading_equals_loading_frame_by_frame(pictures: Path, data: st.DataObject) -> None:
    names = sorted(path.name for path in pictures.iterdir())
    chosen = data.draw(st.lists(st.sampled_from(names), min_size=1, max_size=9))
    tracklet = Tracklet("t", 1, 1, pictures, tuple(chosen))
    clips, length = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 4))
    starts = data.draw(st.lists(st.integers(0, 8), min_size=clips, max_size=clips))
    numbers = (np.array(starts, np.int64)[:, None] + np.arange(length)) % len(chosen)
    corrupted = data.draw(st.lists(st.booleans(), min_size=clips, max_size=clips))
    spec = ClipSpec(length, clips, height=data.draw(st.sampled_from([16, 32])), width=16)
    size = spec.height, spec.width
    slow = slowly_loaded(tracklet, numbers, size, corrupted)
    assert (load_clips(tracklet, numbers, size, np.array(corrupted)) == slow).all()

    stage, seed = Stage1(colour=data.draw(st.sampled_from([0.0, 0.5]))), data.draw(st.integers(0, 99))
    changes = draw_augmentations(stage, np.random.default_rng(seed), len(numbers))
    fast = load_augmented(tracklet, numbers, spec, stage, changes, np.array(corrupted))
    enlarged = slowly_loaded(tracklet, numbers, enlarged_size(*size, stage), corrupted)
    rng = np.random.default_rng(seed)
    for clip, large in zip(fast, enlarged, strict=True):
        drawn = draw_augmentation(stage, rng)
        top, left = (round(c * (n - m)) for c, n, m in zip(drawn.crop, large.shape[1:3], size, strict=True))
        expected = large[:, top : top + size[0], left : left + size[1]]
        expected = expected[:, :, ::-1] if drawn.flip else expected
        levels = expected.astype(np.float32) * np.array(drawn.gain, np.float32)
        assert (clip == ((levels - 128) * drawn.contrast + 128.5).clip(0, 255).astype(np.uint8)).all()
