"""Rules of time and place: who cannot be the same person, and how likely a time between two cameras is.

Rules change which answers are shown and in which order. Similarities stay as they are, and every answer states what the
rules did to it, see `Effect`.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from resight.errors import GalleryError
from resight.gallery.types import Entry
from resight.words import counted

LEAST_TRIPS = 5
"""Fewest confirmed trips between two cameras from which a travel time is learned."""

STRAY = 0.3
"""Share of the persons seen by two cameras who did not go straight from one to the other."""

IMPOSSIBLE = 1e-3
"""Factor on the odds of a trip that is faster than the shortest travel time; clocks of cameras may differ."""

_SPREAD = 0.25
"""Least standard deviation of the logarithm of a travel time."""


@dataclass(frozen=True)
class TravelTime:
    """Time from the last frame in one camera to the first frame in another.

    Attributes:
        shortest: Seconds below which a trip is impossible, 0 or more.
        typical: Median in seconds, above 0.
        spread: Standard deviation of its logarithm, above 0; 0.7 means that two thirds of the trips take between half
            and twice the median.
        trips: Number of confirmed trips that it was learned from; 0 if it was given.

    Raises:
        GalleryError: If a value is out of range.
    """

    shortest: float = 0.0
    typical: float = 60.0
    spread: float = 0.7
    trips: int = 0

    def __post_init__(self) -> None:
        """Check the values."""
        if not (0 <= self.shortest <= self.typical and self.typical > 0 and self.spread > 0):
            raise GalleryError(
                "a travel time needs 0 ≤ shortest ≤ typical, and typical and spread above 0, found shortest "
                f"{self.shortest:g}, typical {self.typical:g}, spread {self.spread:g}"
            )

    def density(self, seconds: float) -> float:
        """Return the probability density of a trip of this many seconds: log-normal."""
        if seconds <= 0:
            return 0.0
        distance = (math.log(seconds) - math.log(self.typical)) / self.spread
        return math.exp(-0.5 * distance**2) / (seconds * self.spread * math.sqrt(2 * math.pi))


@dataclass(frozen=True)
class Effect:
    """What a rule did to an answer.

    Attributes:
        rule: ``travel time``, ``one place at a time`` or ``re-ranking``.
        odds: Factor on the odds that it is the same person; 0 excludes the answer.
        text: The reason, in one sentence.
    """

    rule: str
    odds: float
    text: str

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {"rule": self.rule, "odds": self.odds, "text": self.text}


@dataclass(frozen=True)
class TravelRules:
    """Rules of time and place of one site.

    Attributes:
        disjoint: Groups of cameras of which no two see the same place. Cameras in no group may see the same place.
        travel: Travel times by the names of two cameras, from the first to the second.
        span: Seconds over which the footage extends; times between unrelated tracklets are spread over it.
    """

    disjoint: tuple[frozenset[str], ...] = ()
    travel: Mapping[tuple[str, str], TravelTime] = field(default_factory=dict)
    span: float = 3600.0

    def are_disjoint(self, first: str, second: str) -> bool:
        """Return whether two cameras are known to see different places."""
        return first != second and any(first in group and second in group for group in self.disjoint)

    def effects(self, references: Sequence[Entry], entry: Entry) -> tuple[Effect, ...]:
        """Return what the rules say about an answer.

        Args:
            references: Tracklets of the person that is searched for.
            entry: The answer.
        """
        for reference in references:
            if self._at_once(reference, entry):
                return (Effect("one place at a time", 0.0, _at_once_text(reference, entry)),)
        trips = [trip for reference in references if (trip := _trip(reference, entry)) and trip[:2] in self.travel]
        if not trips:
            return ()
        start, end, seconds = min(trips, key=lambda trip: trip[2])  # the direct one
        factor = self.odds(start, end, seconds)
        much = f"{factor:.1f} times as likely" if factor >= 0.1 else f"{1 / factor:,.0f} times less likely"
        return (Effect("travel time", factor, f"{seconds:,.0f} s from {start} to {end}: {much} as for others"),)

    def odds(self, start: str, end: str, seconds: float) -> float:
        """Return the factor on the odds of a trip between two cameras: how much more frequent it is for one person."""
        time = self.travel[start, end]
        if seconds < time.shortest:
            return IMPOSSIBLE
        return STRAY + (1 - STRAY) * time.density(max(seconds, 1e-3)) * self.span

    def _at_once(self, first: Entry, second: Entry) -> bool:
        if None in (first.start, first.end, second.start, second.end):
            return False
        same_camera = first.camera == second.camera != ""
        if not (same_camera or self.are_disjoint(first.camera, second.camera)):
            return False
        return bool(first.start <= second.end and second.start <= first.end)  # type: ignore[operator]

    def learned_from(self, persons: Iterable[Sequence[Entry]]) -> TravelRules:
        """Return rules with travel times learned from confirmed persons, for pairs of cameras without one.

        Args:
            persons: The tracklets of each confirmed person.
        """
        seconds: dict[tuple[str, str], list[float]] = {}
        for entries in persons:
            ordered = sorted((e for e in entries if e.start is not None and e.end is not None), key=_start)
            for first, second in pairwise(ordered):
                trip = _trip(first, second)
                if trip and trip[2] > 0:
                    seconds.setdefault(trip[:2], []).append(trip[2])
        learned = {}
        for cameras, times in seconds.items():
            if len(times) >= LEAST_TRIPS and cameras not in self.travel:
                logs = np.log(times)
                spread = max(_SPREAD, float(logs.std(ddof=1)))
                learned[cameras] = TravelTime(0.0, float(np.exp(np.median(logs))), spread, len(times))
        return TravelRules(self.disjoint, {**self.travel, **learned}, self.span)

    def line(self) -> str:
        """Return the rules in one sentence."""
        learned = sum(time.trips > 0 for time in self.travel.values())
        return (
            f"{counted(len(self.disjoint), 'groups')} of cameras with disjoint views, "
            f"{counted(len(self.travel) - learned, 'travel times')} given and {learned} learned from labels"
        )


def read_rules(path: Path) -> TravelRules:
    """Return the rules in a TOML file.

    ::

        disjoint = [["gate", "yard", "door"]]

        [[travel]]
        between = ["gate", "yard"]      # or from = "gate", to = "yard", for one direction
        shortest = 20
        typical = 45

    Raises:
        GalleryError: If the file cannot be read, or an entry is not as above.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise GalleryError(f"{path} cannot be read, expected rules of time and place in TOML: {error}") from error
    if unknown := values.keys() - {"disjoint", "travel"}:
        raise GalleryError(f"{path} has the unknown key {sorted(unknown)[0]}, expected disjoint or travel")
    groups = values.get("disjoint", [])
    if not (isinstance(groups, list) and all(_names(group) and len(set(group)) > 1 for group in groups)):
        raise GalleryError(f"disjoint in {path} is {groups!r}, expected lists of two or more names of cameras")
    travel: dict[tuple[str, str], TravelTime] = {}
    entries = values.get("travel", [])
    if not (isinstance(entries, list) and all(isinstance(entry, dict) for entry in entries)):
        raise GalleryError(f"travel in {path} is not as expected: write [[travel]] above every travel time")
    for number, entry in enumerate(entries, 1):
        for cameras in _directions(entry, f"travel time {number} of {path}"):
            numbers = {key: value for key, value in entry.items() if key not in ("between", "from", "to")}
            travel[cameras] = _travel_time(numbers, f"travel time {number} of {path}")
    return TravelRules(tuple(frozenset(group) for group in groups), travel)


def _directions(entry: Mapping[str, Any], where: str) -> list[tuple[str, str]]:
    both: Any = entry.get("between")
    start: Any = entry.get("from")
    end: Any = entry.get("to")
    if _names(both) and len(both) == 2 and both[0] != both[1] and start is None and end is None:
        return [(both[0], both[1]), (both[1], both[0])]
    if both is None and _names([start, end]) and start != end:
        return [(start, end)]
    raise GalleryError(f'{where} needs between = ["gate", "yard"], or from = "gate" and to = "yard"')


def _travel_time(numbers: Mapping[str, Any], where: str) -> TravelTime:
    known = {"shortest", "typical", "spread"}
    wrong = [
        name for name, value in numbers.items()
        if name not in known or not isinstance(value, (int, float)) or isinstance(value, bool)
    ]  # fmt: skip
    if wrong or not {"shortest", "typical"} & numbers.keys():
        raise GalleryError(f"{where} needs shortest, typical or both in seconds, and may have spread, as numbers")
    shortest = float(numbers.get("shortest", 0.0))
    try:
        return TravelTime(
            shortest, float(numbers.get("typical", max(2 * shortest, 1.0))), float(numbers.get("spread", 0.7))
        )
    except GalleryError as error:
        raise GalleryError(f"{where}: {error}") from error


def _names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) and name for name in value)


def _start(entry: Entry) -> float:
    return entry.start or 0.0


def _trip(first: Entry, second: Entry) -> tuple[str, str, float] | None:
    """Return the cameras in the order of the times, and the seconds between; None if times or cameras are unknown."""
    if first.camera == second.camera or "" in (first.camera, second.camera):
        return None
    if None in (first.start, first.end, second.start, second.end):
        return None
    earlier, later = sorted((first, second), key=_start)
    return earlier.camera, later.camera, max(0.0, later.start - earlier.end)  # type: ignore[operator]


def _at_once_text(reference: Entry, entry: Entry) -> str:
    if reference.camera == entry.camera:
        return f"{entry.id} and {reference.id} were seen at the same time by {entry.camera}: two persons"
    elsewhere = f"while {reference.id} was seen by {reference.camera}, which sees another place"
    return f"{entry.id} was seen by {entry.camera} {elsewhere}"
