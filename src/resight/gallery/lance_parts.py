"""Changes of the parts of a gallery's Lance table: without some rows, or joined."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from resight.errors import DamagedError
from resight.gallery.checks import check_features
from resight.gallery.lance_cache import Facts
from resight.gallery.lance_rows import COLUMNS, EVENT, tracklet_rows
from resight.gallery.lance_table import FORMAT, STORAGE_ERRORS, Change, Part
from resight.gallery.types import Header, StoredTracklet, distinct_id

MANY = 16
"""Parts of a similar size that are joined. Every row is written again once for each factor of `MANY` in the number."""

LARGEST = 4096
"""Rows of a part that is not joined any more: 100 MB of tracklets, which erasing one of them has to write again."""

_AT_ONCE = 1024
"""Tracklets that `replace` writes into one part."""


def new_head(header: Header) -> dict[str, Any]:
    """Return the head of a new table.

    Its values are: the format of the table, the header, the settings, the numbers of the next tracklet and of the next
    event, and the ids of the latest changes.
    """
    return {"format": FORMAT, "header": header.to_json(), "settings": {}, "next": 1, "event": 1, "changes": []}


def drop_tracklets(change: Change, facts: Facts, places: dict[str, int]) -> None:
    """Drop tracklets: write the parts that hold them without them.

    Args:
        change: The change.
        facts: Facts of its version.
        places: Ids and places of the tracklets.
    """
    dropped = np.sort(facts.positions[list(places.values())])
    for part in change.version.of("tracklets"):
        first, last = np.searchsorted(dropped, (part.start, part.start + part.rows))
        if first < last:
            keep = np.ones(part.rows, bool)
            keep[dropped[first:last] - part.start] = False
            _rewrite(change, part, keep)


def drop_events(change: Change, facts: Facts, ids: Collection[str]) -> None:
    """Drop the events that name one of some tracklets."""
    place = EVENT.index("ids")
    gone = {row[0] for row in facts.events if not set(json.loads(row[place])).isdisjoint(ids)}
    for part in change.version.of("log") if gone else ():
        numbers = change.version.read([part], EVENT[:1])[EVENT[0]].to_pylist()
        keep = np.array([number not in gone for number in numbers])
        if not keep.all():
            _rewrite(change, part, keep)


def write_all(change: Change, tracklets: Iterator[StoredTracklet], dim: int, numbers: Mapping[str, int]) -> set[str]:
    """Write tracklets in several parts.

    Args:
        change: The change.
        tracklets: The tracklets. Those that have no number, and those whose id or key was written, are left out.
        dim: Features per clip, D.
        numbers: Numbers by id.

    Returns:
        The ids of those written.
    """
    stored: set[str] = set()
    keys: set[bytes] = set()
    while block := list(islice(tracklets, _AT_ONCE)):
        check_features(block, dim)
        new = []
        for item in block:
            if item.id in numbers and item.id not in stored and item.key not in keys:
                stored.add(item.id)
                keys.add(item.key)
                new.append(item)
        new.sort(key=lambda item: numbers[item.id])
        change.add(tracklet_rows(new, [numbers[item.id] for item in new]))
    return stored


def possible_ids(tracklet: StoredTracklet) -> list[str]:
    """Return the id of a tracklet, and those that replace it if it is taken."""
    second = distinct_id(tracklet.id, tracklet.key)
    return [tracklet.id, second, distinct_id(second, tracklet.key, 64)]


def compact(change: Change, facts: Facts) -> bool:
    """Join small parts if there are many of them, and return whether there were.

    Only neighbours are joined, so that the numbers of the rows of a part lie between those of its neighbours, unless
    tracklets were replaced in another order.
    """
    joined = False
    for kind in COLUMNS if not facts.lost else ():
        for parts in _small(facts.parts[kind]):
            rows = change.version.read(parts, COLUMNS[kind])
            for part in parts:
                change.drop(part)
            for start in range(0, rows.num_rows, LARGEST):
                change.add(rows.slice(start, LARGEST))
            joined = True
    return joined


def _small(parts: list[Part]) -> list[list[Part]]:
    """Return the first run of many neighbours of a similar size, smallest sizes first, if there is one."""
    limit = MANY
    while limit <= LARGEST:
        run: list[Part] = []
        for part in parts:
            run = [*run, part] if part.rows < limit else []
            if len(run) == MANY:
                return [run]
        limit *= MANY
    return []


def _rewrite(change: Change, part: Part, keep: NDArray[np.bool_]) -> None:
    """Write a part with some of its rows only.

    Raises:
        DamagedError: If other rows cannot be read, which would be lost.
    """
    change.drop(part)
    if not keep.any():
        return
    try:
        change.add(change.version.read([part], COLUMNS[part.kind]).filter(pa.array(keep)))
    except STORAGE_ERRORS as error:
        readable = [change.version.readable(part.start + place) for place in np.flatnonzero(keep).tolist()]
        if None in readable:
            raise DamagedError(
                f"{readable.count(None)} rows beside those to erase in {part.path} cannot be read: erase what `resight "
                "gallery verify` lists together with them",
                (),
            ) from error
        change.add(pa.concat_tables(readable))
