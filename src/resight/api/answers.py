"""The result of a search: the best gallery tracklets, read from one ranking."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resight.api.model import Model
from resight.evaluation.threshold import Threshold
from resight.explanation.evidence import MatchEvidence, explain_match
from resight.explanation.report import write_search_page
from resight.features.types import ClipFeatures
from resight.ranking import Ranking
from resight.tracklet import Dataset, Tracklet


@dataclass(frozen=True, eq=False)
class Answers:
    """The best gallery tracklets for one query, best first. Iterate over it, or index it from 0.

    Attributes:
        query: The query tracklet.
        ranking: The result itself: one query, K gallery tracklets. Everything else is read from it.
        model: The model that compared the tracklets.
        dataset: The data set that was searched.
        threshold: Threshold for a gallery of this size; None if the model has none.
        searched: Number of gallery tracklets.
        scored: Number of them that were compared by their clip pairs. The others are not among the best K, as bounds
            prove, unless a shortlist was used.
        shortlist: Size of the shortlist, or None if the result is exact.
        query_features: Clip features of the query.
        gallery_features: Clip features of the gallery.
    """

    query: Tracklet
    ranking: Ranking
    model: Model
    dataset: Dataset
    threshold: Threshold | None
    searched: int
    scored: int
    shortlist: int | None
    query_features: ClipFeatures
    gallery_features: ClipFeatures
    tracklets: Mapping[str, Tracklet]

    def __len__(self) -> int:
        return int(self.ranking.order.shape[1])

    def __getitem__(self, place: int) -> Answer:
        id_, similarity = self.ranking.best(0, len(self))[place]
        rank = place + 1 if place >= 0 else len(self) + place + 1
        return Answer(rank, self.tracklets[id_], similarity, self)

    def __iter__(self) -> Iterator[Answer]:
        return (self[place] for place in range(len(self)))

    def __repr__(self) -> str:
        return f"<resight.Answers to {self.query.id}: {len(self)} of {self.searched} tracklets>"

    def __str__(self) -> str:
        return self.to_text()

    @property
    def above_threshold(self) -> bool | None:
        """Whether the best match reaches the threshold; None if the model has no threshold."""
        return self.threshold.accepts(self[0].similarity) if self.threshold else None

    @property
    def verdict(self) -> str:
        """One sentence that compares the best match with the threshold."""
        if self.threshold is None:
            return "this model has no threshold, so it cannot report whether the person is in the gallery"
        return self.threshold.judge(self[0].similarity)

    def save(self, path: Path | str) -> None:
        """Write a self-contained HTML page with film strips of the query and the answers.

        Args:
            path: ``.html`` file; its folder is created if necessary.
        """
        write_search_page(
            Path(path), self.query, [(answer.tracklet, answer.similarity, "unknown") for answer in self],
            searched=self.searched, judged=self.verdict, camera_name=self.dataset.camera_name,
        )  # fmt: skip

    def to_text(self) -> str:
        """Return the answers as lines of text."""
        lines = [f"{answer.rank:3}. {answer.similarity:.3f}  {answer.id}  {answer.camera}" for answer in self]
        lines.insert(0, self.verdict)
        if self.shortlist is not None:
            lines.append(f"approximate: only a shortlist of {self.shortlist} tracklets was compared by clip pairs")
        lines.append(f"{self.searched} tracklets searched, {self.scored} of them compared by clip pairs")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Return the answers as plain values."""
        return {
            "query": self.query.id,
            "above_threshold": self.above_threshold,
            "threshold": self.threshold.to_json() if self.threshold else None,
            "answers": [answer.to_json() for answer in self],
            "searched": self.searched,
            "scored": self.scored,
            "shortlist": self.shortlist,
        }


@dataclass(frozen=True, eq=False)
class Answer:
    """One answer of a search: a gallery tracklet with its similarity.

    Attributes:
        rank: 1 for the best.
        tracklet: The gallery tracklet.
        similarity: Higher is better, at most 1.
        answers: The search that it belongs to.
    """

    rank: int
    tracklet: Tracklet
    similarity: float
    answers: Answers

    def __repr__(self) -> str:
        return f"<resight.Answer {self.rank}: {self.id}, {self.camera}, similarity {self.similarity:.3f}>"

    @property
    def id(self) -> str:
        """Id of the gallery tracklet."""
        return self.tracklet.id

    @property
    def camera(self) -> str:
        """Name of its camera."""
        return self.answers.dataset.camera_name(self.tracklet.camera)

    def explain(self) -> MatchEvidence:
        """Return the part of every clip pair in the similarity; ``.save(path)`` writes it as a page."""
        search = self.answers
        row = search.gallery_features.of([self.tracklet])
        aggregator = search.model.checkpoint.aggregator
        return explain_match(search.query, self.tracklet, search.query_features, row, aggregator)

    def to_json(self) -> dict[str, Any]:
        """Return the answer as plain values."""
        return {"id": self.id, "camera": self.tracklet.camera, "similarity": self.similarity}
