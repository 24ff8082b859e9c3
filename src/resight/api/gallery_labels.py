"""Labels, calibration, suggestions and events of a gallery."""

from __future__ import annotations

import getpass
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from resight.errors import GalleryError
from resight.gallery.calibration import LEAST_PAIRS, Calibration, fit
from resight.gallery.judge import SETTING, Judge, judge_of
from resight.gallery.labels import KINDS, Groups
from resight.gallery.lifecycle import all_entries
from resight.gallery.measure import measure
from resight.gallery.suggest import Suggestion, suggest
from resight.gallery.travel import TravelRules, read_rules
from resight.gallery.types import Event
from resight.gallery.watch import Match, Watcher
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

        def decide(groups: Groups, _: int) -> list[Event]:
            return [groups.undo(number, _user() if author is None else author, time.time())]

        return self.store.label(decide)[0]

    def groups(self) -> Groups:
        """Return the persons that the labels describe: groups of tracklets with ids such as ``unknown-0001``."""
        return self.store.groups()

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
        """Report new tracklets that match watched persons, also after a restart.

        New are tracklets that were added after the first time that the person was watched. Each match is reported at
        least once: again, with the same `Match.id`, only if the process is killed between delivery and log.

        Args:
            persons: Ids of groups or tracklets.
            deliver: Called with each match. A match counts as reported if it returns.
            every: Seconds between two looks; None looks once.

        Yields:
            The number of matches after every look.

        Raises:
            GalleryError: If a person is not in the gallery, or there is nothing to judge similarities by.
        """
        watcher = Watcher(self.store, self.model.checkpoint.aggregator, self.model.compute)
        for person in persons:
            self._members(person)
            watcher.begin(person, _user())
        while True:
            count = 0
            for person in persons:
                judge = self.judge
                if judge is None:
                    raise GalleryError("the model has no threshold, and the gallery is not calibrated: calibrate it")
                for match in watcher.look(person, self._members(person), judge):
                    deliver(match)
                    watcher.delivered(match)
                    count += 1
            yield count
            if every is None:
                return
            time.sleep(every)

    def _label(self, kind: str, first: str, second: str, author: str | None) -> Event:
        def decide(groups: Groups, _: int) -> list[Event]:
            ids = tuple((*groups.members(id_), id_)[0] for id_ in (first, second))
            event = Event(kind, ids, _user() if author is None else author, time.time())
            groups.check(event)
            return [event]

        return self.store.label(decide)[0]

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
