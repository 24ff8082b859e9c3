"""Broken input of `resight ingest`: the doctor reports each fault, and `ingest` raises no unexpected exception."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.doctor.breaking import remove, rewrite, silent
from tests.ingest.conftest import MakeVideo, make_video, tracks_text

from resight.doctor import cameras
from resight.doctor.cameras import examine_cameras
from resight.doctor.examine import examine as examine_name
from resight.doctor.report import Report
from resight.doctor.tracks import REASONS
from resight.errors import ResightError
from resight.ingest.cameras import find_sources
from resight.ingest.footage import open_footage
from resight.ingest.ingest import ingest

__all__ = ["make_video"]

HEIGHT, WIDTH, PICTURES = 96, 128, 24
TABLE = '[[camera]]\nname = "door"\nvideo = "door"\ntracks = "door.txt"\n'


def row(frame: int, track: int, *, left: float = 20, top: float = 10, width: float = 24, height: float = 60) -> str:
    return f"{frame},{track},{left},{top},{width},{height},1,-1,-1,-1"


ROWS = [row(frame, track, left=20 + 40 * track) for frame in range(1, PICTURES + 1) for track in (0, 1)]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("door")
    noise = np.random.default_rng(0)
    for number in range(1, PICTURES + 1):
        picture = noise.integers(0, 255, (HEIGHT // 8, WIDTH // 8, 3)).astype(np.uint8)
        Image.fromarray(picture.repeat(8, 0).repeat(8, 1)).save(folder / f"{number:04d}.png", compress_level=1)
    return folder


@pytest.fixture
def site(tmp_path: Path, pictures: Path) -> Path:
    """Return a folder with ``cameras.toml``, the frames of a camera, and its tracks."""
    (tmp_path / "door").mkdir()
    for path in pictures.iterdir():
        (tmp_path / "door" / path.name).hardlink_to(path)
    (tmp_path / "door.txt").write_text("\n".join(ROWS))
    (tmp_path / "cameras.toml").write_text(TABLE)
    return tmp_path


def examine(path: Path) -> Report:
    return examine_cameras(path, silent)


def rows(change: Callable[[list[str]], list[str]]) -> Callable[[Path], object]:
    return lambda site: (site / "door.txt").write_text("\n".join(change(list(ROWS))))


def toml(text: str) -> Callable[[Path], object]:
    return lambda site: (site / "cameras.toml").write_text(text)


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


BROKEN: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "NaN": (rows(lambda all_: [*all_, "3,9,nan,1,20,50,1,-1,-1,-1"]), "mot-not-finite", "line 49"),
    "infinity": (rows(lambda all_: [*all_, "3,9,1,1,inf,50,1,-1,-1,-1"]), "mot-not-finite", "line 49"),
    "negative size": (rows(lambda all_: [*all_, row(3, 9, width=-20)]), "mot-no-area", "without area"),
    "larger than the picture": (rows(lambda all_: [*all_, row(3, 9, width=900)]), "mot-huge", "track 9, frame 3"),
    "beyond all pictures": (rows(lambda all_: [*all_, row(3, 9, width=1e9)]), "mot-huge", "too large"),
    "outside": (rows(lambda all_: [*all_, row(3, 9, left=500)]), "mot-outside", "outside the video frame"),
    "past the end": (rows(lambda all_: [*all_, row(99, 1)]), "frame-numbers", "numbered 1 to 24"),
    "counted from 0": (rows(lambda all_: [row(0, 1), *all_]), "frame-numbers", "--first-frame"),
    "a box twice": (rows(lambda all_: [*all_, all_[0]]), "mot-duplicate", "line 49"),
    "unsorted": (rows(lambda all_: all_[::-1]), "mot-unsorted", "lower frame number"),
    "five columns": (rows(lambda all_: [*all_, "3,9,1,1,20"]), "mot-columns", "too few columns"),
    "eight columns": (rows(lambda all_: [*all_, "3,9,1,1,20,50,1,-1"]), "mot-columns", "10 columns"),
    "a header": (rows(lambda all_: ["frame,id,x,y,z,w,score,a,b,c", *all_]), "tracks-unreadable", "column for a box"),
    "names as ids": (rows(lambda all_: [*all_, "3,anna,1,1,20,50,1,-1,-1,-1"]), "mot-not-numbers", "line 49"),
    "ids that are halves": (rows(lambda all_: [*all_, row(3, 9).replace(",9,", ",9.5,", 1)]), "mot-not-whole", "whole"),
    "some without track": (rows(lambda all_: [*all_, row(3, -1)]), "mot-without-track", "without a track"),
    "corners": (
        rows(lambda _: [row(f, 0, left=40, top=20, width=100, height=85) for f in range(1, PICTURES + 1)]),
        "mot-corners", "right and bottom",
    ),
    "shares": (
        rows(lambda _: [row(f, 0, left=0.1, top=0.1, width=0.3, height=0.5) for f in range(1, 20)]),
        "mot-shares", "in shares",
    ),
    "small": (rows(lambda all_: [*all_, row(3, 9, width=9, height=9)]), "mot-small", "16 × 48"),
    "short": (rows(lambda all_: [*all_, row(3, 9)]), "mot-short", "fewer than 8"),
    "nothing left": (rows(lambda all_: all_[:2]), "nothing-to-cut", "camera door"),
    "no rows": (rows(lambda _: []), "tracks-unreadable", "no usable row"),
    "UTF-16 without mark": (
        lambda s: (s / "door.txt").write_text("\n".join(ROWS), encoding="utf-16-le"), "tracks-unreadable", "not text",
    ),
    "no tracks": (lambda s: remove(s / "door.txt"), "tracks-unreadable", "cannot read"),
    "tracks are a folder": (
        toml(TABLE.replace("door.txt", ".")), "tracks-unreadable", "folder without label files",
    ),
    "no video": (lambda s: (s / "door").rename(s / "gone"), "video-unreadable", "no video"),
    "an empty folder": (lambda s: remove(*(s / "door").iterdir()), "video-unreadable", "no picture"),
    "a missing picture": (lambda s: remove(s / "door" / "0007.png"), "frame-gaps", "6 to 8"),
    "an empty picture": (lambda s: rewrite(s / "door" / "0007.png", b""), "unreadable", "0007.png"),
    "an empty first picture": (lambda s: rewrite(s / "door" / "0001.png", b""), "unreadable", "0001.png"),
    "not TOML": (toml("[[camera]\n"), "cameras-file", "not TOML"),
    "Latin-1": (lambda s: (s / "cameras.toml").write_bytes(b'# \xe9\n[[camera]]\n'), "text-encoding", "0xe9"),
    "no camera": (toml("a = 1\n"), "cameras-file", "[[camera]]"),
    "unknown key": (toml(f"{TABLE}colour = 1\n"), "cameras-file", "unknown key 'colour'"),
    "no name": (toml('[[camera]]\nvideo = "door"\n'), "cameras-file", "has no name"),
    "a name that cannot be": (toml(TABLE.replace('"door"', '"../x"', 1)), "cameras-file", "letters, digits"),
    "a rate that is text": (toml(f'{TABLE}rate = "fast"\n'), "cameras-file", "a number"),
    "a rate that is nan": (toml(f"{TABLE}rate = nan\n"), "cameras-file", "frames per second"),
    "first_frame beyond all": (toml(f"{TABLE}first_frame = {10**30}\n"), "cameras-file", "first_frame"),
    "two of one name": (toml(TABLE + TABLE.replace('"door"', '"Door"', 1)), "cameras-file", "two cameras"),
    "frames from 0": (
        lambda s: (toml(f'{TABLE}numbers = "order"\n')(s), rows(lambda all_: [row(0, 7), *all_[:-2]])(s)),
        "frames-from-zero", "boxes in frame 0",
    ),
    "before the first": (
        lambda s: (toml(f"{TABLE}first_frame = 1\n")(s), rows(lambda all_: [row(-3, 7), *all_])(s)),
        "mot-before-start", "frame -3",
    ),
    "after the last": (
        lambda s: (toml(f"{TABLE}first_frame = 1\n")(s), rows(lambda all_: [*all_, row(25, 7)])(s)),
        "mot-past-end", "24 in total",
    ),
    "a lost picture": (lambda s: remove(s / "door" / "0007.png"), "mot-no-picture", "frame 7"),
    "cars": (
        rows(lambda all_: ["frame,id,left,top,width,height,label", *(f"{line[:-12]},person" for line in all_[:-1]),
                           f"{all_[-1][:-12]},car"]),
        "mot-other-class", "person",
    ),
    "outside the view": (
        rows(lambda all_: [f'{t} 10 10 40 80 {f} {int(t == 2)} 0 0 "person"' for t in (1, 2) for f in range(1, 20)]),
        "mot-lost", "lost",
    ),
    "several classes": (
        rows(lambda all_: [*all_[:-2], all_[-2].replace(",1,-1,", ",1,0,"), all_[-1].replace(",1,-1,", ",1,2,")]),
        "mot-classes", "--classes",
    ),
    "id before frame": (
        rows(lambda _: [f"{t},{f},{24 * t},9,20,50,1" for t in range(1, 5) for f in range(1, PICTURES + 1)]),
        "mot-swapped", "id and frame",
    ),
    "two pictures of one number": (
        lambda s: (s / "door" / "0001.png").rename(s / "door" / "2.png"), "frames-unnumbered", "same frame number 2",
    ),
    "a pipe for tracks": (
        lambda s: pipe(s / "door.txt"), "tracks-unreadable", "regular",
    ),
    "without tracks": (toml(TABLE.replace('tracks = "door.txt"\n', "")), "no-tracks", "camera door"),
}  # fmt: skip


def test_an_intact_camera_has_no_finding(site: Path) -> None:
    report = examine(site / "cameras.toml")
    assert report.findings == ()
    assert report.looked_at == {"cameras": 1, "pictures": 24, "pictures decoded": 24, "tracklets to cut": 2}


@pytest.mark.parametrize("case", BROKEN)
def test_faults_are_found_and_ingestion_reports_them(case: str, site: Path) -> None:
    break_it, finding, words = BROKEN[case]
    break_it(site)
    report = examine(site / "cameras.toml")
    said = [one.to_text() for one in report.findings if one.kind == finding]
    assert said, report.to_text()
    assert any(words in one for one in said), report.to_text()
    if case == "without tracks":  # detecting persons needs OpenCV and takes long
        return
    try:
        ingest(find_sources(site / "cameras.toml"), site / "out")
    except ResightError as error:
        assert len(str(error)) > 20


def test_one_bad_camera_does_not_hide_the_others(site: Path) -> None:
    (site / "cameras.toml").write_text('[[camera]]\nname = "gate"\n' + TABLE)
    report = examine(site / "cameras.toml")
    assert [finding.kind for finding in report.findings] == ["cameras-file"]
    assert report.looked_at["tracklets to cut"] == 2


def test_every_reason_for_skipping_is_a_kind_of_finding() -> None:
    source = Path(__file__).parents[2] / "src" / "resight" / "ingest"
    said = "".join((source / name).read_text() for name in ("tracks.py", "crops.py"))
    assert all(reason in said for reason in REASONS)


def test_a_video_of_constant_rate_has_no_finding(make_video: MakeVideo, tmp_path: Path) -> None:
    make_video("door.mp4")
    (tmp_path / "door.txt").write_text(tracks_text(range(30)))
    (tmp_path / "cameras.toml").write_text(TABLE.replace('video = "door"', 'video = "door.mp4"'))
    report = examine(tmp_path / "cameras.toml")
    assert [f for f in report.findings if f.severity != "note"] == []
    assert report.looked_at["pictures"] == 30


def test_a_variable_rate_is_a_warning_if_the_tracker_counts_frames(make_video: MakeVideo, tmp_path: Path) -> None:
    make_video("door.mp4", ticks=[n + n // 3 for n in range(30)])
    (tmp_path / "door.txt").write_text(tracks_text(range(30)))
    text = TABLE.replace('video = "door"', 'video = "door.mp4"')
    for rate, severity in (("", "warning"), ("rate = 25\n", "note")):
        (tmp_path / "cameras.toml").write_text(text + rate)
        found = {finding.kind: finding for finding in examine(tmp_path / "cameras.toml").findings}
        assert found["variable-frame-rate"].severity == severity


def test_a_video_whose_size_changes_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, site: Path) -> None:
    footage = open_footage(site / "door")
    footage.sizes[3:] //= 2
    monkeypatch.setattr(cameras, "open_footage", lambda *_, **__: footage)
    monkeypatch.setattr(cameras, "video_files", lambda _: (tmp_path / "none.mp4",))
    pytest.importorskip("av", exc_type=ImportError)
    assert "picture-size-changes" in {finding.kind for finding in examine(site / "cameras.toml").findings}


def test_a_folder_of_videos_is_one_camera(make_video: MakeVideo, tmp_path: Path) -> None:
    (tmp_path / "door").mkdir()
    for name in ("door_1.mp4", "door_2.mp4"):
        make_video(name, 10).rename(tmp_path / "door" / name)
    report, _ = examine_name(str(tmp_path / "door"), stage=silent)
    assert (report.kind, report.looked_at["pictures"], report.looked_at["cameras"]) == ("cameras", 20, 1)


def test_a_truncated_video_is_found(make_video: MakeVideo) -> None:
    whole = make_video("door.avi", 60)
    whole.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    kinds = {finding.kind for finding in examine(whole).findings}
    assert "video-truncated" in kinds


@pytest.mark.parametrize("content", [b"", b"not a video", b"\0" * 5000])
def test_a_file_that_is_not_a_video_is_found(make_video: MakeVideo, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.mp4"
    path.write_bytes(content)
    assert "video-unreadable" in {finding.kind for finding in examine(path).findings}


def test_a_frame_that_cannot_be_decoded_is_found(make_video: MakeVideo) -> None:
    av = pytest.importorskip("av", exc_type=ImportError)
    path = make_video("door.mp4")
    with av.open(str(path)) as container:
        packets = [p for p in container.demux(container.streams.video[0]) if p.size]
        place, size = packets[15].pos, packets[15].size
    content = bytearray(path.read_bytes())
    content[place : place + size] = b"\xff" * size
    path.write_bytes(content)
    assert "pictures-undecodable" in {finding.kind for finding in examine(path).findings}
