"""What the pages about labels show, as plain data like `contexts`: persons, cases, likely merges, and the log."""

from __future__ import annotations

from dataclasses import dataclass

from resight.service.contexts import Card
from resight.service.timeline import Timeline


@dataclass(frozen=True)
class PersonCard:
    """One person or unknown group.

    Attributes:
        id: Stable id.
        size: Number of tracklets.
        cameras: Cameras that saw the person.
        start: Earliest time, or None.
        end: Latest time, or None.
        cover: One tracklet.
        link: Address of the case.
    """

    id: str
    size: int
    cameras: tuple[str, ...]
    start: float | None
    end: float | None
    cover: Card
    link: str


@dataclass(frozen=True)
class PersonsPage:
    """Persons put together by labels: ``/persons``.

    Attributes:
        persons: Persons of this page.
        total: Number of persons.
        contradictions: Labels that contradict each other, in sentences.
        next: Address of the next page; None on the last.
    """

    persons: tuple[PersonCard, ...]
    total: int
    contradictions: tuple[str, ...]
    next: str | None


@dataclass(frozen=True)
class CasePage:
    """One person with all confirmed appearances: ``/case``.

    Attributes:
        person: The person.
        tracklets: Confirmed appearances by time.
        timeline: The same by camera and time.
        search: Address of a search for more appearances.
        html: Address of the export as one HTML file.
        csv: Address of the export as CSV.
    """

    person: PersonCard
    tracklets: tuple[Card, ...]
    timeline: Timeline
    search: str
    html: str
    csv: str


@dataclass(frozen=True)
class Suggestion:
    """Two tracklets or groups that are probably the same person.

    Attributes:
        first: A tracklet.
        second: The other tracklet.
        similarity: Higher is better, at most 1.
        probability: Calibrated probability; None without a calibration.
        explain: Address of the explanation.
    """

    first: Card
    second: Card
    similarity: float
    probability: float | None
    explain: str


@dataclass(frozen=True)
class SuggestionsPage:
    """Likely merges: ``/suggestions``.

    Attributes:
        suggestions: Most probable first.
    """

    suggestions: tuple[Suggestion, ...]


@dataclass(frozen=True)
class LogEntry:
    """One line of the audit log.

    Attributes:
        number: Number of the entry, ascending.
        time: Seconds since 1970.
        author: Who did it.
        action: What was done, such as ``view``, ``search``, ``same``, ``delete``.
        subject: What it was done to.
        undo: Number of the entry if it is a label that can be undone, else None.
    """

    number: int
    time: float
    author: str
    action: str
    subject: str
    undo: int | None


@dataclass(frozen=True)
class LogPage:
    """The audit log, latest first: ``/log``.

    Attributes:
        entries: Entries of this page.
        next: Address of the next page; None on the last.
    """

    entries: tuple[LogEntry, ...]
    next: str | None
