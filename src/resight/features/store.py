"""The feature store: clip features of single tracklets on disk, shared by all commands and processes.

One SQLite file. An entry is found by a hash of everything that decides its values (see `extract.feature_key`), so a
stale entry is never read. Entries are written while encoding proceeds: a run that fails keeps what it has encoded.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resight.errors import CacheError
from resight.progress import note

FILE = "features.sqlite"

_APPLICATION_ID = 0x52534654
_SCHEMA_VERSION = 1
_BUSY_SECONDS = 60.0
"""How long to wait for another process that is writing."""

_AT_ONCE = 500
"""Keys in one query; SQLite allows 999."""

_CACHE_FOLDERS = {"win32": ("LOCALAPPDATA", "AppData/Local"), "darwin": ("XDG_CACHE_HOME", "Library/Caches")}

_TABLE = """
CREATE TABLE IF NOT EXISTS features (
    key BLOB PRIMARY KEY,
    clips INTEGER NOT NULL,
    dim INTEGER NOT NULL,
    data BLOB NOT NULL,
    written REAL NOT NULL
)
"""


def cache_folder() -> Path:
    """Return the folder of the user's cache: ``$RESIGHT_CACHE``, or ``resight`` in the system's cache folder."""
    if chosen := os.environ.get("RESIGHT_CACHE"):
        return Path(chosen).expanduser()
    variable, folder = _CACHE_FOLDERS.get(sys.platform, ("XDG_CACHE_HOME", ".cache"))
    return Path(os.environ.get(variable) or Path.home() / folder) / "resight"


@dataclass(frozen=True)
class StoreInfo:
    """What a feature store holds.

    Attributes:
        path: The SQLite file.
        tracklets: Number of entries.
        size: Bytes on disk, with SQLite's own files.
        oldest: Age of the oldest entry in seconds; None if there is none.
        newest: Age of the newest entry in seconds; None if there is none.
    """

    path: Path
    tracklets: int
    size: int
    oldest: float | None
    newest: float | None


class FeatureStore:
    """Clip features by key.

    A store is never the reason why a command fails: if its file cannot be opened or written, a note says so once and
    nothing more is kept. Several processes can use one file.

    Args:
        folder: Folder of the SQLite file, made if missing; None is `cache_folder`.
        tell: Called with a sentence when the store cannot be used.
    """

    def __init__(self, folder: Path | None = None, tell: Callable[[str], None] = note) -> None:
        self.path = (cache_folder() if folder is None else folder) / FILE
        self._tell = tell
        self._usable = True

    def read(self, keys: Sequence[bytes]) -> dict[bytes, NDArray[np.float32]]:
        """Return the entries that exist among `keys`: key to (M, D) float32."""
        found: dict[bytes, NDArray[np.float32]] = {}
        if not self._usable or not self.path.is_file():
            return found
        with self._forgiving(), closing(self._connect()) as database:
            for start in range(0, len(keys), _AT_ONCE):
                part = keys[start : start + _AT_ONCE]
                query = f"SELECT key, clips, dim, data FROM features WHERE key IN ({','.join('?' * len(part))})"
                for key, clips, dim, data in database.execute(query, part):
                    found[key] = np.frombuffer(data, np.float32).reshape(clips, dim)
        return found

    def write(self, entries: Mapping[bytes, NDArray[np.float32]]) -> None:
        """Add entries, key to (M, D) float32, in one transaction; an entry that exists is replaced."""
        if not self._usable:
            return
        now = time.time()
        rows = [(key, *values.shape, np.ascontiguousarray(values).tobytes(), now) for key, values in entries.items()]
        with self._forgiving(), closing(self._connect()) as database, database:
            database.executemany("INSERT OR REPLACE INTO features VALUES (?, ?, ?, ?, ?)", rows)

    def info(self) -> StoreInfo:
        """Return number, size and age of the entries.

        Raises:
            CacheError: If the file exists and cannot be read.
        """
        size = sum(path.stat().st_size for path in self.path.parent.glob(FILE + "*"))
        if not self.path.is_file():
            if self.path.parent.exists() and not self.path.parent.is_dir():
                raise CacheError(f"{self.path.parent} is not a folder: set RESIGHT_CACHE to a folder")
            return StoreInfo(self.path, 0, size, None, None)
        with self._strict(), closing(self._connect()) as database:
            count, first, last = database.execute(
                "SELECT count(*), min(written), max(written) FROM features"
            ).fetchone()
        now = time.time()
        oldest, newest = (None if written is None else max(0.0, now - written) for written in (first, last))
        return StoreInfo(self.path, count, size, oldest, newest)

    def clear(self, older_than: float = 0.0) -> int:
        """Erase entries from the disk and return how many.

        Args:
            older_than: Only entries written longer ago than this, in seconds; 0 erases all.

        Raises:
            CacheError: If the file exists and cannot be changed.
        """
        if not self.path.is_file():
            return 0
        with self._strict(), closing(self._connect()) as database:
            with database:
                erased = database.execute(
                    "DELETE FROM features WHERE written <= ?", (time.time() - older_than,)
                ).rowcount
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            database.execute("VACUUM")
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return int(erased)

    def _connect(self) -> sqlite3.Connection:
        """Open the file, and make it if it is missing.

        A connection is not kept: it must not be shared with the processes that decode frames.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(self.path, timeout=_BUSY_SECONDS)
        try:
            database.execute("PRAGMA secure_delete = ON")
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if version != _SCHEMA_VERSION:
                if version > _SCHEMA_VERSION:
                    raise sqlite3.DatabaseError(f"it was written by a newer version of Resight (schema {version})")
                database.execute("PRAGMA journal_mode = WAL")
                with database:
                    database.execute(_TABLE)
                    database.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
                    database.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
            database.execute("PRAGMA synchronous = NORMAL")
        except BaseException:
            database.close()
            raise
        return database

    @contextmanager
    def _forgiving(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError, ValueError) as error:  # ValueError: an entry of the wrong length
            self._usable = False
            self._tell(
                f"features are not kept: {self.path} cannot be used ({error}); "
                "delete the file if it is damaged, or set RESIGHT_CACHE to a folder that can be written"
            )

    @contextmanager
    def _strict(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise CacheError(
                f"the feature store {self.path} cannot be used ({error}); delete the file, or set RESIGHT_CACHE to "
                "another folder"
            ) from error
