"""Small data that tests make for themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from resight.checkpoints import Checkpoint, make_aggregator, save_checkpoint
from resight.models.encoders import make_encoder
from resight.recipe import ClipSpec, Recipe, Stage1, Stage2
from resight.shipped import DEFAULT, file_hash
from resight.tracklet import Tracklet

MakeTracklets = Callable[..., list[Tracklet]]


@pytest.fixture(scope="session", autouse=True)
def cache_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the user's own feature store out of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RESIGHT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


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


SHIPPED_CARD = """
name = "open"
summary = "A stand-in with random weights."
licence = "Apache-2.0"
intended_use = "Tests."
limits = ["It knows nobody.", "It never will."]
recipe = "small"
commands = ["resight synth worlds/open", "resight train mars:worlds/open --out runs/open"]
seconds = 120
machine = "two cores"
version = "0.1.0"
clips = "2 clips of 4 frames, 32 × 16"
dim = 128
size = {size}
sha256 = "{sha256}"

[trained_on]
data = "nobody"
persons = 1000
tracklets = 8000
frames = 400000

[validation]
data = "150 others who never lived"
conditions = "protocol mars, 150 of 150 queries have a match"
command = "resight evaluate mars:worlds/other"
columns = ["mAP", "rank-1"]
[validation.rows]
"mean of pairs" = [36.7, 32.2]
"learned importance" = [40.9, 35.26]
"""


@pytest.fixture
def shipped_folder(tmp_path: Path) -> Path:
    """A folder with one model, as it would come with the package: float16, random weights, a card."""
    recipe = Recipe("small", ClipSpec(count=2, height=32, width=16), Stage1(encoder_width=0.125), Stage2(hidden=8))
    torch.manual_seed(1)
    encoder = make_encoder(recipe.stage1)
    path = tmp_path / "shipped" / f"{DEFAULT}.safetensors"
    aggregator = make_aggregator("learned", encoder.dim, recipe)
    save_checkpoint(path, Checkpoint(encoder, aggregator, recipe, {"aggregator": "learned"}), half=True)
    card = SHIPPED_CARD.format(size=path.stat().st_size, sha256=file_hash(path))
    path.with_suffix(".toml").write_text(card, encoding="utf-8")
    return path.parent
