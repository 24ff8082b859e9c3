"""The result of a search in a gallery."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from resight.explanation.evidence import MatchEvidence, explain_match
from resight.explanation.report import write_search_page
from resight.explanation.strips import PicturedTracklet
from resight.features.types import ClipFeatures
from resight.gallery.describe import middle_frames
from resight.gallery.search import as_features, pooled
from resight.gallery.travel import Effect
from resight.gallery.types import Entry, StoredTracklet
from resight.models.aggregators import Aggregator
from resight.tracklet import JUNK

ABOVE = "* above the threshold"
"""What the asterisk after a probability means."""


@dataclass(frozen=True, eq=False)
class GalleryAnswer:
    """One answer of a search in a gallery.

    Attributes:
        rank: 1 for the best.
        entry: What is known of the stored tracklet.
        similarity: Higher is better, at most 1.
        probability: Calibrated probability that it shows the same person; None if there is no calibration.
        identity: ``confirmed`` if a label says that it is the same person; None if there is no label.
        tracklet: The tracklet with its features and strip.
        answers: The search that it belongs to.
        above: Whether the calibrated threshold is reached; None if there is no calibration.
        effects: What rules of time and place did to the probability.
    """

    rank: int
    entry: Entry
    similarity: float
    probability: float | None
    identity: str | None
    tracklet: StoredTracklet
    answers: GalleryAnswers
    above: bool | None = None
    effects: tuple[Effect, ...] = ()

    def __repr__(self) -> str:
        return f"<resight.GalleryAnswer {self.rank}: {self.id}, {self.camera}, similarity {self.similarity:.3f}>"

    @property
    def id(self) -> str:
        """Id of the stored tracklet."""
        return self.entry.id

    @property
    def camera(self) -> str:
        """Name of its camera; empty if unknown."""
        return self.entry.camera

    def explain(self) -> MatchEvidence:
        """Return the part of every clip pair in the similarity; ``.save(path)`` writes it as a page."""
        return explain_stored(self.answers.references, self.tracklet, self.answers.aggregator)

    def in_words(self) -> str:
        """Return probability, label and effects in words."""
        chance = "" if self.probability is None else f"{100 * self.probability:.0f} %{' *' if self.above else ''}"
        return "; ".join(filter(None, (chance, self.identity, *(effect.text for effect in self.effects))))

    def to_json(self) -> dict[str, Any]:
        """Return the answer as plain values."""
        return {
            "rank": self.rank, "similarity": self.similarity, "probability": self.probability,
            "above_threshold": self.above, "identity": self.identity,
            "effects": [effect.to_json() for effect in self.effects], **self.entry.to_json(),
        }  # fmt: skip


@dataclass(frozen=True, eq=False)
class GalleryAnswers(Sequence[GalleryAnswer]):
    """The best stored tracklets for one query, best first. Iterate over it, or index it from 0.

    Attributes:
        references: The tracklets of the person that was searched for.
        aggregator: What compared them.
        searched: Number of tracklets that meet the conditions.
        scored: Number of them that were compared by their clip pairs.
        shortlist: Size of the shortlist; None if the result is exact.
        judged: Rate and source of threshold and probabilities, in one sentence; empty if there are none.
        excluded: Ids of candidates that rules of time and place exclude, with the reason.
        shards: Number of shards that answered, and of all shards; None if the gallery is not divided. If not all have
            answered, the answers are those of the others, and `searched` counts theirs.
    """

    references: tuple[StoredTracklet, ...]
    aggregator: Aggregator
    searched: int
    scored: int
    shortlist: int | None
    answers: tuple[GalleryAnswer, ...] = ()
    judged: str = ""
    excluded: tuple[tuple[str, Effect], ...] = ()
    shards: tuple[int, int] | None = None

    def __len__(self) -> int:
        return len(self.answers)

    def __getitem__(self, place: Any) -> Any:
        return self.answers[place]

    def __iter__(self) -> Iterator[GalleryAnswer]:
        return iter(self.answers)

    def __repr__(self) -> str:
        return f"<resight.GalleryAnswers to {self.query}: {len(self)} of {self.searched} tracklets>"

    def __str__(self) -> str:
        return self.to_text()

    @property
    def query(self) -> str:
        """Ids of the references."""
        return ", ".join(reference.id for reference in self.references)

    @property
    def incomplete(self) -> str:
        """What is missing, in one sentence; empty if all shards have answered."""
        if self.shards is None or self.shards[0] == self.shards[1]:
            return ""
        return f"only {self.shards[0]} of {self.shards[1]} shards answered: tracklets of the others are missing"

    def save(self, path: Path | str) -> None:
        """Write a self-contained HTML page with film strips of the references and the answers.

        Args:
            path: ``.html`` file; its folder is created if necessary.
        """
        judged = f"{ABOVE}: {self.judged}" if self.judged else ""
        write_search_page(
            Path(path), pictured(self.references),
            [(pictured([a.tracklet]), a.similarity, "right" if a.identity else "unknown") for a in self],
            searched=self.searched, judged=judged, details={answer.id: answer.in_words() for answer in self},
        )  # fmt: skip

    def to_text(self) -> str:
        """Return the answers as lines of text."""
        lines = [self._line(answer) for answer in self]
        if not lines:
            lines.append("no tracklet meets the conditions")
        lines += [f"excluded {id_}: {effect.text}" for id_, effect in self.excluded]
        if self.judged:
            lines.append(f"{ABOVE}: {self.judged}")
        lines.append(f"{self.searched:,} tracklets searched, {self.scored:,} of them compared by clip pairs")
        if self.shards is not None:
            lines.append(self.incomplete or f"{self.shards[0]} of {self.shards[1]} shards answered")
        return "\n".join(lines)

    def _line(self, answer: GalleryAnswer) -> str:
        chance = "" if answer.probability is None else f"  {100 * answer.probability:3.0f} %{' *'[bool(answer.above)]}"
        reasons = "".join(f"  ({effect.text})" for effect in answer.effects)
        confirmed = f"  {answer.identity}" if answer.identity else ""
        return f"{answer.rank:3}. {answer.similarity:.3f}{chance}  {answer.id}  {answer.camera}{confirmed}{reasons}"

    def to_json(self) -> dict[str, Any]:
        """Return the answers as plain values."""
        return {
            "query": [reference.id for reference in self.references],
            "answers": [answer.to_json() for answer in self],
            "searched": self.searched,
            "scored": self.scored,
            "shortlist": self.shortlist,
            "judged": self.judged,
            "excluded": [{"id": id_, **effect.to_json()} for id_, effect in self.excluded],
            "shards": None if self.shards is None else {"answered": self.shards[0], "all": self.shards[1]},
        }


def pictured(tracklets: Sequence[StoredTracklet]) -> PicturedTracklet:
    """Return stored tracklets of one person as one tracklet whose frames are the pictures of their strips.

    With one tracklet, frames have their own numbers. With several, each clip is one frame.
    """
    first = tracklets[0]
    if len(tracklets) == 1:
        numbers, count = middle_frames(first.frame_numbers), first.entry.frames
    else:
        count = sum(len(tracklet.features) for tracklet in tracklets)
        numbers = list(range(count))
    strip = [picture for tracklet in tracklets for picture in tracklet.strip]
    cameras = {tracklet.entry.camera or "unknown camera" for tracklet in tracklets}
    return PicturedTracklet(
        ", ".join(tracklet.id for tracklet in tracklets), JUNK, 0, Path(first.folder), ("",) * count,
        ", ".join(sorted(cameras)), pictures=dict(zip(numbers, strip, strict=False)),
    )  # fmt: skip


def explain_stored(
    references: Sequence[StoredTracklet], tracklet: StoredTracklet, aggregator: Aggregator
) -> MatchEvidence:
    """Return the part of every clip pair in the similarity of stored tracklets, without the source video.

    Args:
        references: Tracklets of one person, whose clips are pooled.
        tracklet: The other tracklet.
        aggregator: Aggregator in evaluation mode.
    """
    query, gallery = pictured(references), pictured([tracklet])
    return explain_match(query, gallery, _features(query, references), _features(gallery, [tracklet]), aggregator)


def _features(shown: PicturedTracklet, tracklets: Sequence[StoredTracklet]) -> ClipFeatures:
    features = as_features([pooled(tracklets)], [shown.id])
    if len(tracklets) == 1:
        numbers = tracklets[0].frame_numbers.astype(np.int64)[None]
    else:
        numbers = np.arange(len(shown))[None, :, None]
    return ClipFeatures(features.ids, features.persons, features.cameras, features.values, numbers)
