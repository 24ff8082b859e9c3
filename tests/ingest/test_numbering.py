"""Frame n of a tracker is the picture that it saw."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.ingest.conftest import COLOURS, SIZE, MakeVideo, box_of, draw, tracks_text

from resight.data.frames import read_frame
from resight.data.readers.folder import read_folder
from resight.errors import DatasetError
from resight.ingest.cameras import Source, read_cameras
from resight.ingest.ingest import ingest
from resight.ingest.numbering import numbers_of_names

BEHIND = (30, 26)
"""Of 30 frames, the first walker is behind the second in four."""


def images(folder: Path, numbers: list[int], name: str = "{:06d}.png") -> Path:
    folder.mkdir()
    for position, number in enumerate(numbers):
        Image.fromarray(draw(position)).save(folder / name.format(number), compress_level=1)
    return folder


def tracks(path: Path, frames: list[int]) -> Path:
    """Write the true boxes of the n-th picture under the n-th frame number."""
    rows = [(f, t, *box_of(t, n)) for n, f in enumerate(frames) for t in COLOURS]
    path.write_text("".join(",".join(map(str, row)) + ",1\n" for row in rows))
    return path


def hits(out: Path) -> list[tuple[int, int]]:
    """Return frames, and frames that show the walker, of each tracklet."""
    found = []
    for tracklet in read_folder(out).gallery:
        colour = COLOURS[int(tracklet.id[-1])]
        middles = [read_frame(tracklet.frame(n))[20:40, 4:8].mean((0, 1)) for n in range(len(tracklet))]
        found.append((len(middles), sum(bool(np.abs(middle - colour).max() < 40) for middle in middles)))
    return found


@pytest.mark.parametrize(
    ("numbers", "frames", "first"),
    [
        ([*range(300, 312)], [*range(300, 312)], None),
        ([1, 2, 3, 10, 11, 12, 13, 14, 15, 16, 17, 18], [1, 2, 3, 10, 11, 12, 13, 14, 15, 16, 17, 18], None),
        ([*range(0, 60, 5)], [*range(0, 60, 5)], None),
        ([*range(0, 60, 5)], [*range(0, 60, 5)], 0),
        ([*range(12)], [*range(12)], None),
        ([*range(1, 13)], [*range(12)], 0),
        ([*range(300, 312)], [*range(1, 13)], 1),
    ],
)
def test_frame_n_is_the_file_numbered_n(
    tmp_path: Path, numbers: list[int], frames: list[int], first: int | None
) -> None:
    source = Source("door", images(tmp_path / "img", numbers), tracks(tmp_path / "t.txt", frames), first_frame=first)
    ingest([source], tmp_path / "out")
    assert hits(tmp_path / "out") == [(12, 12)] * 2


def test_numbers_that_fit_in_part_are_refused_if_pictures_may_have_been_counted(tmp_path: Path) -> None:
    folder, text = images(tmp_path / "img", [*range(0, 60, 5)]), tracks(tmp_path / "t.txt", [*range(1, 13)])
    with pytest.raises(DatasetError, match=r"frames 1 to 12, but the pictures .* are numbered 0 to 55"):
        ingest([Source("door", folder, text)], tmp_path / "out")
    text = tracks(tmp_path / "t.txt", [*range(0, 60, 5)])
    with text.open("a") as file:  # boxes between the pictures
        file.writelines(f"{frame},1,10,30,24,60,1\n" for frame in (1, 2, 3))
    report = ingest([Source("door", folder, text)], tmp_path / "out")
    assert [entry.count for entry in report.cameras[0].skipped] == [3]


@pytest.mark.parametrize("frames", [[*range(12)], [*range(2, 14)], [*range(500, 512)]])
def test_frames_beyond_the_numbered_files_are_refused_with_the_options(tmp_path: Path, frames: list[int]) -> None:
    source = Source("door", images(tmp_path / "img", [*range(1, 13)]), tracks(tmp_path / "t.txt", frames))
    with pytest.raises(DatasetError, match=r"numbered 1 to 12\. If .*--first-frame.*numbers = \"order\""):
        ingest([source], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_pictures_can_be_counted_in_order(tmp_path: Path) -> None:
    folder, text = images(tmp_path / "img", [*range(0, 60, 5)]), tracks(tmp_path / "t.txt", [*range(1, 13)])
    ingest([Source("door", folder, text, numbers="order")], tmp_path / "out")
    assert hits(tmp_path / "out") == [(12, 12)] * 2


def test_names_that_do_not_tell_the_frame_are_refused() -> None:
    assert numbers_of_names(["a.jpg", "b.jpg"]) is None
    both = numbers_of_names(["cam1_00020_v2.jpg", "cam1_00019_v2.jpg"])
    assert both is not None and both.tolist() == [20, 19]
    with pytest.raises(DatasetError, match=r"a1\.jpg and b1\.jpg have the same frame number 1"):
        numbers_of_names(["a1.jpg", "b1.jpg"])
    with pytest.raises(DatasetError, match=r"cover\.jpg has no number"):
        numbers_of_names(["1.jpg", "cover.jpg"])


def test_boxes_in_frame_0_mean_counting_from_0(make_video: MakeVideo, tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text(tracks_text(range(30), first=0))
    report = ingest([Source("door", make_video(), tmp_path / "t.txt")], tmp_path / "out")
    assert report.cameras[0].notes == ("frames are counted from 0, because there are boxes in frame 0",)
    assert hits(tmp_path / "out") == [BEHIND, (30, 30)]
    (tmp_path / "t.txt").write_text(tracks_text(range(31), first=0))
    with pytest.raises(DatasetError, match=r"has 30 pictures: frames 0 to 29 .*--first-frame 0 or 1"):
        ingest([Source("door", tmp_path / "door.mp4", tmp_path / "t.txt")], tmp_path / "out2")


def test_pictures_before_the_first_key_frame_are_not_counted(tmp_path: Path) -> None:
    av = pytest.importorskip("av", exc_type=ImportError)
    if "libx264" not in av.codecs_available:
        pytest.skip("this build of PyAV cannot write H.264")
    with av.open(str(tmp_path / "whole.mkv"), "w") as container:
        stream = container.add_stream(
            "libx264", rate=25, options={"g": "12", "bf": "0", "x264-params": "log-level=none"}
        )
        stream.height, stream.width, stream.pix_fmt = *SIZE, "yuv420p"
        for n in range(40):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(draw(n), format="rgb24")))
        container.mux(stream.encode(None))
    with (
        av.open(str(tmp_path / "whole.mkv")) as source,
        av.open(str(tmp_path / "cut.ts"), "w", format="mpegts") as target,
    ):
        stream = target.add_stream_from_template(source.streams.video[0])
        packets = [p for p in source.demux(source.streams.video[0]) if p.size]
        first = next(n for n, p in enumerate(packets) if n > 5 and p.is_keyframe)
        for packet in packets[first - 5 :]:
            packet.stream = stream
            target.mux(packet)
    (tmp_path / "t.txt").write_text(tracks_text(range(first, 40), first=1 - first))
    report = ingest([Source("door", tmp_path / "cut.ts", tmp_path / "t.txt")], tmp_path / "out")
    assert report.cameras[0].video_frames == 40 - first
    assert report.cameras[0].notes == ("5 pictures of the video cannot be decoded, and are not counted, as in OpenCV",)
    assert all(hit >= frames - 4 for frames, hit in hits(tmp_path / "out"))


def test_a_camera_may_consist_of_several_files(make_video: MakeVideo, tmp_path: Path) -> None:
    folder = tmp_path / "door"
    folder.mkdir()
    for name, indices in (("door_1000.mp4", range(15, 30)), ("door_900.mp4", range(15))):
        make_video(name, indices=indices, ticks=range(15)).rename(folder / name)
    (tmp_path / "t.txt").write_text(tracks_text(range(30)))
    ingest([Source("door", folder, tmp_path / "t.txt")], tmp_path / "out")
    assert hits(tmp_path / "out") == [BEHIND, (30, 30)]
    (tmp_path / "c.toml").write_text(
        '[[camera]]\nname = "door"\nvideo = ["door/door_900.mp4", "door/door_1000.mp4"]\ntracks = "t.txt"\n'
    )
    report = ingest(read_cameras(tmp_path / "c.toml"), tmp_path / "out2")
    assert hits(tmp_path / "out2") == [BEHIND, (30, 30)]
    assert report.cameras[0].tracklets[0]["end"] == pytest.approx(29 / 25)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (lambda n, t, x, y, w, h: (n + 1, t, x, y, x + w, y + h), "look like corners"),
        (lambda n, t, x, y, w, h: (t, n + 1, 25 * t - 20, 10, w, h), "look like id and frame"),
    ],
)
def test_columns_without_header_that_mean_something_else_are_refused(tmp_path: Path, row: object, message: str) -> None:
    rows = [row(n, t, 30 + 3 * n, 9 * t, 20, 50) for n in range(25) for t in range(1, 7)]  # type: ignore[operator]
    (tmp_path / "t.txt").write_text("".join(",".join(map(str, values)) + "\n" for values in rows))
    folder = images(tmp_path / "img", [*range(1, 26)])
    with pytest.raises(DatasetError, match=message):
        ingest([Source("door", folder, tmp_path / "t.txt")], tmp_path / "out")


def test_picture_size_may_change_in_a_video(tmp_path: Path) -> None:
    folder = images(tmp_path / "img", [*range(1, 25)])
    for number in range(13, 25):
        Image.fromarray(np.full((70, 100, 3), 90, np.uint8)).save(folder / f"{number:06d}.png")
    (tmp_path / "t.txt").write_text("".join(f"{n},1,70,10,60,80,1\n{n},2,110,10,30,60,1\n" for n in range(1, 25)))
    report = ingest([Source("door", folder, tmp_path / "t.txt")], tmp_path / "out")
    dataset = read_folder(tmp_path / "out")
    shapes = [{read_frame(t.frame(n)).shape[:2] for n in range(len(t))} for t in dataset.gallery]
    assert shapes == [{(88, 66), (64, 33)}, {(66, 34)}]
    assert [(entry.reason, entry.count) for entry in report.cameras[0].skipped] == [("box outside the video frame", 12)]
