"""Encoding for a gallery with workers of Ray, on several nodes of a local cluster, some of which are lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.api.conftest import MakeModel
from tests.ray_cluster import local_cluster

from resight.api.gallery import Gallery
from resight.errors import ClusterError
from resight.tracklet import Dataset, Tracklet

ray = pytest.importorskip("ray", reason="needs the extra `cluster`")
MakeTracklets = Callable[..., list[Tracklet]]
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with local_cluster(nodes=2) as started:
        yield started


def test_a_node_that_is_lost_costs_only_its_unfinished_blocks(
    cluster: Any, make_tracklets: MakeTracklets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resight.api.gallery_adding._AT_ONCE", 2)
    tracklets = make_tracklets(persons=6, cameras=3, tracklets=2, frames=3)
    tracklets[5].frame(1).write_bytes(b"no picture")
    data = Dataset("folder", tracklets[0].folder.parents[2], (), (), tuple(tracklets))
    with Gallery(tmp_path / "alone") as alone, Gallery(tmp_path / "cluster") as many:
        expected = alone.add(data)
        assert len(expected.added) == 35 and len(expected.failed) == 1
        before = tracklets[:4]
        many.add(Dataset("folder", data.root, (), (), tuple(before)))
        added: list[str] = []
        stored = many.store.add

        def add_and_lose_a_node(rows: Any) -> Any:
            result = stored(rows)
            added.extend(id_ for id_ in result if id_ is not None)
            if len(added) == 6:
                cluster.lose()
            return result

        monkeypatch.setattr(many.store, "add", add_and_lose_a_node)
        result = many.add(data, cluster="local", workers=2)
        assert sorted(result.added) == sorted(set(expected.added) - {t.id for t in before})
        assert result.known == 4 and [id_ for id_, _ in result.failed] == [tracklets[5].id]
        ids = sorted(expected.added)
        for one, other in zip(alone.store.fetch(ids), many.store.fetch(ids), strict=True):
            # Workers use another number of threads, which changes the rounding.
            assert np.allclose(one.features, other.features, atol=0.02) and one.strip == other.strip
            assert one.entry.camera == other.entry.camera and one.key == other.key
        assert many.store.verify() == []
        again = many.add(data, cluster="local", workers=1)
        assert again.added == () and again.known == 35


def test_a_gallery_is_searched_by_shards(cluster: Any, make_model: MakeModel, manifest: Path, tmp_path: Path) -> None:
    pytest.importorskip("lance", reason="needs the extra `cluster`")
    model, place = make_model(), (tmp_path / "site.gallery").as_uri()
    with Gallery(place, model) as one, Gallery(place, model, cluster="local", shards=1) as many:
        one.add(f"manifest:{manifest}")
        expected, found = (gallery.search("door-0001", k=5, cameras=["hall"]) for gallery in (one, many))
        assert [answer.id for answer in found] == [answer.id for answer in expected]
        assert found.shards == (1, 1) and "1 of 1 shards answered" in str(found)
        assert many.remove(["hall-0001"]) and "hall-0001" not in [answer.id for answer in many.search("door-0001")]


def test_a_cluster_that_is_not_there_is_reported(
    make_tracklets: MakeTracklets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    data = make_tracklets(persons=1)

    def refuse(**options: Any) -> None:
        assert options["address"] == "127.0.0.1:1"
        raise ConnectionError("nobody there")

    monkeypatch.setattr(ray, "init", refuse)
    with Gallery(tmp_path / "gallery") as gallery, pytest.raises(ClusterError, match=r"127.0.0.1:1.* \(nobody there\)"):
        gallery.add(Dataset("folder", tmp_path, (), (), tuple(data)), cluster="127.0.0.1:1")
