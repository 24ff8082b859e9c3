"""Kill processes that change a gallery at random moments, and check what is left: ``python -m tests.gallery.kills N``.

A child process adds, removes, expires, labels, merges, rebuilds, makes or migrates a gallery, and tells through a pipe
what it is about to do and what has been done. It is killed with SIGKILL. Then everything it was told is done must be
done, what it was doing must be done or not done, and nothing else may have changed.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from resight.api.gallery import Gallery
from resight.api.gallery_encoding import encode_keyed, header_of, keyed
from resight.api.model import Model
from resight.checkpoints import Checkpoint, make_aggregator
from resight.errors import GalleryError
from resight.gallery import schema
from resight.gallery.labels import Groups
from resight.gallery.lifecycle import DAY
from resight.gallery.sqlite_store import SqliteStore
from resight.gallery.types import Event, StoredTracklet
from resight.gallery.verify import verify_tables
from resight.models.encoders import make_encoder
from resight.recipe import ClipSpec, Recipe, Stage1, Stage2
from resight.tracklet import Tracklet

TRACKLETS, MOST = 48, 24
"""Tracklets that there are, and how many of them are in the gallery at most."""

LONGEST = {"add": 0.15, "remove": 0.15, "expire": 0.15, "label": 0.15, "merge": 0.15, "rebuild": 1.0, "make": 0.05,
           "migrate": 0.03}  # fmt: skip
"""Most seconds between the start of the operations of a round and the kill."""

NEWER = (
    *schema.MIGRATIONS,
    'ALTER TABLE tracklets ADD COLUMN place TEXT; UPDATE tracklets SET place = camera; '
    'CREATE INDEX by_place ON tracklets (place); CREATE TABLE places AS SELECT DISTINCT place FROM tracklets',
)  # fmt: skip

Tell = Callable[..., None]


@dataclass
class World:
    """The models, their tracklets by key, and what the gallery must hold.

    Attributes:
        root: Folder of everything.
        models: Two models.
        pools: For each of them, by the identity of its encoder, all tracklets by id.
        rng: Source of all choices.
        encoder: Identity of the encoder of the gallery.
        ids: Ids of the tracklets in the gallery.
        labels: Labels by number that name only tracklets in the gallery.
        erased: Ids whose bytes must be in no file.
        killed: Number of kills by what was being done.
        halves: How many of them found the operation done, by what was being done.
    """

    root: Path
    models: list[Model]
    pools: dict[str, dict[str, StoredTracklet]]
    rng: random.Random
    encoder: str
    ids: set[str] = field(default_factory=set)
    labels: dict[int, Event] = field(default_factory=dict)
    erased: set[str] = field(default_factory=set)
    killed: Counter[str] = field(default_factory=Counter)
    halves: Counter[str] = field(default_factory=Counter)

    @property
    def folder(self) -> Path:
        """The gallery."""
        return self.root / "gallery"

    def other(self, encoder: str) -> Path:
        """The gallery that is merged into that of an encoder."""
        return self.root / f"other-{encoder}"


def make_world(root: Path, seed: int) -> World:
    """Return a world with an empty gallery, and two galleries to merge into it."""
    tracklets = [_draw(root / "frames" / f"{number:02d}", number) for number in range(TRACKLETS)]
    models = [_model(seed) for seed in (1, 2)]
    pools = {}
    for model in models:
        items = [keyed(model, tracklet, "synthetic", tracklet.camera_name) for tracklet in tracklets]
        pools[header_of(model).encoder] = {item.id: item for item in encode_keyed(model, items)}
    world = World(root, models, pools, random.Random(seed), header_of(models[0]).encoder)
    SqliteStore(world.folder, header_of(models[0])).close()
    for model in models:
        encoder = header_of(model).encoder
        with closing(SqliteStore(world.other(encoder), header_of(model))) as store:
            store.add([pools[encoder][f"t{number:02d}"] for number in range(0, TRACKLETS, 4)])
            store.append_log([Event("same", ("t00", "t04"), "ana", 1.0), Event("reject", ("t00", "t08"), "ana", 2.0)])
            store.append_log([Event("undo", ("t00", "t08"), "ana", 3.0, {"event": 2})])
    return world


def _model(seed: int) -> Model:
    recipe = Recipe("tiny", ClipSpec(count=2, height=32, width=16), Stage1(encoder_width=0.125), Stage2(hidden=8))
    torch.manual_seed(seed)
    encoder = make_encoder(recipe.stage1).eval()
    aggregator = make_aggregator("learned", encoder.dim, recipe).eval()
    return Model(Checkpoint(encoder, aggregator, recipe, {"aggregator": "learned"}), name=f"tiny-{seed}")


def _draw(folder: Path, number: int) -> Tracklet:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(number)
    for frame in range(4):
        Image.fromarray(rng.integers(0, 255, (32, 16, 3)).astype(np.uint8)).save(folder / f"{frame}.png")
    start = 1.7e9 + DAY * number
    names = tuple(f"{frame}.png" for frame in range(4))
    return Tracklet(f"t{number:02d}", 1, 1, folder, names, f"camera-{number % 3}", start, start + 2)


def run_round(world: World, kind: str) -> None:
    """Have a child process do one kind of operation again and again, kill it, and check the gallery.

    Raises:
        AssertionError: If anything is wrong.
    """
    work = world.root / "work"
    shutil.rmtree(work, ignore_errors=True)
    if kind == "migrate":
        shutil.copytree(world.folder, work)
    seed, delay = world.rng.random(), world.rng.random() * LONGEST[kind]
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _be_the_child(world, kind, random.Random(seed), writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        first = pipe.readline()  # the child is ready
        time.sleep(delay)
        os.kill(child, signal.SIGKILL)
        told = first + pipe.read()
    os.waitpid(child, 0)
    lines = [json.loads(line) for line in told.splitlines(keepends=True) if line.endswith(b"\n")]
    assert lines and lines[-1]["what"] != "error", lines[-1:]
    if kind == "make":
        _check_made(world, work)
    elif kind == "migrate":
        _check_migrated(world, work)
    else:
        _check(world, lines)
    world.killed[kind if kind in ("make", "migrate") or lines[-1]["what"] == "begin" else "between two operations"] += 1


def _be_the_child(world: World, kind: str, rng: random.Random, pipe: int) -> None:
    def tell(what: str, **facts: Any) -> None:
        os.write(pipe, json.dumps({"what": what, **facts}).encode() + b"\n")  # less than PIPE_BUF: never in parts

    try:
        torch.set_num_threads(1)
        if kind == "make":
            tell("ready")
            for number in range(1000):
                SqliteStore(world.root / "work" / str(number), header_of(world.models[0])).close()
        elif kind == "migrate":
            tell("ready")
            schema.connect(world.root / "work", migrations=NEWER)
        else:
            with Gallery(world.folder, create=False) as gallery:
                tell("ready")
                for _ in range(1000):
                    _operate(world, gallery, kind, rng, tell)
    except BaseException as error:
        tell("error", text=repr(error)[:2000])
    while True:
        time.sleep(1)


def _operate(world: World, gallery: Gallery, kind: str, rng: random.Random, tell: Tell) -> None:
    """Do one operation. One that cannot be done, such as removing from an empty gallery, is replaced by another."""
    encoder, stored = gallery.store.header.encoder, [entry.id for entry in gallery.entries(limit=TRACKLETS).entries]
    pool = world.pools[encoder]
    if kind != "remove" and len(stored) > MOST:
        kind = "expire" if kind == "expire" else "remove"
    elif kind != "add" and len(stored) < 4:
        kind = "add"
    if kind == "add":
        ids = rng.sample(sorted(pool.keys() - set(stored)), rng.randrange(1, 8))
        tell("begin", kind=kind, ids=ids)
        gallery.store.add([pool[id_] for id_ in ids])
        tell("done", kind=kind, ids=ids)
    elif kind in ("remove", "expire"):
        ids = rng.sample(stored, rng.randrange(1, 4))
        oldest = min(pool[id_].entry.end or 0 for id_ in stored)
        if kind == "expire":
            ids = [id_ for id_ in stored if (pool[id_].entry.end or 0) < oldest + 2.5 * DAY]
        tell("begin", kind=kind, ids=ids)
        erased = gallery.remove(ids) if kind == "remove" else gallery.expire((time.time() - oldest) / DAY - 2.5)
        tell("done", kind=kind, ids=erased)
    elif kind == "label":
        first, second = rng.sample(stored, 2)
        labels = gallery.groups().active()
        tell("begin", kind=kind, ids=[])
        with suppress(GalleryError):  # it contradicts another one
            if labels and rng.random() < 0.3:
                event = gallery.undo(rng.choice(labels).number, author="ana")
            else:
                event = getattr(gallery, rng.choice(("same", "different")))(first, second, author="ana")
            tell("label", event=event.to_json())
        tell("done", kind=kind, ids=[])
    elif kind == "merge":
        with Gallery(world.other(encoder), create=False) as other:
            ids = [entry.id for entry in other.entries().entries]
            tell("begin", kind=kind, ids=ids)
            gallery.merge(other)
        tell("done", kind=kind, ids=ids)
    elif kind == "rebuild":
        model = next(model for model in world.models if header_of(model).encoder != encoder)
        tell("begin", kind=kind, ids=[], encoder=header_of(model).encoder)
        gallery.rebuild(model)
        tell("done", kind=kind, ids=[], encoder=header_of(model).encoder)


def _check(world: World, lines: Sequence[dict[str, Any]]) -> None:
    pending: dict[str, Any] = {"kind": "", "ids": []}
    for line in lines:
        if line["what"] == "label":
            event = Event(**line["event"] | {"ids": tuple(line["event"]["ids"])})
            world.labels[event.number] = event
        elif line["what"] == "begin":
            pending = line
        elif line["what"] == "done":
            _count_done(world, line)
            pending = {"kind": "", "ids": []}
    kind, touched, before = pending["kind"], set(pending["ids"]), set(world.ids)
    with closing(SqliteStore(world.folder)) as store:
        assert store.verify() == []
        encoder = store.header.encoder
        assert encoder in (world.encoder, pending.get("encoder"))
        ids = {entry.id for entry in store.page(limit=1000).entries}
        if kind in ("remove", "expire"):
            assert ids in (before, before - touched), (kind, ids ^ before)
        elif kind == "merge":
            assert before <= ids <= before | touched, (kind, ids ^ before)
        else:
            assert ids in (before, before | touched), (kind, ids ^ before)
        world.halves[kind] += ids != before or encoder != world.encoder
        pool = world.pools[encoder]
        for tracklet in store.fetch(sorted(ids)):
            assert _same(tracklet, pool[tracklet.id]), tracklet.id
        assert {t.id for block in store.scan() for t in block} == set(store.means()[0]) == ids
        if ids:
            assert set(store.nearest(pool["t00"].mean[None], 1000)[0][0]) == ids
        log, gone = store.read_log(), world.ids - ids
        for number, event in world.labels.items():
            assert not gone.isdisjoint(event.ids) or event in log, (number, event)
        assert all(ids.issuperset(event.ids) for event in log)
        assert store.groups().events == Groups(log).events
        world.labels = {event.number: event for event in log}
    world.encoder, world.ids = encoder, ids
    content = b"".join(path.read_bytes() for path in world.folder.rglob("*") if path.is_file())
    for id_ in world.erased - ids - touched:
        for each in world.pools.values():
            picture = each[id_].strip[0]
            parts = (each[id_].features.tobytes(), each[id_].mean.tobytes(), picture[len(picture) // 2 :])
            assert not [part for part in parts if part[:24] in content or part[-24:] in content], id_


def _count_done(world: World, line: dict[str, Any]) -> None:
    ids = set(line["ids"])
    if line["kind"] in ("remove", "expire"):
        world.ids -= ids
        world.erased |= ids
        world.labels = {n: event for n, event in world.labels.items() if ids.isdisjoint(event.ids)}
    elif line["kind"] == "rebuild":
        world.encoder = line["encoder"]
    else:
        world.ids |= ids
        world.erased -= ids


def _same(first: StoredTracklet, second: StoredTracklet) -> bool:
    """Return whether two tracklets are equal in all but the time of adding and the quality, which a rebuild keeps."""
    facts = ("id", "camera", "start", "end", "source", "person", "frames")
    return (
        first.key == second.key and first.strip == second.strip and first.names == second.names
        and all(getattr(first.entry, name) == getattr(second.entry, name) for name in facts)
        and np.allclose(first.features, second.features, atol=1e-2) and np.allclose(first.mean, second.mean, atol=1e-3)
        and np.array_equal(first.frame_numbers, second.frame_numbers)
    )  # fmt: skip


def _check_made(world: World, work: Path) -> None:
    for folder in work.iterdir() if work.is_dir() else ():
        with closing(SqliteStore(folder, header_of(world.models[0]))) as store:  # the same command continues
            assert store.count() == 0 and store.verify() == []


def _check_migrated(world: World, work: Path) -> None:
    with closing(schema.connect(work, migrations=NEWER)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (len(NEWER),)
        assert verify_tables(database, world.models[0].dim) == []
        rows = database.execute("SELECT id FROM tracklets WHERE place = camera").fetchall()
        assert {id_ for (id_,) in rows} == world.ids
        assert database.execute("SELECT count(*) FROM log").fetchone() == (len(world.labels),)


def main(kills: int, seed: int = 0) -> None:
    """Kill that many processes, and print what they were doing."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    with tempfile.TemporaryDirectory() as root:
        world, start = make_world(Path(root), seed), time.monotonic()
        for number in range(kills):
            kind = world.rng.choice(list(LONGEST)) if number >= len(LONGEST) else list(LONGEST)[number]
            try:
                run_round(world, kind)
            except AssertionError as error:
                shutil.copytree(root, kept := Path(tempfile.mkdtemp()) / "world")
                raise AssertionError(f"kill {number} of {kind}: {error}; see {kept}") from error
        for kind, count in sorted(world.killed.items()):
            done = f", {world.halves[kind]} of them had been done" if kind in world.halves else ""
            print(f"{count:5} kills: {kind}{done}")
        print(f"{kills:5} kills in {time.monotonic() - start:.0f} s, nothing lost, nothing half-written")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
