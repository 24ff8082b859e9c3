"""What goes wrong with clips: the paper's corruption (Sec. 4.4), and the four faults of its Fig. 7 made from pixels.

A clip is (L, h, w, 3) RGB, frames at the size in which they lie on disk. Damage hits whole clips, as it does in the
paper, and is drawn for each clip by tracklet, place and seed alone: two methods see the same. What it is made of comes
from other tracklets, the donors; never from the same person.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from resight.data.clips import tracklet_rng
from resight.data.corruption import choose_corrupted, corrupt_frames
from resight.data.transforms import Pixels, resize_frames
from resight.errors import DatasetError, RecipeError, ShapeError
from resight.recipe import Damage
from resight.tracklet import DISTRACTOR, JUNK, Tracklet

CORRUPTED = "corrupted"
"""The paper's damage; the others are called after the faults of its Fig. 7."""

DAMAGES: tuple[Damage, ...] = get_args(Damage)
"""Every kind of damage by name; all of them at once are called mixed damage."""

_FROM_ANOTHER_PERSON = ("occluded", "other-person")
_EDGE = 0.1
"""Share of a frame's width at its side that shows background, where a tracker's box holds a person."""


class Donors:
    """Tracklets whose frames may get into damaged clips of others; of one side of a data set, as `Dataset` has them.

    Args:
        tracklets: in any order, which changes nothing.
    """

    def __init__(self, tracklets: Iterable[Tracklet]) -> None:
        known = (t for t in tracklets if t.person > DISTRACTOR)
        self._persons = sorted(known, key=lambda t: (t.person, t.id))
        self._of_camera: dict[int, list[Tracklet]] = {}
        for tracklet in self._persons:
            self._of_camera.setdefault(tracklet.camera, []).append(tracklet)

    def another_person(self, tracklet: Tracklet, rng: np.random.Generator) -> Tracklet:
        """A tracklet of somebody else, of the same camera if there is one.

        Raises:
            DatasetError: if there is none of any camera.
        """
        for group in (self._of_camera.get(tracklet.camera, []), self._persons):
            first = bisect_left(group, tracklet.person, key=lambda t: t.person)
            own = bisect_right(group, tracklet.person, key=lambda t: t.person) - first
            if len(group) > own:
                place = int(rng.integers(len(group) - own))
                return group[place if place < first else place + own]
        raise DatasetError(
            f"expected a donor of another person for tracklet {tracklet.id}, found none among "
            f"{len(self._persons)} tracklets of known persons: give the tracklets of its whole side of the data set"
        )


@dataclass(frozen=True)
class ClipDamage:
    """What is wrong with each clip of a tracklet.

    Attributes:
        kinds: (M,) names of `DAMAGES`, ``""`` for a sound clip.
        seed: another seed, other places, donors and sizes.
        donors: what ``occluded`` and ``other-person`` are made of.
    """

    kinds: NDArray[np.str_]
    seed: int = 0
    donors: Donors | None = None

    @classmethod
    def of_kind(cls, kind: str, clips: int, seed: int = 0, donors: Donors | None = None) -> ClipDamage:
        """The same kind of damage in all M = `clips` clips."""
        return cls(np.full(clips, kind), seed, donors)

    @classmethod
    def corrupted(cls, chosen: NDArray[np.bool_]) -> ClipDamage:
        """The paper's damage in some clips: (M,) flags."""
        return cls(np.where(chosen, CORRUPTED, ""))

    def drawn(
        self, tracklet: Tracklet, clip: int, length: int
    ) -> tuple[np.random.Generator, tuple[Tracklet, NDArray[np.int64]] | None]:
        """What the damage of a clip is made of: random numbers, and a donor with L = `length` frame numbers or None.

        The frames are consecutive, from a random start; a donor shorter than L is looped.

        Raises:
            DatasetError: if it needs a donor and there is none.
        """
        kind = str(self.kinds[clip])
        rng = tracklet_rng(f"{tracklet.id}, clip {clip}, {kind}", self.seed)
        if kind not in _FROM_ANOTHER_PERSON:
            return rng, None
        donor = (self.donors or Donors(())).another_person(tracklet, rng)
        start = int(rng.integers(max(len(donor) - length, 0) + 1))
        return rng, (donor, (start + np.arange(length)) % len(donor))


def persons_brought_in(tracklet: Tracklet, clips: int, kind: str, seed: int, donors: Donors) -> NDArray[np.int64]:
    """Whom that damage brings into each clip of a tracklet.

    Args:
        tracklet: that is damaged.
        clips: M.
        kind: one of `DAMAGES`.
        seed: of the damage, like `donors`.
        donors: what it is made of.

    Returns:
        (M,) persons, `JUNK` where nobody is brought in.

    Raises:
        DatasetError: if the damage needs a donor and there is none.
    """
    damage = ClipDamage.of_kind(kind, clips, seed, donors)
    made = [damage.drawn(tracklet, clip, 1)[1] for clip in range(clips)]
    return np.array([JUNK if one is None else one[0].person for one in made], np.int64)


def choose_damage(
    tracklet_ids: Sequence[str], n_clips: int, max_damaged: int, kinds: Sequence[str], seed: int
) -> NDArray[np.str_]:
    """Which clips are damaged, those of `choose_corrupted` for the same seed, and how: each draws one of `kinds`.

    So two kinds of the same rate and seed hit the same clips.

    Args:
        tracklet_ids: T ids.
        n_clips: M.
        max_damaged: M_c^max, 0 … M.
        kinds: one or more of `DAMAGES`.
        seed: another seed, other damage.

    Returns:
        (T, M) names, ``""`` for a sound clip.

    Raises:
        RecipeError: if a kind is unknown, or there is none.
    """
    names = np.array([check_kind(kind) for kind in kinds], np.str_)
    if not len(names):
        raise RecipeError(f"expected one or more kinds of damage of {', '.join(DAMAGES)}, found none")
    chosen = choose_corrupted(tracklet_ids, n_clips, max_damaged, seed)
    if len(names) == 1:
        return np.where(chosen, names[0], "")
    drawn = [tracklet_rng(f"{id_}, kinds", seed).integers(len(names), size=n_clips) for id_ in tracklet_ids]
    return np.where(chosen, names[np.array(drawn, np.int64).reshape(chosen.shape)], "")


def check_kind(kind: str) -> str:
    """The name itself, if it is one of `DAMAGES`.

    Raises:
        RecipeError: if not.
    """
    if kind not in DAMAGES:
        raise RecipeError(f"unknown damage {kind!r}, expected one of {', '.join(DAMAGES)}")
    return kind


def damage_clip(clip: Pixels, kind: str, rng: np.random.Generator, donor: Pixels | None = None) -> Pixels:
    """A clip with one of `DAMAGES`.

    Args:
        clip: (L, h, w, 3); not changed.
        kind: of damage.
        rng: draws places, sizes and directions.
        donor: (L, …, …, 3) frames of another person, for ``occluded`` and ``other-person``.

    Returns:
        (L, h, w, 3).

    Raises:
        RecipeError: if the kind is unknown.
        ShapeError: if it is made of a donor's frames, and there are not as many of them.
    """
    if check_kind(kind) == CORRUPTED:
        return corrupt_frames(clip)
    if kind == "bad-crop":
        return crop_badly(clip, rng)
    if kind == "empty":
        return show_background(clip, rng)
    if donor is None or len(donor) != len(clip):
        found = "none" if donor is None else len(donor)
        raise ShapeError(f"{kind} clips of {len(clip)} frames need as many frames of a donor, found {found}")
    donor = resize_frames(donor, (clip.shape[1], clip.shape[2]))
    return donor if kind == "other-person" else occlude(clip, donor, rng)


def occlude(clip: Pixels, donor: Pixels, rng: np.random.Generator) -> Pixels:
    """Something in front: a piece of the donor's frames over 40 to 70 % of the crop, which drifts 1 to 4 % a frame.

    The piece is a rectangle, cut from the middle of each frame of the donor, where there is a person as a rule. It
    turns back at the edges of the crop, so that it always covers the same share.

    Args:
        clip: (L, h, w, 3).
        donor: of the same shape.
        rng: draws size, place and drift.
    """
    length, height, width = clip.shape[:3]
    area, form = rng.uniform(0.4, 0.7), rng.uniform(0.2, 0.8)
    damaged = clip.copy()
    rows, top = _drifting(height, float(area**form), length, rng)
    columns, left = _drifting(width, float(area ** (1 - form)), length, rng)
    y, x = (height - rows) // 2, (width - columns) // 2
    for frame, other, row, column in zip(damaged, donor, top, left, strict=True):
        frame[row : row + rows, column : column + columns] = other[y : y + rows, x : x + columns]
    return damaged


def crop_badly(clip: Pixels, rng: np.random.Generator) -> Pixels:
    """The detector's box is off: shifted by a quarter to half of its size, or 1.5 to 2.5 times too small, or both.

    What is beyond the edges of the crop is not known; its outermost pixels are repeated there.

    Args:
        clip: (L, h, w, 3).
        rng: draws which of the three, direction and size.
    """
    height, width = clip.shape[1:3]
    fault = rng.integers(3)
    distance, angle, zoom = rng.uniform(0.25, 0.5), rng.uniform(0, 2 * np.pi), rng.uniform(1.5, 2.5)
    down, right = (distance * np.sin(angle), distance * np.cos(angle)) if fault != 1 else (0.0, 0.0)
    shown = 1 / zoom if fault != 0 else 1.0
    seen = clip[:, _window(height, down, shown)][:, :, _window(width, right, shown)]
    return resize_frames(np.ascontiguousarray(seen), (height, width))


def show_background(clip: Pixels, rng: np.random.Generator) -> Pixels:
    """Nobody: the outermost tenth of the frames at one side, where a box holds background, stretched to their width.

    Junk tracklets would be real frames, but not of nobody: the boxes that MARS calls junk hold parts of people, and
    training data have none. A stretched strip is plainer than an empty street, so easier to tell from a person.

    Args:
        clip: (L, h, w, 3).
        rng: draws the side.
    """
    height, width = clip.shape[1:3]
    strip = max(1, round(_EDGE * width))
    seen = clip[:, :, :strip] if rng.random() < 0.5 else clip[:, :, -strip:]
    return resize_frames(np.ascontiguousarray(seen), (height, width))


def _drifting(size: int, share: float, length: int, rng: np.random.Generator) -> tuple[int, NDArray[np.int64]]:
    """Extent in pixels of what covers `share` of `size`, and where it begins in each of L frames."""
    extent = max(1, round(share * size))
    room = size - extent
    speed = rng.uniform(0.01, 0.04) * size * rng.choice([-1, 1])
    way = rng.uniform(0, room) + speed * np.arange(length)
    turned = np.abs((way + room) % max(2 * room, 1) - room)
    return extent, np.minimum(turned.round(), room).astype(np.int64)


def _window(size: int, shift: float, shown: float) -> NDArray[np.int64]:
    """Pixels along one side that a box shows which is off by `shift` and `shown` times as long, in parts of `size`."""
    extent = max(1, round(shown * size))
    start = round((0.5 + shift) * size - extent / 2)
    return np.clip(start + np.arange(extent), 0, size - 1)
