"""A gallery in a Lance table: the contract, the same as in SQLite, erased bytes, kills, several processes, damage."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from operator import methodcaller
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.gallery.contract_suite import FILTERS, Contract, OpenStore
from tests.gallery.stored import HEADER, same, stored

from resight.errors import GalleryError
from resight.gallery.contract import GalleryStore
from resight.gallery.sqlite_store import SqliteStore
from resight.gallery.types import Event, Header

pytest.importorskip("lance", reason="needs the extra `cluster`")

from resight.gallery import lance_parts
from resight.gallery.lance_store import LanceStore


class TestLanceStore(Contract):
    @pytest.fixture
    def opened(self) -> OpenStore:
        def open_store(folder: Path, header: Header | None) -> LanceStore:
            return LanceStore(folder, header)

        return open_store


class Twin:
    """A gallery in SQLite and one in a Lance table, which get the same calls and must return the same."""

    def __init__(self, root: Path) -> None:
        self.stores: tuple[GalleryStore, GalleryStore] = (
            SqliteStore(root / "one", HEADER), LanceStore(root / "other", HEADER)
        )  # fmt: skip

    def both(self, call: Callable[[GalleryStore], Any]) -> Any:
        results = []
        for store in self.stores:
            try:
                results.append(call(store))
            except GalleryError as error:
                results.append(type(error))
        assert results[0] == results[1]
        return results[0]

    def compare(self, draw: random.Random) -> None:
        where = draw.choice(FILTERS)
        cursor = draw.choice([None, "3", "17"])
        newest = draw.random() < 0.5
        self.both(lambda store: [e.id for e in store.page(where, cursor, 5, newest=newest).entries])
        ids = self.both(lambda store: [t.id for block in store.scan(block=7) for t in block])
        some = draw.sample(ids, min(4, len(ids)))
        one, other = (store.fetch(some) for store in self.stores)
        assert all(same(a, b) for a, b in zip(one, other, strict=True))
        self.both(lambda store: (store.header, store.count(where), store.cameras(), store.entries(some)))
        self.both(lambda store: (store.groups().ids(), store.groups().events, store.last_event()))
        self.both(lambda store: (store.read_log(), store.read_setting("a"), store.verify()))
        self.both(lambda store: (store.means(where)[0], store.means(where)[1].tobytes()))
        queries = np.stack([stored(3).mean, stored(200).mean])
        for (ids, cosines), (others, values) in zip(*(s.nearest(queries, 4, where) for s in self.stores), strict=True):
            assert ids == others and np.allclose(cosines, values, atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_random_calls_do_the_same_as_in_sqlite(tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lance_parts, "MANY", 3)
    monkeypatch.setattr(lance_parts, "LARGEST", 20)
    draw, twin = random.Random(seed), Twin(tmp_path)
    odd: dict[str, Any] = {"camera": "", "source": "", "person": "", "start": None, "end": None}
    for step in range(32):
        ids = [entry.id for entry in twin.stores[0].page(limit=1000).entries]
        some = draw.sample(ids, min(draw.randrange(3), len(ids)))
        kind = draw.random()
        if kind < 0.45:
            facts = {name: odd[name] for name in odd if draw.random() < 0.2}
            new = [stored(draw.randrange(80), **facts) for _ in range(draw.randrange(4))]
            new += [replace(stored(100 + step), entry=stored(draw.randrange(80)).entry)]
            twin.both(methodcaller("add", new))
        elif kind < 0.6:
            twin.both(methodcaller("remove", [*some, "nobody"]))
        elif kind < 0.85:
            names = (*some, "nobody") if draw.random() < 0.2 else tuple(some)
            said = Event(draw.choice(("same", "reject")), names, "", 5.0, {"note": "", "step": step})
            events = [said, replace(said, kind="x")][len(names) != 2 :]
            twin.both(methodcaller("append_log", events))
            twin.both(methodcaller("label", lambda groups, _, events=events: events[: 1 + len(groups) % 2]))
        elif kind < 0.95:
            twin.both(methodcaller("write_setting", "a", draw.choice([None, [], "", 0])))
        else:
            kept = [stored(n) for n in range(step % 7)]
            accounted = set(ids) if draw.random() < 0.7 else set(ids[1:])
            twin.both(methodcaller("replace", HEADER, [*kept, *kept], accounted))
        if step % 8 == 7:
            twin.compare(draw)
    twin.compare(draw)
    twin.stores[0].close()
