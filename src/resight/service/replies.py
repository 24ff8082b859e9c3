"""What the service answers to forms and to requests that it refuses, as plain data like `contexts`."""

from __future__ import annotations

from dataclasses import dataclass

from resight.service.contexts import Label


@dataclass(frozen=True)
class LabelResult:
    """What a label changed.

    Attributes:
        first: Id of a tracklet.
        second: Id of the other tracklet.
        event: Number of the label that can be undone; None if there is none.
        identity: What is now said about the pair.
        group: Group of the first tracklet now; None if none.
        contradictions: Labels that contradict each other, in sentences.
    """

    first: str
    second: str
    event: int | None
    identity: Label | None
    group: str | None
    contradictions: tuple[str, ...]


@dataclass(frozen=True)
class Deleted:
    """What was erased.

    Attributes:
        ids: Ids of the erased tracklets.
    """

    ids: tuple[str, ...]


@dataclass(frozen=True)
class Kept:
    """An uploaded query that is in the gallery now.

    Attributes:
        id: Id of the tracklet.
        added: Whether it was added now; otherwise, the same pictures were in the gallery before.
        identity: What is now said about the answer that was labelled with it; None if none was.
    """

    id: str
    added: bool
    identity: Label | None


@dataclass(frozen=True)
class LoginPage:
    """The form to log in: ``/login``.

    Attributes:
        next: Page to show afterwards.
        failed: Whether the last token was wrong.
    """

    next: str
    failed: bool


@dataclass(frozen=True)
class Problem:
    """Why a request could not be answered.

    Attributes:
        status: HTTP status.
        title: The problem in a few words.
        detail: What was expected, what was found, and what to do.
    """

    status: int
    title: str
    detail: str
