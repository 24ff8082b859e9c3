from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.ingest.conftest import SIZE, MakeVideo, draw, index_of

from resight.errors import DatasetError, FrameError
from resight.ingest.footage import open_footage
from resight.ingest.stills import read_still


@pytest.mark.parametrize("name", ["door.mp4", "door.avi", "door.mkv", "door.ts"])
def test_the_picture_of_a_time_is_that_of_ingestion(make_video: MakeVideo, name: str) -> None:
    path = make_video(name, count=30)
    footage = open_footage(path)
    for index in (0, 1, 11, 12, 13, 29):
        still = read_still(path, round(float(footage.times[index]), 3))
        assert index_of(still.pixels) == index
        assert still.seconds == pytest.approx(footage.times[index], abs=0.002) and still.step == pytest.approx(0.04)
    assert np.abs(read_still(path, 0.48).pixels.astype(int) - draw(12)).mean() < 6


def test_times_between_and_after_pictures(make_video: MakeVideo) -> None:
    path = make_video(count=7, ticks=[0, 1, 2, 7, 8, 20, 21])
    assert [index_of(read_still(path, t / 25).pixels) for t in (2, 4, 6.9, 7, 19, 500)] == [2, 2, 2, 3, 4, 6]
    assert read_still(path, 500).duration == pytest.approx(22 / 25, abs=0.05)


def test_raw_video_without_times_is_read_from_its_beginning(make_video: MakeVideo) -> None:
    path = make_video("door.mp4", count=10)
    raw = path.with_suffix(".m4v")
    raw.write_bytes(path.read_bytes().partition(b"mdat")[2])
    still = read_still(raw, 0.2)
    assert index_of(still.pixels) == 5 and still.seconds == pytest.approx(0.2)


def test_a_rotated_video_is_shown_upright(make_video: MakeVideo) -> None:
    assert read_still(make_video(count=3, rotation=90), 0.08).pixels.shape == (*SIZE[::-1], 3)


def test_what_cannot_be_shown_is_refused(make_video: MakeVideo, tmp_path: Path) -> None:
    path = make_video()
    with pytest.raises(FrameError, match=r"19,200 pixels, expected at most 19,199"):
        read_still(path, 0, most_pixels=19_199)
    assert read_still(path, 0, most_pixels=19_200).pixels.shape == (*SIZE, 3)
    with pytest.raises(DatasetError, match="there is no video"):
        read_still(tmp_path / "gone.mp4", 0)
    for name, content in (("text.mp4", b"no video" * 100), ("empty.mp4", b""), ("head.mp4", path.read_bytes()[:300])):
        (tmp_path / name).write_bytes(content)
        with pytest.raises((DatasetError, FrameError), match=name):
            read_still(tmp_path / name, 0)


@pytest.mark.parametrize("name", ["list.m3u8", "list.mp4", "list.ts"])
def test_a_playlist_opens_no_other_file(make_video: MakeVideo, tmp_path: Path, name: str) -> None:
    video = make_video("secret.ts")
    text = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1.2,\n{video}\n#EXT-X-ENDLIST\n"
    (tmp_path / name).write_text(text)
    with pytest.raises((DatasetError, FrameError)):
        read_still(tmp_path / name, 0)
