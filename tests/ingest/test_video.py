from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from tests.ingest.conftest import SIZE, MakeVideo, draw, index_of

from resight.errors import DatasetError
from resight.ingest.footage import fingerprint, open_footage


def test_video_frames_are_decoded_in_order(make_video: MakeVideo) -> None:
    footage = open_footage(make_video(count=20))
    assert footage.sizes.tolist() == [list(SIZE)] * 20
    np.testing.assert_allclose(footage.times, np.arange(20) / 25, atol=1e-6)
    images = dict(footage.decode([0, 3, 19]))
    assert list(images) == [0, 3, 19]
    for index, pixels in images.items():
        assert pixels is not None and pixels.shape == (*SIZE, 3)
        assert index_of(pixels) == index
        assert np.abs(pixels.astype(int) - draw(index)).mean() < 6


def test_times_are_the_presentation_times(make_video: MakeVideo) -> None:
    ticks = [0, 1, 2, 7, 8, 20, 21]
    footage = open_footage(make_video(count=7, ticks=ticks))
    np.testing.assert_allclose(footage.times, np.array(ticks) / 25, atol=1e-3)
    assert [index_of(pixels) for _, pixels in footage.decode(range(7)) if pixels is not None] == list(range(7))


@pytest.mark.parametrize("name", ["door.mp4", "door.avi", "door.mkv"])
def test_b_frames_keep_their_indices(make_video: MakeVideo, name: str) -> None:
    av = pytest.importorskip("av", exc_type=ImportError)
    if "libx264" not in av.codecs_available:
        pytest.skip("this build of PyAV has no encoder that writes B-frames")
    footage = open_footage(make_video(name, count=20, b_frames=2))
    np.testing.assert_allclose(footage.times, np.arange(20) / 25, atol=1e-3)
    assert [pixels is not None and index_of(pixels) for _, pixels in footage.decode(range(20))] == list(range(20))


def test_a_rotated_video_is_decoded_upright(make_video: MakeVideo) -> None:
    footage = open_footage(make_video(count=3, rotation=90))
    assert footage.sizes.tolist() == [list(SIZE[::-1])] * 3
    pixels = next(pixels for _, pixels in footage.decode([2]))
    assert pixels is not None
    assert np.abs(pixels.astype(int) - np.rot90(draw(2))).mean() < 6


def test_a_truncated_video_keeps_its_indices(make_video: MakeVideo, tmp_path: Path) -> None:
    whole = make_video("whole.avi", count=30).read_bytes()
    (tmp_path / "cut.avi").write_bytes(whole[: len(whole) * 2 // 3])
    footage = open_footage(tmp_path / "cut.avi")
    assert 5 < len(footage.times) < 30
    images = dict(footage.decode(range(len(footage.times))))
    assert len(images) == len(footage.times)
    assert all(index_of(pixels) == n for n, pixels in list(images.items())[:-1] if pixels is not None)


def test_a_damaged_frame_is_not_counted_as_in_opencv(make_video: MakeVideo) -> None:
    cv2 = pytest.importorskip("cv2", exc_type=ImportError)
    av = pytest.importorskip("av", exc_type=ImportError)
    path = make_video(count=30)
    with av.open(str(path)) as container:
        packets = [p for p in container.demux(container.streams.video[0]) if p.size]
        offset, size = packets[15].pos, packets[15].size
    data = bytearray(path.read_bytes())
    data[offset : offset + size] = b"\xff" * size
    path.write_bytes(data)
    footage, capture, shown = open_footage(path), cv2.VideoCapture(str(path)), []
    while (picture := capture.read())[0]:
        shown.append(index_of(picture[1]))
    images = [image for _, image in footage.decode(range(len(footage.times)))]
    assert [index_of(image) for image in images if image is not None][: len(shown)] == shown  # OpenCV stops there
    assert images[-1] is not None and index_of(images[-1]) == 29
    assert len(footage.times) + footage.lost == 30


def test_a_folder_of_images_is_read_in_natural_order(make_images: MakeVideo) -> None:
    folder = make_images(count=12)
    footage = open_footage(folder, rate=10)
    np.testing.assert_allclose(footage.times, np.arange(12) / 10)
    assert [index_of(pixels) for _, pixels in footage.decode([1, 9, 11]) if pixels is not None] == [1, 9, 11]
    (folder / "5.png").write_bytes(b"not an image")
    assert [pixels is None for _, pixels in footage.decode([3, 4, 5])] == [False, True, False]


def test_files_that_are_not_videos_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("av", exc_type=ImportError)
    with pytest.raises(DatasetError, match="there is no video"):
        open_footage(tmp_path / "none.mp4")
    (tmp_path / "text.mp4").write_text("not a video at all")
    with pytest.raises(DatasetError, match="not a video that can be opened"):
        open_footage(tmp_path / "text.mp4")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="no picture"):
        open_footage(tmp_path / "empty")


def test_a_missing_pyav_is_reported_with_the_install_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.mp4").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(DatasetError, match=r"pip install 'resight\[video\]'"):
        open_footage(tmp_path / "a.mp4")


def test_different_videos_have_different_fingerprints(make_video: MakeVideo, make_images: MakeVideo) -> None:
    first, second = make_video("a.mp4", count=5), make_video("b.mp4", count=6)
    assert fingerprint(first) == fingerprint(first) != fingerprint(second)
    folder = make_images(count=3)
    before = fingerprint(folder)
    (folder / "3.png").unlink()
    assert fingerprint(folder) != before
