"""`resight.evaluate` on a cluster that is this process: every figure is that of the plain call."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from resight.api.evaluate import evaluate
from resight.api.model import Model
from resight.cluster import Done
from resight.errors import ClusterError
from resight.tracklet import Dataset, Tracklet


class OneByOne:
    """Stands for `Workers`: does jobs in this process."""

    alive = 0

    def __init__(self, ray: Any, kind: type, arguments: tuple[Any, ...], count: int, gpu: bool) -> None:
        assert (count, gpu) == (2, False)
        self._worker = kind(*arguments)
        type(self).alive += 1

    def do(self, jobs: Any) -> Iterator[Done[int]]:
        for job in jobs:
            yield Done(job.item, job.method, getattr(self._worker, job.method)(*job.arguments))

    def stop(self) -> None:
        type(self).alive -= 1


def test_every_figure_is_that_of_the_plain_call(
    make_tracklets: Callable[..., list[Tracklet]], make_model: Callable[..., Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    @contextmanager
    def connected(cluster: str) -> Iterator[tuple[Any, int]]:
        asked.append(cluster)
        yield SimpleNamespace(put=lambda value: value, get=lambda value: value), 2

    monkeypatch.setattr("resight.api.evaluate.connected", connected)
    monkeypatch.setattr("resight.evaluation.on_cluster.Workers", OneByOne)
    tracklets = make_tracklets(persons=6, cameras=3)
    data = Dataset("folder", tracklets[0].folder.parents[2], (), tuple(tracklets), tuple(tracklets))
    how: dict[str, Any] = {"rerank": True, "open_set": True, "camera_pairs": True, "max_corrupted": 2}
    plain, blocks = (
        evaluate(make_model(), data, progress=False, cluster=cluster, **how) for cluster in (None, "10.0.0.5:6379")
    )
    assert rounded(blocks.to_json()) == rounded(plain.to_json())
    assert asked == ["10.0.0.5:6379"] and OneByOne.alive == 0


def rounded(values: dict[str, Any]) -> Any:
    return json.loads(json.dumps(values), parse_float=lambda text: round(float(text), 5))


def test_a_cluster_that_is_not_there_is_reported_before_any_frame_is_read(
    make_model: Callable[..., Model], make_tracklets: Callable[..., list[Tracklet]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    monkeypatch.setattr(Model, "corrupted_features", lambda *rest, **options: pytest.fail("frames were read"))
    tracklets = make_tracklets(persons=2)
    data = Dataset("folder", tracklets[0].folder, (), tuple(tracklets), tuple(tracklets))
    with pytest.raises(ClusterError, match=r"resight\[cluster\]"):
        evaluate(make_model(), data, cluster="local", progress=False)
