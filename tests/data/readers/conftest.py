"""One synthetic world in every layout."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from resight.synthetic.layouts import write_layout
from resight.synthetic.world import WorldScale, make_world

MakeLayout = Callable[[str], Path]
SCALE = WorldScale("readers", 32, 6, 6, (2, 3), 1.5, 3, 2, median_frames=8, spread=0.5, max_frames=14)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("worlds") / "mars"
    make_world(out, SCALE, seed=0, workers=1)
    return out


@pytest.fixture(scope="session")
def layouts(world: Path) -> MakeLayout:
    """Return a function that writes the world in a layout once; its files must not be changed."""

    def make(kind: str) -> Path:
        out = world.parent / kind
        if not out.exists():
            write_layout(world, out, kind)
        return out

    return make


@pytest.fixture
def copy_layout(layouts: MakeLayout, tmp_path: Path) -> MakeLayout:
    """Return a function that makes a copy that a test may damage."""
    return lambda kind: Path(shutil.copytree(layouts(kind), tmp_path / kind, copy_function=os.link))


@pytest.fixture
def shuffled_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the file system list everything in reverse order."""
    scandir, listdir = os.scandir, os.listdir

    @contextmanager
    def backwards(path: str | Path) -> Iterator[Iterator[os.DirEntry[str]]]:
        with scandir(path) as entries:
            yield iter(sorted(entries, key=lambda entry: entry.name, reverse=True))

    monkeypatch.setattr(os, "scandir", backwards)
    monkeypatch.setattr(os, "listdir", lambda path: sorted(listdir(path), reverse=True))
