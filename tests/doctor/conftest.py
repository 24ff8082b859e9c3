"""Intact data sets of every kind, written once, and copies of them to break."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from resight.data.readers.mars import read_mars
from resight.synthetic.layouts import write_layout
from resight.synthetic.world import WorldScale, make_world

KINDS = ("mars", "duke-video", "ls-vid", "prid2011", "ilids-vid", "folder", "manifest")
SCALE = WorldScale("doctor", 64, 3, 4, (2, 3), 1.2, 2, 1, median_frames=9, spread=0.2, max_frames=12)
Copy = Callable[[str], Path]


@pytest.fixture(scope="session")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return kind of data set → folder of an intact one."""
    base = tmp_path_factory.mktemp("healthy")
    make_world(base / "mars", SCALE, seed=1, workers=1)
    for kind in KINDS[1:5]:
        write_layout(base / "mars", base / kind, kind)
    lines = []
    for tracklet in read_mars(base / "mars").gallery:
        if tracklet.person > 0:
            person, camera, name = f"p{tracklet.person:04d}", f"c{tracklet.camera}", tracklet.id[-5:]
            folder = base / "folder" / person / camera / name
            folder.mkdir(parents=True)
            for number in range(len(tracklet)):
                os.link(tracklet.frame(number), folder / f"{number + 1:06d}.jpg")
            lines.append(
                f'{{"frames": "../folder/{person}/{camera}/{name}", "person": "{person}", "camera": "{camera}", '
                f'"id": "{tracklet.id}"}}\n'
            )
    (base / "manifest").mkdir()
    (base / "manifest" / "manifest.jsonl").write_text("".join(lines).replace("../folder/", "crops/"))
    shutil.copytree(base / "folder", base / "manifest" / "crops", copy_function=os.link)
    return {kind: base / kind for kind in KINDS}


@pytest.fixture
def copy(healthy: dict[str, Path], tmp_path: Path) -> Copy:
    """Return a function that copies an intact data set with hard links: replace files instead of changing them."""

    def make(kind: str) -> Path:
        out = tmp_path / "data" / kind
        shutil.copytree(healthy[kind], out, copy_function=os.link)
        return out

    return make
