"""Conditions of a search, as users write them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypedDict, Unpack

from resight.data.readers.manifest_lines import TIMES, parse_time
from resight.errors import RecipeError
from resight.gallery.types import Filter


class Conditions(TypedDict, total=False):
    """Conditions that a tracklet must meet, as keyword arguments. What is omitted or None is no condition.

    Attributes:
        cameras: Names of cameras.
        after: Only tracklets that end at or after this time: seconds, or a text such as ``2026-05-01T10:00``.
        before: Only tracklets that start at or before this time.
        shortest: Least duration in seconds.
        longest: Greatest duration in seconds.
        source: Where they come from, such as ``manifest:crops``.
        persons: Persons in the data that was added.
        ids: Only these tracklets.
        without: None of these tracklets.
    """

    cameras: Sequence[str] | None
    after: float | str | None
    before: float | str | None
    shortest: float | None
    longest: float | None
    source: str | None
    persons: Sequence[str] | None
    ids: Iterable[str] | None
    without: Iterable[str] | None


def as_filter(**conditions: Unpack[Conditions]) -> Filter:
    """Return conditions as the storage takes them.

    Raises:
        RecipeError: If a time is not one, or a name is not known.
    """
    values: dict[str, Any] = {name: value for name, value in conditions.items() if value is not None}
    if unknown := values.keys() - Conditions.__annotations__.keys():
        names = ", ".join(Conditions.__annotations__)
        raise RecipeError(f"{sorted(unknown)[0]!r} is no condition, expected one of {names}")
    for name in ("after", "before"):
        if name in values:
            seconds = parse_time(values[name])
            if seconds is None:
                raise RecipeError(f"{name} is {values[name]!r}, expected {TIMES}")
            values[name] = seconds
    for name in ("cameras", "persons"):
        if name in values:
            values[name] = (values[name],) if isinstance(values[name], str) else tuple(values[name])
    for name in ("ids", "without"):
        if name in values:
            values[name] = frozenset(values[name])
    return Filter(**values)
