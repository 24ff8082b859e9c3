"""The galleries of the benchmark: an interrupted one is continued with the same tracklets."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from benchmarks.gallery import DIM, fill, kept, tracklets

from resight.gallery.sqlite_store import SqliteStore
from resight.gallery.types import Header


def test_a_gallery_is_continued(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "gallery", Header("encoder", {}, DIM, "open"))
    assert fill(store, 30)[0] == 30 and fill(store, 50)[0] == 20 and fill(store, 50)[0] == 0
    assert store.count() == 50 and store.verify() == []
    first = store.fetch(["t000042"])[0]
    assert (first.features == next(islice(tracklets(50), 42, None)).features).all()
    assert len(first.features) == len(first.strip) == kept(50).clips
    store.close()
    assert next(tracklets(3000, first=2500)).id == "t002000"
