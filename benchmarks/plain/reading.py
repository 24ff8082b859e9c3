"""Plain opening of MARS, as in most toolkits: a path for every frame."""

from __future__ import annotations

import os
from pathlib import Path

from scipy.io import loadmat

Opened = list[tuple[tuple[Path, ...], int, int]]
"""Frame paths, person and camera of each tracklet."""


def open_by_listing(root: Path) -> dict[str, Opened]:
    """Return all tracklets, with name lists rebuilt from the folders, for copies without the authors' lists."""
    opened = {}
    for part in ("train", "test"):
        folder = root / f"bbox_{part}"
        names = [
            name
            for person in sorted(os.listdir(folder))  # noqa: PTH208
            for name in sorted(os.listdir(folder / person))  # noqa: PTH208
        ]
        opened[part] = tracklets(root, part, names)
    return opened


def tracklets(root: Path, part: str, names: list[str]) -> Opened:
    """Return the tracklets of an official table with their paths."""
    rows = loadmat(root / "info" / f"tracks_{part}_info.mat")[f"track_{part}_info"]
    folder = root / f"bbox_{part}"
    return [
        (tuple(folder / name[:4] / name for name in names[first - 1 : last]), int(person), int(camera))
        for first, last, person, camera in rows
    ]
