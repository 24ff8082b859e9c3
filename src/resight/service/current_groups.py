"""The persons that labels describe, kept in memory between requests."""

from __future__ import annotations

import threading

from resight.api.gallery import Gallery
from resight.gallery.labels import KINDS, Groups


class CurrentGroups:
    """The groups of a gallery, read again only as far as its log has grown.

    Args:
        gallery: The gallery whose log holds the labels.

    Attributes:
        last: Number of the last event of the log when it was read.
    """

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery
        self._lock = threading.Lock()
        self._groups = Groups()
        self.last = 0
        self._count = -1

    def __call__(self) -> Groups:
        """Return the groups as of now. The result must not be changed."""
        with self._lock:
            events = self._gallery.store.read_log(self.last)
            count = len(self._gallery)
            said = [event for event in events if event.kind in KINDS]
            if count != self._count:  # labels of erased tracklets are erased, too
                self._groups = Groups(self._gallery.store.read_log())
            elif said:
                self._groups = Groups([*self._groups.events, *said])
            self._count = count
            self.last = events[-1].number if events else self.last
            return self._groups
