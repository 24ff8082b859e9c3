from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.gallery.stored import stored

from resight.gallery.rerank import rerank_candidates
from resight.gallery.search import Candidate
from resight.ranking import Ranking
from resight.scoring.rerank import find_neighbours, rerank


def unit(values: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.asarray(values / np.linalg.norm(values), np.float32)


def test_it_is_the_re_ranking_of_the_table_of_means() -> None:
    rng = np.random.default_rng(0)
    means = [unit(rng.normal(size=16) + 1) for _ in range(31)]
    candidates = [Candidate(replace(stored(n), mean=mean), float(means[0] @ mean)) for n, mean in enumerate(means[1:])]
    candidates.sort(key=lambda candidate: -candidate.similarity)
    table = np.minimum(np.stack([means[0], *(c.tracklet.mean for c in candidates)]), 1)
    table = np.minimum(table @ table.T, 1).astype(np.float32)
    ids = tuple(map(str, range(31)))
    neighbours, least = find_neighbours(ids, lambda rows: table[rows], 31)
    expected = rerank(Ranking.from_scores(table[:1, 1:], ids[:1], ids[1:]), neighbours, least=least)
    scores = rerank_candidates(means[0], candidates)
    assert scores[expected.order[0]] == pytest.approx(expected.scores[0], abs=1e-5)


def test_shared_neighbours_move_a_candidate_up() -> None:
    rng = np.random.default_rng(1)
    person, other = rng.normal(size=(2, 16))
    mine = [unit(person + 0.2 * rng.normal(size=16)) for _ in range(12)]
    theirs = [unit(other + 0.2 * rng.normal(size=16)) for _ in range(24)]
    candidates = [
        Candidate(replace(stored(n), mean=mean), 0.9 - 0.01 * n) for n, mean in enumerate([*theirs[:1], *mine])
    ]
    candidates += [Candidate(replace(stored(n + 50), mean=mean), 0.5) for n, mean in enumerate(theirs[1:])]
    scores = rerank_candidates(unit(person), candidates)
    assert scores[0] < scores[1:13].min()


def test_few_candidates() -> None:
    assert rerank_candidates(stored(0).mean, []).shape == (0,)
    assert rerank_candidates(stored(0).mean, [Candidate(stored(1), 0.5)]).shape == (1,)
