"""Time and memory of opening a data set of the size of MARS: 20,478 tracklets, 1,191,003 frames.

The frame files are empty, because opening a data set reads names and tables but no images. The tables are the official
ones if the environment variable RESIGHT_MARS_INFO names their folder, otherwise random ones with the same numbers.
There are no name lists; both implementations rebuild them from the folders. Every turn runs in its own process, so that
peak memory can be measured: ``python -m benchmarks.reading WAY FOLDER``.
"""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from cyclopts import run
from numpy.typing import NDArray

from benchmarks.plain.reading import open_by_listing
from benchmarks.timing import Row, Turns
from resight.data.readers.mars import MarsInfo, read_mars, read_mars_info
from resight.synthetic.world import write_mat
from resight.tracklet import DISTRACTOR, JUNK

TRAIN, TEST = (8298, 509_914), (12_180, 681_089)
"""Numbers of tracklets and frames."""
TRAIN_PERSONS, TEST_PERSONS, JUNK_TRACKLETS, DISTRACTORS, QUERIES, CAMERAS = 625, 634, 870, 3248, 1980, 6
TURNS = 3
"""Largest number of turns, because a turn takes many seconds."""


def bench(repeats: int) -> list[Row]:
    """Measure both implementations on a tree of a million files."""
    folder = os.environ.get("RESIGHT_MARS_INFO")
    info = read_mars_info(Path(folder)) if folder else draw_info(np.random.default_rng(0))
    source = "tables of MARS" if folder else "random tables"
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    megabytes: dict[str, list[float]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as temporary:
        write_tree(Path(temporary), info)
        for _ in range(min(repeats, TURNS)):
            for way in WAYS:
                took, peak = _measure_apart(way, Path(temporary))
                seconds[way].append(took)
                megabytes[way].append(peak)
    turns, frames = Turns(seconds), int(info.train[-1, 1] + info.test[-1, 1])
    memory = f"peak {max(megabytes['resight']):.0f} MB against {max(megabytes['plain']):.0f} MB"
    return [
        Row(
            group="reading",
            name=f"opening all of MARS, {frames:,} frames",
            unit="frames/s",
            plain=frames / turns.median("plain"),
            ours=frames / turns.median("resight"),
            ratio=turns.ratio("plain", "resight"),
            limit=1 / turns.ratio("resight", "listing"),
            limit_name="listing the folders alone",
            note=f"{turns.median('resight'):.1f} s; {memory}; {source}; plain stores a Path for every frame",
            facts={f"{way}_peak_mb": max(values) for way, values in megabytes.items()},
        )
    ]


def draw_info(rng: np.random.Generator) -> MarsInfo:
    """Return random tables with as many tracklets, frames, persons, cameras, junk and queries as MARS."""
    known = TEST[0] - JUNK_TRACKLETS - DISTRACTORS
    test = [np.full(JUNK_TRACKLETS, JUNK), np.full(DISTRACTORS, DISTRACTOR), 1 + np.arange(known) % TEST_PERSONS]
    return MarsInfo(
        train=_draw_rows(1 + np.arange(TRAIN[0]) % TRAIN_PERSONS, TRAIN[1], rng),
        test=_draw_rows(np.concatenate(test), TEST[1], rng),
        query=np.sort(rng.permutation(np.arange(TEST[0] - known, TEST[0]))[:QUERIES]),
    )


def _draw_rows(persons: NDArray[np.int64], frames: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """First frame, last frame, person and camera, (N, 4), sorted by the names of the frames."""
    N = len(persons)
    cameras = rng.integers(1, CAMERAS + 1, N)
    order = np.lexsort((cameras, persons))
    share = np.minimum(rng.lognormal(0, 0.8, N), 8.0)  # under 1,000 frames, because F1000 sorts before F101
    last = np.round(np.cumsum(1 + share / share.sum() * (frames - N))).astype(np.int64)
    return np.stack([np.append(0, last[:-1]) + 1, last, persons[order], cameras[order]], axis=1)


def write_tree(root: Path, info: MarsInfo) -> None:
    """Write the official layout, with empty frame files and without name lists."""
    (root / "info").mkdir()
    write_mat(root / "info" / "query_IDX.mat", "query_IDX", info.query[None] + 1)
    for part, rows in (("train", info.train), ("test", info.test)):
        write_mat(root / "info" / f"tracks_{part}_info.mat", f"track_{part}_info", rows)
        count: Counter[tuple[int, int]] = Counter()
        for first, last, person, camera in rows.tolist():
            count[person, camera] += 1
            label = "00-1" if person == JUNK else f"{person:04d}"
            folder = root / f"bbox_{part}" / label
            folder.mkdir(parents=True, exist_ok=True)
            prefix = f"{folder}/{label}C{camera}T{count[person, camera]:04d}F"
            for number in range(1, last - first + 2):
                os.close(os.open(f"{prefix}{number:03d}.jpg", os.O_CREAT | os.O_WRONLY))


def _list_folders(root: Path) -> int:
    parts = (root / "bbox_train", root / "bbox_test")
    return sum(len(os.listdir(folder)) for part in parts for folder in part.iterdir())  # noqa: PTH208


WAYS: dict[str, Callable[[Path], object]] = {
    "plain": open_by_listing,
    "resight": read_mars,
    "listing": _list_folders,
}


def _measure_apart(way: str, root: Path) -> tuple[float, float]:
    """Seconds, and peak megabytes beyond what the program itself uses."""
    command = [sys.executable, "-m", "benchmarks.reading", way, str(root)]
    seconds, megabytes = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(seconds), float(megabytes)


def measure(way: str, folder: Path) -> None:
    """Print the seconds and megabytes that opening a data set takes."""
    before, start = peak_megabytes(), time.perf_counter()
    opened = WAYS[way](folder)
    print(time.perf_counter() - start, peak_megabytes() - before)
    del opened


def peak_megabytes() -> float:
    """Return the peak memory of this process."""
    status = Path("/proc/self/status")
    if status.is_file():  # on Linux ru_maxrss starts at the memory of the parent process
        peak = re.search(r"VmHWM:\s+([0-9]+) kB", status.read_text(encoding="utf-8"))
        if peak:
            return int(peak[1]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


if __name__ == "__main__":
    run(measure)
