from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from tests.ingest.conftest import COLOURS, MakeVideo, box_of, tracks_text

from resight.data.frames import Pixels
from resight.data.readers.folder import read_folder
from resight.errors import DatasetError
from resight.ingest import ingest as ingest_module
from resight.ingest.boxes import Boxes
from resight.ingest.cameras import Source
from resight.ingest.footage import open_footage
from resight.ingest.ingest import ingest
from resight.ingest.numbering import FrameNumbers
from resight.ingest.overlaps import FloatArray
from resight.ingest.tracking import detect_people, track_boxes

NUMBERS = FrameNumbers(np.arange(12) / 25)


class ColourDetector:
    """Detects the two walkers by their colours."""

    identity = "colours"

    def __init__(self) -> None:
        self.calls = 0

    def detect(self, image: Pixels) -> tuple[FloatArray, FloatArray]:
        self.calls += 1
        boxes = []
        for colour in COLOURS.values():
            rows, columns = np.nonzero((np.abs(image.astype(int) - colour) < 30).all(2))
            if len(rows):
                boxes.append([columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1])
        return np.array(boxes, float).reshape(-1, 4), np.full(len(boxes), 0.9)


def detections(scale: float = 1) -> Boxes:
    rows = [(n + 1, -1, *box_of(track, n), 0.9 * scale) for n in range(12) for track in (1, 2)]
    return Boxes.from_rows(rows)


@pytest.mark.parametrize("scale", [1, 100])
def test_two_walkers_are_two_tracks_at_any_scale_of_scores(scale: float) -> None:
    pytest.importorskip(
        "trackers", exc_type=ImportError, reason="trackers is not installed: pip install 'resight[detect]'"
    )
    tracks = track_boxes(detections(scale), NUMBERS)
    assert set(tracks.track.tolist()) == {1, 2}
    for track in (1, 2):
        lefts = tracks.box[tracks.track == track, 0]
        assert len(lefts) >= 10
        assert len(set(np.diff(lefts).tolist())) == 1, "walkers move at a constant speed"


def test_no_detections_give_no_tracks() -> None:
    pytest.importorskip("trackers", exc_type=ImportError)
    assert len(track_boxes(Boxes.from_rows([]), NUMBERS)) == 0


def test_a_missing_library_is_reported_with_the_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trackers", None)
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(DatasetError, match=r"pip install 'resight\[detect\]'"):
        track_boxes(detections(), NUMBERS)


def test_detection_continues_after_the_last_complete_line(make_images: MakeVideo, tmp_path: Path) -> None:
    footage = open_footage(make_images(count=8))
    numbers = FrameNumbers(footage.times, numbers=footage.numbers)
    complete = detect_people(footage, ColourDetector(), tmp_path / "complete.jsonl", numbers, lambda done: None)
    assert complete.frame.tolist() == [n for n in range(1, 9) for _ in (1, 2)]
    text = (tmp_path / "complete.jsonl").read_bytes()
    lines = text.splitlines(keepends=True)
    (tmp_path / "truncated.jsonl").write_bytes(b"".join(lines[:5]) + lines[5][:7])
    detector = ColourDetector()
    ticks: list[int] = []
    resumed = detect_people(footage, detector, tmp_path / "truncated.jsonl", numbers, ticks.append)
    assert (detector.calls, ticks) == (3, [6, 7, 8])
    assert (tmp_path / "truncated.jsonl").read_bytes() == text
    np.testing.assert_array_equal(resumed.box, complete.box)


def test_from_raw_video_to_tracklets(make_video: MakeVideo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("trackers", exc_type=ImportError)
    monkeypatch.setattr(ingest_module, "open_detector", lambda name: ColourDetector())
    video = make_video(count=12)
    calls: list[tuple[int, int]] = []
    ingest([Source("door", video)], tmp_path / "out", progress=lambda done, total: calls.append((done, total)))
    tracklets = read_folder(tmp_path / "out").gallery
    assert [t.id for t in tracklets] == ["door-0001/door/0001", "door-0002/door/0002"]
    assert all(len(t) >= 10 for t in tracklets)
    assert calls == sorted(calls) and calls[0] == (0, 24) and calls[-1] == (24, 24)
    assert sorted(p.name for p in (tmp_path / "out/.ingest").iterdir()) == [
        "camera-door.json", "detections-door.txt", "settings.json", "tracks-door.txt",
    ]  # fmt: skip


def test_detections_of_another_program_are_tracked(make_images: MakeVideo, tmp_path: Path) -> None:
    pytest.importorskip("trackers", exc_type=ImportError)
    text = "".join(
        f"{line.split(',')[0]},-1,{line.split(',', 2)[2]}" for line in tracks_text(range(12)).splitlines(True)
    )
    (tmp_path / "detections.txt").write_text(text + "999999999999,-1,1,1,30,60,1\n")
    source = Source("door", make_images(count=12), tracks=tmp_path / "detections.txt", first_frame=1)
    report = ingest([source], tmp_path / "out")
    assert report.tracklets == 2
    assert [str(entry) for entry in report.cameras[0].skipped] == [
        "box after the last video frame (12 in total): 1 (first: frame 999999999999)"
    ]
