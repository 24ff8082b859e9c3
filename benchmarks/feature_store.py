"""The feature store against one file per tracklet: the same features written batch by batch, then read."""

from __future__ import annotations

import hashlib
import itertools
import shutil
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.timing import Row, take_turns
from resight.features.store import FeatureStore

TRACKLETS, CLIPS, DIM = 4000, 8, 512
BATCH = 8
"""Tracklets written at once, as in extraction."""


def bench(repeats: int) -> list[Row]:
    """Measure writing, reading, and erasing the features of a data set."""
    rng = np.random.default_rng(0)
    values = rng.standard_normal((TRACKLETS, CLIPS, DIM), dtype=np.float32)
    entries = {hashlib.sha256(str(n).encode()).digest(): values[n] for n in range(TRACKLETS)}
    with tempfile.TemporaryDirectory() as folder:
        return _bench(repeats, Path(folder), entries)


def _bench(repeats: int, folder: Path, entries: dict[bytes, NDArray[np.float32]]) -> list[Row]:
    store, files, keys = FeatureStore(folder / "store"), folder / "files", list(entries)

    def write_store() -> None:
        for start in range(0, len(keys), BATCH):
            store.write({key: entries[key] for key in keys[start : start + BATCH]})

    def write_files() -> None:
        for key in keys:
            path = _path(files, key)
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_suffix(".part")
            temporary.write_bytes(entries[key].tobytes())
            temporary.replace(path)

    def read_files() -> dict[bytes, NDArray[np.float32]]:
        return {key: np.frombuffer(_path(files, key).read_bytes(), np.float32).reshape(CLIPS, DIM) for key in keys}

    def clear_files() -> None:
        shutil.rmtree(files)

    write = take_turns({"files": write_files, "store": write_store}, repeats)
    read = take_turns({"files": read_files, "store": lambda: store.read(keys)}, repeats)
    same = all(np.array_equal(store.read([key])[key], values) for key, values in itertools.islice(entries.items(), 50))
    size = store.info().size / (len(keys) * CLIPS * DIM * 4)
    rows = [
        _row("write in batches of 8", write.median("files"), write.median("store"), write.ratio("files", "store"),
             f"{size:.2f} bytes on disk per byte of features"),
        _row("read", read.median("files"), read.median("store"), read.ratio("files", "store"),
             "equal values" if same else "VALUES DIFFER"),
    ]  # fmt: skip
    clear = take_turns({"files": clear_files, "store": store.clear}, 1, warm_up=False)
    rows.append(
        _row("erase", clear.median("files"), clear.median("store"), clear.ratio("files", "store"),
             "the store also overwrites the erased bytes; one turn")
    )  # fmt: skip
    return rows


def _row(name: str, plain: float, ours: float, ratio: float, note: str) -> Row:
    return Row(
        group="feature store",
        name=f"{name}, {TRACKLETS:,} tracklets of {CLIPS} x {DIM} features",
        unit="tracklets/s",
        plain=TRACKLETS / plain,
        ours=TRACKLETS / ours,
        ratio=ratio,
        note=note,
    )


def _path(folder: Path, key: bytes) -> Path:
    name = key.hex()
    return folder / name[:2] / name
