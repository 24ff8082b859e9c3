"""Scores by pair of cameras: the matrix of the official MARS code.

Shapes: Q queries, G gallery tracklets, C cameras, H matches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resight.errors import ProtocolError
from resight.evaluation.matches import FindMatches, Matches, blocks, hit_numbers, matches_of_ranking, score_matches
from resight.evaluation.metrics import AP_KIND, conditions
from resight.evaluation.protocols import Labels
from resight.ranking import Ranking
from resight.tracklet import DISTRACTOR, Tracklet

RULE = (
    "camera pairs of the official MARS code: each cell leaves out the person's tracklets from other cameras and keeps "
    "all other persons, including person -1"
)


@dataclass(frozen=True, eq=False)
class CameraPairs:
    """Scores by camera of the query (row) and of the match (column), (C, C) each; NaN where no query has a match.

    Attributes:
        cameras: C camera numbers in ascending order.
        queries: Number of queries per cell.
        rank1: Share of queries whose best candidate is a match.
        map: Mean AP, with AP as the mean precision at hits.
        map_trapezoid: Mean AP of the official MARS code.
        frames: Frames used of each tracklet, as in `Scores`.
        reranking: ``none``, or the method of re-ranking, as in `Scores`.
    """

    cameras: tuple[int, ...]
    queries: NDArray[np.int64]
    rank1: NDArray[np.float64]
    map: NDArray[np.float64]
    map_trapezoid: NDArray[np.float64]
    frames: str | None = None
    reranking: str | None = None

    def across(self, values: NDArray[np.float64]) -> float:
        """Return the mean over the cells of two different cameras that have queries; NaN if there are none.

        Args:
            values: (C, C), one of the matrices.
        """
        known = values[~np.eye(len(self.cameras), dtype=bool) & (self.queries > 0)]
        return float(known.mean()) if known.size else np.nan

    def to_json(self) -> dict[str, Any]:
        """Return plain values, with rows by the camera of the query; null where no query has a match."""
        values: dict[str, Any] = {
            "protocol": "camera pairs",
            "rule": RULE,
            "ap_kind": AP_KIND,
            "frames": self.frames,
            "reranking": self.reranking,
            "cameras": list(self.cameras),
            "queries": self.queries.tolist(),
        }
        for name in ("rank1", "map", "map_trapezoid"):
            matrix = getattr(self, name)
            values[name] = [[None if np.isnan(cell) else cell for cell in row] for row in matrix.tolist()]
        return values

    def line(self) -> str:
        """Return the conditions of the matrices in one line."""
        return f"{RULE}; mAP: {AP_KIND}; {conditions(self.frames, self.reranking)}"


def score_camera_pairs(
    ranking: Ranking, query: Sequence[Tracklet] | Labels, gallery: Sequence[Tracklet] | Labels
) -> CameraPairs:
    """Return the camera-pair matrix of the official MARS code (``compute_r1_multiCam.m``, ``compute_AP_multiCam.m``).

    The cell of cameras a and b is the mean over queries from camera a. Their matches are their person's tracklets from
    camera b. Their person's tracklets from any other camera, and the query itself, are removed from the ranking. All
    other persons' tracklets from *all* cameras are wrong. As in the official code, two rules differ from protocol
    ``mars``:

    * On the diagonal, matches are tracklets of the query's own camera, which are junk in ``mars``.
    * Person -1 is wrong and not junk.

    A query without a match from camera b is not part of the cell's means. The official code removes the first
    candidate as the query itself; here the query is removed at any rank, which is the same if it ranks first.

    Args:
        ranking: Rankings of all G gallery tracklets for Q queries.
        query: Q tracklets or their labels, in the order of the ranking.
        gallery: G tracklets or their labels, in the order of the ranking.

    Raises:
        ShapeError: If the tracklets are not those of the ranking.
        ProtocolError: If the ranking is cut off.
    """
    query, gallery = Labels.of(query), Labels.of(gallery)
    find = matches_of_ranking(ranking, query, gallery)
    if ranking.order.shape[1] < len(gallery.ids):
        raise ProtocolError(
            f"the ranking keeps {ranking.order.shape[1]} of {len(gallery.ids)} gallery tracklets, and camera pairs "
            "need all of them; rank with k=None"
        )
    cameras = all_cameras(query, gallery)
    return camera_pairs_of(camera_totals(find, query, gallery, cameras), cameras)


def all_cameras(query: Labels, gallery: Labels) -> NDArray[np.int64]:
    """Return the C cameras of queries and gallery, in ascending order."""
    return np.unique(np.concatenate([query.cameras, gallery.cameras]))


def camera_totals(find: FindMatches, query: Labels, gallery: Labels, cameras: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return number, hits at rank 1 and both sums of AP of the queries of each cell, (4, C, C).

    Totals of several blocks of queries can be added.

    Args:
        find: Returns the matches of a slice of the queries.
        query: Labels of Q queries, all or some of them.
        gallery: Labels of G gallery tracklets.
        cameras: (C,) all cameras, ascending.
    """
    C, Q = len(cameras), len(query.ids)
    place = {id_: column for column, id_ in enumerate(gallery.ids)}
    itself = np.array([place.get(id_, -1) for id_ in query.ids], dtype=np.int64)

    totals = np.zeros((4, C, C))
    for rows in blocks(Q, len(gallery.ids)):
        column = itself[rows]
        is_itself = np.zeros((len(column), len(gallery.ids)), dtype=bool)
        is_itself[np.flatnonzero(column >= 0), column[column >= 0]] = True
        person = query.persons[rows, None]
        same = (person == gallery.persons) & (person > DISTRACTOR) & ~is_itself
        matches = _by_camera(find(rows, same, is_itself), np.searchsorted(cameras, gallery.cameras), C)
        n = np.bincount(matches.row, minlength=len(column) * C)
        scores = score_matches(matches.row, matches.rank, n)
        cell = np.searchsorted(cameras, query.cameras[rows]).repeat(C) * C + np.tile(np.arange(C), len(column))
        for total, values in zip(totals, (n > 0, scores.first == 1, scores.ap, scores.ap_trapezoid), strict=True):
            total += np.bincount(cell, values, C * C).reshape(C, C)
    return totals


def camera_pairs_of(totals: NDArray[np.float64], cameras: NDArray[np.int64]) -> CameraPairs:
    """Return the camera-pair matrix from totals (4, C, C), see `camera_totals`."""
    queries = totals[0]
    means = np.divide(totals[1:], queries, out=np.full_like(totals[1:], np.nan), where=queries > 0)
    return CameraPairs(tuple(cameras.tolist()), queries.astype(np.int64), *means)


def _by_camera(matches: Matches, camera: NDArray[np.int64], C: int) -> Matches:
    """Return the matches separately for each camera: row q becomes rows q·C … q·C + C - 1.

    For one camera, a match is preceded by all wrong tracklets ranked before it, but only by matches of that camera.

    Args:
        matches: H matches of some queries.
        camera: (G,) camera index of each gallery tracklet, 0 … C - 1.
        C: Number of cameras.
    """
    wrong_before = matches.rank - hit_numbers(matches.row, int(matches.row.max(initial=-1)) + 1)
    row = matches.row * C + camera[matches.column]
    by_row = np.argsort(row, kind="stable")
    row = row[by_row]
    hit = hit_numbers(row, int(row.max(initial=-1)) + 1)
    return Matches(row, wrong_before[by_row] + hit, matches.column[by_row])
