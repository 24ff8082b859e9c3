"""Conditions on tracklets as SQL."""

from __future__ import annotations

import json
from typing import Any

from resight.gallery.types import Filter


def sql_conditions(where: Filter) -> tuple[str, list[Any]]:
    """Return an SQL expression over the columns of `tracklets` that holds for what a filter accepts, and its values."""
    parts: list[str] = []
    values: list[Any] = []

    def add(condition: str, value: Any) -> None:
        if value is not None:
            parts.append(condition)
            values.append(value)

    add("camera IN (SELECT value FROM json_each(?))", _list(where.cameras))
    add('coalesce("end", start) >= ?', where.after)
    add('coalesce(start, "end") <= ?', where.before)
    add('"end" - start >= ?', where.shortest)
    add('"end" - start <= ?', where.longest)
    add("source = ?", where.source)
    add("person IN (SELECT value FROM json_each(?))", _list(where.persons))
    add("id IN (SELECT value FROM json_each(?))", _list(where.ids))
    add("id NOT IN (SELECT value FROM json_each(?))", _list(where.without))
    return " AND ".join(parts) or "1", values


def _list(names: tuple[str, ...] | frozenset[str] | None) -> str | None:
    return None if names is None else json.dumps(sorted(names))
