"""Search of a gallery: candidates, what labels and rules say of them, and what their similarities mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from resight.api.gallery_answers import GalleryAnswer, GalleryAnswers
from resight.compute import Compute
from resight.gallery.contract import GalleryStore
from resight.gallery.describe import unit_mean
from resight.gallery.judge import Judge
from resight.gallery.labels import Groups
from resight.gallery.rerank import rerank_candidates
from resight.gallery.search import Candidate, Candidates, pooled, score_tracklets, search_store
from resight.gallery.travel import Effect, TravelRules
from resight.gallery.types import Filter, StoredTracklet
from resight.models.aggregators import Aggregator

if TYPE_CHECKING:
    from resight.gallery.shards import Shards

SPARE = 100
"""Further candidates of an exact search with rules, which may exclude some or change their order."""

MOST_CONFIRMED = 8
"""Most further tracklets of a person that take part in a search: those of the highest quality. Time grows with them."""


@dataclass(frozen=True)
class GallerySearch:
    """How a gallery is searched.

    Attributes:
        store: The gallery.
        aggregator: Aggregator in evaluation mode.
        compute: Device and precision.
        groups: Labels.
        judge: For probabilities; None if there are none.
        rules: Rules of time and place; None if there are none.
        rerank: Whether to order the answers by the neighbours that they share with the query.
        shards: Workers that have the tracklets; None searches in this process.
    """

    store: GalleryStore
    aggregator: Aggregator
    compute: Compute
    groups: Groups
    judge: Judge | None
    rules: TravelRules | None
    rerank: bool = False
    shards: Shards | None = None

    def answers(
        self, references: Sequence[StoredTracklet], k: int, where: Filter, shortlist: int | None
    ) -> GalleryAnswers:
        """Return the best answers for one person.

        The search uses tracklets that are confirmed to show the person of a reference as well. They are answers,
        whose similarity is that to the other tracklets of the person. Rejected tracklets are no answers.

        Args:
            references: Tracklets of the person, which are no answers.
            k: Number of answers, 1 or more.
            where: Conditions that answers meet.
            shortlist: See `search_store`.
        """
        own = frozenset(item.id for item in references)
        rejected = frozenset(id_ for item in own for id_ in self.groups.rejected(item))
        where = replace(where, without=(where.without or frozenset()) | own | rejected)
        confirmed = sorted({id_ for item in own for id_ in self.groups.together(item)} - own)
        person = (*references, *self._best_of(confirmed))
        count = k
        if confirmed or self.rules is not None or self.rerank:
            count = k + SPARE if shortlist is None else max(k, shortlist)
        query = pooled(person)
        if self.shards is not None:
            found = self.shards.search(query, count, where=where, shortlist=shortlist)
        else:
            found = search_store(
                self.store, query, self.aggregator, count, where=where, shortlist=shortlist, compute=self.compute
            )
        searched = self.store.count(where) if found.searched is None else found.searched
        found = self._without_themselves(found, person, frozenset(confirmed))
        answers = GalleryAnswers(person, self.aggregator, searched, found.scored, shortlist, shards=found.shards)
        if self.judge is not None:
            answers = replace(answers, judged=self.judge.line())
        listed, excluded = self._judged(found.best, person, answers, searched)
        if self.rerank:
            listed = reranked(unit_mean(pooled(person)), listed)
        shown = tuple(replace(answer, rank=rank) for rank, answer in enumerate(listed[:k], start=1))
        return replace(answers, answers=shown, excluded=tuple(excluded))

    def _best_of(self, confirmed: Sequence[str]) -> list[StoredTracklet]:
        entries = sorted(self.store.entries(confirmed), key=lambda entry: -entry.quality) if confirmed else []
        return self.store.fetch([entry.id for entry in entries[:MOST_CONFIRMED]]) if entries else []

    def _without_themselves(
        self, found: Candidates, person: Sequence[StoredTracklet], confirmed: frozenset[str]
    ) -> Candidates:
        best: list[Candidate] = []
        for candidate in found.best:
            if candidate.tracklet.id in confirmed:
                others = pooled([item for item in person if item.id != candidate.tracklet.id])
                best += score_tracklets(others, [candidate.tracklet], self.aggregator, 1, self.compute).best
            else:
                best.append(candidate)
        return replace(found, best=tuple(sorted(best, key=lambda item: -item.similarity)))

    def _judged(
        self, best: Sequence[Candidate], person: Sequence[StoredTracklet], answers: GalleryAnswers, searched: int
    ) -> tuple[list[GalleryAnswer], list[tuple[str, Effect]]]:
        """Return the answers in order, and the ids of excluded ones with the reason."""
        entries = [item.entry for item in person]
        above: list[bool | None] = [None] * len(best)
        probability: list[float | None] = [None] * len(best)
        if self.judge is not None and best:
            similarity = np.array([candidate.similarity for candidate in best])
            reaching, chances = self.judge.assess(person, [c.tracklet for c in best], similarity, searched)
            above, probability = list(reaching), chances.tolist()
        listed, excluded = [], []
        for candidate, reached, chance in zip(best, above, probability, strict=True):
            entry = candidate.tracklet.entry
            others = [other for other in entries if other.id != entry.id]
            effects = self.rules.effects(others, entry) if self.rules is not None else ()
            identity = "confirmed" if any(self.groups.same(entry.id, other.id) for other in others) else None
            out = next((effect for effect in effects if effect.odds == 0), None)
            if out is not None and identity is None:
                excluded.append((entry.id, out))
                continue
            for effect in effects:
                chance = _times(chance, effect.odds)
            listed.append(
                GalleryAnswer(
                    0, entry, candidate.similarity, chance, identity, candidate.tracklet, answers,
                    above=None if reached is None else bool(reached), effects=effects,
                )
            )  # fmt: skip
        if self.rules is not None and self.judge is not None:
            listed.sort(key=lambda answer: (-(answer.probability or 0.0), -answer.similarity))
        return listed, excluded


def reranked(mean: NDArray[np.float32], answers: Sequence[GalleryAnswer]) -> list[GalleryAnswer]:
    """Return answers in the order of k-reciprocal re-ranking, each with an effect that says where it was before.

    Similarities and probabilities are those of the answers: re-ranking only changes the order.

    Args:
        mean: (D,) mean feature of the query, of length 1.
        answers: Answers, best first.
    """
    scores = rerank_candidates(mean, [Candidate(answer.tracklet, answer.similarity) for answer in answers])
    order = np.argsort(-scores, kind="stable").tolist()
    return [
        replace(answers[old], effects=(*answers[old].effects, _moved(old + 1, new)))
        for new, old in enumerate(order, start=1)
    ]


def _moved(old: int, new: int) -> Effect:
    place = "in the same place" if old == new else f"moved from place {old} to {new}"
    return Effect("re-ranking", 1.0, f"{place} by shared neighbours")


def _times(probability: float | None, odds: float) -> float | None:
    """Return a probability whose odds are multiplied."""
    if probability is None:
        return None
    return probability * odds / (probability * odds + 1 - probability)
