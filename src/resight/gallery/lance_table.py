"""One Lance table of a gallery: its parts, and how it is changed in one step that no other writer interrupts.

A part is a fragment: rows of one kind in one file that never changes. Part 0 is the head, one row with the header, the
settings and counters. The others hold tracklets, or events of the log, in the order of their numbers.

Every change replaces the head, and drops and adds other parts, with one commit: a new version of the table, written
under its number if nobody else has written this number. Lance refuses a commit if part 0 has changed since the version
that the change was made from. The change is then prepared again from the latest version. Hence changes happen one after
the other, and what a change has checked, such as whether an id is free, still holds when it is committed.

Lance marks deleted rows and keeps them. Here no row is ever marked: erasing writes the parts without the erased rows,
commits, and then deletes all files of earlier versions.
"""

from __future__ import annotations

import json
import os
import random
import time
import uuid
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import pyarrow as pa

from resight.errors import GalleryError
from resight.gallery.lance_address import explained, local_folder
from resight.gallery.lance_rows import FIRST_FIELD, HEAD, SCHEMA, TRACKLET, read_tracklets

T = TypeVar("T")

BUSY_SECONDS = 120.0
"""How long to repeat a change that other writers are faster than."""

FORMAT = 1
"""Version of the layout of the table."""

_REMEMBERED = 100
"""Latest changes whose ids are in the head. A writer that lost the reply to its commit recognises there that it was
made."""

HEAD_PART = 0
"""Id of the part with the head."""

_NEWEST = 2**64 - 1
"""Minus its version, this is the name of a version's file."""

STORAGE_ERRORS = (OSError, ValueError, RuntimeError)
"""What Lance raises if a file cannot be read or written."""

_READ_AGAIN = 5
"""How often to read the latest version, if files of the version that was read are deleted meanwhile."""


@dataclass(frozen=True)
class Part:
    """A fragment of the table.

    Attributes:
        id: Its number in the table.
        path: Its file, a name that is never used twice.
        kind: ``head``, ``tracklets`` or ``log``.
        rows: Number of rows.
        start: Position of its first row among all rows of the table.
    """

    id: int
    path: str
    kind: str
    rows: int
    start: int


@dataclass(frozen=True, eq=False)
class Version:
    """One state of the table.

    Attributes:
        dataset: The table as Lance opens it.
        head: The values of the head.
        parts: All parts.
    """

    dataset: Any
    head: dict[str, Any]
    parts: tuple[Part, ...]

    def of(self, kind: str) -> list[Part]:
        """Return the parts of one kind."""
        return [part for part in self.parts if part.kind == kind]

    def read(self, parts: Sequence[Part], columns: Sequence[str]) -> pa.Table:
        """Return columns of some parts, in the order of `parts`."""
        fragments = [self.dataset.get_fragment(part.id) for part in parts]
        table: pa.Table = self.dataset.scanner(
            columns=list(columns), fragments=fragments, scan_in_order=True
        ).to_table()  # fmt: skip
        return table

    def tracklets(self, positions: Sequence[int]) -> list[list[Any] | None]:
        """Return the rows of tracklets as `read_whole` takes them; None for those that cannot be read.

        Args:
            positions: Positions of the tracklets among all rows of the table.
        """
        try:
            return list(read_tracklets(self.dataset.take(list(positions), columns=TRACKLET)))
        except STORAGE_ERRORS:
            tables = [self.readable(position) for position in positions]
            return [None if table is None else read_tracklets(table)[0] for table in tables]

    def readable(self, position: int) -> pa.Table | None:
        """Return the row of one tracklet by its position; None if it cannot be read."""
        try:
            row: pa.Table = self.dataset.take([position], columns=TRACKLET)
        except STORAGE_ERRORS:
            return None
        return row


@dataclass(eq=False)
class Change:
    """A change in preparation.

    Attributes:
        version: What it is made from.
        head: The new head, to be edited.
        dropped: Ids of the parts to drop.
        written: The new parts, as Lance describes them.
    """

    table: LanceTable
    version: Version
    head: dict[str, Any]
    dropped: list[int] = field(default_factory=list)
    written: list[Any] = field(default_factory=list)

    def add(self, rows: pa.Table) -> None:
        """Write rows as a new part. It becomes visible with the commit."""
        if rows.num_rows:
            self.written += self.table.write(self.version, rows)

    def drop(self, part: Part) -> None:
        """Drop a part with all of its rows."""
        self.dropped.append(part.id)

    @property
    def empty(self) -> bool:
        """Whether nothing would change."""
        return not self.dropped and not self.written and self.head == self.version.head


class LanceTable:
    """The table of one gallery.

    Args:
        address: The gallery: a folder, or an address such as ``s3://bucket/site.gallery``.
        uri: The table in it.
        head: Values of the head, to make the table; None opens it.

    Raises:
        GalleryError: If the table cannot be opened or made, or was written by a newer version of Resight.
    """

    def __init__(self, address: str, uri: str, head: dict[str, Any] | None = None) -> None:
        import lance
        from lance.file import LanceFileSession

        # Processes that read frames are forked, but they use no gallery.
        warnings.filterwarnings("ignore", "lance is not fork-safe", UserWarning)

        self.address = address
        self._lance = lance
        self._folder = local_folder(uri)
        with self.errors("open"):
            if head is not None:
                first = pa.table({name: [_as_bytes(head) if name == HEAD else None] for name in SCHEMA.names}, SCHEMA)
                with suppress(OSError):  # another process may have been faster
                    lance.write_dataset(first, uri, mode="create")
            self._version = self._read(lance.dataset(uri))
            self._files = LanceFileSession(uri)
        if (found := self._version.head["format"]) > FORMAT:
            raise GalleryError(
                f"{address} was written by a newer version of Resight (format {found}, this version knows {FORMAT}): "
                "update Resight to open it"
            )

    @contextmanager
    def errors(self, doing: str) -> Iterator[None]:
        """Turn errors of Lance and of the storage into `GalleryError` while the block runs."""
        try:
            yield
        except GalleryError:
            raise
        except (*STORAGE_ERRORS, pa.ArrowException) as error:
            raise explained(error, self.address, doing) from error

    def latest(self) -> Version:
        """Return the latest version."""
        if not self.is_latest(self._version):
            for attempt in range(_READ_AGAIN):
                try:
                    newest = self._version.dataset.latest_version
                    self._version = self._read(self._version.dataset.checkout_version(newest))
                    break
                except STORAGE_ERRORS:
                    if attempt == _READ_AGAIN - 1:
                        raise
        return self._version

    def is_latest(self, version: Version) -> bool:
        """Return whether nobody has changed the table since a version."""
        return bool(version.dataset.latest_version == version.dataset.version)

    def reading(self, read: Callable[[Version], T]) -> T:
        """Return what a function reads from the latest version; again, if its files are deleted meanwhile."""
        with self.errors("read"):
            for _ in range(_READ_AGAIN):
                version = self.latest()
                try:
                    return read(version)
                except STORAGE_ERRORS:
                    if self.is_latest(version):
                        raise
            return read(self.latest())

    def change(self, prepare: Callable[[Change], T], *, erase: bool = False, once: bool = False) -> T:
        """Make a change, and return what its preparation returned.

        Args:
            prepare: Called with a `Change` to fill in; again, if another writer was faster.
            erase: Whether to delete all files of earlier versions, and what interrupted writers have left.
            once: Give up if another writer is faster. The result is then that of the preparation, all the same.
        """
        until = time.monotonic() + BUSY_SECONDS
        attempt = 0
        while True:
            with self.errors("write"):
                change = Change(self, self.latest(), {})
                change.head = deepcopy(change.version.head)
                # Who has written these files without a commit so far will not commit after this change.
                before = self._files.list() if erase else []
                try:
                    result = prepare(change)
                    # Erasing commits in any case: otherwise, others could still commit the files in `before`.
                    head = self._write_head(change) if erase or not change.empty else None
                except BaseException as error:
                    self._discard(change)
                    if not isinstance(error, STORAGE_ERRORS) or self.is_latest(change.version):
                        raise
                else:
                    if head is None or self._commit(change, head):
                        if erase:
                            self._erase(before)
                        return result
                    self._discard(change)
                    if once:
                        return result
            if time.monotonic() > until:
                raise GalleryError(f"others are writing the gallery {self.address} all the time: try again later")
            attempt += 1
            time.sleep(random.uniform(0, 0.02 * 2 ** min(attempt, 6)))

    def write(self, version: Version, rows: pa.Table) -> list[Any]:
        """Write rows into a new file, and return how Lance describes it."""
        from lance.fragment import write_fragments

        written: list[Any] = write_fragments(rows, version.dataset, schema=rows.schema, mode="append")
        return written

    def tidy(self, older: timedelta) -> None:
        """Delete files of earlier versions that were replaced a while ago."""
        with self.errors("clean up"):
            self.latest().dataset.cleanup_old_versions(older)

    def sizes(self) -> int:
        """Return the bytes of all files."""
        with self.errors("read"):
            return sum(self.latest().dataset.all_files().read_all()["size_bytes"].to_pylist())

    def _read(self, dataset: Any) -> Version:
        parts, start = [], 0
        for fragment in dataset.get_fragments():
            (file,) = fragment.metadata.files
            rows = fragment.metadata.physical_rows
            kind = "head" if fragment.fragment_id == HEAD_PART else FIRST_FIELD[min(file.fields)]
            parts.append(Part(fragment.fragment_id, file.path, kind, rows, start))
            start += rows
        head = dataset.scanner(columns=[HEAD], fragments=[dataset.get_fragment(HEAD_PART)]).to_table()[HEAD][0].as_py()
        return Version(dataset, json.loads(head), tuple(parts))

    def _write_head(self, change: Change) -> Any:
        change.head["changes"] = [*change.head["changes"][-_REMEMBERED:], uuid.uuid4().hex]
        rows = pa.table({HEAD: [_as_bytes(change.head)]}, pa.schema([SCHEMA.field(HEAD)]))
        (head,) = self.write(change.version, rows)
        change.written.append(head)
        head.id = HEAD_PART
        return head

    def _commit(self, change: Change, head: Any) -> bool:
        """Commit a change, and return whether it was; not, if another writer was faster.

        Raises:
            OSError: If it is unknown whether it will be. Its files must stay.
        """
        base = change.version.dataset
        self._flush(f"data/{name}" for name in _names(change.written))
        operation = self._lance.LanceOperation.Update(
            removed_fragment_ids=change.dropped, updated_fragments=[head],
            new_fragments=[new for new in change.written if new is not head],
        )  # fmt: skip
        try:
            dataset = self._lance.LanceDataset.commit(base, operation, read_version=base.version)
        except OSError:
            newest = self.latest()
            if change.head["changes"][-1] in newest.head["changes"]:
                return True
            if newest.dataset.version != base.version:
                return False
            raise
        self._version = self._read(dataset)
        self._flush([f"_versions/{_NEWEST - dataset.version}.manifest"])
        return True

    def _flush(self, paths: Iterable[str]) -> None:
        """Write files of a folder on this machine to the disk itself; object storage does so before it replies."""
        if self._folder is None:
            return
        places = [self._folder / path for path in paths]
        for place in dict.fromkeys([*places, *(place.parent for place in places)]):
            with suppress(FileNotFoundError):  # an earlier version, which another process has deleted
                descriptor = os.open(place, os.O_RDONLY)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)

    def _erase(self, before: Sequence[str]) -> None:
        for attempt in range(_READ_AGAIN):
            version = self.latest()
            try:
                version.dataset.cleanup_old_versions(timedelta(0))
                break
            except OSError:  # another process is doing the same
                if attempt == _READ_AGAIN - 1:
                    raise
        used = {f"data/{part.path}" for part in version.parts}
        self._delete([path for path in before if path.startswith("data/") and path not in used])

    def _discard(self, change: Change) -> None:
        self._delete([f"data/{name}" for name in _names(change.written)])

    def _delete(self, paths: Sequence[str]) -> None:
        for path in paths:
            with suppress(OSError):  # deleted already, or the next erasure deletes it
                self._files.delete_file(path)


def _as_bytes(head: dict[str, Any]) -> bytes:
    return json.dumps(head).encode()


def _names(written: Iterable[Any]) -> list[str]:
    return [file.path for new in written for file in new.files]
