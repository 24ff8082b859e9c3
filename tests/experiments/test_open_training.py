"""Training on several worlds at once."""

from pathlib import Path

from experiments.open_training import joined

from resight.tracklet import Tracklet


def test_persons_and_cameras_of_two_worlds_differ() -> None:
    world = [Tracklet(f"{person:04d}C{camera}", person, camera, Path("w"), ("1.jpg",)) for person in (1, 3)
             for camera in (1, 2)]  # fmt: skip
    both = joined([world, world])
    assert len({t.id for t in both}) == 8
    assert [t.person for t in both] == [1, 1, 3, 3, 4, 4, 6, 6]
    assert [t.camera for t in both] == [1, 2, 1, 2, 3, 4, 3, 4]
    assert [t.names for t in both] == [("1.jpg",)] * 8
