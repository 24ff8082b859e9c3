"""Searches in a stored gallery, against a Lance table and a plain loop: ``python -m benchmarks.gallery --out FILE``.

The features are synthetic: every person is a random direction, every tracklet of it is perturbed, and so is every clip.
A search takes the 100 tracklets with the nearest means, reads their clip features, and compares them by the importance
network of the model `open`. The Lance table, without an index, and the plain loop do the same as a user would write it.
The model is not asked to encode anything.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import itertools
import json
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cyclopts import run
from numpy.typing import NDArray

from benchmarks.timing import Row
from resight.api.gallery import Gallery
from resight.api.gallery_encoding import header_of
from resight.api.model import load_model
from resight.gallery.describe import storable, unit_mean
from resight.gallery.labels import Groups
from resight.gallery.means import Block, MeanBlocks
from resight.gallery.sqlite_store import SqliteStore
from resight.gallery.types import Entry, Event, StoredTracklet
from resight.models.aggregators import Aggregator
from resight.outputs import replace_file

DIM, PER_PERSON, CAMERAS = 512, 10, 8

LISTED, K, SEARCHES = 100, 10, 100
AT_ONCE = 16
"""Tracklets written in one transaction, as `Gallery.add` does."""

LABELLED = 2500
"""Persons with a label that two of their tracklets are the same person, and one that another person differs."""

_MEANS = 8192
"""Means of a block in memory, as of a gallery."""

_DRAWN = 1000
"""Tracklets that are drawn at once, a multiple of `PER_PERSON`."""


@dataclass(frozen=True)
class Kept:
    """What is stored per tracklet.

    Attributes:
        clips: Clips.
        picture: Bytes of one picture of a strip; those of synthetic worlds have 1,500 to 2,000.
    """

    clips: int
    picture: int

    def __str__(self) -> str:
        return f"{self.clips} clips with pictures of {self.picture:,} bytes"


def kept(size: int) -> Kept:
    """Return what is stored per tracklet of a gallery of some size: less in large ones, which fit on the disk then."""
    return Kept(8, 1800) if size <= 300_000 else Kept(4, 100)


def tracklets(count: int, first: int = 0) -> Iterator[StoredTracklet]:
    """Yield synthetic tracklets, one camera after the other, ten seconds apart.

    Args:
        count: Number of tracklets of the whole gallery.
        first: Number of those that are left out; they may be yielded in part.
    """
    what = kept(count)
    for start in range(first // _DRAWN * _DRAWN, count, _DRAWN):
        rng = np.random.default_rng([1, start])
        person = rng.standard_normal((_DRAWN // PER_PERSON, DIM), np.float32).repeat(PER_PERSON, 0)
        look = person + 0.5 * rng.standard_normal(person.shape, np.float32)
        clips = look[:, None] + 0.5 * rng.standard_normal((_DRAWN, what.clips, DIM), np.float32)
        for number, values in enumerate(clips[: count - start], start):
            begin = 1.7e9 + 10.0 * number
            entry = Entry(
                f"t{number:06d}", f"camera-{number % CAMERAS}", begin, begin + 8, "synthetic", None, 24, 0.5, 1.7e9
            )
            features = storable(values)
            yield StoredTracklet(
                entry, hashlib.sha256(str(number).encode()).digest(), features, unit_mean(features),
                np.zeros((what.clips, 4), np.int32), tuple(rng.bytes(what.picture) for _ in range(what.clips)),
                "/frames", tuple(f"{n:06d}.jpg" for n in range(24)),
            )  # fmt: skip


def bench(repeats: int) -> list[Row]:
    """Measure a gallery of 10,000 tracklets."""
    return _bench(10_000)


def main(*sizes: int, out: Path | None = None, folder: Path | None = None, means: int = 0) -> None:
    """Measure galleries of some sizes.

    Args:
        sizes: Numbers of tracklets; by default 10,000 and 100,000.
        out: JSON file to write.
        folder: Where the galleries are made and kept, one folder of each size; an interrupted one is continued.
        means: Instead, measure how long it takes to find the nearest of this many random means in memory.
    """
    if means:
        print(f"the {LISTED} nearest of {means:,} means: {1000 * nearest_seconds(means):.0f} ms of processor time")
        return
    rows = []
    for size in sizes or (10_000, 100_000):
        for row in _bench(size, folder):
            print(f"{row.name}: {row.ours:.4g} {row.unit}, {row.note}", flush=True)
            rows.append(row)
    if out is not None:
        with replace_file(out) as temporary:
            temporary.write_text(json.dumps([row.to_json() for row in rows], indent=1), encoding="utf-8")


def _bench(size: int, kept_in: Path | None = None) -> list[Row]:
    header = header_of(load_model(keep_features=False))
    with tempfile.TemporaryDirectory() as root:
        folder = (Path(root) if kept_in is None else kept_in / str(size)) / "gallery"
        with closing(SqliteStore(folder, header)) as store:
            added, seconds = fill(store, size)
            bytes_each = store.size() / size
        names = ["gallery", "camera", "hour"]
        if size <= 100_000:
            names.append("loop")
            if importlib.util.find_spec("lance"):
                if not (folder.parent / "lance").is_dir():
                    _write_lance(folder)
                names.append("lance")
        ways = {name: _measure(name, folder, size) for name in names}
        with closing(SqliteStore(folder)) as store:
            labels = _label(store, size)
        ways["labels"] = _measure("labels", folder, size)
    ours, rows = ways["gallery"], []
    if added:
        rows.append(
            Row("gallery", f"add, {size:,} tracklets", "tracklets/s", None, added / seconds, None,
                note=f"encoded before; flushed to the disk every {AT_ONCE}; {kept(size)}: {bytes_each:,.0f} bytes",
                facts={"bytes": bytes_each, "size": size, "rate": added / seconds})
        )  # fmt: skip
    texts = {
        "gallery": "search", "camera": "search in one of 8 cameras", "hour": "search in one hour",
        "labels": f"search with {labels:,} labels",
        "lance": "search, plain: Lance table", "loop": "search, plain: loop over the rows",
    }  # fmt: skip
    for name, values in ways.items():
        others = name in ("lance", "loop")
        shown = ours if others else values
        rows.append(
            Row("gallery", f"{texts[name]}, {size:,} tracklets", "searches/s", 1 / values["p50"] if others else None,
                1 / shown["p50"], values["p50"] / ours["p50"] if others else None, note=_note(values),
                facts={"way": name, "size": size, **values})
        )  # fmt: skip
    return rows


def _note(values: dict[str, Any]) -> str:
    return (
        f"p50 {1000 * values['p50']:.0f} ms, p95 {1000 * values['p95']:.0f} ms, first {values['first']:.2f} s; "
        f"processor time p50 {1000 * values['processor p50']:.0f} ms, p95 {1000 * values['processor p95']:.0f} ms; "
        f"{values['memory'] / 1e6:.0f} MB of memory, {values['found']:.1%} of the person's "
        f"tracklets are among the best {K - 1}"
    )


def fill(store: SqliteStore, size: int) -> tuple[int, float]:
    """Add tracklets until there are `size`; return how many were added, and the seconds that this took.

    Raises:
        GalleryError: If the disk is full.
    """
    seconds, first = 0.0, store.count()
    source = tracklets(size, first)
    while block := list(itertools.islice(source, AT_ONCE)):
        start = time.perf_counter()
        store.add(block)
        seconds += time.perf_counter() - start
    return size - first, seconds


def nearest_seconds(count: int) -> float:
    """Return the processor time of finding the nearest of random means: what grows with the gallery in a search."""
    rng = np.random.default_rng(4)
    drawn = rng.standard_normal((_MEANS, DIM), np.float32)
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    blocks = []
    for first in range(0, count, _MEANS):
        values = np.roll(drawn, first // _MEANS, axis=1)[: count - first]
        seqs = np.arange(first, first + len(values))
        blocks.append(Block(seqs, tuple(f"t{seq:06d}" for seq in seqs), values))
    means = MeanBlocks(DIM, tuple(blocks))
    seconds = []
    for query in drawn[:12]:
        start = time.process_time()
        means.nearest(query[None], LISTED, None, frozenset())
        seconds.append(time.process_time() - start)
    return float(np.median(seconds))


def _label(store: SqliteStore, size: int) -> int:
    """Label persons, and return the number of labels."""
    persons = min(LABELLED, size // PER_PERSON - 1)

    def decide(groups: Groups, _: int) -> list[Event]:
        if groups.events:
            return []
        ids = [f"t{PER_PERSON * person:06d}" for person in range(persons + 1)]
        same = [Event("same", (id_, f"t{int(id_[1:]) + 1:06d}"), "benchmark", 1.7e9) for id_ in ids[:-1]]
        return same + [Event("different", pair, "benchmark", 1.7e9) for pair in pairwise(ids)]

    store.label(decide)
    return 2 * persons


def _measure(name: str, folder: Path, size: int) -> dict[str, Any]:
    """Measure one way in a process of its own, so that its memory is its own."""
    program = f"from benchmarks.gallery import measure; measure({name!r}, {str(folder)!r}, {size})"
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    values: dict[str, Any] = json.loads(output.splitlines()[-1])
    return values


def measure(name: str, folder: str, size: int) -> None:
    """Print times and memory of searches for tracklets of the gallery as JSON."""
    queries = np.random.default_rng(3).choice(size, SEARCHES + 1, replace=False)
    if name == "labels":  # one tracklet of each labelled person
        queries = queries % min(LABELLED, size // PER_PERSON - 1) * PER_PERSON
    aggregator = load_model(keep_features=False).checkpoint.aggregator.eval()
    search = _ways(Path(folder), aggregator)[name]
    searches = 12 if name == "loop" else SEARCHES
    seconds, processor, found = [], [], 0
    for query in queries[: searches + 1]:
        start, busy = time.perf_counter(), time.process_time()
        ids = search(f"t{query:06d}")
        seconds.append(time.perf_counter() - start)
        processor.append(time.process_time() - busy)
        found += sum(int(id_[1:]) // PER_PERSON == query // PER_PERSON for id_ in ids)
    values = {
        "first": seconds[0], "p50": float(np.quantile(seconds[1:], 0.5)), "p95": float(np.quantile(seconds[1:], 0.95)),
        "processor first": processor[0], "processor p50": float(np.quantile(processor[1:], 0.5)),
        "processor p95": float(np.quantile(processor[1:], 0.95)),
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0,
        "found": found / ((PER_PERSON - 1) * (searches + 1)),
    }  # fmt: skip
    print(json.dumps(values))


def _ways(folder: Path, aggregator: Aggregator) -> dict[str, Callable[[str], list[str]]]:
    """Return functions that return the ids of the best for the id of a query."""
    if folder.name != "gallery":
        raise ValueError(f"expected the folder of a gallery, found {folder}")
    gallery = Gallery(folder, create=False)
    database = sqlite3.connect(folder / "gallery.sqlite")
    lance: Any = importlib.import_module("lance") if (folder.parent / "lance").is_dir() else None

    def features(seq: int) -> NDArray[np.float16]:
        (data,) = database.execute("SELECT features FROM contents WHERE seq = ?", (seq,)).fetchone()
        return np.frombuffer(data, np.float16).reshape(-1, DIM)

    def rescore(query: NDArray[np.float16], listed: NDArray[np.float16], seqs: list[int]) -> list[str]:
        with torch.inference_mode():
            pair = (torch.from_numpy(values.astype(np.float32)) for values in (query[None], listed))
            scores = aggregator(*pair)[0].numpy()
        return [f"t{seqs[n] - 1:06d}" for n in np.argsort(-scores)[: K - 1]]

    def by_lance(id_: str) -> list[str]:
        table = lance.dataset(str(folder.parent / "lance"))
        seq = int(id_[1:]) + 1
        own = table.take([seq - 1], columns=["mean", "features"])
        near = table.to_table(
            columns=["seq", "features"],
            nearest={"column": "mean", "q": own["mean"][0].values.to_numpy(), "k": LISTED + 1},
        )
        values = {n: feature for n, feature in zip(near["seq"].to_pylist(), near["features"], strict=True) if n != seq}
        listed = np.stack([np.frombuffer(feature.as_py(), np.float16) for feature in values.values()])
        query = np.frombuffer(own["features"][0].as_py(), np.float16)
        return rescore(query.reshape(-1, DIM), listed.reshape(len(values), -1, DIM), list(values))

    def loop(id_: str) -> list[str]:
        seq = int(id_[1:]) + 1
        query = np.frombuffer(
            database.execute("SELECT mean FROM means WHERE seq = ?", (seq,)).fetchone()[0], np.float32
        )
        cosines = [
            (float(query @ np.frombuffer(mean, np.float32)), found)
            for found, mean in database.execute("SELECT seq, mean FROM means")
        ]
        listed = [found for _, found in sorted(cosines, reverse=True)[: LISTED + 1] if found != seq]
        return rescore(features(seq), np.stack([features(found) for found in listed]), listed)

    return {
        "gallery": lambda id_: [answer.id for answer in gallery.search(id_, k=K - 1)],
        "labels": lambda id_: [answer.id for answer in gallery.search(id_, k=K - 1)],
        "camera": lambda id_: [answer.id for answer in gallery.search(id_, k=K - 1, cameras=["camera-3"])],
        "hour": lambda id_: [answer.id for answer in gallery.search(id_, k=K - 1, **_hour(id_))],
        "lance": by_lance,
        "loop": loop,
    }


def _hour(id_: str) -> dict[str, Any]:
    middle = 1.7e9 + 10.0 * int(id_[1:])
    return {"after": middle - 1800, "before": middle + 1800}


def _write_lance(folder: Path) -> None:
    """Write means and features of a gallery as a Lance table, without an index: its search is exact, too."""
    arrow = importlib.import_module("pyarrow")
    database = sqlite3.connect(folder / "gallery.sqlite", check_same_thread=False)  # Lance reads in one of its own

    def batches() -> Iterator[Any]:
        rows = database.execute("SELECT seq, mean, features FROM means JOIN contents USING (seq) ORDER BY seq")
        while block := rows.fetchmany(4096):
            seqs, means, features = zip(*block, strict=True)
            values = np.frombuffer(b"".join(means), np.float32)
            vectors = arrow.FixedSizeListArray.from_arrays(arrow.array(values), DIM)
            columns = [arrow.array(seqs), vectors, arrow.array(features, arrow.binary())]
            yield arrow.RecordBatch.from_arrays(columns, names=["seq", "mean", "features"])

    first = next(blocks := batches())
    reader = arrow.RecordBatchReader.from_batches(first.schema, itertools.chain([first], blocks))
    importlib.import_module("lance").write_dataset(reader, str(folder.parent / "lance"))


if __name__ == "__main__":
    run(main)
