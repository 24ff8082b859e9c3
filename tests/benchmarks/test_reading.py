from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from benchmarks.plain.reading import open_by_listing

from benchmarks import reading
from resight.data.readers.mars import read_mars


def test_random_tables_have_the_numbers_of_mars() -> None:
    info = reading.draw_info(np.random.default_rng(0))
    for rows, (tracklets, frames) in ((info.train, reading.TRAIN), (info.test, reading.TEST)):
        assert len(rows) == tracklets
        assert rows[-1, 1] == frames
        assert (rows[1:, 0] == rows[:-1, 1] + 1).all() and (rows[:, 1] >= rows[:, 0]).all()
        assert (rows[:, 1] - rows[:, 0] < 999).all()
    assert len(np.unique(info.train[:, 2])) == 625
    assert ((info.test[:, 2] == -1).sum(), (info.test[:, 2] == 0).sum()) == (870, 3248)
    assert len(info.query) == 1980 and (info.test[info.query, 2] > 0).all()


def test_both_implementations_open_the_same_tree_equally(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "TRAIN": (20, 300), "TEST": (40, 500), "TRAIN_PERSONS": 5, "TEST_PERSONS": 6, "JUNK_TRACKLETS": 3,
        "DISTRACTORS": 4, "QUERIES": 7,
    }.items():  # fmt: skip
        monkeypatch.setattr(reading, name, value)
    reading.write_tree(tmp_path, reading.draw_info(np.random.default_rng(1)))
    split, plain = read_mars(tmp_path), open_by_listing(tmp_path)
    for part, tracklets in (("train", split.train), ("test", split.gallery)):
        ours = [(tuple(t.frame(n) for n in range(len(t))), t.person, t.camera) for t in tracklets]
        assert ours == plain[part]
    assert sum(len(t) for t in (*split.train, *split.gallery)) == 800


def test_time_and_memory_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bbox_train").mkdir()
    (tmp_path / "bbox_test").mkdir()
    reading.measure("listing", tmp_path)
    seconds, megabytes = map(float, capsys.readouterr().out.split())
    assert seconds > 0 and 0 <= megabytes < 100
