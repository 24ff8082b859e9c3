from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from resight.errors import CacheError
from resight.features.store import FILE, FeatureStore, cache_folder


def key(number: int) -> bytes:
    return hashlib.sha256(str(number).encode()).digest()


def entry(number: int) -> NDArray[np.float32]:
    return np.random.default_rng(number).standard_normal((3, 5), dtype=np.float32)


def test_entries_come_back_and_unknown_keys_are_left_out(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path / "new" / "folder")
    assert store.read([key(1)]) == {}
    assert not (tmp_path / "new").exists()
    store.write({key(n): entry(n) for n in range(1200)})
    found = FeatureStore(tmp_path / "new" / "folder").read([key(n) for n in range(1100, 1300)])
    assert found.keys() == {key(n) for n in range(1100, 1200)}
    assert all(np.array_equal(found[key(n)], entry(n)) for n in range(1100, 1200))


def test_info_and_clear_by_age(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FeatureStore(tmp_path)
    assert store.info().tracklets == store.info().size == store.clear() == 0 and store.info().oldest is None
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - 3600)
    store.write({key(1): entry(1)})
    monkeypatch.setattr(time, "time", lambda: now)
    store.write({key(2): entry(2), key(3): entry(3)})
    info = store.info()
    assert info.tracklets == 3 and info.size >= 3 * entry(1).nbytes and info.path == tmp_path / FILE
    assert info.oldest == pytest.approx(3600) and info.newest == pytest.approx(0)
    assert store.clear(older_than=1800) == 1
    assert store.read([key(1), key(2)]).keys() == {key(2)}
    assert store.clear() == 2 and store.info().tracklets == 0


def test_clearing_overwrites_the_deleted_bytes(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    store.write({key(n): entry(n) for n in range(20)})
    secret = entry(7).tobytes()
    assert any(secret in path.read_bytes() for path in tmp_path.iterdir())
    store.clear()
    assert not any(secret in path.read_bytes() for path in tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"this is not a database" * 100, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_file_is_noted_once_and_left_alone(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    notes: list[str] = []
    store = FeatureStore(tmp_path, notes.append)
    assert store.read([key(1)]) == {}
    store.write({key(1): entry(1)})
    assert len(notes) == 1 and str(tmp_path / FILE) in notes[0] and "RESIGHT_CACHE" in notes[0]
    assert (tmp_path / FILE).read_bytes() == content
    for call in (store.info, store.clear):
        with pytest.raises(CacheError, match=FILE):
            call()


def test_a_folder_that_cannot_be_made_is_noted(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    notes: list[str] = []
    store = FeatureStore(tmp_path / "file" / "cache", notes.append)
    store.write({key(1): entry(1)})
    assert store.read([key(1)]) == {} and len(notes) == 1


def test_a_newer_schema_is_not_touched(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    store.write({key(1): entry(1)})
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(tmp_path / FILE)) as database:
        database.execute("PRAGMA user_version = 99")
    notes: list[str] = []
    FeatureStore(tmp_path, notes.append).write({key(2): entry(2)})
    assert "newer version" in notes[0]


def test_the_folder_is_chosen_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESIGHT_CACHE", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine"


def test_the_default_folder_follows_the_operating_system(monkeypatch: pytest.MonkeyPatch) -> None:
    for platform, variable, folder in (
        ("linux", "XDG_CACHE_HOME", ".cache"),
        ("darwin", "XDG_CACHE_HOME", "Library/Caches"),
        ("win32", "LOCALAPPDATA", "AppData/Local"),
    ):
        monkeypatch.setattr("sys.platform", platform)
        monkeypatch.delenv("RESIGHT_CACHE", raising=False)
        monkeypatch.delenv(variable, raising=False)
        assert cache_folder() == Path.home() / folder / "resight"
        monkeypatch.setenv(variable, "/elsewhere")
        assert cache_folder() == Path("/elsewhere/resight")


WRITER = """
import sys, hashlib, itertools, pathlib
import numpy as np
from resight.features.store import FeatureStore
store = FeatureStore(pathlib.Path(sys.argv[1]))
for n in itertools.count(int(sys.argv[2]), 2):
    if n >= int(sys.argv[3]):
        break
    values = np.random.default_rng(n).standard_normal((3, 5), dtype=np.float32)
    store.write({hashlib.sha256(str(n).encode()).digest(): values})
    print(n, flush=True)
"""


def writer(folder: Path, first: int, end: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(folder), str(first), str(end)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_processes_can_write_to_one_store(tmp_path: Path) -> None:
    writers = [writer(tmp_path, first, 200) for first in (0, 1)]
    for one in writers:
        _, errors = one.communicate(timeout=120)
        assert one.returncode == 0 and errors == ""
    found = FeatureStore(tmp_path).read([key(n) for n in range(200)])
    assert len(found) == 200 and all(np.array_equal(found[key(n)], entry(n)) for n in range(200))


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_killed_writer_leaves_what_it_acknowledged(tmp_path: Path) -> None:
    process = writer(tmp_path, 0, 10**9)
    assert process.stdout is not None
    acknowledged = [int(process.stdout.readline()) for _ in range(30)]
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    found = FeatureStore(tmp_path).read([key(n) for n in acknowledged])
    assert all(np.array_equal(found[key(n)], entry(n)) for n in acknowledged)
