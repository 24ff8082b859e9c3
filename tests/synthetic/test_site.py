from __future__ import annotations

import csv
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from resight.errors import DatasetError
from resight.synthetic.site import CAMERAS, RATE, ROWS, make_site


def test_a_site_is_videos_with_tracks_and_times(tmp_path: Path) -> None:
    av = pytest.importorskip("av", exc_type=ImportError, reason="videos need PyAV: pip install 'resight[video]'")
    for folder in ("first", "again"):
        assert [path.stem for path in make_site(tmp_path / folder, persons=2, seed=1)] == list(CAMERAS)
    texts = [(tmp_path / folder / "gate.txt").read_text() for folder in ("first", "again")]
    assert texts[0] == texts[1]
    rows = np.array([[float(cell) for cell in line.split(",")] for line in texts[0].splitlines()])
    with av.open(str(tmp_path / "first" / "gate.mp4")) as container:
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert pictures[0].shape == (ROWS, 2 * ROWS, 3) and rows[:, 0].max() <= len(pictures)
    assert sorted(set(rows[:, 1])) == [1, 2]
    # A box shows what the empty place does not.
    frame, _, left, top, width, height = rows[len(rows) // 4, :6].tolist()
    area = np.s_[int(top) : int(top + height), max(0, int(left)) : int(left + width)]
    assert np.abs(pictures[int(frame) - 1][area].astype(int) - pictures[0][area]).mean() > 5
    cameras = tomllib.loads((tmp_path / "first" / "cameras.toml").read_text())["camera"]
    assert [camera["name"] for camera in cameras] == list(CAMERAS)
    starts = [camera["start"] for camera in cameras]
    assert starts == sorted(starts) and (starts[1] - starts[0]).total_seconds() * RATE > len(pictures) / 2
    with (tmp_path / "first" / "truth.csv").open() as file:
        truth = list(csv.DictReader(file))
    assert len(truth) == 6 and {row["person"] for row in truth} == {"1", "2"}


def test_a_site_needs_a_writer_of_videos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(DatasetError, match="writing videos needs PyAV"):
        make_site(tmp_path / "site")
    assert not (tmp_path / "site").exists()
