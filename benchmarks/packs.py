"""A packed data set against its folder: opening, random clips and copying, of 40,000 small JPEG files.

Before every turn of clips and of copying, the files are removed from the page cache, as after a restart; dentries and
inodes stay cached, which favours the folder.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import simplejpeg

from benchmarks.timing import Row, Turns, take_turns
from resight.data.clips import sample_clips
from resight.data.frames import load_clips
from resight.data.readers import read_dataset
from resight.data.write_pack import pack_dataset
from resight.packs import open_pack
from resight.recipe import ClipSpec

PERSONS, CAMERAS, TRACKLETS, FRAMES = 100, 4, 5, 20
CLIPS = 1500
"""Random clips of four frames that are read in a turn."""

Work = Callable[[], object]


def bench(repeats: int) -> list[Row]:
    """Measure a folder of frames and its pack."""
    with tempfile.TemporaryDirectory() as temporary:
        folder, pack = Path(temporary) / "crops", Path(temporary) / "crops.pack"
        write_folder(folder)
        pack_dataset(f"folder:{folder}", pack)
        return _bench(repeats, folder, pack, Path(temporary) / "copy")


def write_folder(folder: Path) -> None:
    """Write frames of the size of MARS' and about their number of bytes."""
    rng = np.random.default_rng(0)
    for tracklet in np.ndindex(PERSONS, CAMERAS, TRACKLETS):
        person, camera, number = tracklet
        place = folder / f"{person:04d}" / f"c{camera}" / f"{number:04d}"
        place.mkdir(parents=True)
        coarse = rng.integers(0, 256, (16, 8, 3))
        for frame in range(FRAMES):
            pixels = (coarse.repeat(16, 0).repeat(16, 1) + rng.integers(0, 40, (256, 128, 1))) % 256
            (place / f"{frame:04d}.jpg").write_bytes(simplejpeg.encode_jpeg(pixels.astype(np.uint8), quality=60))


def _bench(repeats: int, folder: Path, pack: Path, copy: Path) -> list[Row]:
    gallery = read_dataset(f"folder:{folder}").gallery
    packed = read_dataset(f"folder:{pack}").gallery
    rng, spec = np.random.default_rng(1), ClipSpec(count=1, sampler="consec")
    order = [(int(place), sample_clips(FRAMES, spec, rng)) for place in rng.integers(len(gallery), size=CLIPS)]

    def read(tracklets: tuple[object, ...]) -> Work:
        return lambda: [load_clips(tracklets[n], numbers, (256, 128)) for n, numbers in order]  # type: ignore[arg-type]

    def copy_of(source: Path) -> Work:
        def work() -> None:
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(source, copy)

        return work

    opening = take_turns(
        {"folder": lambda: read_dataset(f"folder:{folder}"), "pack": lambda: read_dataset(f"folder:{pack}")}, repeats
    )
    warm = take_turns({"folder": read(gallery), "pack": read(packed)}, repeats)
    cold = _cold_turns({"folder": (folder, read(gallery)), "pack": (pack, read(packed))}, repeats)
    copying = _cold_turns({"folder": (folder, copy_of(folder)), "pack": (pack, copy_of(pack))}, repeats)
    frames = len(open_pack(pack).rows)
    size = sum(path.stat().st_size for path in pack.iterdir())
    return [
        _row(f"opening {frames:,} frames", "frames/s", frames, opening, f"{size / 1e6:.0f} MB"),
        _row("random clips of 4 frames, cached", "clips/s", CLIPS, warm, "with decoding"),
        _row("random clips of 4 frames, not cached", "clips/s", CLIPS, cold, "with decoding"),
        _row("copying", "MB/s", size / 1e6, copying, "not cached"),
    ]


def _cold_turns(ways: dict[str, tuple[Path, Work]], repeats: int) -> Turns:
    """As `take_turns`, with the files of each way removed from the page cache before each turn."""
    turns: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, (root, work) in ways.items():
            _forget(root)
            turns[name] += take_turns({name: work}, 1, warm_up=False).seconds[name]
    return Turns(turns)


def _forget(root: Path) -> None:
    os.sync()
    for path in root.rglob("*"):
        if path.is_file():
            file = os.open(path, os.O_RDONLY)
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(file)


def _row(name: str, unit: str, amount: float, turns: Turns, note: str) -> Row:
    return Row(
        group="packs", name=name, unit=unit, plain=amount / turns.median("folder"), ours=amount / turns.median("pack"),
        ratio=turns.ratio("folder", "pack"), note=note,
    )  # fmt: skip
