from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tests.ingest.conftest import COLOURS, MakeVideo, box_of, tracks_text

from resight.data.frames import read_frame
from resight.errors import DatasetError
from resight.ingest.cameras import Source
from resight.ingest.follow import follow
from resight.ingest.footage import open_footage
from resight.ingest.ingest import ingest
from resight.ingest.pick import Pick, crop_at, cut_pick, read_pick

MakeWalk = Callable[..., Path]
HEIGHT, WIDTH = 60, 24


def place(index: int) -> tuple[int, int]:
    """Return left and top of the walker of `make_walk`."""
    return 20 + 2 * index, 30 + round(4 * np.sin(index / 4))


@pytest.fixture
def make_walk(tmp_path: Path) -> MakeWalk:
    """Return a function that writes images of a walker with a texture, who is gone from the frame `gone` on."""

    def make(count: int = 40, gone: int = 1000) -> Path:
        rng = np.random.default_rng(0)
        smooth = [np.asarray(Image.fromarray(rng.integers(0, 255, (h // 4, w // 4, 3), np.uint8)).resize((w, h)))
                  for h, w in ((120, 160), (HEIGHT, WIDTH))]  # fmt: skip
        folder = tmp_path / f"walk-{count}-{gone}"
        folder.mkdir()
        for index in range(count):
            scene: NDArray[np.uint8] = smooth[0].copy()
            left, top = place(index)
            if index < gone:
                scene[top : top + HEIGHT, left : left + WIDTH] = smooth[1]
            Image.fromarray(scene).save(folder / f"{index + 1:03d}.png", compress_level=1)
        return folder

    return make


def test_the_crop_at_a_box(make_video: MakeVideo, make_images: MakeVideo) -> None:
    for video in (make_video(count=20), make_images(count=20)):
        crop = crop_at(video, 8, box_of(1, 7), margin=0)
        assert crop.shape == (60, 24, 3) and np.abs(crop.reshape(-1, 3).mean(0) - COLOURS[1]).max() < 12
        assert crop_at(video, 8, box_of(1, 7), margin=0.5).shape == (120, 48, 3)
    assert np.array_equal(
        crop_at(make_video("a.mp4"), 0, (0, 0, 40, 40)), crop_at(make_video("a.mp4"), 1, (0, 0, 40, 40))
    )


def test_only_the_beginning_of_a_video_is_read(make_video: MakeVideo) -> None:
    footage = open_footage(make_video(count=30), most=5)
    assert len(footage.times) == 5 and [index for index, _ in footage.decode([4])] == [4]


@pytest.mark.parametrize(
    ("frame", "box", "said"),
    [
        (31, (10, 10, 30, 60), "has no frame 31: its frames are 1 to 30"),
        (3, (500, 10, 30, 60), "160 × 120 pixels: box outside the video frame"),
        (3, (10, 10, 4, 60), "box smaller than 8 × 16 pixels"),
        (3, (10, 10, 0, 60), "expected left, top, width and height above 0"),
    ],
)
def test_a_box_that_is_not_there(
    make_video: MakeVideo, tmp_path: Path, frame: int, box: tuple[float, float, float, float], said: str
) -> None:
    video = make_video()
    with pytest.raises(DatasetError, match=said):
        crop_at(video, frame, box)
    with pytest.raises(DatasetError, match=said):
        cut_pick(Pick(video, frame, box), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_person_is_followed(make_walk: MakeWalk) -> None:
    pytest.importorskip("cv2", exc_type=ImportError, reason="following needs OpenCV: pip install 'resight[detect]'")
    boxes = follow(open_footage(make_walk()), 5, (*place(5), WIDTH, HEIGHT))
    assert len(boxes) == 35
    truth = np.array([(*place(index), WIDTH, HEIGHT) for index in range(5, 40)])
    assert np.abs(boxes - truth).max() < 4


def test_a_lost_person_is_not_followed(make_walk: MakeWalk) -> None:
    pytest.importorskip("cv2", exc_type=ImportError, reason="following needs OpenCV: pip install 'resight[detect]'")
    boxes = follow(open_footage(make_walk(gone=15)), 5, (*place(5), WIDTH, HEIGHT))
    assert len(boxes) == 10


def test_a_box_becomes_a_tracklet(
    make_walk: MakeWalk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pick = read_pick(f"{make_walk()}#6:{place(5)[0]},{place(5)[1]},{WIDTH},{HEIGHT}")
    assert pick is not None
    pytest.importorskip("cv2", exc_type=ImportError, reason="following needs OpenCV: pip install 'resight[detect]'")
    (tracklet,) = cut_pick(pick, tmp_path / "followed")
    assert len(tracklet) == 35 and "followed for 35 video frames" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "cv2", None)
    (tracklet,) = cut_pick(pick, tmp_path / "alone")
    assert len(tracklet) == 1 and "only frame 6 is used" in capsys.readouterr().err
    assert read_frame(tracklet.frame(0)).shape == (66, 28, 3)  # margin of 5 %, whole pixels


def test_a_track_is_cut_as_by_ingest(make_video: MakeVideo, tmp_path: Path) -> None:
    video, tracks = make_video(), tmp_path / "tracks.txt"
    tracks.write_text(tracks_text(range(25)))
    ingest(Source("door", video, tracks), tmp_path / "crops")
    (tracklet,) = cut_pick(Pick(video, tracks=tracks, track=2), tmp_path / "picked")
    crops = sorted((tmp_path / "crops" / "door-0002" / "door" / "0002").iterdir())
    assert [frame.read_bytes() for frame in crops] == [(tracklet.folder / name).read_bytes() for name in tracklet.names]
    with pytest.raises(DatasetError, match="no usable box of track 3; its tracks are 1, 2"):
        cut_pick(Pick(video, tracks=tracks, track=3), tmp_path / "none")


def test_a_track_with_a_gap_is_several_tracklets(make_video: MakeVideo, tmp_path: Path) -> None:
    video, tracks = make_video(count=80), tmp_path / "tracks.txt"
    tracks.write_text(tracks_text([*range(10), *range(40, 45)]))
    parts = cut_pick(Pick(video, tracks=tracks, track=1), tmp_path / "picked")
    assert [part.id for part in parts] == ["door track 1 part 1", "door track 1 part 2"]


def test_what_names_a_person_in_a_video(tmp_path: Path) -> None:
    assert read_pick("a#b.mp4#12:1,2.5,30,60") == Pick(Path("a#b.mp4"), 12, (1.0, 2.5, 30.0, 60.0))
    assert read_pick("clip.mp4#tracks/a:b.txt:7") == Pick(Path("clip.mp4"), tracks=Path("tracks/a:b.txt"), track=7)
    assert read_pick("door-0001") is None and read_pick("onnx:a.onnx#b") is None and read_pick("\0.mp4") is None
    video = tmp_path / "clip.mp4"
    video.write_bytes(b"")
    for text in (str(video), f"{video}#12", f"{video}#12:1,2,3"):
        with pytest.raises(DatasetError, match="does not name a person in the video"):
            read_pick(text)
