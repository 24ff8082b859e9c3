"""The synthetic worlds that `resight fit` trains and selects on: rendered once for each frame size, and kept.

The training persons of a world are trained on, or selected on. Its test persons are the donors of damage.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from resight.data.readers.mars import read_mars
from resight.data.split import TrainingSplit
from resight.errors import CacheError
from resight.features.store import cache_folder
from resight.progress import progress_bar
from resight.recipe import ClipSpec
from resight.synthetic.plan import WorldScale
from resight.synthetic.style import CAMPUS, CITY, Style
from resight.synthetic.world import RENDERER, make_world
from resight.tracklet import Tracklet, by_person

TRAINING_STYLE, VALIDATION_STYLE = replace(CITY, places=64), CAMPUS
"""Importance is selected on places that look different from those it was trained on. A world of few persons needs fewer
places, because drawing a place takes longer than drawing a tracklet in it."""

TRAINING_SEED, VALIDATION_SEED = 101, 102
"""Seeds of the worlds, the same in all runs, so that a world is rendered once."""

_LEAST_HEIGHT, _MOST_HEIGHT = 32, 256
"""Heights of rendered frames. Larger frames are enlarged from these; rendering them takes long and adds little."""


@dataclass(frozen=True)
class FitSize:
    """Number of persons of both worlds, and what is seen of each.

    Attributes:
        persons: Persons to train on.
        validation_persons: Persons to select on.
        donors: Persons whom damage shows, in each world.
        cameras: Cameras that see one person.
        median_frames: Median number of frames of a tracklet.
        max_frames: Maximum number of frames of a tracklet.
    """

    persons: int = 40
    validation_persons: int = 36
    donors: int = 20
    cameras: int = 4
    median_frames: int = 14
    max_frames: int = 32


@dataclass(frozen=True)
class CachedWorld:
    """A rendered world in the cache folder.

    Attributes:
        path: Its folder, or that of an unfinished one.
        size: Bytes of its files.
        age: Seconds since it was written.
    """

    path: Path
    size: int
    age: float


def fit_split(size: FitSize, clips: ClipSpec, *, workers: int | None = None, progress: bool = False) -> TrainingSplit:
    """Return tracklets to train on and to select on, with donors; worlds that are missing are rendered.

    An interrupted run continues where it stopped.

    Args:
        size: Number of persons.
        clips: The frames of the encoder: worlds have their height.
        workers: Processes that render; None chooses by the size of the worlds and the number of CPUs.
        progress: Whether to show a progress bar for each world.

    Raises:
        CacheError: If the cache folder cannot be written.
        DatasetError: If another run is rendering the same world, or a world in the cache is damaged.
    """
    height = min(max(_LEAST_HEIGHT, clips.height + clips.height % 2), _MOST_HEIGHT)
    worlds = [
        _open_world(_scale(size, name, persons, style, height), seed, workers, progress)
        for name, persons, style, seed in (
            ("train", size.persons, TRAINING_STYLE, TRAINING_SEED),
            ("validation", size.validation_persons, VALIDATION_STYLE, VALIDATION_SEED),
        )
    ]
    (train, donors), (validation, validation_donors) = worlds
    split = TrainingSplit.with_validation(train, validation)
    return replace(split, donors=donors, validation_donors=validation_donors)


def cached_worlds() -> list[CachedWorld]:
    """Return the worlds in the cache folder, unfinished ones included."""
    now = time.time()
    worlds = []
    for path in sorted(_folder().iterdir()) if _folder().is_dir() else []:
        if path.is_dir():
            files = [file.stat() for file in path.rglob("*") if file.is_file()]
            newest = max((file.st_mtime for file in files), default=path.stat().st_mtime)
            worlds.append(CachedWorld(path, sum(file.st_size for file in files), max(0.0, now - newest)))
    return worlds


def clear_worlds(older_than: float = 0.0) -> int:
    """Delete worlds from the cache folder and return how many.

    Args:
        older_than: Only worlds written longer ago than this, in seconds; 0 deletes all.

    Raises:
        CacheError: If a world cannot be deleted.
    """
    old = [world for world in cached_worlds() if world.age >= older_than]
    for world in old:
        try:
            shutil.rmtree(world.path)
        except OSError as error:
            raise CacheError(f"cannot delete {world.path}: {error.strerror or error}; delete it yourself") from error
    return len(old)


def _folder() -> Path:
    return cache_folder() / "worlds"


def _scale(size: FitSize, name: str, persons: int, style: Style, height: int) -> WorldScale:
    return WorldScale(
        f"fit-{name}", height, persons, size.donors, (size.cameras, size.cameras), 1.0, 0, 0,
        median_frames=size.median_frames, spread=0.4, max_frames=size.max_frames, style=style,
    )  # fmt: skip


def _open_world(
    scale: WorldScale, seed: int, workers: int | None, progress: bool
) -> tuple[tuple[Tracklet, ...], tuple[Tracklet, ...]]:
    """Return the tracklets of the training persons and of the test persons of a world."""
    numbers = (scale.train_persons, scale.test_persons, scale.cameras_per_person[0], scale.median_frames)
    shape = f"{scale.style.name}-{'-'.join(map(str, numbers))}-seed{seed}-renderer{RENDERER}-{scale.height}"
    folder = _folder() / shape
    if not (folder / "info" / "world.json").is_file():
        try:
            shutil.rmtree(folder, ignore_errors=True)
            with progress_bar(f"rendering {scale.style.name}", "frames", progress) as bar:
                make_world(folder, scale, seed, workers=workers, progress=bar)
        except OSError as error:
            raise CacheError(
                f"cannot write the synthetic world {folder}: {error.strerror or error}; set RESIGHT_CACHE to a folder "
                "with room for it"
            ) from error
    world = read_mars(folder)
    return tuple(_known(world.train)), tuple(_known(world.gallery))


def _known(tracklets: tuple[Tracklet, ...]) -> Iterator[Tracklet]:
    return (tracklet for own in by_person(tracklets).values() for tracklet in own)
