"""Render a whole world into a folder with the layout of MARS."""

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
from itertools import groupby
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from scipy.io import savemat

from resight.errors import DatasetError, RecipeError
from resight.synthetic.faults import write_faults
from resight.synthetic.people import person_of
from resight.synthetic.plan import SCALES, Shot, WorldScale, plan_world, query_rows, track_rows
from resight.synthetic.scene import CAMERAS, camera

__all__ = ["RENDERER", "SCALES", "WorldReport", "WorldScale", "check_empty", "make_world", "write_mat"]

RENDERER = 2
"""Version of the renderer. Worlds with the same scale, seed and version are identical. The frames of version 2 are
those of version 1, except for the scale ``open``, which is now another world."""

_FRAMES_PER_WORKER = 1500
_DONE = ".done"


@dataclass(frozen=True)
class WorldReport:
    """Summary of a rendered world.

    Attributes:
        out: Folder of the world.
        persons: Number of persons in the training and test lists.
        tracklets: Number of tracklets, including junk and distractors.
        frames: Number of frames.
        seconds: Duration of this run.
        frames_per_second: Rendering speed of this run; a resumed run counts only the frames it rendered itself.
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
    """Render a world of synthetic people.

    The same scale and seed give the same bytes on the same kind of device, for any number of workers. The world is
    written to a hidden folder next to `out`, which is renamed at the end. If a run is interrupted, a run with the same
    arguments continues it; a run with other arguments starts again.

    Args:
        out: New or empty folder.
        scale: Size and style of the world, such as one of `SCALES`.
        seed: Seed of all random choices, at least 0.
        device: PyTorch device that renders, such as ``cpu`` or ``cuda``.
        workers: Number of processes; None chooses by the size of the world and the number of CPUs. With more than one,
            the main module must be importable without side effects, as `multiprocessing` requires.
        progress: Called with (frames done, total) after every tracklet, or place if the style has many.

    Returns:
        Summary of the world.

    Raises:
        DatasetError: If `out` is a file or a folder with content, or another run is rendering it.
    """
    if seed < 0:
        raise RecipeError(f"seed is {seed}, expected 0 or more")
    if workers is not None and workers < 1:
        raise RecipeError(f"workers is {workers}, expected 1 or more processes")
    begun = time.perf_counter()
    check_empty(out)
    shots = plan_world(scale, seed)
    with _lock(out):
        part = out.with_name(f".{out.name}.part")
        arguments = json.dumps({"scale": asdict(scale), "seed": seed, "renderer": RENDERER, "device": device}, indent=1)
        _open_part(part, arguments, shots)
        todo = [shot for shot in shots if not (part / _DONE / shot.id).exists()]
        total, missing = sum(s.frames for s in shots), sum(s.frames for s in todo)
        if workers is None:
            workers = max(1, min(_cores(), math.ceil(missing / _FRAMES_PER_WORKER)))
        # Long tracklets first, so that workers finish at about the same time. With many places, a worker gets all
        # tracklets of a place, because drawing its background takes longer than drawing the people.
        todo.sort(key=lambda shot: (shot.place if scale.style.places else 0, -shot.frames, shot.id))
        batches = [[shot] for shot in todo]
        if scale.style.places:
            batches = [list(group) for _, group in groupby(todo, key=lambda shot: shot.place)]
        task = partial(_film_batch, part=part, scale=scale, seed=seed, device=device)
        done = total - missing
        with _mapper(workers) as apply:
            for frames in apply(task, batches):
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


def check_empty(out: Path) -> None:
    """Check that a folder is new or empty.

    Raises:
        DatasetError: If it is a file or a folder with content.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DatasetError(f"{out} must be a new or an empty folder, but it has content; choose another folder")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _lock(out: Path) -> Iterator[None]:
    """Prevent other processes from rendering the same world at the same time."""
    path = out.with_name(f".{out.name}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(path, timeout=0):
            yield
    except Timeout:
        raise DatasetError(
            f"another run is rendering {out}; wait until it is finished, or stop it and run this again to continue"
        ) from None
    path.unlink(missing_ok=True)


def _open_part(part: Path, arguments: str, shots: Sequence[Shot]) -> None:
    """Create the hidden folder, or keep that of an interrupted run with the same arguments."""
    stamp = part / _DONE / "arguments.json"
    if part.exists() and not (stamp.is_file() and stamp.read_text(encoding="utf-8") == arguments):
        shutil.rmtree(part)
    stamp.parent.mkdir(parents=True, exist_ok=True)
    (part / "info").mkdir(exist_ok=True)
    for folder in {shot.folder for shot in shots}:
        (part / folder).mkdir(parents=True, exist_ok=True)
    stamp.write_text(arguments, encoding="utf-8")


_Apply = Callable[[Callable[[Sequence[Shot]], int], Sequence[Sequence[Shot]]], Iterator[int]]


@contextmanager
def _mapper(workers: int) -> Iterator[_Apply]:
    """Yield a function that maps over batches of shots, in this process or in several; results may be in any order."""
    if workers == 1:
        yield lambda task, batches: map(task, batches)
        return
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        yield lambda task, batches: pool.imap_unordered(task, batches)


def _film_batch(shots: Sequence[Shot], *, part: Path, scale: WorldScale, seed: int, device: str) -> int:
    """Render tracklets one after the other. Return the number of frames."""
    return sum(_film_to_disk(shot, part=part, scale=scale, seed=seed, device=device) for shot in shots)


def _film_to_disk(shot: Shot, *, part: Path, scale: WorldScale, seed: int, device: str) -> int:
    """Render one tracklet, write its frames, and mark it as finished. Return the number of frames."""
    import simplejpeg
    import torch

    from resight.synthetic.film import film

    names = iter(shot.names())
    folder = part / shot.folder
    # Frames with simulated compression are kept as they are.
    quality = 90 if scale.style.capture else camera(seed, shot.place, scale.style).jpeg_quality
    threads = torch.get_num_threads()
    # The tensors are too small for several threads to help, and the workers share the CPUs.
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
    """Write the lists of MARS, the list of faults, and a description of the world."""
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
    """Write an array with `scipy.io.savemat`, without the date in the header, so that the bytes are reproducible."""
    savemat(path, {name: values})
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(116) + path.read_bytes()[116:])
