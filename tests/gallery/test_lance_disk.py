"""A Lance gallery in a folder and on object storage: erased bytes, kills, several processes, damage."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.gallery.object_storage import contents, s3_server
from tests.gallery.stored import HEADER, large, stored, traces
from tests.gallery.writers import kill_writers, start

from resight.errors import DamagedError, GalleryError
from resight.gallery.types import Event, StoredTracklet

pytest.importorskip("lance", reason="needs the extra `cluster`")

from resight.gallery import lance_parts, lance_table
from resight.gallery.lance_store import LanceStore


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    with s3_server() as address:
        yield address


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "folder":
        return str(tmp_path / "gallery")
    return f"{request.getfixturevalue('bucket')}/{tmp_path.name}.gallery"


def everything(place: str) -> bytes:
    return b"".join(contents(place).values())


def test_erased_bytes_are_in_no_file(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lance_parts, "MANY", 3)
    rng, draw = np.random.default_rng(0), random.Random(0)
    store, number = LanceStore(place, HEADER), 0
    live: dict[str, StoredTracklet] = {}
    for count in (20, 1, 8, 1, 3):
        new = [large(number + n, rng, 500) for n in range(count)]
        number += count
        store.add(new)
        live |= {tracklet.id: tracklet for tracklet in new}
        labelled = draw.sample(sorted(live), len(live) // 2)
        store.append_log([Event("same", (id_, "erase-me-0000"), "anna") for id_ in labelled])
        content = everything(place)
        assert all(part in content for part in traces(live["erase-me-0000"]))
        erased = draw.sample([id_ for id_ in live if id_ != "erase-me-0000"], len(live) // 3)
        store.remove(erased)
        content = everything(place)
        for id_ in erased:
            assert not [part for part in traces(live.pop(id_)) if part in content]
            assert id_.encode() not in content
    assert store.verify() == [] and store.count() == len(live)


def test_erasing_deletes_what_a_killed_writer_has_left(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tracklet = large(1, np.random.default_rng(0), 500)
    store = LanceStore(place, HEADER)
    store.add([stored(2)])

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:  # as if the process had ended: nothing is cleaned up
        patch.setattr(lance_table.LanceTable, "_commit", die)
        patch.setattr(lance_table.LanceTable, "_discard", lambda *_: None)
        with pytest.raises(KeyboardInterrupt):
            store.add([tracklet])
    assert tracklet.key in everything(place) and store.count() == 1
    assert store.remove([tracklet.id]) == []
    assert not [part for part in traces(tracklet) if part in everything(place)]
    assert store.add([tracklet]) == [tracklet.id] and store.verify() == []


def test_a_reader_of_an_erased_version_reads_the_latest(place: str) -> None:
    store = LanceStore(place, HEADER)
    store.add([stored(n) for n in range(4)])
    other = LanceStore(place)
    blocks = other.scan(block=2)
    assert [t.id for t in next(blocks)] == ["t0", "t1"]
    store.remove(["t2"])
    assert [t.id for block in blocks for t in block] == ["t3"]
    assert other.means()[0] == ["t0", "t1", "t3"] and other.verify() == []


def test_who_has_not_seen_an_erasure_tries_again(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LanceStore(place, HEADER)
    store.add([stored(n) for n in range(6)])
    calls: list[tuple[Callable[[LanceStore], Any], Any]] = [
        (lambda other: other.means()[0], ["t1", "t2", "t3", "t4", "t5"]),
        (lambda other: other.count(), 4),
        (lambda other: other.remove(["t3"]), ["t3"]),
        (lambda other: other.add([stored(9)]), ["t9"]),
        (lambda other: [t.id for block in other.scan() for t in block], ["t5", "t9"]),
    ]
    for number, (call, expected) in enumerate(calls):
        other = LanceStore(place)
        stale, latest = [other._table.latest()], other._table.latest
        store.remove([f"t{number}"])
        with monkeypatch.context() as patch:
            patch.setattr(other._table, "latest", lambda stale=stale, latest=latest: stale.pop() if stale else latest())
            assert call(other) == expected and not stale
    assert store.verify() == []


def test_a_lost_reply_to_a_commit_does_not_store_twice(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LanceStore(place, HEADER)
    commit = store._table._lance.LanceDataset.commit

    def lose_the_reply(*arguments: Any, **options: Any) -> None:
        commit(*arguments, **options)
        raise OSError("timeout")

    with monkeypatch.context() as patch:
        patch.setattr(store._table._lance.LanceDataset, "commit", lose_the_reply)
        assert store.add([stored(1), stored(2)]) == ["t1", "t2"]
    assert store.count() == 2 and store.verify() == [] and LanceStore(place).fetch(["t1"])

    def fail(*_: Any, **__: Any) -> None:
        raise OSError("no connection")

    with monkeypatch.context() as patch:
        patch.setattr(store._table._lance.LanceDataset, "commit", fail)
        with pytest.raises(GalleryError, match="no connection"):
            store.add([stored(3)])
    assert store.count() == 2 and store.add([stored(3)]) == ["t3"]


WRITER = """
import sys
from resight.gallery import lance_parts
from resight.gallery.lance_store import LanceStore
from resight.gallery.types import Event, StoredTracklet
from tests.gallery.stored import stored, HEADER
lance_parts.MANY = 4
place, first, last = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
store = LanceStore(place, HEADER)
for number in range(first, last):
    print("added", *store.add([stored(number)]), flush=True)
    if number % 5 == 4:
        print("labelled", store.append_log([Event("same", (f"t{number}", f"t{number - 1}"))])[0].number, flush=True)
        print("removed", *store.remove([f"t{number - 2}"]), flush=True)
"""


def start_writer(place: str, first: int, last: int) -> subprocess.Popen[str]:
    return start(WRITER, place, str(first), str(last))


def test_a_killed_writer_loses_nothing_acknowledged(place: str) -> None:
    kill_writers(
        lambda first, last: start_writer(place, first, last), lambda: LanceStore(place), times=2, lines_read=20,
        pause=0.05,
    )  # fmt: skip


def test_two_writers_and_a_reader(place: str) -> None:
    store = LanceStore(place, HEADER)
    writers = [start_writer(place, first, first + 20) for first in (0, 1000)]
    while any(writer.poll() is None for writer in writers):
        ids, means = store.means()
        assert len(ids) == len(means) == len(set(ids))
        assert store.nearest(stored(3).mean[None], 3)
        time.sleep(0.2)
    assert [writer.communicate()[0].count("added") for writer in writers] == [20, 20]
    assert [writer.returncode for writer in writers] == [0, 0]
    assert store.count() == 32 and len(store.means()[0]) == 32 and store.verify() == []
    assert [event.number for event in store.read_log()] == list(range(1, 9))
    store.remove([])
    used = {f"gallery.lance/data/{part.path}" for part in store._table.latest().parts}
    assert {name for name in contents(place) if "/data/" in name and not any(name.endswith(u) for u in used)} == set()


def test_two_processes_make_one_gallery(place: str) -> None:
    first, second = LanceStore(place, HEADER), LanceStore(place, HEADER)
    assert first.add([stored(1)]) == ["t1"] and second.add([stored(1), stored(2)]) == [None, "t2"]
    with pytest.raises(GalleryError, match="gallery rebuild"):
        LanceStore(place, replace(HEADER, encoder="encoder-2"))


def test_damaged_files_are_named_and_the_others_stay(tmp_path: Path) -> None:
    place, rng = tmp_path / "gallery", np.random.default_rng(0)
    store = LanceStore(place, HEADER)
    tracklets = [large(n, rng, 500) for n in range(6)]
    for tracklet in tracklets[:3]:
        store.add([tracklet])
    store.add(tracklets[3:])
    for victim, part in ((1, tracklets[1].strip[3][:40]), (4, tracklets[4].features.tobytes()[:40])):
        for path in place.rglob("*.lance"):
            if path.is_file() and part in (content := path.read_bytes()):
                at = content.index(part)
                path.write_bytes(content[:at] + bytes([content[at] ^ 255]) + content[at + 1 :])
                break
        else:
            pytest.fail(f"the bytes of {victim} were not found")
    gone = next(p for p in place.rglob("*.lance") if p.is_file() and tracklets[2].key in p.read_bytes())
    gone.unlink()
    notes: list[str] = []
    store = LanceStore(place, tell=notes.append)
    names = [tracklet.id for tracklet in tracklets]
    problems = store.verify()
    assert {problem.id for problem in problems} == {"", names[1], names[4]}
    assert any("cannot be read" in problem.text for problem in problems)
    with pytest.raises(DamagedError, match="resight gallery verify") as error:
        store.fetch([names[0], names[1], names[4]])
    assert error.value.ids == (names[1], names[4])
    assert [t.id for block in store.scan() for t in block] == [names[0], names[3], names[5]]
    assert any("left out" in text for text in notes)


def test_places_that_are_no_galleries(tmp_path: Path, place: str) -> None:
    with pytest.raises(GalleryError, match="does not exist"):
        LanceStore(place)
    (tmp_path / "crops").mkdir()
    (tmp_path / "crops" / "notes.txt").write_text("hello")
    (tmp_path / "file").write_text("hello")
    for folder, words in ((tmp_path / "crops", "contains notes.txt"), (tmp_path / "file", "cannot make")):
        with pytest.raises(GalleryError, match=words):
            LanceStore(folder, HEADER)
    with pytest.raises(GalleryError, match="cannot open"):
        LanceStore("s4://bucket/site.gallery", HEADER)


LABELLER = """
import sys
from resight.errors import GalleryError
from resight.gallery.lance_store import LanceStore
from resight.gallery.types import Event
store = LanceStore(sys.argv[1])
for number in range(0, 12, 2):
    event = Event(sys.argv[2], (f"t{number}", f"t{number + 1}"), "ana")
    try:
        store.label(lambda groups, _: groups.check(event) or [event])
        print("said", flush=True)
    except GalleryError:
        print("refused", flush=True)
"""


def test_of_two_opposite_labels_one_is_refused(place: str) -> None:
    store = LanceStore(place, HEADER)
    store.add([stored(n) for n in range(12)])
    users = [start(LABELLER, place, kind) for kind in ("same", "different")]
    output = "".join(user.communicate()[0] for user in users)
    assert output.count("said") == output.count("refused") == 6
    assert not store.groups().contradictions and store.groups().events == store.read_log()
