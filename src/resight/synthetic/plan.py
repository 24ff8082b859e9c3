"""What a world consists of before a pixel is drawn: its tracklets, its file names and its lists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from resight.errors import RecipeError
from resight.synthetic.faults import Stretch, draw_stretches
from resight.synthetic.scene import CAMERAS
from resight.synthetic.streams import stream
from resight.synthetic.style import ANYWHERE, STREETS, Style
from resight.tracklet import DISTRACTOR, JUNK


@dataclass(frozen=True, slots=True)
class WorldScale:
    """How large a world is.

    Attributes:
        name: for the record.
        height: of a frame in pixels; frames are half as wide as high.
        train_persons: persons to train on, numbered from 1.
        test_persons: persons to ask for, numbered after them.
        cameras_per_person: least and most cameras that see one person; who is seen by one only is never asked for.
        tracklets_per_camera: mean number of tracklets of one person in one camera.
        distractors: tracklets of persons in nobody's list.
        junk: tracklets that show no person.
        median_frames: of a tracklet.
        spread: of the logarithm of the length.
        max_frames: of a tracklet; at most 920, the longest in MARS.
        style: how it looks.

    Raises:
        RecipeError: if a value cannot work.
    """

    name: str
    height: int
    train_persons: int
    test_persons: int
    cameras_per_person: tuple[int, int]
    tracklets_per_camera: float
    distractors: int
    junk: int
    median_frames: int = 36
    spread: float = 1.1
    max_frames: int = 920
    style: Style = STREETS

    def __post_init__(self) -> None:
        least, most = self.cameras_per_person
        if self.height < 32 or self.height % 2:
            raise RecipeError(f"height of world {self.name!r} must be even and at least 32 pixels, found {self.height}")
        if min(self.train_persons, self.test_persons) < 2:
            raise RecipeError(
                f"world {self.name!r} needs at least 2 training and 2 test persons, found {self.train_persons} and "
                f"{self.test_persons}: trackers confuse people, so there must be somebody to be confused with"
            )
        if not 1 <= least <= most <= CAMERAS:
            raise RecipeError(
                f"cameras_per_person of {self.name!r} must be within 1 … {CAMERAS}, found {least}, {most}"
            )
        if not (self.median_frames > 6 and 2 <= self.max_frames <= 920 and self.tracklets_per_camera >= 1):
            raise RecipeError(
                f"world {self.name!r} needs median_frames > 6, max_frames within 2 … 920 and tracklets_per_camera ≥ 1, "
                f"found {self.median_frames}, {self.max_frames}, {self.tracklets_per_camera}"
            )

    @property
    def width(self) -> int:
        """Of a frame in pixels."""
        return self.height // 2


SCALES: Mapping[str, WorldScale] = MappingProxyType(
    {
        scale.name: scale
        for scale in (
            WorldScale("tiny", 64, 6, 6, (2, 3), 1.3, 3, 2, median_frames=14, spread=0.7, max_frames=24),
            WorldScale("demo", 128, 120, 50, (2, 4), 1.5, 60, 22, max_frames=100),
            WorldScale("bench", 256, 300, 300, (2, 5), 1.7, 470, 175),
            WorldScale(
                "open-small",
                128,
                3000,
                60,
                (4, 6),
                1.0,
                0,
                0,
                median_frames=12,
                spread=0.6,
                max_frames=40,
                style=ANYWHERE,
            ),
            WorldScale(
                "open", 256, 8000, 60, (4, 6), 1.0, 0, 0, median_frames=12, spread=0.6, max_frames=40, style=ANYWHERE
            ),
        )
    }
)
"""Worlds for tests (seconds), for a first look (a minute or two), for measurements; for models that anyone may use."""


@dataclass(frozen=True, slots=True)
class Shot:
    """What is needed to film one tracklet, and nothing else: it can be filmed anywhere, in any order.

    Attributes:
        id: unique in the world, such as ``0001C1T0001``; all randomness of the shot hangs on it.
        role: ``train`` or ``test``.
        listed: person number in the lists: 1, 2, …, `DISTRACTOR` or `JUNK`.
        person: number of the person who is filmed; negative for one who is in no list.
        other: number of the person who walks into the view or takes over the box.
        camera: 1 … 6.
        place: number of the street; the camera's own, or any of those of the style.
        first: number of the first frame, from 1.
        frames: how many.
        faults: stretches of faulty frames, positions from 0.
    """

    id: str
    role: str
    listed: int
    person: int
    other: int
    camera: int
    place: int
    first: int
    frames: int
    faults: tuple[Stretch, ...]

    @property
    def folder(self) -> str:
        """Where the frames go, relative to the world."""
        return f"bbox_{self.role}/{self.id[:4]}"

    def names(self) -> list[str]:
        """Frame file names, in order."""
        return [f"{self.id}F{number:03d}.jpg" for number in range(self.first, self.first + self.frames)]

    def fault_rows(self) -> Iterator[tuple[str, str]]:
        """(frame file name, fault) of the faulty frames."""
        names = self.names()
        for stretch in self.faults:
            for position in range(stretch.start, stretch.stop):
                yield names[position], stretch.fault


def plan_world(scale: WorldScale, seed: int) -> list[Shot]:
    """All tracklets of a world, in the order of the lists: training, then test, each sorted by name."""
    last_train = scale.train_persons
    last = last_train + scale.test_persons
    tests = range(last_train + 1, last + 1)
    shots: list[Shot] = []
    for number in range(1, last + 1):
        role, peers = ("train", range(1, last_train + 1)) if number <= last_train else ("test", tests)
        rng = stream(seed, "itinerary", number)
        low, high = scale.cameras_per_person
        seen_by = np.sort(rng.choice(CAMERAS, int(rng.integers(low, high + 1)), replace=False)) + 1
        for camera in seen_by:
            count = 1 + int(rng.poisson(scale.tracklets_per_camera - 1))
            shots += [_shot(scale, seed, role, number, number, peers, int(camera), k + 1) for k in range(count)]
    for listed, count in ((DISTRACTOR, scale.distractors), (JUNK, scale.junk)):
        rng = stream(seed, "others", listed)
        taken = [0] * CAMERAS
        for k in range(count):
            camera = int(rng.integers(CAMERAS))
            taken[camera] += 1
            person = -1 - k if listed == DISTRACTOR else int(rng.choice(tests))
            shots.append(_shot(scale, seed, "test", listed, person, tests, camera + 1, taken[camera]))
    return sorted(shots, key=lambda shot: (shot.role != "train", shot.id))


def _shot(
    scale: WorldScale, seed: int, role: str, listed: int, person: int, peers: Sequence[int], camera: int, index: int
) -> Shot:
    name = f"{'00-1' if listed == JUNK else f'{listed:04d}'}C{camera}T{index:04d}"
    rng = stream(seed, "shot", name)
    # Six frames and a lognormal rest have the quartiles of MARS.
    rest = (scale.median_frames - 6) * np.exp(rng.normal(0, scale.spread))
    frames = int(np.clip(round(6 + rest), 2, scale.max_frames))
    if rng.random() < 0.015:
        frames = int(rng.integers(2, 7))
    first = 1 if rng.random() < 0.94 else int(rng.integers(2, 60))
    others = [peer for peer in peers if peer != person]
    faults = () if listed == JUNK else draw_stretches(rng, frames, scale.style.faults)
    places = scale.style.places
    place = 1 + int(stream(seed, "place", name).integers(places)) if places else camera
    return Shot(name, role, listed, person, int(rng.choice(others)), camera, place, first, frames, faults)


def track_rows(shots: Sequence[Shot]) -> NDArray[np.int32]:
    """(T, 4) rows of MARS' lists: first and last image (from 1, both included), person, camera."""
    last = np.cumsum([shot.frames for shot in shots])
    return np.array(
        [(end - shot.frames + 1, end, shot.listed, shot.camera) for shot, end in zip(shots, last, strict=True)],
        np.int32,
    ).reshape(-1, 4)


def query_rows(shots: Sequence[Shot], seed: int) -> NDArray[np.uint16]:
    """(1, Q) positions (from 1) of the queries among the test tracklets: one per person and camera, as in MARS."""
    groups: dict[tuple[int, int], list[int]] = {}
    for position, shot in enumerate(shots, 1):
        if shot.listed > 0:
            groups.setdefault((shot.listed, shot.camera), []).append(position)
    persons = [person for person, _ in groups]
    rng = stream(seed, "queries")
    chosen = [int(rng.choice(members)) for (person, _), members in groups.items() if persons.count(person) > 1]
    return np.array([sorted(chosen)], np.uint16)
