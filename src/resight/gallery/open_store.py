"""Which storage a gallery has: SQLite in a folder, or a Lance table."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from resight.errors import GalleryError
from resight.gallery.contract import GalleryStore
from resight.gallery.lance_address import as_address, is_address, local_folder, table_exists, table_of
from resight.gallery.schema import is_gallery
from resight.gallery.sqlite_store import SqliteStore
from resight.gallery.types import Header


def gallery_name(place: str | PathLike[str]) -> str:
    """Return a place as it is shown and opened: an address, or a path without ``~``."""
    text = str(place)
    return text if is_address(text) else str(Path(text).expanduser())


def is_folder(place: str) -> bool:
    """Return whether a place is a folder of this machine."""
    return local_folder(as_address(place)) is not None


def gallery_folder(place: str) -> Path:
    """Return the folder of a gallery.

    Raises:
        GalleryError: If it is on object storage.
    """
    folder = local_folder(as_address(place))
    if folder is None:
        raise GalleryError(f"{place} is on object storage, expected a gallery in a folder, which this needs")
    return folder


def gallery_exists(place: str | PathLike[str]) -> bool:
    """Return whether there is a gallery at a place.

    Raises:
        GalleryError: If an address cannot be used.
    """
    folder = local_folder(as_address(place))
    if folder is not None and is_gallery(folder):
        return True
    return _is_lance(place) and table_exists(_with_lance(as_address(place)))


def open_store(place: str | PathLike[str], header: Header | None = None) -> GalleryStore:
    """Open a gallery, or make it.

    An address such as ``s3://bucket/site.gallery`` or ``file:///galleries/site.gallery`` is that of a Lance table. A
    path is that of a folder with whatever gallery is in it; a new one gets an SQLite file.

    Args:
        place: The address or path.
        header: Which features it holds, to make it if there is none; None opens it.

    Raises:
        GalleryError: If it cannot be opened or made, see `SqliteStore` and `LanceStore`.
    """
    folder = local_folder(as_address(place))
    if folder is not None and (is_gallery(folder) or not _is_lance(place)):
        return SqliteStore(folder, header)
    address = _with_lance(as_address(place))
    from resight.gallery.lance_store import LanceStore

    return LanceStore(address, header)


def _is_lance(place: str | PathLike[str]) -> bool:
    folder = local_folder(table_of(as_address(place)))
    return is_address(str(place)) or (folder is not None and folder.is_dir())


def _with_lance(address: str) -> str:
    """Return an address, if the library is there.

    Raises:
        GalleryError: If it is not.
    """
    try:
        import lance  # noqa: F401
    except ImportError as error:
        raise GalleryError(f"the gallery {address} needs Lance: pip install 'resight[cluster]'") from error
    return address
