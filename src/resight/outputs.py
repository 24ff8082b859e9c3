"""Where results are written: checked before the work that makes them, and replaced in one step."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from resight.errors import OutputError


def check_output_folder(folder: Path, *, keep: bool = True) -> None:
    """Check that files can be written into a folder; it is created if it is missing.

    Args:
        folder: The folder.
        keep: Whether to leave folders that had to be created; otherwise they are removed again.

    Raises:
        OutputError: If it is a file, or cannot be created or written.
    """
    created = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
    except (OSError, ValueError) as error:
        raise _cannot_write(folder, "a folder", error) from error
    finally:
        for path in () if keep else created:
            with suppress(OSError):
                path.rmdir()


def check_output_file(path: Path) -> None:
    """Check that a file can be written; its folder is created if it is missing.

    Raises:
        OutputError: If it is a folder or a device, or its folder cannot be created or written.
    """
    _check_regular(path)
    check_output_folder(path.parent)


@contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """Yield a temporary name; the file written there replaces `path` if the block succeeds, and is deleted otherwise.

    Raises:
        OutputError: If the file cannot be written.
    """
    _check_regular(path)
    path = path.resolve() if path.is_symlink() else path  # write to the target, and keep the link
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise _cannot_write(path, "a file", error) from error
    finally:
        if temporary.parent.is_dir():
            temporary.unlink(missing_ok=True)


def _check_regular(path: Path) -> None:
    """Refuse folders and device files, which must not be replaced by a file."""
    if path.is_dir():
        raise OutputError(f"cannot write {path}: it is a folder, expected the name of a file")
    if path.exists() and not path.is_file():
        raise OutputError(f"cannot write {path}: it is not a regular file, expected the name of a file")


def _cannot_write(path: Path, what: str, error: OSError | ValueError) -> OutputError:
    reason = getattr(error, "strerror", None) or error
    return OutputError(f"cannot write {path}: {reason}; expected {what} that can be written")
