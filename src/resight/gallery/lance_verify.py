"""Check the Lance table of a gallery: every row of every part."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np

from resight.gallery.lance_cache import Facts
from resight.gallery.lance_rows import EVENT, read_whole
from resight.gallery.lance_table import Part
from resight.gallery.rows import DamagedRowError, read_event
from resight.gallery.types import Problem

_AT_ONCE = 256
"""Rows that are read at once."""


def verify_parts(facts: Facts) -> list[Problem]:
    """Return what is wrong with a version of the table."""
    problems = [*_structure(facts)]
    for part in facts.version.of("tracklets"):
        if part not in facts.lost:
            problems += _tracklets(facts, part)
    return [*problems, *_log(facts)]


def _structure(facts: Facts) -> Iterator[Problem]:
    for part in facts.lost:
        yield Problem("", f"{part.rows} rows of the {part.kind} cannot be read: {part.path} is damaged or missing")
    for name in ("number", "id", "key"):
        if len(set(facts.rows[name].to_pylist())) < facts.rows.num_rows:
            yield Problem("", f"two tracklets have the same {name}")


def _tracklets(facts: Facts, part: Part) -> Iterator[Problem]:
    dim = facts.version.head["header"]["dim"]
    names = facts.version.read([part], ["id"])["id"].to_pylist()
    for start in range(0, part.rows, _AT_ONCE):
        places = range(start, min(start + _AT_ONCE, part.rows))
        for place, row in zip(places, facts.version.tracklets([part.start + place for place in places]), strict=True):
            name = names[place]
            try:
                tracklet = read_whole(row)
            except DamagedRowError as error:
                yield Problem(name, str(error))
                continue
            if tracklet.features.shape[1] != dim or len(tracklet.mean) != dim:
                yield Problem(name, f"{name!r} has features of another dimension than {dim}")
            elif not np.isfinite(tracklet.features).all():
                yield Problem(name, f"{name!r} has features that are not finite")


def _log(facts: Facts) -> Iterator[Problem]:
    stored = set(facts.rows["id"].to_pylist())
    for row in facts.events:
        try:
            read_event(row)
        except ValueError as error:
            yield Problem("", str(error))
        if not set(json.loads(row[EVENT.index("ids")])) <= stored:
            yield Problem("", f"event {row[0]} of the log names a tracklet that is not stored")
