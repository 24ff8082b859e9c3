from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from tests.ingest.conftest import COLOURS, MakeVideo, box_of, tracks_text

from resight.data.frames import read_frame
from resight.data.readers.folder import read_folder
from resight.data.readers.manifest import read_manifest
from resight.errors import DatasetError, OutputError
from resight.ingest.cameras import Source
from resight.ingest.ingest import ingest
from resight.ingest.settings import IngestSettings

START = datetime(2024, 5, 1, 10, tzinfo=UTC)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture
def door(make_images: MakeVideo, tmp_path: Path) -> Source:
    (tmp_path / "door.txt").write_text(tracks_text(range(30)))
    return Source("door", make_images(), tmp_path / "door.txt", start=START, first_frame=1)


@pytest.fixture
def gate(make_video: MakeVideo, tmp_path: Path) -> Source:
    (tmp_path / "gate.txt").write_text(tracks_text(range(5, 25), first=0))
    return Source("gate", make_video("gate.mp4"), tmp_path / "gate.txt", first_frame=0)


def test_every_track_becomes_a_tracklet_with_the_right_crops(door: Source, gate: Source, tmp_path: Path) -> None:
    report = ingest([door, gate], tmp_path / "out")
    assert [camera.camera for camera in report.cameras] == ["door", "gate"]
    dataset = read_folder(tmp_path / "out")
    assert [t.id for t in dataset.gallery] == [f"{c}-000{n}/{c}/000{n}" for c in ("door", "gate") for n in (1, 2)]
    assert [len(t) for t in dataset.gallery] == [30, 30, 20, 20]
    assert dataset.gallery[2].names[0] == "000005.jpg"
    for tracklet in dataset.gallery:
        colour = COLOURS[int(tracklet.id[-1])]
        middle = read_frame(tracklet.frame(0))[20:40, 8:16].mean((0, 1))
        np.testing.assert_allclose(middle, colour, atol=12)


def test_the_manifest_has_no_persons_and_reads_as_the_same_tracklets(door: Source, tmp_path: Path) -> None:
    ingest([door], tmp_path / "out")
    lines = [json.loads(line) for line in (tmp_path / "out" / "manifest.jsonl").read_text().splitlines()]
    assert lines[0] == {
        "id": "door-0001/door/0001", "person": None, "camera": "door", "start": "2024-05-01T10:00:00.000+00:00",
        "end": "2024-05-01T10:00:01.160+00:00", "frames": "door-0001/door/0001", "count": 30,
        "recording": "../door/1.png", "recording_time": 0.0,
    }  # fmt: skip
    by_manifest, by_folder = read_manifest(tmp_path / "out"), read_folder(tmp_path / "out")
    assert [(t.id, t.names) for t in by_manifest.gallery] == [(t.id, t.names) for t in by_folder.gallery]
    assert {t.person for t in by_manifest.gallery} == {-1}
    assert [t.person for t in by_folder.gallery] == [1, 2]


def test_the_manifest_names_the_recording(make_video: MakeVideo, tmp_path: Path) -> None:
    videos = (make_video("a.mp4", count=10), make_video("b.mp4", count=20))
    (tmp_path / "two.txt").write_text(tracks_text(range(13, 28)))
    ingest([Source("two", videos, tmp_path / "two.txt", first_frame=1)], tmp_path / "out")
    recordings = [tracklet.recording for tracklet in read_manifest(tmp_path / "out").gallery]
    assert all(recording is not None and recording.seconds == 0.12 for recording in recordings)
    assert {recording.file.resolve() for recording in recordings if recording is not None} == {videos[1]}


def test_a_tracklet_has_a_thumbnail_strip_that_readers_ignore(door: Source, tmp_path: Path) -> None:
    ingest([door], tmp_path / "out")
    assert read_frame(tmp_path / "out/.thumbnails/door/0001.jpg").shape == (128, 8 * 64, 3)


def test_the_report_lists_what_was_skipped_and_why(door: Source, tmp_path: Path) -> None:
    assert door.tracks is not None
    with door.tracks.open("a") as file:
        file.write("text,of,a,kind,and,more\n0,1,1,1,30,60,1\n31,1,1,1,30,60,1\n5,3,-90,1,30,60,1\n5,4,1,1,8,60,1\n")
        file.writelines(f"{frame},5,10,30,24,60,1\n" for frame in range(1, 5))
    report = ingest([door], tmp_path / "out")
    skipped = {entry.reason: (entry.count, entry.first) for entry in report.cameras[0].skipped}
    assert skipped == {
        "row with non-numeric values (a header, or names as ids)": (1, "door.txt, line 61"),
        "box before the first video frame (frame 1)": (1, "track 1, frame 0"),
        "box after the last video frame (30 in total)": (1, "track 1, frame 31"),
        "box outside the video frame": (1, "track 3, frame 5"),
        "box smaller than 16 × 48 pixels": (1, "track 4, frame 5"),
        "tracklet with fewer than 8 frames": (1, "track 5, frame 1, 4 frames"),
    }
    assert json.loads((tmp_path / "out" / "report.json").read_text()) == report.to_json()
    assert "skipped: box outside the video frame: 1 (first: track 3, frame 5)" in report.to_text()


class Killed(Exception):  # noqa: N818
    pass


@pytest.mark.parametrize("at", [1, 20, 29, 45, 54])
def test_a_killed_run_continues_to_the_same_bytes(door: Source, gate: Source, tmp_path: Path, at: int) -> None:
    (door.files[0] / "7.png").write_bytes(b"not an image")
    calls: list[int] = []

    def die(done: int, total: int) -> None:
        calls.append(done)
        if done >= at:
            raise Killed

    with pytest.raises(Killed):
        ingest([door, gate], tmp_path / "killed", progress=die)
    ingest([door, gate], tmp_path / "killed")
    report = ingest([door, gate], tmp_path / "whole")
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
    assert [str(entry) for entry in report.cameras[0].skipped] == [
        "video frame that cannot be decoded: 1 (first: video frame 7)"
    ]


def test_finished_cameras_are_not_processed_again(door: Source, gate: Source, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ingest([door], out)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.jpg")}
    ingest([door, gate], out)
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    together = ingest([gate, door], tmp_path / "together")
    assert contents(out) == contents(together.out)


def test_persons_entered_in_the_manifest_are_kept(door: Source, gate: Source, tmp_path: Path) -> None:
    manifest = tmp_path / "out" / "manifest.jsonl"
    ingest([door], manifest.parent)
    manifest.write_text(manifest.read_text().replace('"person": null', '"person": "anna"', 1))
    ingest([door, gate], manifest.parent)
    assert [json.loads(line)["person"] for line in manifest.read_text().splitlines()] == ["anna", None, None, None]
    manifest.write_text("anna!")
    with pytest.raises(DatasetError, match="not a valid manifest"):
        ingest([door, gate], manifest.parent)
    assert manifest.read_text() == "anna!"


def test_changed_inputs_are_refused_and_nothing_is_changed(door: Source, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ingest([door], out)
    before = contents(out)
    with pytest.raises(DatasetError, match=r"made with margin = 0.05, not 0.1"):
        ingest([door], out, IngestSettings(margin=0.1))
    assert door.tracks is not None
    door.tracks.write_text(tracks_text(range(20)))
    with pytest.raises(DatasetError, match=r"the camera door in .* was made from different input \(tracks\)"):
        ingest([door], out)
    assert contents(out) == before


@pytest.mark.parametrize("breakage", ["video", "tracks", "no tracks"])
def test_invalid_input_is_refused_before_anything_is_written(
    door: Source, gate: Source, tmp_path: Path, breakage: str
) -> None:
    assert gate.tracks is not None
    if breakage == "video":
        gate.files[0].write_bytes(b"no video")
    elif breakage == "tracks":
        gate.tracks.write_text("nothing\n")
    else:
        gate.tracks.unlink()
    with pytest.raises(DatasetError):
        ingest([door, gate], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_with_other_files_is_refused_and_unchanged(door: Source, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("two years of work")
    with pytest.raises(DatasetError, match="contains files that were not written by ingestion"):
        ingest([door], tmp_path / "out")
    assert list(contents(tmp_path / "out")) == ["thesis.txt"]


def test_cameras_need_different_names(door: Source, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="two cameras have the name 'door'"):
        ingest([door, door], tmp_path / "out")
    with pytest.raises(DatasetError, match="no camera to ingest"):
        ingest([], tmp_path / "out")


def test_a_rate_selects_video_frames_by_time(make_video: MakeVideo, tmp_path: Path) -> None:
    """Use tracks made at a constant 25 frames per second for a video in which every third frame was dropped."""
    kept = [n for n in range(30) if n % 3 != 2]
    video = make_video(indices=kept)
    (tmp_path / "uneven.txt").write_text(tracks_text(kept))
    ingest([Source("door", video, tmp_path / "uneven.txt", rate=25)], tmp_path / "out")
    for tracklet in read_folder(tmp_path / "out").gallery:
        track = int(tracklet.id[-1])
        for position, name in enumerate(tracklet.names):
            index = int(name[:6]) - 1
            apart = abs(box_of(1, index)[0] - box_of(2, index)[0]) > 30
            left = read_frame(tracklet.frame(position))[20:40, 4:8].mean((0, 1))
            assert np.abs(left - COLOURS[track]).max() < 20 or not apart


def test_progress_has_a_known_total_from_the_first_call(door: Source, gate: Source, tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    ingest([door, gate], tmp_path / "out", progress=lambda done, total: calls.append((done, total)))
    assert calls == sorted(calls)
    assert calls[0] == (0, 60)
    assert calls[-1] == (60, 60)
    assert {total for _, total in calls} == {60}


def persons_of(out: Path) -> dict[str, str | None]:
    lines = map(json.loads, (out / "manifest.jsonl").read_text().splitlines())
    return {line["id"]: line["person"] for line in lines}


def test_corrected_tracks_can_be_cut_again(door: Source, gate: Source, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ingest([door, gate], out)
    manifest = out / "manifest.jsonl"
    manifest.write_text(manifest.read_text().replace('"person": null', '"person": "anna"'))
    assert door.tracks is not None
    rows = tracks_text(range(30)).splitlines(keepends=True)
    door.tracks.write_text("".join(row for row in rows if row.split(",")[1] == "1" or int(row.split(",")[0]) <= 20))
    with pytest.raises(DatasetError, match=r"different input \(tracks\); use --redo"):
        ingest([door, gate], out)
    corrected = door.tracks.read_text()
    door.tracks.write_text(tracks_text(range(30), first=300))
    before = contents(out)
    with pytest.raises(DatasetError, match="no tracklet came out"):
        ingest([door, gate], out, redo=True)
    assert contents(out) == before
    door.tracks.write_text(corrected)
    report = ingest([door, gate], out, redo=True)
    assert "persons entered for 1 tracklet" in report.cameras[0].notes[0]
    assert persons_of(out) == {
        "door-0001/door/0001": "anna", "door-0002/door/0002": None,  # track 2 has changed
        "gate-0001/gate/0001": "anna", "gate-0002/gate/0002": "anna",
    }  # fmt: skip
    assert [len(t) for t in read_folder(out).gallery] == [30, 20, 20, 20]
    assert (out / ".ingest" / "manifest-before-redo.jsonl").read_text().count("anna") == 4
    whole = tmp_path / "whole"
    ingest([door, gate], whole)
    crops = [{k: v for k, v in contents(folder).items() if k.endswith(".jpg")} for folder in (out, whole)]
    assert crops[0] == crops[1]


def test_a_camera_whose_tracklets_were_moved_is_not_cut_again(door: Source, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ingest([door], out)
    (out / "anna" / "door").mkdir(parents=True)
    (out / "door-0001" / "door" / "0001").rename(out / "anna" / "door" / "0001")
    assert door.tracks is not None
    door.tracks.write_text(tracks_text(range(20)))
    before = contents(out)
    with pytest.raises(DatasetError, match=r"door-0001/door/0001 was moved or deleted; put it back"):
        ingest([door], out, redo=True)
    assert contents(out) == before


def test_no_tracklet_is_a_failure_and_the_corrected_tracks_work(door: Source, tmp_path: Path) -> None:
    assert door.tracks is not None
    door.tracks.write_text(tracks_text(range(30), first=300))
    with pytest.raises(DatasetError, match=r"no tracklet came out\. camera door: .*after the last video frame"):
        ingest([door], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    door.tracks.write_text(tracks_text(range(30)))
    assert ingest([door], tmp_path / "out").tracklets == 2


def test_a_track_id_may_be_the_person_in_all_cameras(door: Source, gate: Source, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ingest([door, gate], out, IngestSettings(same_ids=True))
    assert persons_of(out) == {
        "0001/door/0001": "0001", "0002/door/0002": "0002", "0001/gate/0001": "0001", "0002/gate/0002": "0002",
    }  # fmt: skip
    for dataset in (read_folder(out), read_manifest(out)):
        assert sorted((t.person, t.camera) for t in dataset.gallery) == [(1, 1), (1, 2), (2, 1), (2, 2)]
    with pytest.raises(DatasetError, match=r"has no tracks, so its ids cannot be the same"):
        ingest([Source("hall", door.video)], tmp_path / "other", IngestSettings(same_ids=True))


def test_an_output_place_that_cannot_be_written_is_refused_before_any_work(door: Source) -> None:
    with pytest.raises(OutputError, match=r"cannot write /proc/resight"):
        ingest([door], Path("/proc/resight/x"), progress=lambda done, total: pytest.fail("work was done"))
