"""Re-rank the candidates of a search by the neighbours that they share with the query."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from resight.gallery.search import Candidate
from resight.ranking import Ranking
from resight.scoring.rerank import find_neighbours, rerank

_QUERY = ""
"""Id of the query among the candidates, which have other ids."""


def rerank_candidates(mean: NDArray[np.float32], candidates: Sequence[Candidate]) -> NDArray[np.float32]:
    """Return a new score of each candidate by k-reciprocal re-ranking, higher is better, see `scoring.rerank`.

    Neighbours are found among the candidates and the query, by the cosines of their means. The share of the original
    similarity is that of the clip pairs.

    Args:
        mean: (D,) mean feature of the query, of length 1.
        candidates: n candidates, best first.

    Returns:
        (n,) scores in the order of `candidates`. They are no similarities, and have no threshold.
    """
    if not candidates:
        return np.zeros(0, np.float32)
    ids = (_QUERY, *(candidate.tracklet.id for candidate in candidates))
    means = np.stack([mean, *(candidate.tracklet.mean for candidate in candidates)])
    cosines = np.minimum(means @ means.T, np.float32(1))
    neighbours, least = find_neighbours(ids, lambda rows: cosines[rows])
    given = np.array([[candidate.similarity for candidate in candidates]], np.float32)
    ranking = Ranking((_QUERY,), ids[1:], np.arange(len(candidates), dtype=np.int32)[None], given)
    result = rerank(
        ranking, neighbours, least=least, score_pairs=lambda rows, columns: cosines[rows, columns]
    )  # fmt: skip
    scores = np.empty(len(candidates), np.float32)
    scores[result.order[0]] = result.scores[0]
    return scores
