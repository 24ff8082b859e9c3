"""Search by shards on a Ray cluster of several nodes: the same as on one machine, also if a node is killed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from tests.gallery.stored import HEADER, stored
from tests.ray_cluster import local_cluster

pytest.importorskip("ray", reason="needs the extra `cluster`")
pytest.importorskip("lance", reason="needs the extra `cluster`")

from resight.compute import Compute
from resight.errors import GalleryError
from resight.gallery import shards as module
from resight.gallery.lance_store import LanceStore
from resight.gallery.search import Candidates, Floor, search_store
from resight.gallery.shards import Shards, belongs
from resight.gallery.sqlite_store import SqliteStore
from resight.gallery.types import Filter
from resight.models.aggregators import Aggregator, MeanFeature, MeanPair

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(600)]

COUNT = 1500
WHERES = [Filter(), Filter(cameras=("camera-1",)), Filter(without=frozenset({"t7"}), after=20_000.0)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with local_cluster(nodes=2) as started:
        yield started


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SqliteStore, LanceStore]]:
    root = tmp_path_factory.mktemp("galleries")
    one, many = SqliteStore(root / "one", HEADER), LanceStore(root / "many", HEADER)
    for store in (one, many):
        store.add([stored(number) for number in range(COUNT)])
        store.remove([f"t{number}" for number in range(0, COUNT, 50)])
        store.add([stored(number) for number in range(COUNT, COUNT + 20)])
    yield one, many
    one.close()


def shards_of(store: LanceStore, aggregator: Aggregator, count: int, **options: Any) -> Shards:
    import ray

    return Shards(ray, store.address, count, aggregator, Compute(device="cpu"), **options)


def wait_for_a_loss(shards: Shards) -> None:
    """Return when a shard has ended. On a killed node, it goes on for a moment."""
    import ray

    until = time.monotonic() + 120
    while time.monotonic() < until:
        try:
            ray.get([shard.load.remote() for shard in shards._shards], timeout=30)
        except ray.exceptions.RayActorError:
            return
        except ray.exceptions.GetTimeoutError:
            continue
        time.sleep(0.2)
    pytest.fail("no shard has ended")


def same_answers(found: Candidates, expected: Candidates) -> None:
    assert [c.tracklet.id for c in found.best] == [c.tracklet.id for c in expected.best]
    assert np.allclose([c.similarity for c in found.best], [c.similarity for c in expected.best], atol=1e-5)


def test_every_tracklet_belongs_to_one_shard() -> None:
    numbers = np.arange(1, 5000)
    mine = np.stack([belongs(numbers, shard, 3) for shard in range(3)])
    assert (mine.sum(0) == 1).all() and np.ptp(mine.sum(1)) <= 2 * module.STRIPE


def test_a_floor_counts_a_tracklet_once() -> None:
    floor = Floor(2)
    assert floor.raise_by({"a": 0.9}) == floor.raise_by({"a": 0.9}) == -np.inf
    assert floor.raise_by({"b": 0.5}) == 0.5 and floor.raise_by({"c": 0.7, "b": 0.5}) == 0.7


@pytest.mark.parametrize("aggregator", [MeanPair(), MeanFeature()])
def test_shards_answer_as_one_machine(
    cluster: Any, stores: tuple[SqliteStore, LanceStore], aggregator: Aggregator
) -> None:
    one, many = stores
    shards = shards_of(many, aggregator, 2)
    try:
        for where in WHERES:
            for shortlist in (None, 10):
                for number in (3, 5000):
                    query = stored(number).features.astype(np.float32)
                    expected = search_store(one, query, aggregator, 8, where=where, shortlist=shortlist)
                    found = shards.search(query, 8, where=where, shortlist=shortlist)
                    same_answers(found, expected)
                    assert found.shards == (2, 2) and found.searched == one.count(where)
                    assert shortlist is None or found.scored == 10
    finally:
        shards.close()


def test_a_killed_node_loses_no_answer(
    cluster: Any, stores: tuple[SqliteStore, LanceStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, many = stores
    query = stored(3).features.astype(np.float32)
    notes: list[str] = []
    monkeypatch.setattr(module, "note", notes.append)
    shards = shards_of(many, MeanPair(), 2, patience=300.0)
    try:
        ask, asked = shards._ask, []

        def ask_and_lose_a_node(*arguments: Any) -> dict[int, Any]:
            asked.append(1)
            if len(asked) == 2:  # the shards have made their lists, and are asked to compare
                cluster.lose()
                wait_for_a_loss(shards)
            return ask(*arguments)

        monkeypatch.setattr(shards, "_ask", ask_and_lose_a_node)
        for shortlist in (20, None):
            found = shards.search(query, 8, where=Filter(), shortlist=shortlist)
            same_answers(found, search_store(one, query, MeanPair(), 8, where=Filter(), shortlist=shortlist))
            assert found.shards == (2, 2) and found.searched == one.count()
        assert any("was lost" in text for text in notes)
    finally:
        shards.close()


def test_a_shard_that_does_not_come_back_is_reported(
    cluster: Any, stores: tuple[SqliteStore, LanceStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    one, many = stores
    query = stored(3).features.astype(np.float32)
    monkeypatch.setattr(module, "note", lambda _: None)
    shards = shards_of(many, MeanPair(), 2)
    try:
        shards._patience = 0.0
        assert shards.search(query, 8, where=Filter(), shortlist=20).shards == (0, 2)
        shards._patience = 60.0
        ray.kill(shards._shards[1])
        make = shards._make
        monkeypatch.setattr(shards, "_make", lambda number, cores: make(number, 1000))  # more cores than there are
        shards._patience = 20.0
        # The lost shard had found better ones than there are; its floor must not hide answers of the other.
        ghosts = {f"ghost-{number}": 2.0 for number in range(8)}
        monkeypatch.setattr(shards, "_searches", iter((1000, 1001)))
        assert ray.get(shards._floors.raise_by.remote(1000, 8, ghosts)) == 2.0
        found = shards.search(query, 8, where=Filter(), shortlist=None)
        numbers = many.numbers([c.tracklet.id for c in found.best])
        assert found.shards == (1, 2) and belongs(np.array(numbers), 0, 2).all() and len(numbers) == 8
        assert found.searched is not None and 0 < found.searched < one.count()
        names = many.means()[0]
        mine = belongs(np.array(many.numbers(names)), 0, 2)
        ids = frozenset(np.array(names, object)[mine].tolist())
        same_answers(found, search_store(one, query, MeanPair(), 8, where=Filter(ids=ids), shortlist=None))
    finally:
        shards.close()


def test_shards_that_cannot_read_the_gallery_say_so(cluster: Any) -> None:
    import ray

    with pytest.raises(GalleryError, match=r"/nowhere/site\.gallery does not exist"):
        Shards(ray, "/nowhere/site.gallery", 1, MeanPair(), Compute(device="cpu"))
