"""Small data that tests make for themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resight.tracklet import Tracklet

MakeTracklets = Callable[..., list[Tracklet]]


@pytest.fixture
def make_tracklets(tmp_path: Path) -> MakeTracklets:
    """A function that writes tracklets whose persons differ by the colours of two halves."""

    def make(
        persons: int = 4, cameras: int = 2, tracklets: int = 1, frames: int = 6, size: tuple[int, int] = (32, 16)
    ) -> list[Tracklet]:
        made = []
        for person in range(1, persons + 1):
            colours = np.random.default_rng(person).integers(30, 225, (2, 3))
            for camera in range(1, cameras + 1):
                for number in range(1, tracklets + 1):
                    rng = np.random.default_rng([person, camera, number])
                    folder = tmp_path / "tracklets" / f"{person:04d}" / f"c{camera}" / f"{number:04d}"
                    folder.mkdir(parents=True)
                    names = []
                    for frame in range(frames):
                        plain = np.repeat(colours, size[0] // 2, axis=0)[:, None].repeat(size[1], axis=1)
                        picture = plain + rng.normal(10 * camera, 12, plain.shape)
                        names.append(f"{frame:06d}.jpg")
                        Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(folder / names[-1], quality=90)
                    id_ = f"{person:04d}/c{camera}/{number:04d}"
                    made.append(Tracklet(id_, person, camera, folder, tuple(names)))
        return made

    return make
