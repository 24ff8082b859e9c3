"""Labels, calibration, suggestions and events of a gallery."""

from __future__ import annotations

import getpass
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from resight.errors import GalleryError
from resight.gallery.calibration import LEAST_PAIRS, Calibration, fit
from resight.gallery.judge import SETTING, Judge, judge_of
from resight.gallery.labels import KINDS, Groups, number_of
from resight.gallery.lifecycle import all_entries
from resight.gallery.measure import measure
from resight.gallery.search import pooled, score_tracklets
from resight.gallery.suggest import Suggestion, suggest
from resight.gallery.travel import TravelRules, read_rules
from resight.gallery.types import Entry, Event, Filter
from resight.gallery.watch import WATCH, Match, reported, watched_since
from resight.settings import whole_number

if TYPE_CHECKING:
    from resight.api.model import Model
    from resight.gallery.contract import GalleryStore


class LabelledGallery:
    """What a gallery knows about persons. `Gallery` is one."""

    store: GalleryStore

    @property
    def model(self) -> Model:
        """The model with which the gallery was made."""
        raise NotImplementedError

    def confirm(self, query: str, answer: str, *, author: str | None = None) -> Event:
        """Say that an answer of a search is right: both tracklets show one person.

        Args:
            query: Id of the stored tracklet that was searched for, or of a group.
            answer: Id of the answer.
            author: Who says so; None is the name of the user.

        Returns:
            The event, with the number that `undo` takes.

        Raises:
            GalleryError: If a label says the opposite; the message names it. Or if a tracklet is not stored.
        """
        return self._label("confirm", query, answer, author)

    def reject(self, query: str, answer: str, *, author: str | None = None) -> Event:
        """Say that an answer of a search is wrong. It is not an answer for this person any more. See `confirm`."""
        return self._label("reject", query, answer, author)

    def same(self, first: str, second: str, *, author: str | None = None) -> Event:
        """Say that two tracklets, or groups, show one person. See `confirm`."""
        return self._label("same", first, second, author)

    def different(self, first: str, second: str, *, author: str | None = None) -> Event:
        """Say that two tracklets, or groups, show different persons. See `confirm`."""
        return self._label("different", first, second, author)

    def undo(self, number: int, *, author: str | None = None) -> Event:
        """Take back a label.

        Args:
            number: Its number in the log.
            author: Who does so; None is the name of the user.

        Raises:
            GalleryError: If there is no such label, or it was undone already.
        """
        event = self.groups().undo(number, author or _user(), time.time())
        return self.store.append_log([event])[0]

    def groups(self) -> Groups:
        """Return the persons that the labels describe: groups of tracklets with ids such as ``unknown-0001``."""
        return Groups(self.store.read_log())

    def log(self, *, labels: bool = False) -> list[Event]:
        """Return all events of the gallery, oldest first, or only the labels."""
        events = self.store.read_log()
        return [event for event in events if event.kind in KINDS] if labels else events

    def calibrate(self) -> Calibration:
        """Calibrate probabilities and threshold on the stored tracklets and labels, and store the result.

        Repeat it when the gallery has grown, or has more labels.

        Raises:
            GalleryError: If there are too few tracklets. The values of the model then remain in use.
        """
        known, typical = measure(self.store, self.groups(), self.model.checkpoint.aggregator, self.model.compute)
        calibration = fit(known)
        if calibration is None:
            raise GalleryError(
                f"{len(known.across):,} pairs of tracklets from two cameras, expected at least {LEAST_PAIRS:,} to "
                "calibrate the gallery, which about 50 tracklets have: add more; until then, the values of the model "
                "are used"
            )
        self.store.write_setting(SETTING, calibration.to_json() | {"typical": typical})
        return calibration

    @property
    def judge(self) -> Judge | None:
        """What turns similarities into probabilities: the gallery's calibration, or that of its model, or None."""
        return judge_of(self.store, self.model.threshold(1))

    def suggest(self, k: int = 20) -> list[Suggestion]:
        """Return pairs of tracklets that are likely to show one person, the most likely first, to be labelled.

        Args:
            k: Most pairs, 1 or more.
        """
        whole_number("k", k, 1)
        return suggest(self.store, self.groups(), self.model.checkpoint.aggregator, self.judge, k, self.model.compute)

    def rules(self, source: TravelRules | str | Path) -> TravelRules:
        """Return rules of time and place, completed by travel times that are learned from the labels.

        Args:
            source: Rules, or the path of a TOML file, see docs/gallery.md.

        Raises:
            GalleryError: If the file cannot be read.
        """
        rules = source if isinstance(source, TravelRules) else read_rules(Path(source).expanduser())
        groups = self.groups()
        entries = [self.store.entries(list(groups.members(group))) for group in groups.ids()]
        times = [t for e in all_entries(self.store) for t in (e.start, e.end) if t is not None]
        span = max(times) - min(times) if len(times) > 1 else rules.span
        return TravelRules(rules.disjoint, rules.travel, max(span, 1.0)).learned_from(entries)

    def watch(
        self, persons: Sequence[str], deliver: Callable[[Match], None], *, every: float | None = 2.0
    ) -> Iterator[int]:
        """Report new tracklets that match watched persons, each once, also after a restart.

        New are tracklets that were added after the first time that the person was watched.

        Args:
            persons: Ids of groups or tracklets.
            deliver: Called with each match. A match counts as reported if it returns.
            every: Seconds between two looks; None looks once.

        Yields:
            The number of matches after every look.

        Raises:
            GalleryError: If a person is not in the gallery, or there is nothing to judge similarities by.
        """
        for person in persons:
            self._members(person)
            if watched_since(self.store.read_log(), person) is None:
                ids = (person,) if number_of(person) is None else ()
                self.store.append_log([Event(WATCH, ids, _user(), time.time(), {"person": person})])
        seen: dict[str, set[str]] = {person: set() for person in persons}
        while True:
            count = 0
            for person in persons:
                for match in self._new_matches(person, seen[person]):
                    deliver(match)
                    self.store.append_log([match.event(time.time())])
                    count += 1
            yield count
            if every is None:
                return
            time.sleep(every)

    def _new_matches(self, person: str, seen: set[str]) -> list[Match]:
        events, groups, judge = self.store.read_log(), self.groups(), self.judge
        if judge is None:
            raise GalleryError("the model has no threshold, and the gallery is not calibrated: calibrate it first")
        members = self._members(person)
        since = watched_since(events, person) or 0.0
        ignored = seen | reported(events, person) | set(members) | groups.rejected(members[0])
        new = [entry for entry in self._added_since(since) if entry.id not in ignored]
        seen |= {entry.id for entry in new}
        if not new:
            return []
        references = self.store.fetch(list(members))
        tracklets = [t for block in self.store.scan(Filter(ids=frozenset(e.id for e in new))) for t in block]
        query = pooled(references)
        best = score_tracklets(query, tracklets, self.model.checkpoint.aggregator, len(new), self.model.compute).best
        if not best:
            return []
        similarity = np.array([candidate.similarity for candidate in best])
        means = np.stack([candidate.tracklet.mean for candidate in best])
        adjusted = judge.adjust(similarity, np.stack([r.mean for r in references]).mean(0)[None], means)
        cameras = {reference.entry.camera for reference in references}
        inside = [cameras == {c.tracklet.entry.camera} and "" not in cameras for c in best]
        above, probability = judge.above(adjusted, judge.gallery, inside), judge.probability(adjusted, inside)
        return [
            Match(person, c.tracklet.entry, c.similarity, float(p))
            for c, p, reached in zip(best, probability, above, strict=True)
            if reached
        ]

    def _added_since(self, moment: float) -> Iterator[Entry]:
        cursor = None
        while True:
            page = self.store.page(cursor=cursor, limit=200, newest=True)
            for entry in page.entries:
                if entry.added < moment:
                    return
                yield entry
            cursor = page.cursor
            if cursor is None:
                return

    def _label(self, kind: str, first: str, second: str, author: str | None) -> Event:
        ids = self._members(first)[0], self._members(second)[0]
        event = Event(kind, ids, _user() if author is None else author, time.time())
        self.groups().check(event)
        return self.store.append_log([event])[0]

    def _members(self, id_: str) -> tuple[str, ...]:
        """Return the tracklets of a group or of a tracklet's person.

        Raises:
            GalleryError: If there is no such group or tracklet.
        """
        groups = self.groups()
        if members := groups.members(id_):
            return members
        self.store.entries([id_])  # raises if it is not stored
        together = groups.together(id_)
        return (id_, *(other for other in together if other != id_))


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container without a user database
        return "unknown user"
