"""Pictures of a world on one page: persons under several cameras, and one strip for every kind of fault."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from resight.errors import DatasetError
from resight.synthetic.faults import FAULTS, read_faults


def contact_sheet(
    root: Path, persons: int = 8, frames: int = 12, *, first: int = 0, fault_strips: bool = True
) -> Image.Image:
    """Show a synthetic world.

    Args:
        root: folder of the world.
        persons: rows, one training person each.
        frames: columns; they are divided among the cameras that saw the person.
        first: row of the first person among the sorted training persons.
        fault_strips: add one strip of consecutive frames for every kind of fault, the faulty ones underlined in red.

    Raises:
        DatasetError: if `root` holds no such world.
    """
    folders = sorted((root / "bbox_train").glob("[0-9]*"))[first : first + persons]
    if not folders:
        raise DatasetError(f"{root} must hold bbox_train with a folder for each person; render a world there first")
    strips = [_strip(_person_frames(folder, frames)) for folder in folders]
    if fault_strips:
        strips += _fault_strips(root, frames)
    return Image.fromarray(np.concatenate(strips))


def _person_frames(folder: Path, count: int) -> list[Path]:
    """Frames of one person, spread over cameras first and time second."""
    cameras: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*.jpg")):
        cameras.setdefault(path.name[4:6], []).append(path)
    shares = [len(part) for part in np.array_split(np.arange(count), len(cameras))]
    return [
        paths[i]
        for paths, share in zip(cameras.values(), shares, strict=True)
        for i in np.linspace(0, len(paths) - 1, share + 2).round().astype(int)[1:-1]
    ]


def _fault_strips(root: Path, count: int) -> list[NDArray[np.uint8]]:
    faults = read_faults(root)
    strips = []
    for fault in FAULTS:
        lists = (root / "info" / "train_name.txt").read_text(encoding="utf-8").split()
        hits = [i for i, name in enumerate(lists) if faults.get(name) == fault]
        if not hits:
            continue
        start = hits[len(hits) // 2]
        while lists[start - 1][:11] == lists[start][:11] and faults.get(lists[start - 1]) == fault:
            start -= 1
        same = [i for i in range(len(lists)) if lists[i][:11] == lists[start][:11]]
        begin = max(same[0], min(start - count // 3, same[-1] + 1 - count))
        names = [lists[i] for i in same if begin <= i < begin + count]
        paths = [root / "bbox_train" / name[:4] / name for name in names]
        strips.append(_strip(paths, [name in faults for name in names], count))
    return strips


def _strip(paths: Sequence[Path], marks: Sequence[bool] | None = None, columns: int = 0) -> NDArray[np.uint8]:
    pictures = [simplejpeg.decode_jpeg(path.read_bytes()) for path in paths]
    for i, picture in enumerate(pictures):
        if marks is not None and marks[i]:
            picture[-max(2, len(picture) // 32) :] = (220, 0, 0)
    pictures += [np.zeros_like(pictures[0])] * (columns - len(pictures))
    return np.concatenate(pictures, 1)
