"""Damage to clips: the paper's corruption (Sec. 4.4), and imitations of the four tracking errors in its Fig. 7.

A clip is (L, h, w, 3) uint8 RGB, with frames at their original size. As in the paper, damage affects whole clips. It
depends only on the tracklet, the clip's index and the seed, so that all methods get the same damage. Some kinds use
frames of other tracklets, the donors, which always show another person. Each damaged tracklet has one donor, as if a
tracker had switched to one other person, and its clips show different frames of it.
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
from resight.tracklet import DISTRACTOR, Tracklet

CORRUPTED = "corrupted"
"""The paper's damage. The other kinds are named after the errors in its Fig. 7."""

DAMAGES: tuple[Damage, ...] = get_args(Damage)
"""Names of all kinds of damage. Mixed damage is a random choice among them."""

_FROM_ANOTHER_PERSON = ("occluded", "other-person")
_EDGE = 0.1
"""Share of a frame's width at its left or right edge that is assumed to show background."""


class Donors:
    """Tracklets whose frames are used to damage clips of other tracklets.

    If two tracklets that are compared have donors of the same person, both show this person. `halves` prevents that:
    queries get donors from one half, and the gallery from the other.

    Args:
        tracklets: Tracklets of known persons; to test a model, of persons who are neither queries nor in the gallery.
            Their order has no effect.
    """

    def __init__(self, tracklets: Iterable[Tracklet]) -> None:
        known = (t for t in tracklets if t.person > DISTRACTOR)
        self._persons = sorted(known, key=lambda t: (t.person, t.id))
        self._of_camera: dict[int, list[Tracklet]] = {}
        for tracklet in self._persons:
            self._of_camera.setdefault(tracklet.camera, []).append(tracklet)

    def another_person(self, tracklet: Tracklet, rng: np.random.Generator) -> Tracklet:
        """Draw a tracklet of another person, of the same camera if possible.

        Raises:
            DatasetError: If there is no tracklet of another person.
        """
        for group in (self._of_camera.get(tracklet.camera, []), self._persons):
            first = bisect_left(group, tracklet.person, key=lambda t: t.person)
            count = bisect_right(group, tracklet.person, key=lambda t: t.person) - first
            if len(group) > count:
                index = int(rng.integers(len(group) - count))
                return group[index if index < first else index + count]
        raise DatasetError(
            f"expected a donor of another person for tracklet {tracklet.id}, found none among "
            f"{len(self._persons)} tracklets of known persons: use tracklets of more persons as donors"
        )

    def halves(self) -> tuple[tuple[Tracklet, ...], tuple[Tracklet, ...]]:
        """Return the tracklets of every second person, and those of the others.

        Raises:
            DatasetError: If there are fewer than two persons.
        """
        persons = sorted({t.person for t in self._persons})
        if len(persons) < 2:
            raise DatasetError(
                f"damage of queries and gallery needs donors of at least two persons, found {len(persons)}: use "
                "tracklets of more persons as donors"
            )
        first = set(persons[::2])
        return (
            tuple(t for t in self._persons if t.person in first),
            tuple(t for t in self._persons if t.person not in first),
        )


@dataclass(frozen=True)
class ClipDamage:
    """The damage of each clip of a tracklet.

    Attributes:
        kinds: (M,) names in `DAMAGES`, ``""`` for an undamaged clip.
        seed: Seed of positions, donors and sizes.
        donors: Donors for ``occluded`` and ``other-person``.
    """

    kinds: NDArray[np.str_]
    seed: int = 0
    donors: Donors | None = None

    @classmethod
    def of_kind(cls, kind: str, clips: int, seed: int = 0, donors: Donors | None = None) -> ClipDamage:
        """Return the same kind of damage for all M = `clips` clips."""
        return cls(np.full(clips, kind), seed, donors)

    @classmethod
    def corrupted(cls, chosen: NDArray[np.bool_]) -> ClipDamage:
        """Return the paper's damage for the clips that are True in `chosen`, (M,) bool."""
        return cls(np.where(chosen, CORRUPTED, ""))

    def drawn(
        self, tracklet: Tracklet, clip: int, length: int
    ) -> tuple[np.random.Generator, tuple[Tracklet, NDArray[np.int64]] | None]:
        """Draw the random generator of a clip's damage, and its donor.

        Args:
            tracklet: The damaged tracklet.
            clip: Index of the clip.
            length: L, the number of frames in the clip.

        Returns:
            The generator; and the donor with L consecutive frame numbers from a random start, or None if this kind
            needs no donor. A donor with fewer than L frames is repeated.

        Raises:
            DatasetError: If the damage needs a donor and there is none.
        """
        kind = str(self.kinds[clip])
        rng = tracklet_rng(f"{tracklet.id}, clip {clip}, {kind}", self.seed)
        if not needs_donor(kind):
            return rng, None
        donor = (self.donors or Donors(())).another_person(tracklet, tracklet_rng(f"{tracklet.id}, donor", self.seed))
        start = int(rng.integers(max(len(donor) - length, 0) + 1))
        return rng, (donor, (start + np.arange(length)) % len(donor))


def choose_damage(
    tracklet_ids: Sequence[str], n_clips: int, max_damaged: int, kinds: Sequence[str], seed: int
) -> NDArray[np.str_]:
    """Draw which clips are damaged, and by which of some kinds.

    The damaged clips are those of `choose_corrupted` with the same seed, independent of the kinds.

    Args:
        tracklet_ids: T ids.
        n_clips: M, the number of clips per tracklet.
        max_damaged: M_c^max, 0 … M.
        kinds: One or more names in `DAMAGES`.
        seed: Seed of the draw.

    Returns:
        (T, M) names, ``""`` for an undamaged clip.

    Raises:
        RecipeError: If a kind is unknown, or `kinds` is empty.
    """
    names = np.array([check_kind(kind) for kind in kinds], np.str_)
    if not len(names):
        raise RecipeError(f"expected one or more kinds of damage from {', '.join(DAMAGES)}, found none")
    chosen = choose_corrupted(tracklet_ids, n_clips, max_damaged, seed)
    if len(names) == 1:
        return np.where(chosen, names[0], "")
    drawn = [tracklet_rng(f"{id_}, kinds", seed).integers(len(names), size=n_clips) for id_ in tracklet_ids]
    return np.where(chosen, names[np.array(drawn, np.int64).reshape(chosen.shape)], "")


def check_kind(kind: str) -> str:
    """Return the name of a kind of damage unchanged.

    Raises:
        RecipeError: If it is not in `DAMAGES`.
    """
    if kind not in DAMAGES:
        raise RecipeError(f"unknown damage {kind!r}, expected one of {', '.join(DAMAGES)}")
    return kind


def needs_donor(kind: str) -> bool:
    """Return whether a kind of damage shows another person."""
    return kind in _FROM_ANOTHER_PERSON


def damage_clip(clip: Pixels, kind: str, rng: np.random.Generator, donor: Pixels | None = None) -> Pixels:
    """Return a damaged copy of a clip.

    Args:
        clip: (L, h, w, 3) frames.
        kind: A name in `DAMAGES`.
        rng: Random numbers for positions, sizes and directions.
        donor: (L, …, …, 3) frames of another person, for ``occluded`` and ``other-person``.

    Returns:
        (L, h, w, 3) frames.

    Raises:
        RecipeError: If the kind is unknown.
        ShapeError: If the kind needs a donor and `donor` does not have L frames.
    """
    if check_kind(kind) == CORRUPTED:
        return corrupt_frames(clip)
    if kind == "bad-crop":
        return crop_badly(clip, rng)
    if kind == "empty":
        return show_background(clip, rng)
    if donor is None or len(donor) != len(clip):
        found = "none" if donor is None else len(donor)
        raise ShapeError(f"damage {kind!r} of a clip with {len(clip)} frames needs as many donor frames, found {found}")
    donor = resize_frames(donor, (clip.shape[1], clip.shape[2]))
    return donor if kind == "other-person" else occlude(clip, donor, rng)


def occlude(clip: Pixels, donor: Pixels, rng: np.random.Generator) -> Pixels:
    """Cover 40 to 70 % of each frame with a part of the donor's frames.

    The part is a rectangle from the centre of each donor frame, which usually shows a person. It moves by 1 to 4 % of
    the frame's size per frame and is reflected at the edges, so that the covered share is constant.

    Args:
        clip: (L, h, w, 3) frames.
        donor: Frames of the same shape.
        rng: Random numbers for size, position and motion.
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
    """Imitate a wrong detector box: shifted by 25 to 50 % of its size, 1.5 to 2.5 times too small, or both.

    Beyond the edges of the frame, the outermost pixels are repeated.

    Args:
        clip: (L, h, w, 3) frames.
        rng: Random numbers for the kind of error, its direction and size.
    """
    height, width = clip.shape[1:3]
    fault = rng.integers(3)
    distance, angle, zoom = rng.uniform(0.25, 0.5), rng.uniform(0, 2 * np.pi), rng.uniform(1.5, 2.5)
    down, right = (distance * np.sin(angle), distance * np.cos(angle)) if fault != 1 else (0.0, 0.0)
    shown = 1 / zoom if fault != 0 else 1.0
    seen = clip[:, _window(height, down, shown)][:, :, _window(width, right, shown)]
    return resize_frames(np.ascontiguousarray(seen), (height, width))


def show_background(clip: Pixels, rng: np.random.Generator) -> Pixels:
    """Imitate a box without a person: the outermost tenth of the frames at one side, stretched to their full width.

    Junk tracklets of MARS are not used because most show parts of persons, and training data has none. A stretched
    strip has less detail than an empty street, so it is easier to distinguish from a person.

    Args:
        clip: (L, h, w, 3) frames.
        rng: Random number for the side.
    """
    height, width = clip.shape[1:3]
    strip = max(1, round(_EDGE * width))
    seen = clip[:, :, :strip] if rng.random() < 0.5 else clip[:, :, -strip:]
    return resize_frames(np.ascontiguousarray(seen), (height, width))


def _drifting(size: int, share: float, length: int, rng: np.random.Generator) -> tuple[int, NDArray[np.int64]]:
    """Return the length in pixels of a window that covers `share` of `size`, and its start in each of L frames."""
    extent = max(1, round(share * size))
    room = size - extent
    speed = rng.uniform(0.01, 0.04) * size * rng.choice([-1, 1])
    path = rng.uniform(0, room) + speed * np.arange(length)
    reflected = np.abs((path + room) % max(2 * room, 1) - room)
    return extent, np.minimum(reflected.round(), room).astype(np.int64)


def _window(size: int, shift: float, shown: float) -> NDArray[np.int64]:
    """Return the pixels along one axis in a box shifted by `shift` and scaled by `shown`, in units of `size`."""
    extent = max(1, round(shown * size))
    start = round((0.5 + shift) * size - extent / 2)
    return np.clip(start + np.arange(extent), 0, size - 1)
