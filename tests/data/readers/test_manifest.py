from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from resight.data.readers import read_dataset
from resight.data.readers.manifest import read_manifest
from resight.errors import DatasetError
from resight.tracklet import JUNK, Recording


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for folder, count in (("anna/door", 2), ("anna/gate", 12), ("x", 1)):
        (tmp_path / folder).mkdir(parents=True)
        for number in range(1, count + 1):
            (tmp_path / folder / f"{number}.jpg").write_bytes(b"")
    return tmp_path


def write(root: Path, *lines: dict[str, Any]) -> Path:
    (root / "manifest.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n", encoding="utf-8")
    return root


def test_a_line_per_tracklet(pictures: Path) -> None:
    dataset = read_manifest(
        write(
            pictures,
            {"frames": "anna/gate", "person": "anna", "camera": "gate", "start": "2024-05-01T10:00:00Z"},
            {"frames": ["anna/door/2.jpg", "anna/door/1.jpg"], "person": "anna", "camera": 7, "id": "first"},
            {"frames": ["x/1.jpg"], "person": "bob", "camera": "gate", "start": 12.5},
        )
    )
    assert [(t.id, t.person, t.camera) for t in dataset.gallery] == [("anna/gate", 1, 2), ("first", 1, 1), ("x", 2, 2)]
    by_id = {t.id: t for t in dataset.gallery}
    assert by_id["first"].names == ("2.jpg", "1.jpg"), "the order of a list is kept"
    assert by_id["anna/gate"].names[8:] == ("9.jpg", "10.jpg", "11.jpg", "12.jpg"), "a folder goes by number"
    assert all(t.frame(n).is_file() for t in dataset.gallery for n in range(len(t)))
    assert dataset.train == dataset.query == dataset.gallery
    assert dataset.notes == ()
    assert [t.camera_name for t in dataset.gallery] == ["gate", "7", "gate"]
    assert [t.start for t in dataset.gallery] == [1714557600, None, 12.5]


def test_times_are_seconds_or_dates(pictures: Path) -> None:
    dataset = read_manifest(
        write(
            pictures,
            {"frames": "anna/gate", "id": "a", "start": "2024-05-01T10:00:00", "end": "2024-05-01T12:00:05+02:00"},
            {"frame": "x/1.jpg", "tracklet": "b", "start": 7},
            {"frame": "anna/door/1.jpg", "tracklet": "b", "start": "4.5"},
        )
    )
    assert [(t.start, t.end) for t in dataset.gallery] == [(1714557600, 1714557605), (4.5, 7)]
    assert {t.camera_name for t in dataset.gallery} == {""}


def test_the_recording_may_be_missing_but_must_be_a_path(pictures: Path) -> None:
    line = {"frames": "anna/gate", "id": "a", "recording": "videos/gate.mp4", "recording_time": "12.5"}
    dataset = read_manifest(write(pictures, line, {"frames": "x", "id": "b"}))
    assert [t.recording for t in dataset.gallery] == [Recording(pictures / "videos/gate.mp4", 12.5), None]
    with pytest.raises(DatasetError, match="expected recording to be a path"):
        read_manifest(write(pictures, line | {"recording": "a\0b"}))


def test_a_line_per_frame(pictures: Path) -> None:
    (pictures / "manifest.csv").write_text(
        "frame,tracklet,person,camera,score\n"
        "anna/door/1.jpg,a,anna,door,0.5\nx/1.jpg,b,,,0.5\nanna/gate/3.jpg,a,anna,door,0.5\n",
        encoding="utf-8-sig",
    )
    first, second = read_manifest(pictures).gallery
    assert (first.id, first.person, first.camera, len(first)) == ("a", 1, 1, 2)
    assert [first.frame(n).resolve() for n in range(2)] == [pictures / "anna/door/1.jpg", pictures / "anna/gate/3.jpg"]
    assert (second.id, second.person, second.names) == ("b", JUNK, ("1.jpg",))


def test_without_person_it_is_unknown_and_without_camera_it_has_its_own(pictures: Path) -> None:
    dataset = read_manifest(
        write(
            pictures,
            {"frames": "anna/door"},
            {"frames": "anna/gate", "camera": "gate"},
            {"frames": "x", "person": ""},
        )
    )
    assert [(t.id, t.person, t.camera) for t in dataset.gallery] == [
        ("anna/door", JUNK, 2),
        ("anna/gate", JUNK, 1),
        ("x", JUNK, 3),
    ]
    assert dataset.notes == (
        "3 of 3 tracklets have no person: they can be searched, but not used for training or evaluation",
        "2 of 3 tracklets have no camera: each is treated as a camera of its own",
    )


def test_a_manifest_is_found_in_its_folder_and_by_its_file_name(pictures: Path) -> None:
    write(pictures, {"frames": "x"}).joinpath("manifest.jsonl").rename(pictures / "mine.jsonl")
    assert read_dataset(f"manifest:{pictures / 'mine.jsonl'}").gallery[0].frame(0) == pictures / "x" / "1.jpg"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"frames": "none"}, "there is no .*none; paths are relative"),
        ({"frames": ["x/1.jpg", "x/2.jpg"]}, "there is no picture .*x/2.jpg"),
        ({"frames": [1]}, "expected frames to be a folder or a list"),
        ({"frame": "x/1.jpg"}, "found \\['frame'\\]"),
        ({"person": "anna"}, "a line is either a tracklet with frames"),
        ({"frames": "x", "start": "noon"}, "expected start to be seconds or a time .*'noon'"),
        ({"frames": "x", "start": "nan"}, "expected start to be seconds or a time .*'nan'"),
        ({"frames": "x", "start": 5, "end": 4}, "expected end not before start, found 5 to 4"),
        ({"frames": "x", "person": ["anna"]}, "expected person to be a name"),
    ],
)
def test_an_invalid_line_is_named(pictures: Path, line: dict[str, Any], message: str) -> None:
    with pytest.raises(DatasetError, match=message) as caught:
        read_manifest(write(pictures, {"frames": "anna/door"}, line))
    assert "manifest.jsonl, line 2" in str(caught.value)


def test_lines_of_a_tracklet_must_agree(pictures: Path) -> None:
    with pytest.raises(DatasetError, match="second tracklet 'x'"):
        read_manifest(write(pictures, {"frames": "x"}, {"frames": "x"}))
    frame = {"frame": "x/1.jpg", "tracklet": "a"}
    with pytest.raises(DatasetError, match="one person under one camera"):
        read_manifest(write(pictures, frame | {"person": "anna"}, frame | {"person": "bob"}))


def test_a_broken_table_is_refused(pictures: Path) -> None:
    with pytest.raises(DatasetError, match="neither"):
        read_manifest(pictures)
    (pictures / "manifest.jsonl").write_text('{"frames": "x"}\n{"frames": \n')
    with pytest.raises(DatasetError, match="line 2: not JSON"):
        read_manifest(pictures)
    (pictures / "manifest.jsonl").write_text("\n")
    with pytest.raises(DatasetError, match="lists no tracklet"):
        read_manifest(pictures)
    (pictures / "manifest.jsonl").unlink()
    (pictures / "manifest.csv").write_text("frames,person\nx,anna,bob\n")
    with pytest.raises(DatasetError, match="line 2: expected 2 columns"):
        read_manifest(pictures)
