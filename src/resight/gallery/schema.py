"""The tables of a gallery in SQLite, and how its file is opened."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from resight.errors import GalleryError

FILE = "gallery.sqlite"

APPLICATION_ID = 0x52534748
"""Tells a gallery from other SQLite files: ``RSGH`` in ASCII."""

BUSY_SECONDS = 60.0
"""How long to wait for another process that is writing."""

_PAGE_SIZE = 16384
"""Bytes of a page, so that the features and the strip of a tracklet take few pages."""

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE tracklets (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        key BLOB NOT NULL UNIQUE,
        camera TEXT NOT NULL,
        start REAL,
        "end" REAL,
        source TEXT NOT NULL,
        person TEXT,
        frames INTEGER NOT NULL,
        quality REAL NOT NULL,
        added REAL NOT NULL,
        checksum BLOB NOT NULL
    );
    CREATE INDEX facts ON tracklets (camera, start, "end");
    CREATE TABLE means (seq INTEGER PRIMARY KEY, mean BLOB NOT NULL, checksum BLOB NOT NULL);
    CREATE TABLE contents (
        seq INTEGER PRIMARY KEY,
        clips INTEGER NOT NULL,
        features BLOB NOT NULL,
        frame_numbers BLOB NOT NULL,
        strip BLOB NOT NULL,
        files BLOB NOT NULL,
        checksum BLOB NOT NULL
    );
    CREATE TABLE log (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        kind TEXT NOT NULL,
        author TEXT NOT NULL,
        time REAL NOT NULL,
        ids TEXT NOT NULL,
        data TEXT NOT NULL,
        checksum BLOB NOT NULL
    );
    CREATE TABLE named (id TEXT NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (id, number)) WITHOUT ROWID;
    CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    """,
)
"""The statements that lead from each version of the schema to the next; version 0 is an empty file."""

_WAYS_OUT = (
    ("readonly", "it is read-only: open a copy in a folder that can be written"),
    ("full", "the disk is full: free some space; everything acknowledged so far is kept"),
    ("locked", "another process is writing for more than a minute: try again when it is done"),
    ("disk i/o", "the disk reports an error or is full: everything acknowledged so far is kept"),
    ("malformed", "part of it is damaged: `resight gallery verify` lists what is lost, `export` saves the rest"),
    ("not a database", "the file is not a gallery, or its beginning is damaged: restore it from a copy"),
)


def explained(error: sqlite3.Error | OSError, path: Path, doing: str) -> GalleryError:
    """Return the error of a gallery for one of SQLite, with what to do."""
    text = str(error).lower()
    hint = next((hint for word, hint in _WAYS_OUT if word in text), "check the folder and its permissions")
    return GalleryError(f"cannot {doing} the gallery {path.parent}: {error}; {hint}")


@contextmanager
def gallery_errors(path: Path, doing: str) -> Iterator[None]:
    """Turn errors of SQLite into `GalleryError` while the block runs.

    Args:
        path: The SQLite file.
        doing: What the block does, such as ``read``.
    """
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise explained(error, path, doing) from error


def is_gallery(folder: Path) -> bool:
    """Return whether a folder holds a gallery of this kind, of any version."""
    return (folder / FILE).is_file()


def connect(folder: Path, *, create: bool = False, migrations: Sequence[str] = MIGRATIONS) -> sqlite3.Connection:
    """Open the SQLite file of a gallery, and bring its schema to the current version.

    A gallery in a folder that cannot be written is opened for reading only.

    Args:
        folder: The gallery.
        create: Whether to make the gallery if there is none.
        migrations: Statements that lead from each version to the next.

    Raises:
        GalleryError: If there is no gallery, the file is something else, or it was written by a newer version.
    """
    path = folder / FILE
    if not path.is_file():
        if not create:
            raise _no_gallery(folder)
        _make_folder(folder)
    with gallery_errors(path, "open"):
        if path.is_file() and not os.access(folder, os.W_OK):
            return _open_frozen(path, len(migrations))
        database = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            _check_kind(database, path, len(migrations))
            database.execute("PRAGMA secure_delete = ON")
            database.execute("PRAGMA synchronous = FULL")
            _migrate(database, migrations)
        except BaseException:
            database.close()
            raise
        return database


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """Run the block as one transaction that no other writer interrupts: all of it is stored, or nothing."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # SQLite has rolled back by itself, for example because the disk is full
            database.execute("ROLLBACK")
        raise


@contextmanager
def snapshot(database: sqlite3.Connection) -> Iterator[None]:
    """Let the block read one state of the file, whatever is written meanwhile."""
    database.execute("BEGIN")
    try:
        yield
    finally:
        with suppress(sqlite3.Error):  # the file is damaged, and the block has said so
            database.execute("ROLLBACK")


def empty_log(database: sqlite3.Connection, folder: Path) -> None:
    """Remove what was deleted from the write-ahead log; SQLite has overwritten it in the file itself.

    Raises:
        GalleryError: If another process reads for more than a minute.
    """
    until = time.monotonic() + BUSY_SECONDS
    while database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
        if time.monotonic() > until:
            raise GalleryError(
                f"the tracklets are removed from {folder}, but their bytes stay in its write-ahead log while another "
                "process reads: close it, and remove any tracklet again or close the gallery"
            )
        time.sleep(0.05)


def _migrate(database: sqlite3.Connection, migrations: Sequence[str]) -> None:
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version == len(migrations):
        return
    if version == 0:
        database.execute(f"PRAGMA page_size = {_PAGE_SIZE}")
        database.execute("PRAGMA journal_mode = WAL")
    with transaction(database):
        (version,) = database.execute("PRAGMA user_version").fetchone()  # another process may have been faster
        for number, statements in enumerate(migrations[version:], start=version + 1):
            for statement in statements.split(";"):
                database.execute(statement)
            database.execute(f"PRAGMA user_version = {number}")
        database.execute(f"PRAGMA application_id = {APPLICATION_ID}")


def _check_kind(database: sqlite3.Connection, path: Path, newest: int) -> None:
    """Refuse files of other programs and of newer versions of this one.

    Raises:
        GalleryError: If the file is one of these.
    """
    (kind,) = database.execute("PRAGMA application_id").fetchone()
    (version,) = database.execute("PRAGMA user_version").fetchone()
    (tables,) = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if kind != APPLICATION_ID and (kind or version or tables):
        raise GalleryError(f"{path} is an SQLite file of another program, expected a gallery: use another folder")
    if version > newest:
        raise GalleryError(
            f"{path.parent} was written by a newer version of Resight (schema {version}, this version knows {newest}): "
            "update Resight to open it"
        )


def _open_frozen(path: Path, newest: int) -> sqlite3.Connection:
    """Open a file in a folder that cannot be written.

    Raises:
        GalleryError: If it has changes that are not yet in the file itself, or another version.
    """
    log = path.with_name(path.name + "-wal")
    if log.is_file() and log.stat().st_size:
        raise GalleryError(
            f"{path.parent} is read-only and was not closed properly: copy the folder to where it can be written, and "
            "open the copy"
        )
    database = sqlite3.connect(
        f"file:{quote(str(path.resolve()))}?immutable=1", uri=True, isolation_level=None, check_same_thread=False
    )
    try:
        _check_kind(database, path, newest)
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version < newest:
            raise GalleryError(f"{path.parent} is read-only and has an older schema: open a copy that can be written")
    except BaseException:
        database.close()
        raise
    return database


def _make_folder(folder: Path) -> None:
    """Make the folder of a new gallery.

    Raises:
        GalleryError: If it is a file, has other contents, or cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        others = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith(FILE))
    except OSError as error:
        raise GalleryError(f"cannot make the gallery {folder}: {error.strerror}; choose another folder") from error
    if others:
        raise GalleryError(
            f"{folder} is not a gallery, and contains {others[0]}: expected a gallery, an empty folder or a new one"
        )


def _no_gallery(folder: Path) -> GalleryError:
    what = "has no gallery in it" if folder.is_dir() else "is a file" if folder.exists() else "does not exist"
    return GalleryError(f"{folder} {what}: expected a gallery, made with `resight gallery add` or resight.Gallery")
