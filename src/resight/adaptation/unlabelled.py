"""Tracklets without their labels, and what a tracker knows about them.

Legend: T tracklets.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from resight.data.readers.listing import read_file
from resight.errors import DatasetError
from resight.tracklet import JUNK, Tracklet
from resight.words import counted

LEAST_FRAMES = 5
"""Fewest frames of a tracklet that is divided into parts: a part of 40 % then has two frames."""

LEAST_TRACKLETS = 30
"""Fewest tracklets with parts from which adaptation is judged: one tracklet is then 3 points of re-association."""

MOST_TRACKLETS = 300
"""Most tracklets from which adaptation is judged. More would narrow the intervals little, and cost time."""

BLOCK = 10
"""Tracklets that follow each other in a camera and are chosen together, because they are often there at one time."""

_PART = 0.4
_RUNS = 4


@dataclass(frozen=True)
class Parts:
    """The first and the last part of tracklets, with a gap between them, and which tracklets show different persons.

    They are ordered by camera and time.

    Attributes:
        first: The first 40 % of each of T tracklets.
        last: The last 40 % of each.
        apart: (T, T), whether two tracklets of a camera show different persons.
        elsewhere: (T, T), whether two tracklets are of different cameras.
        proven: Whether `apart` are tracklets seen at the same time; otherwise, any two of the same camera.
    """

    first: tuple[Tracklet, ...]
    last: tuple[Tracklet, ...]
    apart: NDArray[np.bool_]
    elsewhere: NDArray[np.bool_]
    proven: bool

    def __len__(self) -> int:
        return len(self.first)

    def of(self, rows: NDArray[np.int64]) -> Parts:
        """Return the parts of some of the tracklets, by their numbers."""
        first, last = (tuple(side[row] for row in rows) for side in (self.first, self.last))
        return Parts(first, last, self.apart[np.ix_(rows, rows)], self.elsewhere[np.ix_(rows, rows)], self.proven)

    def within(self, fold: NDArray[np.int64]) -> Parts:
        """Return the same parts, with only pairs of tracklets of the same fold (T,)."""
        same = fold[:, None] == fold
        return replace(self, apart=self.apart & same, elsewhere=self.elsewhere & same)


def strip_labels(tracklets: Sequence[Tracklet]) -> tuple[Tracklet, ...]:
    """Return tracklets without persons, each once, with ids and an order that depend on their frames only.

    Therefore nothing that is computed from them can depend on persons, names or the order of files.

    Args:
        tracklets: Tracklets of any data set.

    Raises:
        DatasetError: If a frame cannot be read.
    """
    anonymous = {}
    for tracklet in tracklets:
        digest = hashlib.sha256(repr(len(tracklet)).encode())
        for number in sorted({0, len(tracklet) // 2, len(tracklet) - 1}):
            digest.update(read_file(tracklet.frame(number), "a frame"))
        id_ = digest.hexdigest()[:32]
        anonymous[id_, tracklet.camera_label] = replace(tracklet, id=id_, person=JUNK)
    return tuple(anonymous[key] for key in sorted(anonymous))


def divide(tracklets: Sequence[Tracklet]) -> Parts:
    """Return parts of tracklets that are long enough and have another one that shows a different person.

    Args:
        tracklets: Tracklets without labels, see `strip_labels`.

    Raises:
        DatasetError: If there are fewer than `LEAST_TRACKLETS`.
    """
    long = thinned([tracklet for tracklet in tracklets if len(tracklet) >= LEAST_FRAMES], 4 * MOST_TRACKLETS)
    apart, proven = different_persons(long)
    long = thinned([long[i] for i in np.flatnonzero(apart.any(1))], MOST_TRACKLETS)
    apart, _ = different_persons(long)
    chosen = np.flatnonzero(apart.any(1))
    if len(chosen) < LEAST_TRACKLETS:
        why = "seen at the same time as another one of its camera" if proven else "of a camera with several tracklets"
        raise DatasetError(
            f"found {counted(len(tracklets), 'tracklets')}, of which {len(chosen)} have at least {LEAST_FRAMES} frames "
            f"and are {why}; expected at least {LEAST_TRACKLETS} of these, to judge whether adaptation helps: record "
            "for longer, or use the model as it is"
        )
    names = [(tracklet, max(2, round(_PART * len(tracklet)))) for tracklet in (long[i] for i in chosen)]
    cameras = np.array([long[i].camera_label for i in chosen])
    return Parts(
        tuple(replace(t, id=f"{t.id}/first", names=t.names[:count]) for t, count in names),
        tuple(replace(t, id=f"{t.id}/last", names=t.names[-count:]) for t, count in names),
        apart[np.ix_(chosen, chosen)],
        cameras[:, None] != cameras,
        proven,
    )


def assign_folds(tracklets: Sequence[Tracklet]) -> dict[str, int]:
    """Return the fold of each tracklet, 0 or 1, by id: alternating runs of those that follow each other in a camera."""
    cameras: dict[str, list[Tracklet]] = {}
    for tracklet in sorted(tracklets, key=lambda t: (t.camera_label, t.start or 0.0, t.id)):
        cameras.setdefault(tracklet.camera_label, []).append(tracklet)
    return {
        tracklet.id: _RUNS * place // len(own) % 2 for own in cameras.values() for place, tracklet in enumerate(own)
    }


def folds_of(parts: Parts, own: Sequence[Tracklet]) -> NDArray[np.int64]:
    """Return the fold of each tracklet that has parts, (T,); `own` are all tracklets."""
    folds = assign_folds(own)
    return np.array([folds[part.id.removesuffix("/first")] for part in parts.first])


def thinned(tracklets: Sequence[Tracklet], most: int) -> list[Tracklet]:
    """Return at most about that many tracklets, in evenly spaced blocks of those that follow each other in a camera."""
    ordered = sorted(tracklets, key=lambda t: (t.camera_label, t.start or 0.0, t.id))
    blocks = [ordered[first : first + BLOCK] for first in range(0, len(ordered), BLOCK)]
    count = min(len(blocks), -(-most // BLOCK))
    places = np.linspace(0, len(blocks) - 1, count).round().astype(int).tolist() if blocks else []
    return [tracklet for place in places for tracklet in blocks[place]]


def different_persons(tracklets: Sequence[Tracklet]) -> tuple[NDArray[np.bool_], bool]:
    """Return which tracklets show different persons: (T, T), and whether this is proven.

    Two boxes at the same time in one camera show two persons. If no tracklet has times, any two tracklets of a camera
    are taken for different persons; those of a person who returns to a camera are then counted wrongly.
    """
    _, camera = np.unique([tracklet.camera_label for tracklet in tracklets], return_inverse=True)
    apart = (camera[:, None] == camera) & ~np.eye(len(tracklets), dtype=bool)
    start, end = (
        np.array([np.nan if time is None else time for time in times])
        for times in ([t.start for t in tracklets], [t.end for t in tracklets])
    )
    if np.isnan(start).all() or np.isnan(end).all():
        return apart, False
    return apart & (start[:, None] <= end) & (start <= end[:, None]), True
