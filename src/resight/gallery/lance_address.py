"""Where a gallery of Lance tables is: a folder of this machine, or an address on object storage."""

from __future__ import annotations

import re
from os import PathLike
from pathlib import Path
from urllib.parse import unquote, urlsplit

from resight.errors import GalleryError

TABLE = "gallery.lance"
"""Name of the table in a gallery."""

_SCHEME = re.compile(r"[a-z][a-z0-9+]+://")


def is_address(text: str) -> bool:
    """Return whether a text is an address such as ``s3://bucket/site.gallery``, and no path.

    >>> is_address("s3://bucket/site.gallery"), is_address("site.gallery")
    (True, False)
    """
    return _SCHEME.match(text) is not None


def as_address(place: str | PathLike[str]) -> str:
    """Return a place as Lance takes it: addresses of files become paths.

    >>> as_address("file:///galleries/my%20site"), as_address("s3://bucket/site.gallery/")
    ('/galleries/my site', 's3://bucket/site.gallery')
    """
    text = str(place)
    if text.startswith("file://"):
        text = unquote(urlsplit(text).path)
    return text.rstrip("/") if is_address(text) else str(Path(text).expanduser())


def table_of(address: str) -> str:
    """Return the address of the table of a gallery."""
    return f"{address}/{TABLE}"


def local_folder(address: str) -> Path | None:
    """Return the folder of an address on this machine; None if it is on object storage."""
    return None if is_address(address) else Path(address)


def table_exists(address: str) -> bool:
    """Return whether there is a gallery of this kind at an address.

    Raises:
        GalleryError: If the address cannot be used.
    """
    folder = local_folder(table_of(address))
    if folder is not None and not folder.is_dir():
        return False
    import lance

    try:
        lance.dataset(table_of(address))
    except ValueError as error:
        if "not found" in str(error):
            return False
        raise explained(error, address, "open") from error
    except (OSError, RuntimeError) as error:
        raise explained(error, address, "open") from error
    return True


def check_new(address: str) -> None:
    """Check that a gallery can be made at an address. On object storage, nothing is checked before it is written.

    Raises:
        GalleryError: If the place is a file, or has other contents.
    """
    folder = local_folder(address)
    if folder is None:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        others = sorted(entry.name for entry in folder.iterdir() if entry.name != TABLE)
    except OSError as error:
        raise GalleryError(f"cannot make the gallery {folder}: {error.strerror}; choose another folder") from error
    if others:
        raise GalleryError(
            f"{folder} is not a gallery, and contains {others[0]}: expected a gallery, an empty folder or a new one"
        )


def no_gallery(address: str) -> GalleryError:
    """Return the error of opening a gallery that is not there."""
    folder = local_folder(address)
    what = "does not exist"
    if folder is not None and folder.exists():
        what = "has no gallery in it" if folder.is_dir() else "is a file"
    return GalleryError(f"{address} {what}: expected a gallery, made with `resight gallery add` or resight.Gallery")


def explained(error: Exception, address: str, doing: str) -> GalleryError:
    """Return the error of a gallery for one of Lance, whose messages end with places in its source code."""
    text = re.split(r", /\S+\.rs:|: <\?xml|\n", str(error))[0].strip()
    hint = "check the address, the credentials in the environment (AWS_…) and the connection"
    if local_folder(address) is not None:
        hint = "check the folder, its permissions and the free space"
    return GalleryError(f"cannot {doing} the gallery {address}: {text[:300]}; {hint}")
