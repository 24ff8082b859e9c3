"""Explanation of one match: which clip pairs decide the similarity, as numbers and as a page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resight.errors import ShapeError
from resight.explanation.blocks import Page, Section, SideBySide
from resight.explanation.films import Verdict
from resight.explanation.match_numbers import MatchNumbers
from resight.explanation.report import write_page
from resight.explanation.sections import clip_table, matrix_blocks, pair_blocks, share_blocks
from resight.features.types import ClipFeatures
from resight.models.aggregators import Aggregator
from resight.scoring.one_pair import score_one_pair
from resight.tracklet import Tracklet


class MatchEvidence(MatchNumbers):
    """One match with the contribution of each clip pair to the similarity. Paper: Eq. 3, Fig. 7.

    `save` writes it as an HTML page. For the attributes see `MatchNumbers`.
    """

    def save(self, path: Path | str, *, verdict: Verdict = "unknown", k: int = 2) -> None:
        """Write a self-contained HTML page: summary, weights of clips, clip pairs, and all numbers as JSON.

        Args:
            path: ``.html`` file; its folder is created if necessary.
            verdict: Whether both tracklets show the same person, if known.
            k: Number of clip pairs of highest and of lowest importance to show.
        """
        sections = (
            Section(
                "Weight of each clip",
                share_blocks(self),
                "Bars: the clip's share of the weight. Dashed line: an equal share.",
            ),
            Section("Clip pairs", (pair_blocks(self, k),), "Green outline: query clip. Orange outline: gallery clip."),
            Section("All clip pairs", matrix_blocks(self), "Rows: query clips. Columns: gallery clips."),
            Section("Numbers for each clip", (SideBySide((clip_table("query", self), clip_table("gallery", self))),)),
        )
        page = Page(
            title=f"{self.query.id} and {self.gallery.id}",
            kicker="Explanation of a similarity",
            lead=self.in_words()[1:],
            similarity=self.scored.score,
            verdict=verdict,
            sections=sections,
            evidence=self.to_json(),
        )
        write_page(Path(path), page)


def explain_match(
    query: Tracklet,
    gallery: Tracklet,
    query_features: ClipFeatures,
    gallery_features: ClipFeatures,
    aggregator: Aggregator,
    *,
    query_corrupted: NDArray[np.bool_] | None = None,
    gallery_corrupted: NDArray[np.bool_] | None = None,
) -> MatchEvidence:
    """Return the similarity of two tracklets together with all numbers that lead to it.

    Args:
        query: Query tracklet.
        gallery: Gallery tracklet.
        query_features: Features of `query` alone: one row.
        gallery_features: Features of `gallery` alone: one row.
        aggregator: Aggregator in evaluation mode.
        query_corrupted: (M,) True for clips whose features come from corrupted frames, which are then shown corrupted.
            None: no clip.
        gallery_corrupted: (N,), the same for the gallery tracklet.

    Raises:
        ShapeError: If the features are not those of exactly this tracklet, or there is not one flag per clip.
    """
    for tracklet, features in ((query, query_features), (gallery, gallery_features)):
        if features.ids != (tracklet.id,):
            raise ShapeError(
                f"expected the features of {tracklet.id} alone, found {len(features)} rows, the first of "
                f"{features.ids[0] if features.ids else 'nothing'}; select the row with features.of([tracklet])"
            )
    return MatchEvidence(
        query,
        gallery,
        score_one_pair(query_features.values[0], gallery_features.values[0], aggregator),
        query_features.frame_numbers[0],
        gallery_features.frame_numbers[0],
        aggregator.kind,
        _flags(query_corrupted, query_features),
        _flags(gallery_corrupted, gallery_features),
    )


def _flags(corrupted: NDArray[np.bool_] | None, features: ClipFeatures) -> NDArray[np.bool_]:
    count = features.values.shape[1]
    if corrupted is None:
        return np.zeros(count, np.bool_)
    if corrupted.shape != (count,):
        raise ShapeError(
            f"corrupted is {corrupted.shape}, expected ({count},): one flag for each clip of {features.ids[0]}"
        )
    return corrupted
