"""A gallery on disk: erased bytes, damage, kills, several processes, folders that cannot be used."""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.gallery.stored import HEADER, large, stored, traces
from tests.gallery.writers import kill_writers, start

from resight.errors import DamagedError, GalleryError
from resight.gallery import schema
from resight.gallery.schema import FILE, MIGRATIONS
from resight.gallery.sqlite_store import SqliteStore
from resight.gallery.types import Event, StoredTracklet


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "gallery"


@pytest.fixture
def store(folder: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(folder, HEADER)
    yield store
    store.close()


def raw(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


@pytest.mark.parametrize("pictures", [60, 2000])
def test_erased_bytes_are_in_no_file(store: SqliteStore, folder: Path, pictures: int) -> None:
    rng, draw = np.random.default_rng(pictures), random.Random(pictures)
    live: dict[str, StoredTracklet] = {}
    number = 0
    for count in (40, 1, 15, 5):
        new = [large(number + n, rng, pictures) for n in range(count)]
        number += count
        store.add(new)
        live |= {tracklet.id: tracklet for tracklet in new}
        labelled = draw.sample(sorted(live), len(live) // 2)
        store.append_log([Event("same", (id_, "erase-me-0000"), "anna") for id_ in labelled])
        kept = next(iter(live.values()))
        assert all(part in raw(folder) for part in traces(kept))
        erased = draw.sample([id_ for id_ in live if id_ != "erase-me-0000"], len(live) // 3)
        store.remove(erased)
        content = raw(folder)
        for id_ in erased:
            assert not [part for part in traces(live.pop(id_)) if part in content]
    assert store.verify() == [] and store.count() == len(live)


def test_another_reader_does_not_keep_erased_bytes(store: SqliteStore, folder: Path) -> None:
    tracklet = large(1, np.random.default_rng(0), 500)
    store.add([tracklet, stored(2)])
    other = SqliteStore(folder)
    assert other.means()[0] and other.fetch([tracklet.id])
    store.remove([tracklet.id])
    assert not [part for part in traces(tracklet) if part in raw(folder)]
    other.close()


def damage(folder: Path, part: bytes) -> None:
    """Change a byte in the middle of some stored bytes."""
    path = folder / FILE
    content = bytearray(path.read_bytes())
    place = content.index(part) + len(part) // 2
    content[place] ^= 255
    path.write_bytes(content)


def test_damaged_rows_are_named_and_the_others_stay(folder: Path) -> None:
    tracklets = [stored(n) for n in range(6)]
    store = SqliteStore(folder, HEADER)
    store.add(tracklets)
    store.append_log([Event("same", ("t4", "t5"), "author-of-a-label")])
    store.close()
    damage(folder, tracklets[1].features.tobytes()[:40])
    damage(folder, tracklets[2].mean.tobytes()[:40])
    damage(folder, tracklets[3].strip[1])
    notes: list[str] = []
    store = SqliteStore(folder, tell=notes.append)
    assert {problem.id for problem in store.verify()} == {"t1", "t2", "t3"}
    with pytest.raises(DamagedError, match="resight gallery verify") as error:
        store.fetch(["t0", "t1", "t3", "t5"])
    assert error.value.ids == ("t1", "t3")
    assert [t.id for block in store.scan() for t in block] == ["t0", "t4", "t5"]
    assert store.means()[0] == ["t0", "t1", "t3", "t4", "t5"]
    assert any("1 tracklets" in text for text in notes) and any(text.startswith("t1 ") for text in notes)
    assert store.remove(["t1", "t2", "t3"]) and store.verify() == []
    store.close()


def test_a_damaged_page_leaves_the_rest_readable(folder: Path) -> None:
    tracklets = [replace(stored(n), strip=(bytes([n]) * 4000,) * 3) for n in range(60)]
    store = SqliteStore(folder, HEADER)
    store.add(tracklets)
    store.close()
    path = folder / FILE
    content = bytearray(path.read_bytes())
    page = content.index(tracklets[30].features.tobytes()[:40]) // 16384
    content[page * 16384 : (page + 1) * 16384] = b"\xff" * 16384
    path.write_bytes(content)
    store = SqliteStore(folder, tell=lambda _: None)
    assert store.verify()
    readable = {t.id for block in store.scan() for t in block}
    assert 40 <= len(readable) < 60 and store.count() == 60
    assert [t.id for t in store.fetch(sorted(readable))] == sorted(readable)
    store.close()


WRITER = """
import sys
from pathlib import Path
from resight.gallery.sqlite_store import SqliteStore
from resight.gallery.types import Event, StoredTracklet
from tests.gallery.stored import stored, HEADER
folder, first, last = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
store = SqliteStore(folder, HEADER)
for number in range(first, last):
    print("added", *store.add([stored(number)]), flush=True)
    if number % 5 == 4:
        print("labelled", store.append_log([Event("same", (f"t{number}", f"t{number - 1}"))])[0].number, flush=True)
        print("removed", *store.remove([f"t{number - 2}"]), flush=True)
"""


def start_writer(folder: Path, first: int, last: int) -> subprocess.Popen[str]:
    return start(WRITER, str(folder), str(first), str(last))


def test_a_killed_writer_loses_nothing_acknowledged(folder: Path) -> None:
    kill_writers(
        lambda first, last: start_writer(folder, first, last), lambda: SqliteStore(folder), times=3, lines_read=40,
        pause=0.01,
    )  # fmt: skip


def test_two_writers_and_a_reader(folder: Path) -> None:
    SqliteStore(folder, HEADER).close()
    writers = [start_writer(folder, first, first + 50) for first in (0, 1000)]
    store = SqliteStore(folder)
    while any(writer.poll() is None for writer in writers):
        ids, means = store.means()
        assert len(ids) == len(means) == len(set(ids))
        assert store.nearest(stored(3).mean[None], 3)
        time.sleep(0.01)
    assert [writer.communicate()[0].count("added") for writer in writers] == [50, 50]
    assert [writer.returncode for writer in writers] == [0, 0]
    assert store.count() == 80 and len(store.means()[0]) == 80 and store.verify() == []
    store.close()


LABELLER = """
import sys
from pathlib import Path
from resight.errors import GalleryError
from resight.gallery.sqlite_store import SqliteStore
from resight.gallery.types import Event
store = SqliteStore(Path(sys.argv[1]))
for number in range(0, 60, 2):
    event = Event(sys.argv[2], (f"t{number}", f"t{number + 1}"), "ana")
    try:
        store.label(lambda groups, _: groups.check(event) or [event])
        print("said", flush=True)
    except GalleryError:
        print("refused", flush=True)
"""


def test_of_two_opposite_labels_one_is_refused(folder: Path) -> None:
    store = SqliteStore(folder, HEADER)
    store.add([stored(n) for n in range(60)])
    users = [start(LABELLER, str(folder), kind) for kind in ("same", "different")]
    while any(user.poll() is None for user in users):
        groups = store.groups()
        assert not groups.contradictions and len(groups.events) == len(groups.active())
    output = "".join(user.communicate()[0] for user in users)
    assert output.count("said") == output.count("refused") == 30
    assert store.groups().events == store.read_log() and len(store.read_log()) == 30
    store.close()


def test_a_full_disk_keeps_what_was_acknowledged(folder: Path) -> None:
    store = SqliteStore(folder, HEADER)
    store.add([stored(0)])
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limit[1]))
    try:
        with pytest.raises(GalleryError, match=r"cannot write the gallery .*acknowledged so far is kept") as error:
            for number in range(1, 40):
                store.add([replace(stored(number), strip=(bytes(100_000),))])
        count = store.count()
        with pytest.raises(GalleryError, match="acknowledged so far is kept"):
            for _ in range(1000):
                store.append_log([Event("same", ("t0", "t1"), "ana" * 1000)])
        with pytest.raises(GalleryError, match="acknowledged so far is kept"):
            store.remove(["t0", "t1"])
        assert store.nearest(stored(1).mean[None], 1)[0][0] == ["t1"] and len(store.means()[0]) == count
        assert store.groups().members("unknown-0001") in ((), ("t0", "t1")) and store.verify() == []
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)
    assert "\n" not in str(error.value)
    assert 1 < store.count() == count < 40 and store.verify() == []
    store.add([stored(100)])
    assert store.remove(["t0", "t1"]) == ["t0", "t1"] and not store.read_log()
    store.close()


def test_a_read_only_folder_can_be_searched(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = SqliteStore(folder, HEADER)
    store.add([stored(1)])
    monkeypatch.setattr(os, "access", lambda *_: False)  # permissions do not bind the administrator
    with pytest.raises(GalleryError, match="not closed properly"):
        SqliteStore(folder)
    store.close()
    frozen = SqliteStore(folder, HEADER)
    assert frozen.nearest(stored(1).mean[None], 1)[0][0] == ["t1"] and frozen.verify() == []
    for change in (lambda: frozen.add([stored(2)]), lambda: frozen.remove(["t1"])):
        with pytest.raises(GalleryError, match="it is read-only"):
            change()
    assert sorted(path.name for path in folder.iterdir()) == [FILE]
    frozen.close()


def test_folders_that_are_no_galleries(tmp_path: Path) -> None:
    (tmp_path / "crops").mkdir()
    (tmp_path / "crops" / "notes.txt").write_text("hello")
    (tmp_path / "file").write_text("hello")
    for folder, words in ((tmp_path / "crops", "contains notes.txt"), (tmp_path / "file", "cannot make")):
        with pytest.raises(GalleryError, match=words):
            SqliteStore(folder, HEADER)
        with pytest.raises(GalleryError, match=r"has no gallery|is a file"):
            SqliteStore(folder)
    assert sorted(path.name for path in (tmp_path / "crops").iterdir()) == ["notes.txt"]
    other = tmp_path / "other"
    other.mkdir()
    database = sqlite3.connect(other / FILE)
    database.execute("CREATE TABLE theirs (x)")
    database.close()
    with pytest.raises(GalleryError, match="of another program"):
        SqliteStore(other, HEADER)
    (other / FILE).write_bytes(b"no database at all, and long enough to be read as one" * 40)
    with pytest.raises(GalleryError, match="not a gallery"):
        SqliteStore(other, HEADER)


def test_versions_of_the_schema(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = SqliteStore(folder, HEADER)
    store.add([stored(1)])
    store.close()
    copy = folder.with_name("copy")
    shutil.copytree(folder, copy)
    newer = (*MIGRATIONS, "ALTER TABLE log ADD COLUMN place TEXT; CREATE INDEX by_place ON log (place)")
    database = schema.connect(folder, migrations=newer)
    assert database.execute("PRAGMA user_version").fetchone() == (len(newer),)
    database.close()
    with pytest.raises(GalleryError, match=f"newer version of Resight \\(schema {len(newer)}"):
        SqliteStore(folder)
    with pytest.raises(GalleryError, match="cannot open"):  # the second statement fails, so the first is undone
        schema.connect(copy, migrations=(*MIGRATIONS, "ALTER TABLE log ADD COLUMN place TEXT; CREATE INDEX wrong"))
    store = SqliteStore(copy)
    assert store.count() == 1 and store.verify() == []
    store.close()
