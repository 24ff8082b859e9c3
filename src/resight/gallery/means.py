"""Mean features of a gallery in memory, and of one in SQLite kept up to date with its file.

Legend: Q queries, n tracklets, D features.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resight.gallery.rows import DamagedRowError, read_mean
from resight.gallery.schema import snapshot
from resight.gallery.types import Header

_BLOCK = 8192
"""Tracklets of a block. New tracklets fill blocks of their own, so that no large array is ever copied."""


@dataclass(frozen=True, eq=False)
class Block:
    """Some tracklets: their numbers in the order of adding, ids, and means (n, D)."""

    seqs: NDArray[np.int64]
    ids: tuple[str, ...]
    values: NDArray[np.float32]

    def kept(self, keep: NDArray[np.bool_]) -> Block:
        """Return only some of them."""
        return Block(self.seqs[keep], tuple(np.array(self.ids, object)[keep]), self.values[keep])


class MeanBlocks:
    """Means of tracklets in blocks.

    Args:
        dim: D.
        blocks: The blocks, in the order of adding.
    """

    def __init__(self, dim: int, blocks: tuple[Block, ...] = ()) -> None:
        self.dim = dim
        self._blocks = blocks

    def chosen(self, seqs: NDArray[np.int64] | None) -> tuple[list[str], NDArray[np.float32]]:
        """Return ids and means of the tracklets with these seqs, in the order of adding; None is all."""
        ids: list[str] = []
        values = []
        for block in self._blocks:
            if seqs is None:
                ids += block.ids
                values.append(block.values)
            else:
                places = np.flatnonzero(np.isin(block.seqs, seqs))
                ids += [block.ids[place] for place in places]
                values.append(block.values[places])
        if len(values) == 1:
            return ids, values[0]
        return ids, np.concatenate(values) if values else np.zeros((0, self.dim), np.float32)

    def spaced(self, count: int) -> NDArray[np.float32]:
        """Return at most `count` means, evenly spaced in the order of adding."""
        total = sum(len(block.seqs) for block in self._blocks)
        places = np.unique(np.linspace(0, total - 1, min(total, count)).round().astype(int))
        chosen, first = [np.zeros((0, self.dim), np.float32)], 0
        for block in self._blocks:
            end = first + len(block.seqs)
            chosen.append(block.values[places[(places >= first) & (places < end)] - first])
            first = end
        return np.concatenate(chosen)

    def nearest(
        self, queries: NDArray[np.float32], k: int, seqs: NDArray[np.int64] | None, without: frozenset[str]
    ) -> list[tuple[list[str], NDArray[np.float32]]]:
        """Return the k tracklets with the most similar means for each of Q queries.

        Args:
            queries: (Q, D) mean features of length 1.
            k: Number of tracklets.
            seqs: Only tracklets with these seqs; None is all.
            without: Ids of tracklets to leave out.
        """
        count = k + len(without)
        found: list[list[tuple[float, int, str]]] = [[] for _ in queries]
        for block in self._blocks:
            cosines = block.values @ queries.T
            allowed = None if seqs is None else np.isin(block.seqs, seqs)
            for query, best in enumerate(found):
                column = cosines[:, query] if allowed is None else np.where(allowed, cosines[:, query], -np.inf)
                places = np.arange(len(column))
                if count < len(column):
                    places = np.argpartition(-column, count - 1)[:count]
                best += [
                    (-float(column[place]), int(block.seqs[place]), block.ids[place])
                    for place in places if column[place] > -np.inf and block.ids[place] not in without
                ]  # fmt: skip
                best.sort()
                del best[k:]
        return [([id_ for _, _, id_ in best], np.array([-c for c, _, _ in best], np.float32)) for best in found]


class MeanCache(MeanBlocks):
    """The means of all tracklets of one SQLite file, read once and then only what changes.

    Args:
        header: Which features the gallery holds.
    """

    def __init__(self, header: Header) -> None:
        super().__init__(header.dim)
        self.header = header
        self._last = 0
        self._unreadable = 0
        self._version: int | None = None

    def invalidate(self) -> None:
        """Have the next `update` look for changes: this connection has made some."""
        self._version = None

    def update(self, database: sqlite3.Connection) -> None:
        """Read what was added, and drop what was removed, since the last call."""
        (version,) = database.execute("PRAGMA data_version").fetchone()
        if version == self._version:
            return
        with snapshot(database):
            self._add_new(database)
            (stored,) = database.execute("SELECT count(*) FROM tracklets").fetchone()
            if stored != sum(len(block.seqs) for block in self._blocks) + self._unreadable:
                self._drop_removed(database)
        self._version = version

    def _add_new(self, database: sqlite3.Connection) -> None:
        blocks = list(self._blocks)
        while rows := database.execute(
            "SELECT seq, id FROM tracklets WHERE seq > ? ORDER BY seq LIMIT ?", (self._last, _BLOCK)
        ).fetchall():
            means = self._read(database, rows[0][0], rows[-1][0])
            readable = [(seq, id_) for seq, id_ in rows if seq in means]
            self._unreadable += len(rows) - len(readable)
            if readable:
                values = np.empty((len(readable), self.dim), np.float32)
                for place, (seq, _) in enumerate(readable):
                    values[place] = means[seq]
                blocks.append(Block(np.array([s for s, _ in readable]), tuple(i for _, i in readable), values))
            self._last = rows[-1][0]
        self._blocks = _joined(blocks)

    def _read(self, database: sqlite3.Connection, first: int, last: int) -> dict[int, NDArray[np.float32]]:
        """Return the readable means of a range of tracklets: one by one if some are damaged."""
        query = "SELECT seq, mean, checksum FROM means WHERE seq BETWEEN ? AND ?"
        try:
            return {seq: self._checked(row) for seq, *row in database.execute(query, (first, last))}
        except (sqlite3.DatabaseError, DamagedRowError):
            found: dict[int, NDArray[np.float32]] = {}
            for seq in range(first, last + 1):
                try:
                    found |= {seq: self._checked(row) for seq, *row in database.execute(query, (seq, seq))}
                except (sqlite3.DatabaseError, DamagedRowError):
                    continue
            return found

    def _checked(self, row: list[bytes]) -> NDArray[np.float32]:
        mean = read_mean(row)
        if len(mean) != self.dim:
            raise DamagedRowError("the mean feature has another dimension")
        return mean

    def _drop_removed(self, database: sqlite3.Connection) -> None:
        stored = np.array([seq for (seq,) in database.execute("SELECT seq FROM tracklets ORDER BY seq")], np.int64)
        blocks = []
        for block in self._blocks:
            keep = np.isin(block.seqs, stored)
            blocks.append(block if keep.all() else block.kept(keep))
        self._blocks = tuple(block for block in blocks if len(block.seqs))
        self._unreadable = len(stored) - sum(len(block.seqs) for block in self._blocks)

    @property
    def unreadable(self) -> int:
        """Number of stored tracklets whose mean is damaged, so that no search finds them."""
        return self._unreadable


def _joined(blocks: list[Block]) -> tuple[Block, ...]:
    """Join the last blocks while they are small, so that many small additions do not make many blocks."""
    while len(blocks) > 1 and len(blocks[-1].seqs) + len(blocks[-2].seqs) <= _BLOCK:
        last, before = blocks.pop(), blocks.pop()
        blocks.append(
            Block(
                np.concatenate([before.seqs, last.seqs]),
                before.ids + last.ids,
                np.concatenate([before.values, last.values]),
            )
        )
    return tuple(blocks)
