from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from resight.errors import DatasetError, RecipeError
from resight.ingest.cameras import Source, find_sources, read_cameras
from resight.ingest.settings import IngestSettings


def write(folder: Path, text: str) -> Path:
    (folder / "cameras.toml").write_text(text, encoding="utf-8")
    return folder / "cameras.toml"


def test_a_camera_file_is_read(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        '[[camera]]\nname = "door"\nvideo = "door.mp4"\ntracks = "door.txt"\nstart = 2024-05-01T10:00:00Z\nrate = 25\n'
        '[[camera]]\nname = "gate-2"\nvideo = "/films/gate"\ntracks = "gate.txt"\nfirst_frame = 0\n',
    )
    assert read_cameras(path) == (
        Source(
            "door",
            tmp_path / "door.mp4",
            tracks=tmp_path / "door.txt",
            start=datetime(2024, 5, 1, 10, tzinfo=UTC),
            rate=25,
        ),
        Source("gate-2", Path("/films/gate"), tracks=tmp_path / "gate.txt", first_frame=0),
    )
    assert find_sources(path) == read_cameras(path)
    with pytest.raises(DatasetError, match="cannot be given together with"):
        find_sources(path, camera="door")


DOOR = '[[camera]]\nname = "door"\nvideo = "door.mp4"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "found nothing"),
        ("camera = 3", "found \\['camera'\\]"),
        (DOOR + "[other]", "found \\['camera', 'other'\\]"),
        ("[[camera]", "is not TOML"),
        ('[[camera]]\nname = "door"', "camera 1 has no video"),
        (DOOR + "colour = 1", "unknown key 'colour'; known keys: name, video, tracks"),
        (DOOR + 'start = "noon"', "expected start to be a date and time"),
        (DOOR + "rate = true", "expected rate to be a number, found True"),
        (DOOR + "first_frame = 0.5", "expected first_frame to be a whole number"),
        (DOOR + "tracks = 1", "expected tracks to be text"),
        (DOOR + "rate = 0", "expected a rate in frames per second, found 0"),
        (DOOR + DOOR, "two cameras have the name 'door'"),
        ('[[camera]]\nname = "../door"\nvideo = "door.mp4"', "it is used as a folder name"),
    ],
)
def test_an_invalid_camera_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        read_cameras(write(tmp_path, text))


def test_a_single_video_is_a_camera_named_after_the_file(tmp_path: Path) -> None:
    (source,) = find_sources(tmp_path / "Front door (2).mp4", tracks=tmp_path / "t.txt")
    assert (source.name, source.tracks) == ("Front-door-2", tmp_path / "t.txt")
    assert find_sources(tmp_path / "x.mp4", camera="gate")[0].name == "gate"


@pytest.mark.parametrize("wrong", [{"margin": -0.1}, {"min_height": 0}, {"max_gap": float("nan")}, {"quality": 101}])
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(RecipeError, match=f"{next(iter(wrong))} must be from"):
        IngestSettings(**wrong)  # type: ignore[arg-type]
