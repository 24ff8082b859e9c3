"""The numbers behind one similarity: the contribution of every clip pair, and a summary in sentences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resight.features.types import PADDING
from resight.scoring.one_pair import PairScore
from resight.tracklet import Tracklet

HIGH_SHARE = 1.25
"""A clip is reported as important if its share of the weight is at least this multiple of an equal share."""

LOW_SHARE = 0.25
"""A clip is reported as nearly ignored if its share of the weight is at most this multiple of an equal share."""


@dataclass(frozen=True, eq=False)
class MatchNumbers:
    """A query and a gallery tracklet, with the contribution of each of their M x N clip pairs to the similarity.

    Attributes:
        query: Query tracklet.
        gallery: Gallery tracklet.
        scored: Similarity, and per clip pair importance, weight, cosine and contribution, (M, N) each.
        query_frames: (M, L) frame numbers of the query's clips, counted from 0; `PADDING` where a clip is shorter.
        gallery_frames: (N, L), the same for the gallery tracklet.
        aggregator: Name of the aggregator.
        query_corrupted: (M,) True for clips whose frames were corrupted on purpose (paper, Sec. 4.4).
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
        """(M, N) weights of the clip pairs, scaled to sum to 1 for every aggregator."""
        return np.asarray(self.scored.weight / self.scored.weight.sum())

    @property
    def query_shares(self) -> NDArray[np.float64]:
        """(M,) share of the weight per query clip, summing to 1."""
        return np.asarray(self.shares.sum(axis=1))

    @property
    def gallery_shares(self) -> NDArray[np.float64]:
        """(N,) share of the weight per gallery clip, summing to 1."""
        return np.asarray(self.shares.sum(axis=0))

    def strongest_pairs(self, k: int) -> list[tuple[int, int]]:
        """Return the `k` (query clip, gallery clip) of highest importance, best first; ties in pair order."""
        return self._pairs(-self.scored.importance, k)

    def weakest_pairs(self, k: int) -> list[tuple[int, int]]:
        """Return the `k` (query clip, gallery clip) of lowest importance, lowest first; ties in pair order."""
        return self._pairs(self.scored.importance, k)

    def _pairs(self, keys: NDArray[np.float64], k: int) -> list[tuple[int, int]]:
        columns = keys.shape[1]
        return [divmod(int(t), columns) for t in np.argsort(keys, axis=None, kind="stable")[:k]]

    def in_words(self) -> tuple[str, ...]:
        """Return a summary in sentences. Clips are counted from 1."""
        return (
            f"Similarity {self.scored.score:.2f}.",
            _shares_in_words("query", self.query_shares),
            _shares_in_words("gallery tracklet", self.gallery_shares),
            *_damage_in_words(self.query_corrupted, self.gallery_corrupted),
            f"The unweighted mean over all clip pairs is {self.scored.cosine.mean():.2f}.",
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain values for `json.dumps`: matrices as nested lists, clips and frames counted from 0."""
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


def clip_numbers(clips: Iterable[int]) -> str:
    """Return clips counted from 0 as a phrase that counts them from 1.

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


def _shares_in_words(side: str, shares: NDArray[np.float64]) -> str:
    equal = 1 / len(shares)
    important = np.flatnonzero(shares >= HIGH_SHARE * equal).tolist()
    ignored = np.flatnonzero(shares <= LOW_SHARE * equal).tolist()
    if len(shares) == 1:
        return f"The {side} has one clip."
    if not important and not ignored:
        return f"All {len(shares)} clips of the {side} have about the same weight."
    phrases = []
    if important:
        phrases.append(f"relied on {_with_share(important, shares)}")
    if ignored:
        phrases.append(f"nearly ignored {_with_share(ignored, shares)}")
    return f"In the {side}, the model {' and '.join(phrases)}."


def _with_share(clips: Sequence[int], shares: NDArray[np.float64]) -> str:
    share = float(shares[list(clips)].sum())
    percent = "under 1%" if share < 0.005 else "over 99%" if 0.995 < share < 1 else f"{share:.0%}"
    return f"{clip_numbers(clips)} ({percent} of the weight)"


def _damage_in_words(query: NDArray[np.bool_], gallery: NDArray[np.bool_]) -> list[str]:
    sides = (("query", query), ("gallery tracklet", gallery))
    listed = [f"{clip_numbers(np.flatnonzero(flags).tolist())} of the {side}" for side, flags in sides if flags.any()]
    return [f"Corrupted on purpose: {', '.join(listed)}."] if listed else []


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
