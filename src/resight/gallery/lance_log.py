"""The log of a gallery in a Lance table, and the persons that its labels describe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from resight.gallery.checks import not_stored
from resight.gallery.labels import Groups
from resight.gallery.lance_cache import Facts
from resight.gallery.lance_rows import event_rows
from resight.gallery.lance_table import Change
from resight.gallery.rows import readable_events
from resight.gallery.types import Event


class LanceLog:
    """Reads the groups once, and then only what was appended.

    Numbers are never used twice and events never change. Hence the events read before are still the same if a version
    has events of the same numbers.

    Args:
        address: The gallery.
        tell: Called with the name of an event that is damaged and left out.
    """

    def __init__(self, address: str, tell: Callable[[str], None]) -> None:
        self._address = address
        self._tell = tell
        self._groups = Groups()
        self._numbers: list[int] = []

    def groups(self, facts: Facts) -> Groups:
        """Return the persons of all labels. What is appended later does not change the result."""
        numbers = [row[0] for row in facts.events]
        known = len(self._numbers)
        earlier = self._groups
        if numbers[:known] != self._numbers:  # tracklets were erased with the events that name them
            known, earlier = 0, Groups()
        if len(numbers) != known or earlier is not self._groups:
            self._groups = earlier.extended(self.readable(facts.events[known:]))
            self._numbers = numbers
        return self._groups

    def append(self, change: Change, facts: Facts, events: Sequence[Event]) -> list[Event]:
        """Append events to a change, and return them with their numbers.

        Raises:
            GalleryError: If one names a tracklet that is not stored.
        """
        ids = [id_ for event in events for id_ in event.ids]
        stored = facts.places(ids)
        for id_ in ids:
            if id_ not in stored:
                raise not_stored(self._address, id_)
        first = change.head["event"]
        numbered = [replace(event, time=float(event.time), number=n) for n, event in enumerate(events, start=first)]
        change.add(event_rows(numbered))
        change.head["event"] += len(numbered)
        return numbered

    def readable(self, rows: Sequence[list[Any]]) -> list[Event]:
        """Return the events of rows; damaged ones are left out."""
        return readable_events(rows, self._tell)
