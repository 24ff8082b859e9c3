"""What a process keeps in memory of a gallery in a Lance table: facts, the log, and means once they are needed.

Parts of the table never change, so what was read of a part stays valid, and only new parts are read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from resight.gallery.lance_rows import EVENT, FACTS, MEAN, read_events, read_means, schema_of
from resight.gallery.lance_table import STORAGE_ERRORS, Part, Version
from resight.gallery.means import Block, MeanBlocks
from resight.gallery.types import EVERYTHING, Filter

_GROUP = 256
"""Parts that are read at once."""


@dataclass(frozen=True, eq=False)
class Facts:
    """The facts of all tracklets of one version, in the order of adding.

    Attributes:
        version: The version.
        rows: Columns `FACTS`.
        positions: Position of each tracklet among all rows of the table.
        parts: The parts that were read, by their kind, in the order of the numbers of their rows.
        events: Rows of the log, in their order.
        lost: Parts that cannot be read.
    """

    version: Version
    rows: pa.Table
    positions: NDArray[np.int64]
    parts: dict[str, list[Part]]
    events: list[list[Any]]
    lost: tuple[Part, ...]

    @property
    def numbers(self) -> NDArray[np.int64]:
        """Numbers of the tracklets."""
        numbers: NDArray[np.int64] = self.rows["number"].to_numpy()
        return numbers

    def chosen(self, where: Filter) -> NDArray[np.bool_]:
        """Return which tracklets a filter accepts, (n,)."""
        if where == EVERYTHING:
            return np.ones(self.rows.num_rows, bool)
        rows, accepted = self.rows, pa.scalar(True)
        start, end = (pc.coalesce(rows[first], rows[other]) for first, other in (("start", "end"), ("end", "start")))
        duration = pc.subtract(rows["end"], rows["start"])
        conditions: list[tuple[Any, Callable[[Any], Any]]] = [
            (where.cameras, lambda names: _is_in(rows["camera"], names)),
            (where.after, lambda time: pc.greater_equal(end, float(time))),
            (where.before, lambda time: pc.less_equal(start, float(time))),
            (where.shortest, lambda time: pc.greater_equal(duration, float(time))),
            (where.longest, lambda time: pc.less_equal(duration, float(time))),
            (where.source, lambda name: pc.equal(rows["source"], name)),
            (where.persons, lambda names: _is_in(rows["person"], names)),
            (where.ids, lambda ids: _is_in(rows["id"], ids)),
            (where.without, lambda ids: pc.invert(_is_in(rows["id"], ids))),
        ]
        for value, condition in conditions:
            if value is not None:
                accepted = pc.and_(accepted, pc.fill_null(condition(value), False))
        mask: NDArray[np.bool_] = accepted.to_numpy()
        return mask

    def selected(self, where: Filter) -> NDArray[np.int64] | None:
        """Return the numbers of the tracklets that a filter accepts; None if it has no conditions."""
        return None if where == EVERYTHING else self.numbers[self.chosen(where)]

    def places(self, ids: Sequence[str]) -> dict[str, int]:
        """Return the place of each of some tracklets that is stored, in the order of adding."""
        places = np.flatnonzero(_is_in(self.rows["id"], ids).to_numpy())
        return dict(zip(self.rows["id"].take(places).to_pylist(), places.tolist(), strict=True))

    def known(self, keys: Sequence[bytes]) -> dict[bytes, str]:
        """Return the ids of stored tracklets by their key."""
        rows = self.rows.filter(pc.is_in(self.rows["key"], value_set=pa.array(keys, pa.binary())))
        return dict(zip(rows["key"].to_pylist(), rows["id"].to_pylist(), strict=True))


class LanceCache:
    """What was read of the parts of one table.

    Args:
        mine: Which tracklets to keep, by their numbers; None keeps all.
    """

    def __init__(self, mine: Callable[[NDArray[np.int64]], NDArray[np.bool_]] | None = None) -> None:
        self._mine = mine
        self._rows: dict[str, tuple[pa.Table, NDArray[np.int64]]] = {}
        self._events: dict[str, list[list[Any]]] = {}
        self._blocks: dict[str, tuple[Block, int]] = {}
        self._facts: Facts | None = None

    def facts(self, version: Version) -> Facts:
        """Return the facts of a version, of which new parts are read."""
        if self._facts is not None and self._facts.version is version:
            return self._facts
        lost: list[Part] = []
        tracklets, log = version.of("tracklets"), version.of("log")
        self._rows = _kept(self._rows, tracklets)
        for part, rows in _read(version, [part for part in tracklets if part.path not in self._rows], FACTS, lost):
            places = np.arange(part.rows)
            if self._mine is not None:
                places = np.flatnonzero(self._mine(rows["number"].to_numpy()))
                rows = rows.take(places)
            self._rows[part.path] = rows.combine_chunks(), places
        self._events = _kept(self._events, log)
        for part, rows in _read(version, [part for part in log if part.path not in self._events], EVENT, lost):
            self._events[part.path] = read_events(rows)
        held = [part for part in tracklets if part.path in self._rows and self._rows[part.path][0].num_rows]
        held.sort(key=lambda part: self._rows[part.path][0]["number"][0].as_py())
        rows = pa.concat_tables([schema_of(FACTS).empty_table(), *(self._rows[part.path][0] for part in held)])
        positions = np.concatenate(
            [np.zeros(0, np.int64), *(part.start + self._rows[part.path][1] for part in held)]
        )  # fmt: skip
        numbers = rows["number"].to_numpy()
        if (numbers[1:] < numbers[:-1]).any():  # replaced in another order
            order = np.argsort(numbers)
            rows, positions = rows.take(order), positions[order]
        log = sorted((part for part in log if part.path in self._events), key=lambda p: self._events[p.path][0][0])
        self._facts = Facts(
            version, rows, positions,
            {"tracklets": held, "log": log}, [row for part in log for row in self._events[part.path]], tuple(lost),
        )  # fmt: skip
        return self._facts

    def means(self, version: Version, dim: int) -> tuple[MeanBlocks, int]:
        """Return the means of a version, and how many of them cannot be read."""
        self.facts(version)
        parts = version.of("tracklets")
        self._blocks = _kept(self._blocks, parts)
        missing = [part for part in parts if part.path not in self._blocks and part.path in self._rows]
        missing = [part for part in missing if self._rows[part.path][0].num_rows]
        lost: list[Part] = []
        for part, rows in self._own_means(version, missing, lost):
            kept = self._rows[part.path][0]
            values, readable = read_means(rows, dim)
            block = Block(kept["number"].to_numpy(), tuple(kept["id"].to_pylist()), values)
            self._blocks[part.path] = block.kept(readable), int((~readable).sum())
        blocks = sorted((b for b, _ in self._blocks.values() if len(b.seqs)), key=lambda block: int(block.seqs[0]))
        damaged = [damaged for _, damaged in self._blocks.values()] + [len(self._rows[part.path][1]) for part in lost]
        return MeanBlocks(dim, _in_order(blocks)), sum(damaged)

    def _own_means(self, version: Version, parts: Sequence[Part], lost: list[Part]) -> Iterator[tuple[Part, pa.Table]]:
        if self._mine is None:
            yield from _read(version, parts, MEAN, lost)
            return
        for part in parts:  # most of the rows belong to other shards
            positions = part.start + self._rows[part.path][1]
            try:
                rows = version.dataset.take(positions.tolist(), columns=MEAN)
            except STORAGE_ERRORS:
                lost.append(part)
                continue
            yield part, rows


def _in_order(blocks: list[Block]) -> tuple[Block, ...]:
    """Return blocks in the order of their numbers: one, if their numbers overlap."""
    seqs = np.concatenate([np.zeros(0, np.int64), *(block.seqs for block in blocks)])
    if (seqs[1:] > seqs[:-1]).all():
        return tuple(blocks)
    order = np.argsort(seqs)
    ids = [id_ for block in blocks for id_ in block.ids]
    values = np.concatenate([block.values for block in blocks])
    return (Block(seqs[order], tuple(ids[place] for place in order.tolist()), values[order]),)


def _kept(found: dict[str, Any], parts: Sequence[Part]) -> dict[str, Any]:
    paths = {part.path for part in parts}
    return {path: value for path, value in found.items() if path in paths}


def _read(
    version: Version, parts: Sequence[Part], columns: Sequence[str], lost: list[Part]
) -> Iterator[tuple[Part, pa.Table]]:
    """Yield each part with its rows; parts that cannot be read are appended to `lost`."""
    for start in range(0, len(parts), _GROUP):
        group = parts[start : start + _GROUP]
        try:
            rows = version.read(group, columns)
        except STORAGE_ERRORS:
            for part in group:
                try:
                    yield part, version.read([part], columns)
                except STORAGE_ERRORS:
                    lost.append(part)
            continue
        ends = np.cumsum([0, *(part.rows for part in group)]).tolist()
        for part, (first, last) in zip(group, pairwise(ends), strict=True):
            yield part, rows.slice(first, last - first)


def _is_in(column: Any, names: Any) -> Any:
    return pc.is_in(column, value_set=pa.array(sorted(names), pa.string()))
