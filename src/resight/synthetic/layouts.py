"""Write a synthetic world in the layouts of other data sets, to test their readers and commands."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from resight.errors import DatasetError
from resight.synthetic.faults import read_faults, write_faults
from resight.synthetic.layout_writers import LAYOUTS, read_world
from resight.synthetic.world import WorldReport, WorldScale, check_empty, make_world


def write_layout(world: Path, out: Path, kind: str) -> None:
    """Write a world in the layout of another data set. The same world gives the same bytes.

    JPEG frames are hard links, or copies where the file system has none. For data sets of PNG files, frames are encoded
    again. Junk is omitted, because the other data sets have none. Each distractor gets a person number of its own after
    the last person.

    * ``duke-video``, and ``duke-video-old`` with the older frame names: the first query of each person is the query,
      and all other test tracklets are the gallery.
    * ``ls-vid``: the lists and the queries of the world. Needs h5py.
    * ``folder`` and ``manifest``: the user's own data: all tracklets, without roles, which `resight splits` assigns.
      The manifest includes junk, as tracklets of unknown persons.
    * ``prid2011`` and ``ilids-vid``: the persons seen by at least two cameras, with their longest tracklet in each of
      the first two. Ten train/test splits into halves are drawn with a fixed seed. PRID2011 also has the persons seen
      by only one camera, including distractors; they are in no split.

    Args:
        world: Folder written by `make_world`.
        out: New or empty folder. It is renamed from a hidden folder when everything is written.
        kind: One of `LAYOUTS`.

    Raises:
        DatasetError: If `world` is not a world, `out` has content, the kind is unknown, h5py is needed and not
            installed, or too few persons are seen by two cameras.
    """
    _check(out, kind)
    tracklets = read_world(world, keep_junk=kind == "manifest")
    part = out.with_name(f".{out.name}.part")
    if part.exists():
        shutil.rmtree(part)
    part.mkdir(parents=True)
    try:
        names = LAYOUTS[kind](tracklets, part)
        # Faults are listed by frame name, so they can only be kept if the new frame names are unique.
        faults = [(names[name], fault) for name, fault in read_faults(world).items() if name in names]
        if faults:
            (part / "info").mkdir()
            write_faults(part / "info" / "faults.csv", faults)
        if out.exists():
            out.rmdir()
        part.rename(out)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def make_layout(
    out: Path,
    kind: str,
    scale: WorldScale,
    seed: int = 0,
    *,
    device: str = "cpu",
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> WorldReport:
    """Render a world and write it in one layout, with `make_world` and `write_layout`.

    The world is kept in a hidden folder next to `out` until then. An interrupted run is resumed as in `make_world`.

    Args:
        out: New or empty folder.
        kind: One of `LAYOUTS`, or ``mars`` for the world itself.
        scale: Size and style of the world.
        seed: Seed of all random choices, at least 0.
        device: PyTorch device that renders.
        workers: Number of processes; see `make_world`.
        progress: Called with (frames done, total) after every tracklet.

    Returns:
        Summary of the world; a layout may have fewer tracklets.

    Raises:
        DatasetError: As for `make_world` and `write_layout`; before rendering where possible.
    """
    if kind == "mars":
        return make_world(out, scale, seed, device=device, workers=workers, progress=progress)
    _check(out, kind)
    world = out.with_name(f".{out.name}.world")
    shutil.rmtree(world, ignore_errors=True)
    report = make_world(world, scale, seed, device=device, workers=workers, progress=progress)
    try:
        write_layout(world, out, kind)
    finally:
        shutil.rmtree(world)
    return replace(report, out=out)


def reader_of(kind: str) -> str:
    """Return the kind of data set as which a layout is read."""
    return kind.removesuffix("-old")


def _check(out: Path, kind: str) -> None:
    """Check what can be checked before rendering."""
    if kind not in LAYOUTS:
        raise DatasetError(f"there is no layout {kind!r}; known layouts: {', '.join(('mars', *LAYOUTS))}")
    check_empty(out)
    if kind == "ls-vid" and find_spec("h5py") is None:
        raise DatasetError("writing the HDF5 table of LS-VID needs h5py: pip install 'resight[h5]'")
