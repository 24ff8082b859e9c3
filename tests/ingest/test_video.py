from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from tests.ingest.conftest import SIZE, MakeVideo, draw, number_of

from resight.errors import DatasetError
from resight.ingest.video import fingerprint, open_footage


def test_pictures_come_in_order_and_decoded(make_video: MakeVideo) -> None:
    footage = open_footage(make_video(count=20))
    assert footage.size == SIZE
    np.testing.assert_allclose(footage.times, np.arange(20) / 25, atol=1e-6)
    seen = dict(footage.pictures([0, 3, 19]))
    assert list(seen) == [0, 3, 19]
    for number, pixels in seen.items():
        assert pixels is not None and pixels.shape == (*SIZE, 3)
        assert number_of(pixels) == number
        assert np.abs(pixels.astype(int) - draw(number)).mean() < 6


def test_times_are_the_presentation_times(make_video: MakeVideo) -> None:
    ticks = [0, 1, 2, 7, 8, 20, 21]
    footage = open_footage(make_video(count=7, ticks=ticks))
    np.testing.assert_allclose(footage.times, np.array(ticks) / 25, atol=1e-3)
    assert [number_of(pixels) for _, pixels in footage.pictures(range(7)) if pixels is not None] == list(range(7))


@pytest.mark.parametrize("name", ["door.mp4", "door.avi", "door.mkv"])
def test_pictures_decoded_ahead_of_others_keep_their_places(make_video: MakeVideo, name: str) -> None:
    av = pytest.importorskip("av", exc_type=ImportError)
    if "libx264" not in av.codecs_available:
        pytest.skip("this build of PyAV has no encoder that reorders pictures")
    footage = open_footage(make_video(name, count=20, ahead=2))
    np.testing.assert_allclose(footage.times, np.arange(20) / 25, atol=1e-3)
    assert [pixels is not None and number_of(pixels) for _, pixels in footage.pictures(range(20))] == list(range(20))


def test_a_turned_video_is_seen_upright(make_video: MakeVideo) -> None:
    footage = open_footage(make_video(count=3, turn=90))
    assert footage.size == SIZE[::-1]
    pixels = next(pixels for _, pixels in footage.pictures([2]))
    assert pixels is not None
    assert np.abs(pixels.astype(int) - np.rot90(draw(2))).mean() < 6


def test_a_video_that_was_cut_off_keeps_its_numbers(make_video: MakeVideo, tmp_path: Path) -> None:
    whole = make_video("whole.avi", count=30).read_bytes()
    (tmp_path / "cut.avi").write_bytes(whole[: len(whole) * 2 // 3])
    footage = open_footage(tmp_path / "cut.avi")
    assert 5 < len(footage.times) < 30
    pictures = dict(footage.pictures(range(len(footage.times))))
    assert len(pictures) == len(footage.times)
    assert all(number_of(pixels) == n for n, pixels in list(pictures.items())[:-1] if pixels is not None)


def test_a_damaged_picture_does_not_shift_the_others(make_video: MakeVideo) -> None:
    av = pytest.importorskip("av", exc_type=ImportError)
    path = make_video(count=30)
    with av.open(str(path)) as container:
        packets = [p for p in container.demux(container.streams.video[0]) if p.size]
        place, size = packets[15].pos, packets[15].size
    data = bytearray(path.read_bytes())
    data[place : place + size] = b"\xff" * size
    path.write_bytes(data)
    pictures = dict(open_footage(path).pictures(range(30)))
    assert list(pictures) == list(range(30))
    last = pictures[29]
    assert last is not None and number_of(last) == 29


def test_a_folder_of_frames_goes_by_natural_order(make_pictures: MakeVideo) -> None:
    folder = make_pictures(count=12)
    footage = open_footage(folder, rate=10)
    np.testing.assert_allclose(footage.times, np.arange(12) / 10)
    assert [number_of(pixels) for _, pixels in footage.pictures([1, 9, 11]) if pixels is not None] == [1, 9, 11]
    (folder / "5.png").write_bytes(b"no picture")
    assert [pixels is None for _, pixels in footage.pictures([3, 4, 5])] == [False, True, False]


def test_what_is_no_video_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("av", exc_type=ImportError)
    with pytest.raises(DatasetError, match="there is no video"):
        open_footage(tmp_path / "none.mp4")
    (tmp_path / "text.mp4").write_text("not a video at all")
    with pytest.raises(DatasetError, match="not a video that can be opened"):
        open_footage(tmp_path / "text.mp4")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="no picture"):
        open_footage(tmp_path / "empty")


def test_without_pyav_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.mp4").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(DatasetError, match=r"pip install 'resight\[video\]'"):
        open_footage(tmp_path / "a.mp4")


def test_fingerprints_tell_videos_apart(make_video: MakeVideo, make_pictures: MakeVideo) -> None:
    first, second = make_video("a.mp4", count=5), make_video("b.mp4", count=6)
    assert fingerprint(first) == fingerprint(first) != fingerprint(second)
    folder = make_pictures(count=3)
    before = fingerprint(folder)
    (folder / "3.png").unlink()
    assert fingerprint(folder) != before
