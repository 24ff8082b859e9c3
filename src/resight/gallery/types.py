"""What a gallery stores: tracklets, events, and the conditions by which they are selected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from resight.tracklet import Recording

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Entry:
    """What is known of a stored tracklet, without its features.

    Attributes:
        id: Unique in the gallery, and never changed.
        camera: Name of the camera; empty if unknown.
        start: Time of the first frame in seconds, since 1970 if it was given as a date; None if unknown.
        end: Time of the last frame, as `start`.
        source: Where it comes from, such as ``manifest:crops``; empty for arrays.
        person: Name of the person in the data that was added; None if unknown. It is not a label.
        frames: Number of frames.
        quality: How well the frames show the person, 0 ... 1, see `gallery.describe`.
        added: Time of adding, in seconds since 1970.
    """

    id: str
    camera: str
    start: float | None
    end: float | None
    source: str
    person: str | None
    frames: int
    quality: float
    added: float

    @property
    def duration(self) -> float | None:
        """Time from the first to the last frame, in seconds; None if unknown."""
        return None if self.start is None or self.end is None else self.end - self.start

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class StoredTracklet:
    """A tracklet as a gallery stores it.

    Attributes:
        entry: What is known of it.
        key: Hash of its frames, 32 bytes: the same frames have the same key, whatever their names.
        features: (M, D) float16 clip features, not normalised.
        mean: (D,) float32, the mean of the normalised clip features, scaled to length 1.
        frame_numbers: (M, L) int32 frame numbers of each clip, `PADDING` where a clip is shorter.
        strip: JPEG bytes of one small picture per clip, its middle frame.
        folder: Folder of the frames when they were added; empty for arrays.
        names: File names in `folder`, in the order of the frames; empty for arrays.
        recording: What the tracklet was cut from, with an absolute path; None if unknown.
    """

    entry: Entry
    key: bytes
    features: NDArray[np.float16]
    mean: NDArray[np.float32]
    frame_numbers: NDArray[np.int32]
    strip: tuple[bytes, ...]
    folder: str = ""
    names: tuple[str, ...] = ()
    recording: Recording | None = None

    @property
    def id(self) -> str:
        """Id of the entry."""
        return self.entry.id

    def renamed(self, id_: str) -> StoredTracklet:
        """Return the same tracklet with another id."""
        return replace(self, entry=replace(self.entry, id=id_))


def distinct_id(id_: str, key: bytes, length: int = 6) -> str:
    """Return an id for a tracklet whose id belongs to another one: the id and some digits of the hash of its frames.

    >>> distinct_id("door-1", bytes.fromhex("3fa2c1" + 29 * "00"))
    'door-1~3fa2c1'
    """
    return f"{id_}~{key.hex()[:length]}"


@dataclass(frozen=True)
class Filter:
    """Conditions that a tracklet must meet. None, the default, is no condition.

    Attributes:
        cameras: Names of cameras.
        after: Only tracklets that end at or after this time, in seconds. A tracklet without times meets no condition
            on times.
        before: Only tracklets that start at or before this time.
        shortest: Least duration in seconds.
        longest: Greatest duration in seconds.
        source: Where they come from.
        persons: Names of persons in the data that was added.
        ids: Only these tracklets.
        without: None of these tracklets.
    """

    cameras: tuple[str, ...] | None = None
    after: float | None = None
    before: float | None = None
    shortest: float | None = None
    longest: float | None = None
    source: str | None = None
    persons: tuple[str, ...] | None = None
    ids: frozenset[str] | None = None
    without: frozenset[str] | None = None

    def accepts(self, entry: Entry) -> bool:
        """Return whether an entry meets all conditions."""
        start, end = (entry.start, entry.end) if entry.start is not None else (entry.end, entry.end)
        end = start if end is None else end
        duration = entry.duration
        return (
            (self.cameras is None or entry.camera in self.cameras)
            and (self.after is None or (end is not None and end >= self.after))
            and (self.before is None or (start is not None and start <= self.before))
            and (self.shortest is None or (duration is not None and duration >= self.shortest))
            and (self.longest is None or (duration is not None and duration <= self.longest))
            and (self.source is None or entry.source == self.source)
            and (self.persons is None or entry.person in self.persons)
            and (self.ids is None or entry.id in self.ids)
            and (self.without is None or entry.id not in self.without)
        )


EVERYTHING = Filter()
"""The filter without conditions."""


@dataclass(frozen=True)
class Page:
    """Some entries in the order in which they were added, and where the next ones begin.

    Attributes:
        entries: The entries.
        cursor: Pass it to get the next page; None if there is none.
    """

    entries: tuple[Entry, ...]
    cursor: str | None


@dataclass(frozen=True)
class Event:
    """One event of the log: a label, or a change of the gallery.

    Attributes:
        kind: What happened, such as ``same`` or ``removed``.
        ids: Tracklets that it names. Removing one of them erases the event.
        author: Who did it; empty if unknown.
        time: When, in seconds since 1970.
        data: Further plain values.
        number: Position in the log, from 1, never used twice; 0 until it is stored.
    """

    kind: str
    ids: tuple[str, ...] = ()
    author: str = ""
    time: float = 0.0
    data: Mapping[str, Any] = field(default_factory=dict)
    number: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Header:
    """Which features a gallery holds. Features of two encoders, or of other clips, never mix.

    Attributes:
        encoder: What identifies the encoder, from `features.keys.encoder_identity`.
        clips: Settings of the clips, as plain values of `ClipSpec`.
        dim: Features per clip, D.
        model: Name of the model, or path of its file, with which the gallery was made.
    """

    encoder: str
    clips: Mapping[str, Any]
    dim: int
    model: str

    def fits(self, other: Header) -> bool:
        """Return whether features made by one can be compared with those of the other."""
        return (self.encoder, dict(self.clips), self.dim) == (other.encoder, dict(other.clips), other.dim)

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Problem:
    """Something that `verify` found.

    Attributes:
        id: Tracklet that cannot be used; empty if it concerns the whole gallery.
        text: What is wrong, in one sentence.
    """

    id: str
    text: str
