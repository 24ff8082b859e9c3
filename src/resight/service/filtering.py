"""The filters of lists and searches: from the query of an address to a `Filter`, and back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import Query

from resight.errors import RecipeError
from resight.gallery.labels import Groups
from resight.gallery.types import Filter
from resight.service.contexts import Filters
from resight.service.times import parse_time

Text = Annotated[str, Query(max_length=100)]
Cameras = Annotated[list[Annotated[str, Query(max_length=200)]], Query(max_length=200)]
Labelled = Literal["", "yes", "no"]


@dataclass(frozen=True)
class Chosen:
    """Filters as a user wrote them.

    Attributes:
        camera: Cameras; none means all.
        after: Time, see `parse_time`.
        before: Time.
        shortest: Seconds.
        person: Person in the data, or id of a group.
        labelled: ``yes``, ``no`` or empty.
    """

    camera: tuple[str, ...] = ()
    after: str = ""
    before: str = ""
    shortest: str = ""
    person: str = ""
    labelled: Labelled = ""

    def shown(self, cameras: tuple[str, ...]) -> Filters:
        """Return the filters as pages show them.

        Args:
            cameras: Cameras of the gallery.
        """
        return Filters(cameras, self.camera, self.after, self.before, self.shortest, self.person, self.labelled)

    def filter(self, groups: Groups) -> Filter:
        """Return the condition of the gallery.

        Raises:
            RecipeError: If a time or a duration is not one.
        """
        where = Filter(
            cameras=self.camera or None,
            after=parse_time(self.after, "after"),
            before=parse_time(self.before, "before"),
            shortest=_seconds(self.shortest),
        )
        ids: frozenset[str] | None = None
        without: frozenset[str] | None = None
        persons: tuple[str, ...] | None = None
        if self.person:
            members = groups.members(self.person)
            ids, persons = (frozenset(members), None) if members else (None, (self.person,))
        if self.labelled:
            labelled = frozenset(member for group in groups.ids() for member in groups.members(group))
            if self.labelled == "no":
                without = labelled
            else:
                ids = labelled if ids is None else ids & labelled
        return Filter(
            cameras=where.cameras, after=where.after, before=where.before, shortest=where.shortest, persons=persons,
            ids=ids, without=without,
        )  # fmt: skip

    def query(self) -> dict[str, object]:
        """Return the filters that are set, for an address."""
        return {
            "camera": self.camera, "after": self.after, "before": self.before, "shortest": self.shortest,
            "person": self.person, "labelled": self.labelled,
        }  # fmt: skip


def _seconds(text: str) -> float | None:
    """Return a duration.

    Raises:
        RecipeError: If it is not a number of seconds.
    """
    if not text.strip():
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < 1e9:
        raise RecipeError(f"shortest is {text[:40]!r}, expected a number of seconds, 0 or more")
    return seconds
