"""The interface of a gallery's storage. One suite of tests runs over every back end."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from resight.gallery.labels import Groups
from resight.gallery.types import EVERYTHING, Entry, Event, Filter, Header, Page, Problem, StoredTracklet

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class GalleryStore(Protocol):
    """Where tracklets, labels and settings of one gallery are kept.

    Several processes can read while up to two write. What a method has written is on the disk when it returns, or
    object storage has acknowledged it, and survives a crash of the process or of the machine. A process that is killed
    leaves each call done or not done.

    Every method raises `GalleryError` if the storage cannot be used: damaged, full, read-only or locked.
    """

    @property
    def header(self) -> Header:
        """Which features the gallery holds."""
        ...

    def known(self, keys: Iterable[bytes]) -> dict[bytes, str]:
        """Return the ids of stored tracklets by their key, for those of `keys` that are stored."""
        ...

    def add(self, tracklets: Sequence[StoredTracklet]) -> list[str | None]:
        """Store tracklets, all or none.

        Args:
            tracklets: Tracklets whose features have the `header`'s dimension.

        Returns:
            The id of each; None if a tracklet with its key was already stored, which is then left as it is. An id that
            belongs to another tracklet is replaced by `distinct_id`.

        Raises:
            GalleryError: If features have another dimension than the header's, or are not finite.
        """
        ...

    def remove(self, ids: Iterable[str]) -> list[str]:
        """Erase tracklets with their features, strips, and the events that name them, all or none.

        What the erased labels say about the other tracklets of these persons is kept, see `Groups.without`. The bytes
        are in no file of the gallery when this returns.

        Returns:
            The ids that were stored, and are not any more.
        """
        ...

    def replace(self, header: Header, tracklets: Iterable[StoredTracklet], accounted: Collection[str]) -> int:
        """Replace the header and all tracklets, in one step; events that name tracklets without successor are erased.

        Tracklets keep their place in the order, so that cursors remain valid. Settings are erased too, because they
        were derived from the old features.

        Args:
            header: The new header.
            tracklets: The new tracklets; ids are kept as they are. Those that were removed meanwhile are left out.
            accounted: Ids of the tracklets that may be replaced or dropped.

        Returns:
            Number of tracklets stored.

        Raises:
            GalleryError: If another tracklet is stored, added meanwhile by another process. Nothing is changed.
        """
        ...

    def entries(self, ids: Sequence[str]) -> list[Entry]:
        """Return entries, in the order of `ids`.

        Raises:
            GalleryError: If an id is not stored.
        """
        ...

    def fetch(self, ids: Sequence[str]) -> list[StoredTracklet]:
        """Return tracklets with their features and strips, in the order of `ids`.

        Raises:
            GalleryError: If an id is not stored.
            DamagedError: If rows fail their checksum; its `ids` says which, and the others can be fetched.
        """
        ...

    def page(
        self, where: Filter = EVERYTHING, cursor: str | None = None, limit: int = 100, *, newest: bool = False
    ) -> Page:
        """Return up to `limit` entries, in the order in which they were added.

        Args:
            where: Conditions.
            cursor: `Page.cursor` of the page before; None for the first. Entries that are added or removed meanwhile do
                not shift the others.
            limit: Most entries of a page, 1 or more.
            newest: Start with the last one added.

        Raises:
            GalleryError: If the cursor is not one of this gallery.
        """
        ...

    def position(self) -> str:
        """Return the cursor with which `page` returns only what is added after this call."""
        ...

    def count(self, where: Filter = EVERYTHING) -> int:
        """Return how many tracklets meet the conditions."""
        ...

    def cameras(self) -> dict[str, int]:
        """Return the number of tracklets of each camera, by its name."""
        ...

    def means(self, where: Filter = EVERYTHING) -> tuple[list[str], NDArray[np.float32]]:
        """Return the ids of tracklets that meet the conditions, in the order of adding, and their means, (n, D).

        The array may be shared and must not be changed.
        """
        ...

    def spaced_means(self, count: int) -> NDArray[np.float32]:
        """Return the means of at most `count` tracklets, evenly spaced in the order of adding, (n, D).

        Unlike `means`, this takes no time and memory for the others.
        """
        ...

    def nearest(
        self, queries: NDArray[np.float32], k: int, where: Filter = EVERYTHING
    ) -> list[tuple[list[str], NDArray[np.float32]]]:
        """Return the k tracklets whose means are most similar to each query, best first.

        Args:
            queries: (Q, D) vectors of length 1.
            k: Number of tracklets, 1 or more.
            where: Conditions.

        Returns:
            For each query the ids, at most k, and their cosines.
        """
        ...

    def scan(self, where: Filter = EVERYTHING, block: int = 256) -> Iterator[list[StoredTracklet]]:
        """Yield all tracklets that meet the conditions in blocks, in the order of adding; damaged rows are left out.

        What is added meanwhile may be left out.
        """
        ...

    def append_log(self, events: Sequence[Event]) -> list[Event]:
        """Append events to the log, all or none, and return them with their numbers.

        Raises:
            GalleryError: If an event names a tracklet that is not stored.
        """
        ...

    def read_log(self, after: int = 0) -> list[Event]:
        """Return the events with a number above `after`, in their order."""
        ...

    def last_event(self) -> int:
        """Return the number of the last event that was appended to the log; 0 if there is none."""
        ...

    def groups(self) -> Groups:
        """Return the persons that the labels describe. It must not be changed; labels made later do not change it."""
        ...

    def label(self, decide: Callable[[Groups, int], Sequence[Event]]) -> list[Event]:
        """Append the events that a function returns for the labels as they are, all or none, and return them.

        No other writer changes the gallery between the decision and the end of this call.

        Args:
            decide: Called with the groups, and with the number that the first event gets; the others follow. It must
                not use the gallery, and may be called again. What it raises is raised here, and nothing is appended.
        """
        ...

    def read_setting(self, name: str) -> Any:
        """Return a setting as plain values; None if it was not written."""
        ...

    def write_setting(self, name: str, value: Any) -> None:
        """Write a setting: plain values, such as a calibration. None erases it."""
        ...

    def size(self) -> int:
        """Return the bytes on disk."""
        ...

    def verify(self) -> list[Problem]:
        """Check every row and the structure of the storage, and return what is wrong."""
        ...

    def close(self) -> None:
        """Release files. The store cannot be used afterwards."""
        ...
