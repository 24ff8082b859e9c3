"""Evaluation in blocks against evaluation in one process: same scores, rankings, open sets and weights."""

from __future__ import annotations

import os
import pickle
import random
import signal
import sys
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from resight.cluster import Done, connected
from resight.errors import ClusterError
from resight.evaluation import on_cluster
from resight.evaluation.blocks import BlockJudge
from resight.evaluation.evaluate import labels_of
from resight.evaluation.judge import Judged, Wanted, judge_here
from resight.evaluation.on_cluster import ClusterJudge
from resight.evaluation.open_set import draw_impostors
from resight.evaluation.protocols import PROTOCOLS
from resight.features.types import ClipFeatures
from resight.models.aggregators import Aggregator, Learned, MaxPair, MeanFeature
from resight.scoring.all_pairs import score_all_pairs

CLOSE: Any = {"rtol": 1e-5, "atol": 1e-6}


def made(name: str, count: int, seed: int, persons: int = 5, dim: int = 6) -> ClipFeatures:
    rng = np.random.default_rng(seed)
    person = np.arange(count) % persons + 1
    person[count // 2 :] = rng.integers(-1, persons + 1, count - count // 2)  # junk and distractors, too
    centres = np.random.default_rng(0).normal(size=(persons + 2, dim))
    values = (centres[person][:, None] + rng.normal(size=(count, 2, dim))).astype(np.float32)
    ids = tuple(f"{name}{number}" for number in range(count))
    cameras = rng.integers(1, 4, count)
    return ClipFeatures(ids, person, cameras, values, np.zeros((count, 2, 4), np.int64))


def learned() -> Learned:
    torch.manual_seed(0)
    return Learned(6, 4).eval()


AGGREGATORS: dict[str, Aggregator] = {"mean": MeanFeature(), "max": MaxPair(), "learned": learned()}


class OneByOne:
    """Stands for `Workers`: does jobs in this process, on copies as another process would get them, in any order."""

    def __init__(self, ray: Any, kind: type, arguments: tuple[Any, ...], count: int, gpu: bool) -> None:
        *rest, fetch = arguments
        self._worker = kind(*pickle.loads(pickle.dumps(rest)), fetch)

    def do(self, jobs: Any) -> Iterator[Done[int]]:
        done = []
        for job in jobs:
            arguments = pickle.loads(pickle.dumps(job.arguments))
            done.append(Done(job.item, job.method, getattr(self._worker, job.method)(*arguments)))
        random.Random(3).shuffle(done)
        yield from done

    def stop(self) -> None:
        pass


NO_RAY: Any = SimpleNamespace(put=lambda value: value, get=lambda value: value)


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_cluster, "Workers", OneByOne)


def assert_close(found: Any, expected: Any, name: str = "") -> None:
    """Compare results of the same class field by field."""
    if isinstance(expected, np.ndarray | float):
        np.testing.assert_allclose(found, expected, **CLOSE, err_msg=name)
    elif is_dataclass(expected):
        for each in fields(expected):
            assert_close(getattr(found, each.name), getattr(expected, each.name), f"{name}.{each.name}")
    else:
        assert found == expected, name


def assert_same(found: Judged, expected: Judged, headline: bool) -> None:
    assert_close(found if headline else replace(found, ranking=expected.ranking), expected)


@pytest.mark.parametrize("name", AGGREGATORS)
@settings(max_examples=8, deadline=None)
@given(
    sizes=st.tuples(st.integers(6, 20), st.integers(25, 60)), block=st.integers(1, 30), workers=st.integers(1, 3),
    seed=st.integers(0, 2**32 - 1), reranked=st.booleans(), inside=st.booleans(), headline=st.booleans(),
)  # fmt: skip
def test_blocks_equal_the_whole(
    name: str, sizes: tuple[int, int], block: int, workers: int, seed: int, reranked: bool, inside: bool,
    headline: bool,
) -> None:  # fmt: skip
    gallery = made("g", sizes[1], seed)
    query = gallery.rows(np.arange(sizes[0])) if inside else made("q", sizes[0], seed + 1)
    protocol = PROTOCOLS["mars-queries-out" if seed % 2 else "any-camera"]
    wanted = Wanted(
        query, gallery, protocol, reranked, draw_impostors(labels_of(query)), weights=True, camera_pairs=True
    )
    done: list[tuple[int, int]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(on_cluster, "Workers", OneByOne)
        patch.setattr(on_cluster, "GALLERY_BLOCK", block)
        patch.setattr(on_cluster, "PAIRS", 7)
        found = ClusterJudge(NO_RAY, workers, 1, lambda *counts: done.append(counts))(
            wanted, AGGREGATORS[name], headline
        )
    assert_same(found, judge_here(wanted, AGGREGATORS[name], headline), headline)
    assert done[-1][0] == done[-1][1] == len(done)


def test_a_long_ranking_is_cut_off_but_its_scores_are_exact(one_by_one: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_cluster, "KEPT", 35)
    wanted = Wanted(made("q", 10, 1), made("g", 40, 2), PROTOCOLS["standard"])
    found, expected = (judge(wanted, MaxPair(), True) for judge in (ClusterJudge(NO_RAY, 1), judge_here))
    assert found.ranking.order.shape == (10, 3) and found.scores.cut_at is None
    np.testing.assert_array_equal(found.ranking.order, expected.ranking.order[:, :3])
    np.testing.assert_allclose(found.scores.ap, expected.scores.ap, **CLOSE)


def test_a_worker_holds_the_similarities_of_one_block_of_queries(
    one_by_one: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes = []

    def score(query: Any, gallery: Any, *rest: Any, **options: Any) -> Any:
        shapes.append((len(query), len(gallery)))
        return score_all_pairs(query, gallery, *rest, **options)

    monkeypatch.setattr("resight.evaluation.blocks.score_all_pairs", score)
    monkeypatch.setattr(on_cluster, "GALLERY_BLOCK", 16)
    monkeypatch.setattr(on_cluster, "BLOCK_BUDGET", 48 * 40 * 3)
    wanted = Wanted(made("q", 10, 1), made("g", 40, 2), PROTOCOLS["standard"])
    ClusterJudge(NO_RAY, 1)(wanted, MaxPair(), False)
    assert max(shapes) == (3, 16) and sum(q * g for q, g in shapes) == 400


def test_a_block_that_ends_every_worker_is_reported(one_by_one: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OneByOne, "do", lambda self, jobs: iter([Done(0, "judge", None, given_up=True)]))
    wanted = Wanted(made("q", 10, 1), made("g", 40, 2), PROTOCOLS["standard"])
    with pytest.raises(ClusterError, match="too little memory"):
        ClusterJudge(NO_RAY, 1)(wanted, MaxPair(), False)


class Mortal(BlockJudge):
    """A worker that is killed once, in its second block."""

    def judge(self, *arguments: Any, **options: Any) -> Any:
        flag = Path(os.environ["RESIGHT_TEST_KILLED"])
        if arguments[2] > 0 and not flag.exists():
            flag.write_text("killed")
            os.kill(os.getpid(), signal.SIGKILL)
        return super().judge(*arguments, **options)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.timeout(600)
def test_a_killed_worker_of_ray_repeats_only_its_blocks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ray", reason="needs the extra `cluster`")
    flag = tmp_path / "killed"
    monkeypatch.setenv("RESIGHT_TEST_KILLED", str(flag))
    monkeypatch.setattr(on_cluster, "BlockJudge", Mortal)
    monkeypatch.setattr(on_cluster, "GALLERY_BLOCK", 20)
    wanted = Wanted(made("q", 24, 1), made("g", 60, 2), PROTOCOLS["standard"], reranked=True)
    try:
        connection = connected("local", 2)
        ray, workers = connection.__enter__()
    except ClusterError as error:
        pytest.skip(f"this machine is too busy: {error}")
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    try:
        found = ClusterJudge(ray, workers)(wanted, learned(), True)
    finally:
        connection.__exit__(None, None, None)
    assert flag.exists() and "a worker was lost" in capsys.readouterr().err
    assert_same(found, judge_here(wanted, learned(), True), True)
