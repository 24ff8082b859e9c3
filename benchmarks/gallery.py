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
from resight.gallery.sqlite_store import SqliteStore
from resight.gallery.types import Entry, StoredTracklet
from resight.models.aggregators import Aggregator
from resight.outputs import replace_file

CLIPS, DIM, PER_PERSON, CAMERAS = 8, 512, 10, 8
PICTURE = 1800
"""Bytes of one picture of a strip; those of synthetic worlds have 1,500 to 2,000."""

LISTED, K, SEARCHES = 100, 10, 100
AT_ONCE = 16
"""Tracklets written in one transaction, as `Gallery.add` does."""


def tracklets(count: int) -> Iterator[StoredTracklet]:
    """Yield synthetic tracklets, one camera after the other, ten seconds apart."""
    for number in range(count):
        person = np.random.default_rng([1, number // PER_PERSON]).standard_normal(DIM)
        rng = np.random.default_rng([2, number])
        look = person + 0.5 * rng.standard_normal(DIM)
        features = storable(look + 0.5 * rng.standard_normal((CLIPS, DIM)))
        start = 1.7e9 + 10.0 * number
        entry = Entry(
            f"t{number:06d}", f"camera-{number % CAMERAS}", start, start + 8, "synthetic", None, 24, 0.5, 1.7e9
        )  # fmt: skip
        yield StoredTracklet(
            entry, hashlib.sha256(str(number).encode()).digest(), features, unit_mean(features),
            np.zeros((CLIPS, 4), np.int32), tuple(rng.bytes(PICTURE) for _ in range(CLIPS)), "/frames",
            tuple(f"{n:06d}.jpg" for n in range(24)),
        )  # fmt: skip


def bench(repeats: int) -> list[Row]:
    """Measure a gallery of 10,000 tracklets."""
    return _bench(10_000)


def main(*sizes: int, out: Path | None = None) -> None:
    """Measure galleries of some sizes.

    Args:
        sizes: Numbers of tracklets; by default 10,000 and 100,000.
        out: JSON file to write.
    """
    rows = []
    for size in sizes or (10_000, 100_000):
        for row in _bench(size):
            print(f"{row.name}: {row.ours:.4g} {row.unit}, {row.note}", flush=True)
            rows.append(row)
    if out is not None:
        with replace_file(out) as temporary:
            temporary.write_text(json.dumps([row.to_json() for row in rows], indent=1), encoding="utf-8")


def _bench(size: int) -> list[Row]:
    model = load_model(keep_features=False)
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "gallery"
        seconds, bytes_each = _fill(SqliteStore(folder, header_of(model)), size)
        names = ["gallery", "camera", "loop"]
        if importlib.util.find_spec("lance"):
            _write_lance(folder)
            names.append("lance")
        ways = {name: _measure(name, folder, size) for name in names}
    ours, rows = ways["gallery"], []
    rows.append(
        Row("gallery", f"add, {size:,} tracklets", "tracklets/s", None, size / seconds, None,
            note=f"encoded before; flushed to the disk every {AT_ONCE}; {bytes_each:,.0f} bytes per tracklet")
    )  # fmt: skip
    labels = {
        "gallery": "search", "camera": "search in one of 8 cameras",
        "lance": "search, plain: Lance table", "loop": "search, plain: loop over the rows",
    }  # fmt: skip
    for name, values in ways.items():
        others = name in ("lance", "loop")
        shown = ours if others else values
        rows.append(
            Row("gallery", f"{labels[name]}, {size:,} tracklets", "searches/s", 1 / values["p50"] if others else None,
                1 / shown["p50"], values["p50"] / ours["p50"] if others else None, note=_note(values), facts=values)
        )  # fmt: skip
    return rows


def _note(values: dict[str, Any]) -> str:
    return (
        f"p50 {1000 * values['p50']:.0f} ms, p95 {1000 * values['p95']:.0f} ms, first {values['first']:.2f} s, "
        f"{values['memory'] / 1e6:.0f} MB of memory, {values['found']:.1%} of the person's "
        f"tracklets are among the best {K - 1}"
    )


def _fill(store: SqliteStore, size: int) -> tuple[float, float]:
    """Return the seconds that adding took, and the bytes per tracklet."""
    seconds, block = 0.0, []
    for tracklet in tracklets(size):
        block.append(tracklet)
        if len(block) == AT_ONCE or int(tracklet.id[1:]) == size - 1:
            start = time.perf_counter()
            store.add(block)
            seconds += time.perf_counter() - start
            block = []
    bytes_each = store.size() / size
    store.close()
    return seconds, bytes_each


def _measure(name: str, folder: Path, size: int) -> dict[str, Any]:
    """Measure one way in a process of its own, so that its memory is its own."""
    program = f"from benchmarks.gallery import measure; measure({name!r}, {str(folder)!r}, {size})"
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    values: dict[str, Any] = json.loads(output.splitlines()[-1])
    return values


def measure(name: str, folder: str, size: int) -> None:
    """Print times and memory of searches for tracklets of the gallery as JSON."""
    queries = np.random.default_rng(3).choice(size, SEARCHES + 1, replace=False)
    aggregator = load_model(keep_features=False).checkpoint.aggregator.eval()
    search = _ways(Path(folder), aggregator)[name]
    searches = 12 if name == "loop" else SEARCHES
    seconds, found = [], 0
    for query in queries[: searches + 1]:
        start = time.perf_counter()
        ids = search(f"t{query:06d}")
        seconds.append(time.perf_counter() - start)
        found += sum(int(id_[1:]) // PER_PERSON == query // PER_PERSON for id_ in ids)
    values = {
        "first": seconds[0], "p50": float(np.quantile(seconds[1:], 0.5)), "p95": float(np.quantile(seconds[1:], 0.95)),
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
        return np.frombuffer(data, np.float16).reshape(CLIPS, DIM)

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
        return rescore(query.reshape(CLIPS, DIM), listed.reshape(-1, CLIPS, DIM), list(values))

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
        "camera": lambda id_: [answer.id for answer in gallery.search(id_, k=K - 1, cameras=["camera-3"])],
        "lance": by_lance,
        "loop": loop,
    }


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
