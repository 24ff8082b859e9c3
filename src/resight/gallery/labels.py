"""Labels: which tracklets show the same person, and which do not, as an append-only list of statements.

A statement is an `Event` of the gallery's log. It is never changed: `undo` is a statement as well. The groups of
tracklets of one person follow from the list, see `Groups`. Their ids are stable: a group has the number of the
statement that made it, the log never gives a number twice, and so no id is ever given to another person.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime
from itertools import pairwise

from resight.errors import GalleryError
from resight.gallery.types import Event

JOINING = ("confirm", "same")
"""Kinds of statements that two tracklets show one person: an answer of a search is right; two tracklets are equal."""

SEPARATING = ("reject", "different")
"""Kinds of statements that they show different persons: an answer of a search is wrong; two tracklets differ."""

UNDO = "undo"
"""Kind of a statement that takes back an earlier one, whose number is in its data."""

KINDS = (*JOINING, *SEPARATING, UNDO)
"""Kinds of what users say: labels."""

KEEP = "keep"
"""Kind of a statement that the group of a tracklet keeps its id, although the labels that gave it were erased."""


class Groups:
    """The persons that the statements describe.

    Args:
        events: Statements in the order of their numbers. Events of other kinds are ignored.

    Attributes:
        events: The statements.
        contradictions: Messages about tracklets that are the same person by some statements and different by others.
            `check` refuses such statements, so there are none unless two logs were merged, or two users labelled the
            same tracklets at the same time.
    """

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self.events: list[Event] = []
        self.contradictions: list[str] = []
        self._by_number: dict[int, Event] = {}
        self._undone: set[int] = set()
        self._home: dict[str, int] = {}  # the group that each tracklet was in first
        self._links: dict[str, dict[str, Event]] = {}  # by tracklet: the tracklets that are said to be the same person
        self._rejected: dict[str, dict[str, Event]] = {}  # by tracklet: those that are said to be another person
        self._number: dict[str, int] = {}  # the group of each tracklet in a group
        self._members: dict[int, set[str]] = {}
        for event in events:
            self.add(event)

    def add(self, event: Event) -> None:
        """Add a statement. It is not checked for contradictions, see `check`."""
        if event.kind not in (*KINDS, KEEP):
            return
        if event.kind in (*JOINING, *SEPARATING) and (refusal := self.refusal(event)):
            self.contradictions.append(refusal)
        if event.kind == KEEP:
            self._keep(event)
        elif event.kind in JOINING:
            self._join(event)
        elif event.kind in SEPARATING:
            for one, other in (event.ids, event.ids[::-1]):
                self._rejected.setdefault(one, {})[other] = event
        elif event.data["event"] in self._by_number:
            self._take_back(event)
        self.events.append(event)
        self._by_number[event.number] = event

    def extended(self, events: Iterable[Event]) -> Groups:
        """Return the persons that these statements and further ones describe. This object stays as it is."""
        events = [event for event in events if event.kind in (*KINDS, KEEP)]
        if not events:
            return self
        groups = Groups()
        groups.events = list(self.events)
        groups.contradictions = list(self.contradictions)
        groups._by_number = dict(self._by_number)
        groups._undone = set(self._undone)
        groups._home = dict(self._home)
        groups._links = {one: dict(others) for one, others in self._links.items()}
        groups._rejected = {one: dict(others) for one, others in self._rejected.items()}
        groups._number = dict(self._number)
        groups._members = dict(self._members)  # sets of members are replaced, never changed
        for event in events:
            groups.add(event)
        return groups

    def check(self, event: Event) -> None:
        """Check that a statement is complete, and contradicts no earlier one.

        Raises:
            GalleryError: The message names the statements that it contradicts.
        """
        if event.kind not in KINDS:
            raise GalleryError(f"a label is of kind {event.kind!r}, expected one of {', '.join(KINDS)}")
        if not event.author.strip():
            raise GalleryError("a label needs an author, found an empty name: say who made it")
        if event.kind != UNDO and (len(event.ids) != 2 or event.ids[0] == event.ids[1]):
            raise GalleryError(f"{event.kind} needs two different tracklets, found {' and '.join(event.ids) or 'none'}")
        if refusal := self.refusal(event):
            raise GalleryError(refusal)

    def undo(self, number: int, author: str, time: float) -> Event:
        """Return the statement that takes back another one.

        Raises:
            GalleryError: If there is no such statement, it was undone already, or the author is empty.
        """
        undone = self._by_number.get(number)
        if undone is None or undone.kind not in (*JOINING, *SEPARATING):
            raise GalleryError(f"there is no label {number} to undo: list the labels with their numbers")
        if number in self._undone:
            raise GalleryError(f"label {number} was undone already")
        event = Event(UNDO, undone.ids, author, time, {"event": number})
        self.check(event)
        return event

    def refusal(self, event: Event) -> str:
        """Return why a statement contradicts earlier ones, or an empty text."""
        first, *_, second = event.ids
        if event.kind in JOINING and (against := self._separation(first, second)):
            return (
                f"{first} and {second} cannot be one person, because of label {line(against)}: undo {against.number} "
                "first if it is wrong"
            )
        if event.kind in SEPARATING and self.same(first, second):
            chain = "; ".join(line(step) for step in self._chain(first, second))
            return (
                f"{first} and {second} cannot be different persons, because of label {chain}: undo it first if it is "
                "wrong"
            )
        return ""

    def __len__(self) -> int:
        return len(self._members)

    def ids(self) -> list[str]:
        """Return the ids of all groups, oldest first."""
        return [name_of(number) for number in sorted(self._members)]

    def members(self, group: str) -> tuple[str, ...]:
        """Return the tracklets of a group, in the order of their ids; empty if there is no such group."""
        number = number_of(group)
        return tuple(sorted(self._members.get(number, ()))) if number is not None else ()

    def group(self, tracklet: str) -> str | None:
        """Return the id of the group of a tracklet, or None."""
        number = self._number.get(tracklet)
        return None if number is None else name_of(number)

    def together(self, tracklet: str) -> tuple[str, ...]:
        """Return all tracklets of the person of a tracklet, itself included."""
        number = self._number.get(tracklet)
        return (tracklet,) if number is None else tuple(sorted(self._members[number]))

    def same(self, first: str, second: str) -> bool:
        """Return whether two tracklets are confirmed to show one person."""
        return first == second or (first in self._number and self._number[first] == self._number.get(second))

    def different(self, first: str, second: str) -> bool:
        """Return whether two tracklets, or other tracklets of their persons, are said to be different persons."""
        return self._separation(first, second) is not None

    def rejected(self, tracklet: str) -> frozenset[str]:
        """Return all tracklets of persons who are said to differ from the person of a tracklet."""
        direct = {other for member in self.together(tracklet) for other in self._rejected.get(member, ())}
        return frozenset(member for other in direct for member in self.together(other))

    def active(self) -> list[Event]:
        """Return the statements about two tracklets that were not undone."""
        pairs = (event for event in self.events if event.kind in (*JOINING, *SEPARATING))
        return [event for event in pairs if event.number not in self._undone]

    def labelled(self) -> frozenset[str]:
        """Return all tracklets that a statement is about that was not undone."""
        return frozenset(id_ for event in self.active() for id_ in event.ids)

    def without(self, erased: Collection[str]) -> list[Event]:
        """Return statements to append before tracklets are erased together with all statements about them.

        They repeat what the erased statements say about the other tracklets of these persons, with the same author and
        time, so that the groups of these keep their members and their ids.

        Args:
            erased: Ids of the tracklets to erase.
        """
        rest = Groups(event for event in self.events if not _names(event, erased))
        if len(rest.events) == len(self.events):
            return []
        gone = [event for event in self.active() if _names(event, erased)]
        remaining = {n: sorted(members.difference(erased)) for n, members in sorted(self._members.items())}
        added: list[Event] = []

        def say(event: Event) -> None:
            added.append(replace(event, number=self.events[-1].number + len(added) + 1))
            rest.add(added[-1])

        joins = {self._number[event.ids[0]]: event for event in gone if event.kind in JOINING}
        for number, event in joins.items():
            for pair in pairwise(remaining[number]):
                if not rest.same(*pair):
                    say(replace(event, kind="same", ids=pair))
        for event in gone:
            if event.kind in SEPARATING:
                sides = [
                    [id_] if id_ not in erased else remaining.get(self._number.get(id_, 0), [])[:1] for id_ in event.ids
                ]
                if all(sides) and not rest.different(sides[0][0], sides[1][0]):
                    say(replace(event, kind="different", ids=(sides[0][0], sides[1][0])))
        groups = {number: ids[0] for number, ids in remaining.items() if len(ids) > 1}
        while lost := [n for n, id_ in groups.items() if rest.group(id_) != name_of(n) and n not in rest._members]:
            for number in lost:
                say(Event(KEEP, (groups[number],), "", self.events[-1].time, {"group": number}))
        return added

    def _separation(self, first: str, second: str) -> Event | None:
        others = set(self.together(second))
        found = (
            event
            for member in self.together(first)
            for other, event in self._rejected.get(member, {}).items()
            if other in others
        )
        return next(found, None)

    def _join(self, event: Event) -> None:
        first, second = event.ids
        self._links.setdefault(first, {})[second] = self._links.setdefault(second, {})[first] = event
        numbers = {self._number[id_] for id_ in event.ids if id_ in self._number}
        members = {first, second}.union(*(self._members.pop(old) for old in numbers))
        self._put(members, min(numbers, default=event.number))

    def _keep(self, event: Event) -> None:
        number, old = event.data["group"], self._number.get(event.ids[0])
        if old is not None and number not in self._members:
            members = self._members.pop(old)
            self._home |= dict.fromkeys(members, number)
            self._put(members, number)

    def _put(self, members: set[str], number: int) -> None:
        self._members[number] = members
        for member in members:
            self._number[member] = number
            self._home.setdefault(member, number)

    def _take_back(self, undo: Event) -> None:
        undone = self._by_number[undo.data["event"]]
        self._undone.add(undone.number)
        joins = undone.kind in JOINING
        index = self._links if joins else self._rejected
        repeated = [
            event for event in self.active()
            if (event.kind in JOINING) == joins and set(event.ids) == set(undone.ids)
        ]  # fmt: skip
        for one, other in (undone.ids, undone.ids[::-1]):
            if repeated:
                index[one][other] = repeated[0]
            else:
                index[one].pop(other, None)
        if joins and not repeated:
            self._divide(set(self.together(undone.ids[0])), undo.number)

    def _divide(self, members: set[str], new: int) -> None:
        """Divide a group into its connected parts; a part that has no number of its own gets the new one."""
        for member in members:
            self._members.pop(self._number.pop(member), None)
        parts = []
        while members:
            part = self._connected(next(iter(members)))
            members = members - part
            if len(part) > 1:
                parts.append(part)
        for part in sorted(parts, key=lambda part: (min(self._home[id_] for id_ in part), min(part))):
            number = min(self._home[id_] for id_ in part)
            if number in self._members:
                number = new
                self._home |= dict.fromkeys(part, number)
            self._put(part, number)

    def _connected(self, tracklet: str) -> set[str]:
        reached, waiting = {tracklet}, [tracklet]
        while waiting:
            new = set(self._links.get(waiting.pop(), ())) - reached
            reached |= new
            waiting += new
        return reached

    def _chain(self, first: str, second: str) -> list[Event]:
        """Return the fewest statements that make two tracklets one person."""
        came: dict[str, tuple[str, Event] | None] = {first: None}
        waiting = [first]
        for tracklet in waiting:
            for other, event in self._links.get(tracklet, {}).items():
                if other not in came:
                    came[other] = tracklet, event
                    waiting.append(other)
        chain, place = [], second
        while (step := came.get(place)) is not None:
            place, event = step
            chain.append(event)
        return chain[::-1]


def _names(event: Event, ids: Collection[str]) -> bool:
    return any(id_ in ids for id_ in event.ids)


def line(event: Event) -> str:
    """Return an event of the log in one line: number, time, author, and what was said."""
    when = datetime.fromtimestamp(event.time).strftime("%Y-%m-%d %H:%M:%S")
    kind = f"{UNDO} {event.data['event']}:" if event.kind == UNDO else event.kind
    group = name_of(event.data["group"]) if event.kind == KEEP else ""
    return " ".join(part for part in (str(event.number), when, event.author, kind, *event.ids, group) if part)


def name_of(number: int) -> str:
    """Return the id of a group by its number, such as ``unknown-0001``."""
    return f"unknown-{number:04d}"


def number_of(group: str) -> int | None:
    """Return the number of a group by its id, or None if this is not the id of a group."""
    prefix, _, digits = group.partition("-")
    return int(digits) if prefix == "unknown" and digits.isascii() and digits.isdigit() else None
