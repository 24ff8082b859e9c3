"""One gallery in SQLite, in a Lance table in a folder and on object storage, and searched by shards.

``python -m benchmarks.gallery_places``. Object storage is moto's S3 server, a Python process on this machine. It
shows what the requests cost, but no network. The tracklets are those of `benchmarks.gallery`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from cyclopts import run

from benchmarks.gallery import AT_ONCE, K, tracklets
from resight.api.gallery import Gallery
from resight.api.gallery_encoding import header_of
from resight.api.model import load_model
from resight.gallery.contract import GalleryStore
from resight.gallery.open_store import open_store
from resight.gallery.types import StoredTracklet
from resight.tables import Row, Table

SEARCHES, EXACT = 40, 4
_SERVER = """
import logging, sys
from moto.server import ThreadedMotoServer
logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(*server.get_host_and_port(), flush=True)
sys.stdin.read()
"""
COLUMNS = ("add, tracklets/s", "search, p50", "p95", "exact, p50", "first", "erase one", "MB")


def main(size: int = 4_000, *, shards: tuple[int, ...] = (1, 2)) -> None:
    """Measure adding, searching and erasing, and print a table.

    Args:
        size: Number of tracklets.
        shards: Numbers of shards of the gallery in the Lance folder.
    """
    header, items = header_of(load_model(keep_features=False)), list(tracklets(size))
    rows: list[Row] = []

    def add(name: str, *cells: str | None) -> None:
        rows.append(Row(name, cells))
        print(name, *cells, sep=" | ", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory() as root, _object_storage() as bucket:
        places = {
            "SQLite": f"{root}/one", "Lance, folder": f"file://{root}/many",
            "Lance, S3 server": f"{bucket}/site.gallery",
        }  # fmt: skip
        for name, place in places.items():
            store = open_store(place, header)
            added = _added(store, items)
            store.close()
            searched = _searched(place, size)
            store = open_store(place)
            start = time.perf_counter()
            store.remove([items[size // 2].id])
            erased, megabytes = time.perf_counter() - start, store.size() / 1e6
            store.close()
            add(name, f"{added:,.0f}", *searched, f"{1000 * erased:.0f} ms", f"{megabytes:.0f}")
        for count in shards:
            place = places["Lance, folder"]
            searched = _searched(place, size, cluster="local", shards=count)
            add(f"Lance, folder, shards: {count}", None, *searched, None, None)
    print(Table(f"{size:,} tracklets", COLUMNS, tuple(rows), "place").to_markdown())


def _added(store: GalleryStore, items: list[StoredTracklet]) -> float:
    """Return how many tracklets are added per second."""
    start = time.perf_counter()
    for first in range(0, len(items), AT_ONCE):
        store.add(items[first : first + AT_ONCE])
    return len(items) / (time.perf_counter() - start)


def _searched(place: str, size: int, **options: Any) -> tuple[str, str, str, str]:
    """Return median and 95 % quantile of searches, the median of exact ones, and the time of the first."""
    queries = [f"t{number:06d}" for number in np.random.default_rng(3).choice(size, SEARCHES + 1, replace=False)]
    with Gallery(place, create=False, **options) as gallery:
        seconds = [_timed(gallery, query) for query in queries]
        exact = [_timed(gallery, query, exact=True) for query in queries[:EXACT]]
    median, most = np.quantile(seconds[1:], (0.5, 0.95))
    return f"{1000 * median:.0f} ms", f"{1000 * most:.0f} ms", f"{np.median(exact):.2f} s", f"{seconds[0]:.2f} s"


def _timed(gallery: Gallery, query: str, **options: Any) -> float:
    start = time.perf_counter()
    gallery.search(query, k=K, **options)
    return time.perf_counter() - start


@contextmanager
def _object_storage() -> Iterator[str]:
    """Yield the address of a bucket of an S3 server in a process of its own."""
    server = subprocess.Popen(
        [sys.executable, "-c", _SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )  # fmt: skip
    try:
        assert server.stdout is not None
        host, port = server.stdout.readline().split()
        os.environ |= {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
        }  # fmt: skip
        import boto3

        boto3.client("s3").create_bucket(Bucket="resight")
        yield "s3://resight"
    finally:
        server.kill()
        server.wait()


if __name__ == "__main__":
    run(main)
