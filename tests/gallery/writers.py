"""Processes that change a gallery, and what must be left when they are killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from resight.gallery.contract import GalleryStore

ROOT = Path(__file__).parents[2]


def start(program: str, *arguments: str) -> subprocess.Popen[str]:
    """Start a Python program with the packages of this checkout."""
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE, text=True, cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
    )  # fmt: skip


def kill_writers(
    start_writer: Callable[[int, int], subprocess.Popen[str]], open_store: Callable[[], GalleryStore], *, times: int,
    lines_read: int, pause: float,
) -> None:  # fmt: skip
    """Kill writers, one after the other, and check that nothing acknowledged is lost.

    Args:
        start_writer: Starts a writer that adds tracklets from one number to another, and prints what it has done.
        open_store: Opens the gallery.
        times: Number of writers.
        lines_read: A writer is killed after 5 to this number of lines.
        pause: Longest pause before the kill, in seconds.
    """
    draw = random.Random(0)
    first, expected = 0, set()
    for _ in range(times):
        writer = start_writer(first, first + 100_000)
        assert writer.stdout is not None
        lines = [writer.stdout.readline().split() for _ in range(draw.randrange(5, lines_read))]
        time.sleep(draw.random() * pause)
        writer.send_signal(signal.SIGKILL)
        # Not `communicate`, which misses what `readline` has read ahead. The last line may be incomplete.
        rest = writer.stdout.read().split("\n")[:-1]
        writer.stdout.close()
        writer.wait()
        lines += [line.split() for line in rest if line.count(" ")]
        expected |= {line[1] for line in lines if line[0] == "added"}
        expected -= {line[1] for line in lines if line[0] == "removed"}
        store = open_store()
        assert store.verify() == []
        ids = {entry.id for entry in store.page(limit=100_000).entries}
        # The last call may have been done without its acknowledgement.
        assert len(expected - ids) <= 1 and len(ids - expected) <= 1
        assert len([t for block in store.scan() for t in block]) == len(ids)
        labels = [int(line[1]) for line in lines if line[0] == "labelled"]
        assert max((event.number for event in store.read_log()), default=0) >= max(labels, default=0)
        store.close()
        expected, first = ids, first + 1000
    assert not (expected - ids)
