"""Mutated input: only our own errors reach the user, and existing data stay as they are.

Every case is a function of its number, so that a failure can be repeated. A run takes a few seconds; for more::

    RESIGHT_MUTATIONS=100000 pytest -n 0 tests/test_mutated_input.py
"""

from __future__ import annotations

import io
import json
import os
import random
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat

from resight.checkpoints import Checkpoint, load_checkpoint, make_aggregator, save_checkpoint
from resight.data.frames import frame_size, read_frame
from resight.data.readers import READERS
from resight.doctor.examine import examine
from resight.errors import ResightError
from resight.ingest.cameras import Source, read_cameras
from resight.ingest.ingest import ingest
from resight.ingest.skipped import SkipLog
from resight.ingest.tracks import read_tracks
from resight.models.encoders import make_encoder
from resight.models.kinetics import load_public_weights
from resight.recipe import ClipSpec, Recipe, Stage1, Stage2
from resight.recipes import read_recipe

MUTATIONS = int(os.environ.get("RESIGHT_MUTATIONS", "0"))
SECONDS = 6.0
"""Time for all cases, unless their number is given."""

TOKENS = [
    b"nan", b"-inf", b"1e999", b"-1", b"0", b"9" * 5000, b"1e308", b"2147483648", b"-9223372036854775809", b"\0",
    b"\xff\xfe", b"\xef\xbb\xbf", b"\xc3\x28", b",", b";", b"\t", b"\n", b"\r", b'"', b"'", b"#", b"[" * 3000, b"{",
    b"}", b"null", b"true", b"=", b"\\", b"../", b"/", b"e\xcc\x81", b"junk", b"frame", b"person", b"<a>", b"&a;",
]  # fmt: skip


def mutate(content: bytes, rng: random.Random) -> bytes:
    """Return content with one to four changes."""
    data = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(data) + 1)
        end = min(len(data), place + rng.choice((1, 2, 5, 20, 200)))
        change = rng.randrange(7)
        if change == 0 and place < len(data):
            data[place] ^= 1 << rng.randrange(8)
        elif change == 1:
            del data[place:end]
        elif change == 2:
            data[place:place] = rng.choice(TOKENS)
        elif change == 3:
            data[place:end] = rng.randbytes(end - place)
        elif change == 4:
            del data[place:]
        elif change == 5:
            data[place:place] = data[place:end] * rng.choice((1, 2, 50))
        else:  # another number
            numbers = list(re.finditer(rb"-?[0-9.]+", bytes(data[:4000])))
            if numbers:
                match = rng.choice(numbers)
                data[match.start() : match.end()] = rng.choice(TOKENS[:9])
    return bytes(data)


@dataclass(frozen=True)
class Target:
    """Input of one kind.

    Attributes:
        samples: File name → sound content.
        read: Reads the file.
        share: Relative number of cases.
    """

    samples: dict[str, bytes]
    read: Callable[[Path], object]
    share: int


def picture(form: str, mode: str = "RGB") -> bytes:
    out = io.BytesIO()
    values = np.random.default_rng(0).integers(0, 255, (12, 8, 3)).astype(np.uint8)
    Image.fromarray(values).convert(mode).save(out, form)
    return out.getvalue()


def rows(row: str, count: int = 6) -> bytes:
    return "".join(row.format(n=n, m=n + 1, x=3 * n) for n in range(count)).encode()


TRACKS = {
    "mot.txt": rows("{m},1,{x},20,28,72,0.9,1,-1,-1\n"),
    "semicolons.csv": b"frame;id;left;top;width;height\n" + rows("{m};1;{x},5;20,0;28,0;72,0\n"),
    "sink.csv": b"x_min,y_min,x_max,y_max,class_id,confidence,tracker_id,frame_index\n"
    + rows("{x},2,36,92,0,.9,1,{n}\n"),
    "kitti.txt": rows("{n} 1 Pedestrian 0 0 -1.57 {x} 20 36 92 1.7 0.6 0.8 1 1 9 0.1 0.9\n"),
    "vatic.txt": rows('1 {x} 20 36 92 {n} 0 0 1 "person"\n'),
    "aicity.txt": rows("1 7 {m} {x} 20 28 72 -1 -1\n2 7 {m} {x} 20 28 72 -1 -1\n"),
    "cvat.xml": b'<annotations><track id="1" label="person">'
    + rows('<box frame="{n}" xtl="{x}" ytl="2" xbr="90" ybr="92" outside="0"/>')
    + b"</track></annotations>",
    "coco.json": json.dumps({
        "images": [{"id": n, "frame_id": n} for n in range(4)], "categories": [{"id": 1, "name": "person"}],
        "annotations": [{"image_id": n, "track_id": 1, "bbox": [n, 2, 30, 40], "category_id": 1} for n in range(4)],
    }).encode(),
    "rows.json": json.dumps([{"frame": n, "track_id": 1, "x": n, "y": 2, "w": 9, "h": 9} for n in range(4)]).encode(),
}  # fmt: skip
MANIFESTS = {
    "manifest.csv": b"frames,person,camera,start\na,anna,door,2024-05-01T10:00:00Z\nb,bob,gate,3.5\n",
    "table.tsv": b"Frame\tTracklet\tPerson ID\tcam\na/1.jpg\tx\tanna\tdoor\na/2.jpg\tx\tanna\tdoor\n",
    "manifest.jsonl": b'{"frames": "a", "person": "anna", "camera": 3, "mark": ""}\n'
    b'{"frames": ["b/1.jpg"], "id": "z"}\n',
}
CAMERAS = {
    "cameras.toml": b'[[camera]]\nname = "door"\nvideo = ["a", "b.mp4"]\ntracks = "door.txt"\n'
    b"start = 2024-05-01T10:00:00Z\n"
    b'rate = 25\nfirst_frame = 0\nnumbers = "order"\ncolumns = "frame,id,x1,y1,x2,y2"\nclasses = [0, "person"]\n'
}
RECIPES = {
    "recipe.toml": b'base = "demo"\nseed = 3\nprecision = "half"\n[clips]\ncount = 2\n[stage1]\nencoder_width = 0.125\n'
    b"[stage1.optimisation]\nepochs = 4\nmilestones = [2]\nlearning_rate = 1e-3\n[stage2]\nmax_corrupted = 1\n"
}
PICTURES = {
    "a.jpg": picture("JPEG"), "c.jpg": picture("JPEG", "CMYK"), "a.png": picture("PNG"), "p.png": picture("PNG", "P"),
    "a.webp": picture("WEBP"), "a.bmp": picture("BMP"), "a.tif": picture("TIFF"), "l.tif": picture("TIFF", "F"),
}  # fmt: skip


def read_picture(path: Path) -> object:
    return frame_size(path), read_frame(path)


def checkpoints(folder: Path) -> dict[str, bytes]:
    recipe = Recipe("small", ClipSpec(count=2, height=32, width=16), Stage1(encoder_width=0.125), Stage2(hidden=8))
    encoder = make_encoder(recipe.stage1)
    model = Checkpoint(encoder, make_aggregator("mean-pair", encoder.dim, recipe), recipe, {"aggregator": "mean-pair"})
    save_checkpoint(folder / "m.safetensors", model)
    return {"m.safetensors": (folder / "m.safetensors").read_bytes()}


def weights() -> dict[str, bytes]:
    out = io.BytesIO()
    torch.save({"state_dict": torch.nn.Linear(3, 2).state_dict(), "epoch": 3}, out)
    return {"w.pt": out.getvalue()}


def mars(folder: Path) -> Callable[[Path], object]:
    """Write a small MARS data set, and return a function that reads it with one of its files replaced."""
    for role, person in (("bbox_train", "0001"), ("bbox_test", "0002")):
        (folder / role / person).mkdir(parents=True)
        for frame in (1, 2):
            (folder / role / person / f"{person}C1T0001F{frame:03d}.jpg").write_bytes(PICTURES["a.jpg"])
    (folder / "info").mkdir()
    savemat(folder / "info/tracks_train_info.mat", {"track_train_info": np.array([[1, 2, 1, 1]])})
    savemat(folder / "info/tracks_test_info.mat", {"track_test_info": np.array([[1, 2, 2, 1]])})
    savemat(folder / "info/query_IDX.mat", {"query_IDX": np.array([[1]])})
    (folder / "info/train_name.txt").write_text("0001C1T0001F001.jpg\n0001C1T0001F002.jpg\n")
    table = folder / "info/tracks_test_info.mat"
    sound = table.read_bytes()

    def read(path: Path) -> object:
        table.write_bytes(path.read_bytes())
        try:
            return READERS["mars"](folder)
        finally:
            table.write_bytes(sound)

    return read


def read_tree(path: Path) -> object:
    """Make a folder whose parts have the names in a file, and read it."""
    root = path.with_suffix(".tree")
    for line in path.read_bytes().decode("utf-8", "replace").splitlines()[:6]:
        parts = [part[:60] for part in line.replace("\0", "").split("/") if part not in ("", ".", "..")][:5]
        if parts:
            place = root.joinpath(*parts)
            try:
                place.parent.mkdir(parents=True, exist_ok=True)
                place.touch()
            except OSError:
                continue
    root.mkdir(exist_ok=True)
    return READERS["folder"](root)


def everything(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with tracklets, the frames of a camera, and what was ingested from it."""
    root = tmp_path_factory.mktemp("mutated")
    for name in ("a", "b"):
        (root / name).mkdir()
        for n in (1, 2):
            (root / name / f"{n}.jpg").write_bytes(PICTURES["a.jpg"])
    (root / "frames").mkdir()
    for n in range(1, 9):
        Image.new("RGB", (60, 100), (n, 90, 90)).save(root / "frames" / f"{n:04d}.jpg")
    (root / "sound.txt").write_text("".join(f"{n},1,{n},10,40,80,1\n" for n in range(1, 9)))
    ingest(Source("door", root / "frames", root / "sound.txt"), root / "out")
    return root


def targets(data: Path, scratch: Path) -> dict[str, Target]:
    def ingest_into_existing(path: Path) -> object:
        return ingest(Source("door", data / "frames", path), data / "out")

    tree = {"tree.txt": b"anna/door/1/1.jpg\nanna/@eaDir/1/1.jpg\nbob/gate/2/f10.PNG\njunk/door/3/1.jpg\n"}
    (scratch / "mars").mkdir()
    read_mars = mars(scratch / "mars")
    table = {"t.mat": (scratch / "mars/info/tracks_test_info.mat").read_bytes()}
    return {
        "tracks": Target(TRACKS, lambda path: read_tracks(path, SkipLog(), camera="c1", video="door"), 30),
        "manifest": Target(MANIFESTS, READERS["manifest"], 20),
        "cameras": Target(CAMERAS, read_cameras, 12),
        "recipe": Target(RECIPES, lambda path: read_recipe(str(path)), 12),
        "pictures": Target(PICTURES, read_picture, 12),
        "model": Target(checkpoints(scratch), load_checkpoint, 1),
        "weights": Target(weights(), lambda path: load_public_weights(torch.nn.Linear(3, 2), path), 4),
        "mars": Target(table, read_mars, 3),
        "folder": Target(tree, read_tree, 3),
        "ingest": Target({"mot.txt": TRACKS["mot.txt"]}, ingest_into_existing, 2),
        "doctor": Target(
            {"manifest.csv": MANIFESTS["manifest.csv"]},
            lambda path: examine(f"manifest:{path}", stage=lambda *_: _Silent())[0].to_text(), 1,
        ),
    }  # fmt: skip


class _Silent:
    def __enter__(self) -> Callable[[int, int], None]:
        return lambda done, total: None

    def __exit__(self, *_: object) -> None:
        return


def test_mutated_input_gives_our_errors_and_changes_nothing(
    data: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    chosen = targets(data, tmp_path)
    order = [name for name, target in chosen.items() for _ in range(target.share)]
    before = everything(data)
    outcomes: Counter[str] = Counter()
    end, number = time.monotonic() + SECONDS, 0
    while number < MUTATIONS if MUTATIONS else time.monotonic() < end:
        rng = random.Random(number)
        name = rng.choice(order)
        sample, content = rng.choice(list(chosen[name].samples.items()))
        # Manifests must lie beside the frames that they list; the number keeps files of earlier cases apart.
        path = (data if name in ("manifest", "doctor") else tmp_path) / f"case-{sample}"
        path.write_bytes(mutate(content, rng))
        try:
            chosen[name].read(path)
            outcomes[f"{name}: read"] += 1
        except ResightError as error:
            assert str(error).strip(), (number, name)
            outcomes[f"{name}: {type(error).__name__}"] += 1
        except BaseException as error:
            raise AssertionError(f"case {number} ({name}, {sample}): {type(error).__name__}: {error}") from error
        finally:
            path.unlink()
            _remove(path.with_suffix(".tree"))
        number += 1
        if number % 5000 == 0:
            assert everything(data) == before, f"data changed in one of the 5,000 cases before {number}"
    assert everything(data) == before
    assert all(any(outcome.startswith(f"{name}:") for outcome in outcomes) for name in chosen) or not MUTATIONS
    assert number > 20
    print(f"{number:,} cases:", dict(sorted(outcomes.items())))


def _remove(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True) if folder.is_dir() else ():
        path.rmdir() if path.is_dir() else path.unlink()
    if folder.is_dir():
        folder.rmdir()
