"""A synthetic world once more, in the layouts of other data sets: what their readers are tested on."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.io import loadmat

from resight.errors import DatasetError
from resight.synthetic.faults import read_faults, write_faults
from resight.synthetic.streams import stream
from resight.synthetic.world import WorldReport, WorldScale, make_world, write_mat
from resight.tracklet import DISTRACTOR, JUNK

SPLITS = 10
"""How many halvings PRID2011 and iLIDS-VID have."""

_HDF5_HEADER = 512


@dataclass(frozen=True)
class _Listed:
    """A tracklet as a world lists it; `numbers` are the frame numbers in the names of `frames`."""

    role: str
    person: int
    camera: int
    is_query: bool
    frames: tuple[Path, ...]
    numbers: tuple[int, ...]


def write_layout(world: Path, out: Path, kind: str) -> None:
    """Lay a world out as another data set. The same world gives the same bytes.

    JPEG frames are hard links where the file system has them, and else copies; where the data set has PNG, frames are
    encoded anew. Junk is left out, because the other data sets have none, and each distractor gets a number of its
    own after the last person.

    * ``duke-video``, and ``duke-video-old`` with the older frame names: the first query of each person is the query,
      all other test tracklets are the gallery.
    * ``ls-vid``: the world's lists, with the world's queries. Needs h5py.
    * ``folder`` and ``manifest``: your own data, all tracklets without roles; the manifest has junk too, as tracklets
      whose person is not known. `resight splits` gives them roles.
    * ``prid2011`` and ``ilids-vid``: everybody whom two cameras see, in the first two of these, by the longest tracklet
      in each; `SPLITS` halvings of them drawn from a fixed seed. PRID2011 also has those whom only one camera sees,
      distractors among them, in no split.

    Args:
        world: what `make_world` wrote.
        out: new or empty folder. It gets its name when all is written.
        kind: one of `LAYOUTS`.

    Raises:
        DatasetError: if `world` is no world or `out` holds something, there is no such kind, h5py is needed and not
            installed, or too few persons are seen by two cameras.
    """
    _check(out, kind)
    listed = _read_world(world, keep_junk=kind == "manifest")
    part = out.with_name(f".{out.name}.part")
    if part.exists():
        shutil.rmtree(part)
    part.mkdir(parents=True)
    try:
        names = LAYOUTS[kind](listed, part)
        # What the faults are is kept where frame names say which frame is meant.
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
    """Render a world and keep it in one layout only: as `make_world`, then `write_layout`.

    The world lies in a hidden folder beside `out` meanwhile. An interrupted rendering is resumed as in `make_world`.

    Args:
        out: new or empty folder.
        kind: one of `LAYOUTS`, or ``mars`` for the world itself.
        scale: as in `make_world`, and so are the others.

    Returns:
        the report of the world; a layout may have fewer tracklets.

    Raises:
        DatasetError: as `make_world` and `write_layout`, before anything is rendered if possible.
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
    """The kind of data set that a layout is read as."""
    return kind.removesuffix("-old")


def _check(out: Path, kind: str) -> None:
    if kind not in LAYOUTS:
        raise DatasetError(f"there is no layout {kind!r}; known: {', '.join(('mars', *LAYOUTS))}")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DatasetError(
            f"{out} must be a new or an empty folder, but it holds something; choose another or empty it"
        )
    if kind == "ls-vid" and find_spec("h5py") is None:
        raise DatasetError("the table of LS-VID is HDF5, and writing it needs h5py: pip install 'resight[h5]'")


def _read_world(world: Path, *, keep_junk: bool = False) -> list[_Listed]:
    info = world / "info"
    if not (info / "world.json").is_file():
        raise DatasetError(f"{world} is no synthetic world: there is no {info / 'world.json'}; make one: resight synth")
    queries = {int(row) - 1 for row in loadmat(info / "query_IDX.mat")["query_IDX"].ravel()}
    listed: list[_Listed] = []
    for role in ("train", "test"):
        names = (info / f"{role}_name.txt").read_text(encoding="utf-8").split()
        rows = loadmat(info / f"tracks_{role}_info.mat")[f"track_{role}_info"].tolist()
        for row, (first, last, person, camera) in enumerate(rows):
            own = names[first - 1 : last]
            frames = tuple(world / f"bbox_{role}" / name[:4] / name for name in own)
            numbers = tuple(int(name[12:-4]) for name in own)
            listed.append(_Listed(role, person, camera, role == "test" and row in queries, frames, numbers))
    following = 1 + max(one.person for one in listed)
    everybody: list[_Listed] = []
    for one in listed:
        if one.person == DISTRACTOR:
            everybody.append(replace(one, person=following))
            following += 1
        elif one.person != JUNK or keep_junk:
            everybody.append(one)
    return everybody


def _duke_video(listed: list[_Listed], out: Path, separator: str = "_") -> dict[str, str]:
    names: dict[str, str] = {}
    asked: set[int] = set()
    for count, one in enumerate(listed):
        role = "train" if one.role == "train" else "gallery"
        if one.is_query and one.person not in asked:
            asked.add(one.person)
            role = "query"
        folder = out / role / f"{one.person:04d}" / f"{count:04d}"
        folder.mkdir(parents=True)
        for frame, number in zip(one.frames, one.numbers, strict=True):
            parts = f"{one.person:04d}", f"C{one.camera}", f"F{number:04d}", f"X{count * 100 + number:05d}"
            names[frame.name] = f"{separator.join(parts)}.jpg"
            _link(frame, folder / names[frame.name])
    return names


def _duke_video_old(listed: list[_Listed], out: Path) -> dict[str, str]:
    return _duke_video(listed, out, separator="")


def _ls_vid(listed: list[_Listed], out: Path) -> dict[str, str]:
    names: dict[str, str] = {}
    (out / "list_sequence").mkdir()
    for role in ("train", "test"):
        lines: list[str] = []
        for count, one in enumerate(one for one in listed if one.role == role):
            path = f"tracklet_{role}/{one.person:04d}/{one.person:04d}_{count:04d}"
            lines.append(f"{path} {one.person}\n")
            (out / path).parent.mkdir(parents=True, exist_ok=True)
            for frame, number in zip(one.frames, one.numbers, strict=True):
                target = out / f"{path}_{one.camera:02d}_{number:05d}.jpg"
                names[frame.name] = target.name
                _link(frame, target)
        (out / "list_sequence" / f"list_seq_{role}.txt").write_text("".join(lines), encoding="utf-8")
    test = [one for one in listed if one.role == "test"]
    (out / "test" / "data").mkdir(parents=True)
    query = [row for row, one in enumerate(test, start=1) if one.is_query]
    _write_hdf5(out / "test" / "data" / "info_test.mat", "query", np.array([query], np.float64).T)
    return names


def _folder(listed: list[_Listed], out: Path) -> dict[str, str]:
    """Frames keep the names that they have in the world, so that they are unique in it, as faults need."""
    for one in listed:
        folder = out / f"{one.person:04d}" / f"camera{one.camera}" / one.frames[0].name[:11]
        folder.mkdir(parents=True)
        for frame in one.frames:
            _link(frame, folder / frame.name)
    return {frame.name: frame.name for one in listed for frame in one.frames}


def _manifest(listed: list[_Listed], out: Path) -> dict[str, str]:
    lines: list[str] = []
    for one in listed:
        folder = out / "frames" / one.frames[0].name[:11]
        folder.mkdir(parents=True)
        for frame in one.frames:
            _link(frame, folder / frame.name)
        known = {} if one.person == JUNK else {"person": f"{one.person:04d}"}
        line = {"id": folder.name, "frames": f"frames/{folder.name}", **known, "camera": f"camera{one.camera}"}
        lines.append(json.dumps(line) + "\n")
    (out / "manifest.jsonl").write_text("".join(lines), encoding="utf-8")
    return {frame.name: frame.name for one in listed for frame in one.frames}


def _prid2011(listed: list[_Listed], out: Path) -> dict[str, str]:
    root = out / "prid_2011" / "multi_shot"
    longest = _longest(listed)
    pairs = _seen_twice(longest)
    places = [(person, camera, one) for person, pair in pairs.items() for camera, one in zip("ab", pair, strict=True)]
    # As in the data set, each camera also sees people whom the other one does not.
    places += [
        (person, "ab"[camera % 2], one)
        for person, cameras in longest.items()
        for camera, one in cameras.items()
        if len(cameras) == 1
    ]
    for person, camera, one in places:
        _encode(one.frames, root / f"cam_{camera}" / f"person_{person:04d}", "{:04d}.png")
    splits = [
        {
            role: [f"person_{person:04d}" for person in sorted(half)]
            for role, half in zip(("train", "test"), halves, strict=True)
        }
        for halves in _halvings(list(pairs))
    ]
    (out / "splits_prid2011.json").write_text(json.dumps(splits, indent=1), encoding="utf-8")
    return {}


def _ilids_vid(listed: list[_Listed], out: Path) -> dict[str, str]:
    pairs = _seen_twice(_longest(listed))
    # Halves of one size need an even number.
    persons = list(pairs)[: len(pairs) // 2 * 2]
    for person in persons:
        for camera, one in enumerate(pairs[person], start=1):
            folder = out / "i-LIDS-VID" / "sequences" / f"cam{camera}" / f"person{person:03d}"
            _encode(one.frames, folder, f"cam{camera}_person{person:03d}_{{:05d}}.png")
    place = {person: number for number, person in enumerate(persons, start=1)}
    rows = [[place[person] for person in (*test, *train)] for train, test in _halvings(persons)]
    splits = out / "train-test people splits"
    splits.mkdir()
    write_mat(splits / "train_test_splits_ilidsvid.mat", "ls_set", np.array(rows, np.uint16))
    return {}


LAYOUTS: Mapping[str, Callable[[list[_Listed], Path], dict[str, str]]] = MappingProxyType(
    {
        "duke-video": _duke_video,
        "duke-video-old": _duke_video_old,
        "folder": _folder,
        "ilids-vid": _ilids_vid,
        "ls-vid": _ls_vid,
        "manifest": _manifest,
        "prid2011": _prid2011,
    }
)
"""Kind of layout → what writes it and says which frame got which name, if names are unique."""


def _longest(listed: Iterable[_Listed]) -> dict[int, dict[int, _Listed]]:
    """Person → camera → the longest tracklet of that person there."""
    longest: dict[int, dict[int, _Listed]] = {}
    for one in listed:
        cameras = longest.setdefault(one.person, {})
        if one.camera not in cameras or len(one.frames) > len(cameras[one.camera].frames):
            cameras[one.camera] = one
    return longest


def _seen_twice(longest: dict[int, dict[int, _Listed]]) -> dict[int, tuple[_Listed, _Listed]]:
    """The tracklets in the first two cameras of everybody whom at least two see."""
    pairs = {
        person: (cameras[sorted(cameras)[0]], cameras[sorted(cameras)[1]])
        for person, cameras in sorted(longest.items())
        if len(cameras) > 1
    }
    if len(pairs) < 2:
        raise DatasetError(
            f"two cameras see {len(pairs)} persons of this world, but halves need 2; make a larger world"
        )
    return pairs


def _halvings(persons: list[int]) -> list[tuple[list[int], list[int]]]:
    half = len(persons) // 2
    drawn = [stream(0, "halving", number).permutation(persons).tolist() for number in range(SPLITS)]
    return [(order[:half], order[half : 2 * half]) for order in drawn]


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _encode(frames: Iterable[Path], folder: Path, pattern: str) -> None:
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames, start=1):
        with Image.open(frame) as picture:
            picture.save(folder / pattern.format(number), compress_level=1)


def _write_hdf5(path: Path, name: str, values: NDArray[np.float64]) -> None:
    """A table as MATLAB 7.3 writes it: axes the other way round, behind a header of text."""
    import h5py

    with h5py.File(path, "w", userblock_size=_HDF5_HEADER) as file:
        file[name] = values.T
    with path.open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file".ljust(_HDF5_HEADER))
