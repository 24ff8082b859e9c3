"""Why two tracklets are as similar as they are: every clip pair's part in the decision, in numbers and in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resight.errors import ShapeError
from resight.features.types import PADDING, ClipFeatures
from resight.models.aggregators import Aggregator
from resight.scoring.one_pair import PairScore, score_one_pair
from resight.tracklet import Tracklet

RELIED_ON = 1.25
"""A clip is relied on if its share of the decision is at least this many times an even share."""

NEARLY_IGNORED = 0.25
"""A clip is nearly ignored if its share of the decision is at most this part of an even share."""


@dataclass(frozen=True, eq=False)
class MatchEvidence:
    """One match, with the part that each of its M x N clip pairs had in the similarity. Paper: Eq. 3, Fig. 7.

    Attributes:
        query: what was asked.
        gallery: what it was compared with.
        scored: similarity, and per clip pair importance, weight, cosine and contribution, all (M, N).
        query_frames: (M, L) frame numbers of the query's clips, counted from 0, `PADDING` where there is none.
        gallery_frames: (N, L), the same for the gallery tracklet.
        aggregator: name of what turned clip pairs into one similarity.
        query_corrupted: (M,) clips whose frames were corrupted on purpose (paper, Sec. 4.4).
        gallery_corrupted: (N,), the same for the gallery tracklet.
    """

    query: Tracklet
    gallery: Tracklet
    scored: PairScore
    query_frames: NDArray[np.int64]
    gallery_frames: NDArray[np.int64]
    aggregator: str
    query_corrupted: NDArray[np.bool_]
    gallery_corrupted: NDArray[np.bool_]

    @property
    def shares(self) -> NDArray[np.float64]:
        """(M, N) share of the decision that each clip pair had: its weight, scaled to sum to 1 for every aggregator."""
        return np.asarray(self.scored.weight / self.scored.weight.sum())

    @property
    def query_shares(self) -> NDArray[np.float64]:
        """(M,) share of the decision that each query clip had, summing to 1."""
        return np.asarray(self.shares.sum(axis=1))

    @property
    def gallery_shares(self) -> NDArray[np.float64]:
        """(N,) share of the decision that each gallery clip had, summing to 1."""
        return np.asarray(self.shares.sum(axis=0))

    def strongest_pairs(self, k: int) -> list[tuple[int, int]]:
        """The `k` (query clip, gallery clip) of highest importance, best first, counted from 0, ties in pair order."""
        return self._pairs(-self.scored.importance, k)

    def weakest_pairs(self, k: int) -> list[tuple[int, int]]:
        """The `k` (query clip, gallery clip) of lowest importance, lowest first, counted from 0, ties in pair order."""
        return self._pairs(self.scored.importance, k)

    def _pairs(self, keys: NDArray[np.float64], k: int) -> list[tuple[int, int]]:
        columns = keys.shape[1]
        return [divmod(int(t), columns) for t in np.argsort(keys, axis=None, kind="stable")[:k]]

    def in_words(self) -> tuple[str, ...]:
        """The verdict as sentences, clips counted from 1 as a person does."""
        return (
            f"Similarity {self.scored.score:.2f}.",
            _shares_in_words("query", self.query_shares),
            _shares_in_words("gallery tracklet", self.gallery_shares),
            *_damage_in_words(self.query_corrupted, self.gallery_corrupted),
            f"A plain mean of all clip pairs would have given {self.scored.cosine.mean():.2f}.",
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json.dumps`: matrices as nested lists, clips and frames counted from 0."""
        return {
            "similarity": self.scored.score,
            "aggregator": self.aggregator,
            "in_words": list(self.in_words()),
            "query": _side(self.query, self.query_frames, self.query_shares, self.query_corrupted),
            "gallery": _side(self.gallery, self.gallery_frames, self.gallery_shares, self.gallery_corrupted),
            "importance": self.scored.importance.tolist(),
            "weight": self.scored.weight.tolist(),
            "cosine": self.scored.cosine.tolist(),
            "contribution": self.scored.contribution.tolist(),
        }


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
    """Score one pair of tracklets in plain steps and keep everything that led to the similarity.

    Args:
        query: what is asked.
        gallery: what it is compared with.
        query_features: of `query` alone: one row.
        gallery_features: of `gallery` alone: one row.
        aggregator: in evaluation mode.
        query_corrupted: (M,) clips whose features came from corrupted frames; pictures then show them so. None: none.
        gallery_corrupted: (N,), the same for the gallery tracklet.

    Raises:
        ShapeError: if features hold another number of tracklets, or another tracklet, than the one they are of.
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


def clip_numbers(clips: Iterable[int]) -> str:
    """Clips counted from 0, written as a person counts.

    >>> clip_numbers([1, 2, 3, 6])
    'clips 2–4 and 7'
    >>> clip_numbers([0])
    'clip 1'
    """
    numbers = sorted(clips)
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    words = [
        part
        for run in runs
        for part in ([f"{run[0] + 1}–{run[-1] + 1}"] if len(run) > 2 else [str(number + 1) for number in run])
    ]
    listed = words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
    return f"{'clip' if len(numbers) == 1 else 'clips'} {listed}"


def _shares_in_words(whose: str, shares: NDArray[np.float64]) -> str:
    even = 1 / len(shares)
    relied = np.flatnonzero(shares >= RELIED_ON * even).tolist()
    ignored = np.flatnonzero(shares <= NEARLY_IGNORED * even).tolist()
    if len(shares) == 1:
        return f"The {whose} has one clip."
    if not relied and not ignored:
        return f"All {len(shares)} clips of the {whose} had about the same share of the decision."
    phrases = []
    if relied:
        phrases.append(f"relied on {_with_share(relied, shares)}")
    if ignored:
        phrases.append(f"nearly ignored {_with_share(ignored, shares)}")
    return f"Of the {whose}, the model {' and '.join(phrases)}."


def _with_share(clips: Sequence[int], shares: NDArray[np.float64]) -> str:
    share = float(shares[list(clips)].sum())
    written = "under 1%" if share < 0.005 else "over 99%" if 0.995 < share < 1 else f"{share:.0%}"
    return f"{clip_numbers(clips)} ({written} of the decision)"


def _damage_in_words(query: NDArray[np.bool_], gallery: NDArray[np.bool_]) -> list[str]:
    sides = (("query", query), ("gallery tracklet", gallery))
    listed = [f"{clip_numbers(np.flatnonzero(flags).tolist())} of the {whose}" for whose, flags in sides if flags.any()]
    return [f"Corrupted on purpose: {', '.join(listed)}."] if listed else []


def _flags(corrupted: NDArray[np.bool_] | None, features: ClipFeatures) -> NDArray[np.bool_]:
    count = features.values.shape[1]
    if corrupted is None:
        return np.zeros(count, np.bool_)
    if corrupted.shape != (count,):
        raise ShapeError(
            f"corrupted is {corrupted.shape}, expected ({count},): one flag for each clip of {features.ids[0]}"
        )
    return corrupted


def _side(
    tracklet: Tracklet, frames: NDArray[np.int64], shares: NDArray[np.float64], corrupted: NDArray[np.bool_]
) -> dict[str, Any]:
    return {
        "id": tracklet.id,
        "camera": tracklet.camera,
        "frames": [[n for n in clip if n != PADDING] for clip in frames.tolist()],
        "shares": shares.tolist(),
        "corrupted": np.flatnonzero(corrupted).tolist(),
    }
