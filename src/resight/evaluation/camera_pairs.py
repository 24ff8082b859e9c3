"""How well a person is found again from one camera in another: the matrix of the official MARS code.

Shapes: Q queries, G gallery tracklets, C cameras, H matches found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resight.errors import ProtocolError
from resight.evaluation.matches import MEMORY_BUDGET, Matches, blocks, hit_numbers, match_finder, score_matches
from resight.evaluation.metrics import AP_KIND, conditions
from resight.evaluation.protocols import Labels
from resight.ranking import Ranking
from resight.tracklet import DISTRACTOR, Tracklet

RULE = (
    "camera pairs of the official MARS code: in each cell the person's tracklets under other cameras are left out, "
    "everybody else stays, person -1 included"
)


@dataclass(frozen=True, eq=False)
class CameraPairs:
    """Scores by camera of the query (row) and of the match (column), (C, C) each; NaN where no query has a match.

    Attributes:
        cameras: C camera numbers, rising.
        queries: how many queries the cell is a mean over.
        rank1: share of queries whose best answer is a match.
        map: mean precision at hits.
        map_trapezoid: mean AP of the official MARS code.
        frames: what was looked at of each tracklet, as in `Scores`.
        reranking: ``none``, or how the ranking was re-ranked, as in `Scores`.
    """

    cameras: tuple[int, ...]
    queries: NDArray[np.int64]
    rank1: NDArray[np.float64]
    map: NDArray[np.float64]
    map_trapezoid: NDArray[np.float64]
    frames: str | None = None
    reranking: str | None = None

    def across(self, values: NDArray[np.float64]) -> float:
        """Mean of the cells of two different cameras, of those that have queries; NaN if none has.

        Args:
            values: (C, C), one of the matrices.
        """
        known = values[~np.eye(len(self.cameras), dtype=bool) & (self.queries > 0)]
        return float(known.mean()) if known.size else np.nan

    def to_json(self) -> dict[str, Any]:
        """As plain values, rows by the camera of the query; null where no query has a match."""
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

    def to_text(self) -> str:
        """Rank-1 and trapezoid mAP in percent, as the official code reports them, and their means across cameras."""
        lines = []
        for title, values in (("rank-1", self.rank1), ("mAP*", self.map_trapezoid)):
            lines.append(f"{title:>9}" + "".join(f"{camera:>7}" for camera in self.cameras))
            lines += [
                f"{camera:>9}" + "".join("      –" if np.isnan(cell) else f"{100 * cell:7.1f}" for cell in row)
                for camera, row in zip(self.cameras, values.tolist(), strict=True)
            ]
            lines.append(f"mean across cameras {100 * self.across(values):.1f}")
        return "\n".join([*lines, f"rows: camera of the query; columns: camera of the match; {self.line()}"])

    def line(self) -> str:
        """What the matrices are worth, in one line."""
        return f"{RULE}; AP*: trapezoids of the official code; {conditions(self.frames, self.reranking)}"


def score_camera_pairs(
    answers: Ranking | NDArray[np.floating],
    query: Sequence[Tracklet] | Labels,
    gallery: Sequence[Tracklet] | Labels,
    *,
    memory_budget: int = MEMORY_BUDGET,
) -> CameraPairs:
    """The camera-pair matrix of the official MARS code (``compute_r1_multiCam.m``, ``compute_AP_multiCam.m``).

    In the cell of cameras a and b a query under a is searched for under b: its matches are its person's tracklets under
    b; its person's tracklets under any other camera, and the query itself, are left out of the ranking; all others
    under *all* cameras count as wrong. Two things differ from protocol ``mars``, and both are the official code's:

    * On the diagonal the matches are tracklets of the query's own camera, which are junk in ``mars``.
    * Person -1 counts as wrong.

    A query without a tracklet to find under b is not part of the cell's means. The official code takes the first answer
    for the query itself; here the query is left out wherever it stands, which is the same as long as it comes first.

    Args:
        answers: a ranking of all G, or (Q, G) similarities.
        query: Q tracklets or labels.
        gallery: G tracklets or labels.
        memory_budget: bytes that intermediate results may take, about.

    Raises:
        ShapeError: if the answers are not those of the tracklets.
        ProtocolError: if the ranking is cut off.
    """
    query = query if isinstance(query, Labels) else Labels.of(query)
    gallery = gallery if isinstance(gallery, Labels) else Labels.of(gallery)
    find = match_finder(answers, query, gallery)
    if isinstance(answers, Ranking) and answers.order.shape[1] < len(gallery.ids):
        raise ProtocolError(
            f"the ranking keeps {answers.order.shape[1]} of {len(gallery.ids)} gallery tracklets, and camera pairs "
            "need all of them; rank with k=None"
        )
    cameras = np.unique(np.concatenate([query.cameras, gallery.cameras]))
    C, Q = len(cameras), len(query.ids)
    place = {id_: column for column, id_ in enumerate(gallery.ids)}
    itself = np.array([place.get(id_, -1) for id_ in query.ids], dtype=np.int64)

    totals = np.zeros((4, C, C))
    for rows in blocks(Q, len(gallery.ids), memory_budget):
        own = itself[rows]
        left_out = np.zeros((len(own), len(gallery.ids)), dtype=bool)
        left_out[np.flatnonzero(own >= 0), own[own >= 0]] = True
        person = query.persons[rows, None]
        same = (person == gallery.persons) & (person > DISTRACTOR) & ~left_out
        found = _by_camera(find(rows, same, left_out), np.searchsorted(cameras, gallery.cameras), C)
        n = np.bincount(found.row, minlength=len(own) * C)
        scores = score_matches(found.row, found.rank, n)
        cell = np.searchsorted(cameras, query.cameras[rows]).repeat(C) * C + np.tile(np.arange(C), len(own))
        for total, values in zip(totals, (n > 0, scores.first == 1, scores.ap, scores.ap_trapezoid), strict=True):
            total += np.bincount(cell, values, C * C).reshape(C, C)
    queries = totals[0]
    means = np.divide(totals[1:], queries, out=np.full_like(totals[1:], np.nan), where=queries > 0)
    return CameraPairs(tuple(cameras.tolist()), queries.astype(np.int64), *means)


def _by_camera(found: Matches, camera: NDArray[np.int64], C: int) -> Matches:
    """Matches under all cameras, as matches under each: row q becomes rows q·C … q·C + C - 1.

    Under one camera, a match is preceded by all the wrong answers that precede it, and by matches of that camera only.

    Args:
        found: H matches of some queries.
        camera: (G,) number of each gallery tracklet's camera, 0 … C - 1.
        C: how many.
    """
    wrong_before = found.rank - hit_numbers(found.row, int(found.row.max(initial=-1)) + 1)
    row = found.row * C + camera[found.column]
    by_row = np.argsort(row, kind="stable")
    row = row[by_row]
    hit = hit_numbers(row, int(row.max(initial=-1)) + 1)
    return Matches(row, wrong_before[by_row] + hit, found.column[by_row])
