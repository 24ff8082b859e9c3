"""Render a whole world into a folder that reads like MARS."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from scipy.io import savemat

from resight.errors import DatasetError
from resight.synthetic.faults import write_faults
from resight.synthetic.people import person_of
from resight.synthetic.plan import SCALES, Shot, WorldScale, plan_world, query_rows, track_rows
from resight.synthetic.scene import CAMERAS, camera

__all__ = ["RENDERER", "SCALES", "WorldReport", "WorldScale", "make_world"]

RENDERER = 1
"""Version of the renderer: worlds of two versions differ, of one version and seed they do not."""

_FRAMES_PER_WORKER = 1500
_DONE = ".done"


@dataclass(frozen=True)
class WorldReport:
    """What was made.

    Attributes:
        out: where the world lies.
        persons: in the training and test lists.
        tracklets: junk and distractors included.
        frames: in all.
        seconds: it took.
        frames_per_second: rendered and written by this run; a resumed run counts only what was missing.
    """

    out: Path
    persons: int
    tracklets: int
    frames: int
    seconds: float
    frames_per_second: float


def make_world(
    out: Path,
    scale: WorldScale,
    seed: int = 0,
    *,
    device: str = "cpu",
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> WorldReport:
    """Render a world of people that never lived.

    Everything is drawn from `seed` and the name of what is drawn: the same seed gives the same bytes on one kind of
    device, whatever the number of workers. The world grows in a hidden folder beside `out` and gets its name at the
    end. What an interrupted run leaves there is resumed by a run with the same arguments, and else thrown away.

    Args:
        out: new or empty folder.
        scale: how much, one of `SCALES` or your own.
        seed: of everything, ≥ 0.
        device: where to render, such as ``cpu`` or ``cuda``.
        workers: processes; None chooses by the size of the world and the machine. More than one needs a main
            module that can be imported without side effects, as `multiprocessing` asks.
        progress: called with (frames done, all frames) after every tracklet.

    Raises:
        DatasetError: if `out` is a file or a folder that holds something, or another run is making it.
    """
    begun = time.perf_counter()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DatasetError(
            f"{out} must be a new or an empty folder, but it holds something; choose another or empty it"
        )
    shots = plan_world(scale, seed)
    with _alone(out):
        part = out.with_name(f".{out.name}.part")
        passport = json.dumps({"scale": asdict(scale), "seed": seed, "renderer": RENDERER, "device": device}, indent=1)
        _open_part(part, passport, shots)
        todo = [shot for shot in shots if not (part / _DONE / shot.id).exists()]
        total, missing = sum(s.frames for s in shots), sum(s.frames for s in todo)
        if workers is None:
            workers = max(1, min(_cores(), math.ceil(missing / _FRAMES_PER_WORKER)))
        # Long tracklets first, so that no worker is left alone with one at the end; of many streets, those of one
        # together: what is behind the people takes longer to draw than they do.
        todo.sort(key=lambda shot: (shot.place if scale.style.places else 0, -shot.frames, shot.id))
        task = partial(_film_to_disk, part=part, scale=scale, seed=seed, device=device)
        done = total - missing
        with _mapper(workers) as apply:
            for frames in apply(task, todo):
                done += frames
                if progress is not None:
                    progress(done, total)
        _write_info(part / "info", shots, scale, seed)
        shutil.rmtree(part / _DONE)
        if out.exists():
            out.rmdir()
        part.rename(out)
    seconds = time.perf_counter() - begun
    persons = scale.train_persons + scale.test_persons
    return WorldReport(out, persons, len(shots), total, seconds, missing / seconds)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Keep others from making the same world, for as long as this process lives."""
    path = out.with_name(f".{out.name}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(path, timeout=0):
            yield
    except Timeout:
        raise DatasetError(
            f"another run is making {out}; wait until it is done, or stop it and run this again to go on"
        ) from None
    path.unlink(missing_ok=True)


def _open_part(part: Path, passport: str, shots: Sequence[Shot]) -> None:
    """Make the hidden folder, or keep one that an interrupted run with the same passport left."""
    stamp = part / _DONE / "passport.json"
    if part.exists() and not (stamp.is_file() and stamp.read_text(encoding="utf-8") == passport):
        shutil.rmtree(part)
    stamp.parent.mkdir(parents=True, exist_ok=True)
    (part / "info").mkdir(exist_ok=True)
    for folder in {shot.folder for shot in shots}:
        (part / folder).mkdir(parents=True, exist_ok=True)
    stamp.write_text(passport, encoding="utf-8")


_Apply = Callable[[Callable[[Shot], int], Sequence[Shot]], Iterator[int]]


@contextmanager
def _mapper(workers: int) -> Iterator[_Apply]:
    """A map over shots in this process or in several; results come in any order."""
    if workers == 1:
        yield lambda task, shots: map(task, shots)
        return
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        yield lambda task, shots: pool.imap_unordered(task, shots)


def _film_to_disk(shot: Shot, *, part: Path, scale: WorldScale, seed: int, device: str) -> int:
    """Render one tracklet, write its frames, and note that it is finished."""
    import simplejpeg
    import torch

    from resight.synthetic.film import film

    names = iter(shot.names())
    folder = part / shot.folder
    quality = camera(seed, shot.place, scale.style).jpeg_quality
    threads = torch.get_num_threads()
    # Small tensors: a second thread costs more than it brings, and the workers share the machine.
    torch.set_num_threads(1)
    try:
        chunk = 32 if device == "cpu" else 256
        for frames in film(shot, seed, scale.height, scale.width, style=scale.style, device=device, chunk=chunk):
            for frame in frames:
                (folder / next(names)).write_bytes(simplejpeg.encode_jpeg(frame, quality=quality, colorspace="RGB"))
    finally:
        torch.set_num_threads(threads)
    (part / _DONE / shot.id).touch()
    return shot.frames


def _write_info(info: Path, shots: Sequence[Shot], scale: WorldScale, seed: int) -> None:
    train = [shot for shot in shots if shot.role == "train"]
    test = [shot for shot in shots if shot.role == "test"]
    for role, members in (("train", train), ("test", test)):
        names = [name for shot in members for name in shot.names()]
        (info / f"{role}_name.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
        write_mat(info / f"tracks_{role}_info.mat", f"track_{role}_info", track_rows(members))
    write_mat(info / "query_IDX.mat", "query_IDX", query_rows(test, seed))
    write_faults(info / "faults.csv", (row for shot in shots for row in shot.fault_rows()))
    numbers = range(1, scale.train_persons + scale.test_persons + 1)
    places = scale.style.places or CAMERAS
    world = {
        "seed": seed,
        "renderer": RENDERER,
        "scale": asdict(scale),
        "persons": {f"{number:04d}": person_of(seed, number, scale.style).words() for number in numbers},
        "cameras": {place: asdict(camera(seed, place, scale.style)) for place in range(1, 1 + places)},
    }
    (info / "world.json").write_text(json.dumps(world, indent=1) + "\n", encoding="utf-8")


def write_mat(path: Path, name: str, values: NDArray[np.integer]) -> None:
    """Like savemat, but without the date in the header: the same world has the same bytes."""
    savemat(path, {name: values})
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(116) + path.read_bytes()[116:])
