from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from experiments.encoder_ranking import reassociation, third, tracks

from resight.features.types import ClipFeatures
from resight.tracklet import Tracklet


def walker(track: str, person: int, camera: int, frames: range) -> Tracklet:
    names = tuple(f"{frame:06d}.jpg" for frame in frames)
    return Tracklet(f"{person:04d}/c{camera}/{track}", person, camera, Path(track), names)


def features(ids: list[str], values: list[list[float]]) -> ClipFeatures:
    n = len(ids)
    array = np.array(values, np.float32)[:, None]
    return ClipFeatures(tuple(ids), np.ones(n, np.int64), np.ones(n, np.int64), array, np.zeros((n, 1, 1), np.int64))


def test_thirds_cover_a_tracklet_once() -> None:
    own = walker("a", 1, 1, range(10))
    parts = [third(own, number) for number in range(3)]
    assert sum((part.names for part in parts), ()) == own.names
    assert len({part.id for part in parts}) == 3
    assert all(third(walker("a", 1, 1, range(1)), number).names for number in range(3))


def test_only_tracks_of_other_persons_at_the_same_time_compete() -> None:
    frames = {"a": (range(0, 10), range(20, 30)), "b": (range(5, 9), range(9, 12)), "c": (range(90, 95), range(96, 99))}
    both = [
        walker(track, person, camera, own[camera - 1])
        for person, (track, own) in enumerate(frames.items(), 1)
        for camera in (1, 2)
    ]
    of_tracks = tracks(both)
    assert of_tracks == {"a": (1, 0, 29), "b": (2, 5, 11), "c": (3, 90, 98)}
    ids = [f"0001/c1/{name}/0" for name in "abc"]
    first = features(ids, [[1, 0], [0, 1], [1, 0]])
    # The second part of a looks like c, who was not there, and then like b, who was.
    assert reassociation(first, features(ids, [[1, 0], [0, 1], [1, 0]]), of_tracks) == pytest.approx(1.0)
    swapped = features(ids, [[0, 1], [1, 0], [1, 0]])
    assert reassociation(first, swapped, of_tracks) == pytest.approx(0.5)
