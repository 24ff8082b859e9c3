"""Plan the tracklets, file names and lists of a world, before any pixel is rendered."""

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
from resight.synthetic.style import ANYWHERE, CAMPUS, CITY, STREETS, Style
from resight.tracklet import DISTRACTOR, JUNK


@dataclass(frozen=True, slots=True)
class WorldScale:
    """Size and style of a world.

    Attributes:
        name: Name of the scale, written to ``world.json``.
        height: Height of a frame in pixels; frames are half as wide as high.
        train_persons: Number of training persons; their numbers start at 1.
        test_persons: Number of test persons; their numbers follow those of the training persons.
        cameras_per_person: Minimum and maximum number of cameras that see one person. A person seen by only one camera
            is not a query.
        tracklets_per_camera: Mean number of tracklets per person and camera.
        distractors: Number of tracklets of persons who are not in the lists.
        junk: Number of tracklets that do not show a recognisable person.
        median_frames: Median number of frames of a tracklet.
        spread: Standard deviation of the logarithm of the number of frames.
        max_frames: Maximum number of frames of a tracklet, at most 920 (the longest in MARS).
        style: Appearance of the world.

    Raises:
        RecipeError: If a value is invalid.
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
        """Check the values."""
        least, most = self.cameras_per_person
        if self.height < 32 or self.height % 2:
            raise RecipeError(f"height of world {self.name!r} must be even and at least 32 pixels, found {self.height}")
        if min(self.train_persons, self.test_persons) < 2:
            raise RecipeError(
                f"world {self.name!r} needs at least 2 training and 2 test persons, found {self.train_persons} and "
                f"{self.test_persons}; some faults show a second person"
            )
        if not 1 <= least <= most <= CAMERAS:
            raise RecipeError(
                f"cameras_per_person of world {self.name!r} must be a minimum and a maximum from 1 to {CAMERAS}, found "
                f"{least}, {most}"
            )
        if not (self.median_frames > 6 and 2 <= self.max_frames <= 920 and self.tracklets_per_camera >= 1):
            raise RecipeError(
                f"world {self.name!r} needs median_frames above 6, max_frames from 2 to 920 and tracklets_per_camera "
                f"of at least 1, found {self.median_frames}, {self.max_frames}, {self.tracklets_per_camera}"
            )

    @property
    def width(self) -> int:
        """Width of a frame in pixels."""
        return self.height // 2


SCALES: Mapping[str, WorldScale] = MappingProxyType(
    {
        scale.name: scale
        for scale in (
            WorldScale("tiny", 64, 6, 6, (2, 3), 1.3, 3, 2, median_frames=14, spread=0.7, max_frames=24),
            WorldScale("small", 128, 60, 60, (2, 4), 1.4, 30, 8, max_frames=60),
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
                "open", 160, 1600, 60, (4, 6), 1.0, 0, 0, median_frames=9, spread=0.5, max_frames=24, style=CITY
            ),
            WorldScale("campus", 160, 40, 100, (2, 4), 1.5, 60, 22, max_frames=100, style=CAMPUS),
        )
    }
)
"""Scales by name: ``tiny`` for tests (renders in seconds), ``demo`` for a first look (a minute or two), ``bench`` for
measurements, ``open-small`` and ``open`` for training models, ``campus`` for validating them."""


@dataclass(frozen=True, slots=True)
class Shot:
    """Everything needed to render one tracklet, so that tracklets can be rendered in any process and order.

    Attributes:
        id: Tracklet id, unique in the world, such as ``0001C1T0001``; with the world's seed, it determines all random
            choices.
        role: ``train`` or ``test``.
        listed: Person number in the lists: 1, 2, …, `DISTRACTOR` or `JUNK`.
        person: Number of the person who is rendered; negative for a person who is not in the lists.
        other: Number of the person who occludes this one, or to whom the tracker switches.
        camera: Camera number, from 1 to 6.
        place: Number of the place: the camera number, or any place of the style.
        first: Number of the first frame, at least 1.
        frames: Number of frames.
        faults: Stretches of faulty frames.
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
        """Folder of the frames, relative to the world."""
        return f"bbox_{self.role}/{self.id[:4]}"

    def names(self) -> list[str]:
        """Return the file names of the frames, in order."""
        return [f"{self.id}F{number:03d}.jpg" for number in range(self.first, self.first + self.frames)]

    def fault_rows(self) -> Iterator[tuple[str, str]]:
        """Yield the file name and the fault of each faulty frame."""
        names = self.names()
        for stretch in self.faults:
            for position in range(stretch.start, stretch.stop):
                yield names[position], stretch.fault


def plan_world(scale: WorldScale, seed: int) -> list[Shot]:
    """Return all tracklets of a world in the order of the lists: training, then test, each sorted by id."""
    last_train = scale.train_persons
    last = last_train + scale.test_persons
    test_persons = range(last_train + 1, last + 1)
    shots: list[Shot] = []
    for number in range(1, last + 1):
        role, peers = ("train", range(1, last_train + 1)) if number <= last_train else ("test", test_persons)
        rng = stream(seed, "itinerary", number)
        low, high = scale.cameras_per_person
        cameras = np.sort(rng.choice(CAMERAS, int(rng.integers(low, high + 1)), replace=False)) + 1
        for camera in cameras:
            count = 1 + int(rng.poisson(scale.tracklets_per_camera - 1))
            shots += [_shot(scale, seed, role, number, number, peers, int(camera), k + 1) for k in range(count)]
    for listed, count in ((DISTRACTOR, scale.distractors), (JUNK, scale.junk)):
        rng = stream(seed, "others", listed)
        counts = [0] * CAMERAS
        for k in range(count):
            camera = int(rng.integers(CAMERAS))
            counts[camera] += 1
            person = -1 - k if listed == DISTRACTOR else int(rng.choice(test_persons))
            shots.append(_shot(scale, seed, "test", listed, person, test_persons, camera + 1, counts[camera]))
    return sorted(shots, key=lambda shot: (shot.role != "train", shot.id))


def _shot(
    scale: WorldScale, seed: int, role: str, listed: int, person: int, peers: Sequence[int], camera: int, index: int
) -> Shot:
    name = f"{'00-1' if listed == JUNK else f'{listed:04d}'}C{camera}T{index:04d}"
    rng = stream(seed, "shot", name)
    # Six frames plus a log-normal number reproduce the quartiles of MARS.
    additional = (scale.median_frames - 6) * np.exp(rng.normal(0, scale.spread))
    frames = int(np.clip(round(6 + additional), 2, scale.max_frames))
    if rng.random() < 0.015:
        frames = int(rng.integers(2, 7))
    first = 1 if rng.random() < 0.94 else int(rng.integers(2, 60))
    others = [peer for peer in peers if peer != person]
    faults = () if listed == JUNK else draw_stretches(rng, frames, scale.style.faults)
    places = scale.style.places
    place = 1 + int(stream(seed, "place", name).integers(places)) if places else camera
    return Shot(name, role, listed, person, int(rng.choice(others)), camera, place, first, frames, faults)


def track_rows(shots: Sequence[Shot]) -> NDArray[np.int32]:
    """Return the (T, 4) list of MARS: first and last frame (counted from 1, both inclusive), person, camera."""
    last = np.cumsum([shot.frames for shot in shots])
    return np.array(
        [(end - shot.frames + 1, end, shot.listed, shot.camera) for shot, end in zip(shots, last, strict=True)],
        np.int32,
    ).reshape(-1, 4)


def query_rows(shots: Sequence[Shot], seed: int) -> NDArray[np.uint16]:
    """Return the query list of MARS: one query per person and camera, for persons seen by several cameras.

    Args:
        shots: Test tracklets.
        seed: Seed of the world.

    Returns:
        (1, Q) Positions of the queries among the test tracklets, counted from 1.
    """
    groups: dict[tuple[int, int], list[int]] = {}
    for position, shot in enumerate(shots, 1):
        if shot.listed > 0:
            groups.setdefault((shot.listed, shot.camera), []).append(position)
    persons = [person for person, _ in groups]
    rng = stream(seed, "queries")
    chosen = [int(rng.choice(members)) for (person, _), members in groups.items() if persons.count(person) > 1]
    return np.array([sorted(chosen)], np.uint16)
