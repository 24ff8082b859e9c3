"""Write a contact sheet of a world: ``python -m experiments.world_sheets worlds/open docs/images/world-city.jpg``.

The sheet has the middle frame of each of 100 training tracklets, chosen at random, at 96 × 48 pixels.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from cyclopts import run
from PIL import Image

from resight.data.frames import read_frames, resize_frame
from resight.data.readers.mars import read_mars

COLUMNS = 20
SIZE = (96, 48)


def world_sheet(world: Path, out: Path, *, count: int = 100, seed: int = 0) -> None:
    """Write the contact sheet of a world as a JPEG or PNG file.

    Args:
        world: Folder of a world in the layout of MARS.
        out: The file to write.
        count: Number of tracklets, a multiple of 20.
        seed: Seed of the choice.
    """
    tracklets = read_mars(world).train
    chosen = np.random.default_rng(seed).permutation(len(tracklets))[:count]
    tiles = [tile(tracklets[i].frame(len(tracklets[i]) // 2)) for i in chosen.tolist()]
    rows = [np.hstack(tiles[first : first + COLUMNS]) for first in range(0, len(tiles), COLUMNS)]
    Image.fromarray(np.vstack(rows)).save(out, quality=85)
    print(f"wrote {out}")


def tile(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Return a frame at the size of a tile."""
    return resize_frame(read_frames([path])[0][0], SIZE)


if __name__ == "__main__":
    run(world_sheet)
