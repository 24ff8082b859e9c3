"""Write a synthetic world in the layouts of other data sets, one function per layout."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.io import loadmat

from resight.errors import DatasetError
from resight.synthetic.streams import stream
from resight.synthetic.world import write_mat
from resight.tracklet import DISTRACTOR, JUNK

SPLITS = 10
"""Number of train/test splits of PRID2011 and iLIDS-VID."""

_HDF5_HEADER = 512


@dataclass(frozen=True)
class WorldTracklet:
    """A tracklet in the lists of a world.

    Attributes:
        role: ``train`` or ``test``.
        person: Person number, or `JUNK`.
        camera: Camera number.
        is_query: Whether the tracklet is a query of the world.
        frames: Paths of the frames.
        numbers: Frame numbers in the names of the frames.
    """

    role: str
    person: int
    camera: int
    is_query: bool
    frames: tuple[Path, ...]
    numbers: tuple[int, ...]


def read_world(world: Path, *, keep_junk: bool = False) -> list[WorldTracklet]:
    """Return the tracklets of a world.

    Args:
        world: Folder written by `make_world`.
        keep_junk: Include junk.

    Returns:
        The tracklets in the order of the lists; each distractor has a person number of its own, after the last person.

    Raises:
        DatasetError: If the folder is not a synthetic world.
    """
    info = world / "info"
    if not (info / "world.json").is_file():
        raise DatasetError(
            f"{world} is not a synthetic world: {info / 'world.json'} is missing; render one with resight synth"
        )
    queries = {int(row) - 1 for row in loadmat(info / "query_IDX.mat")["query_IDX"].ravel()}
    listed: list[WorldTracklet] = []
    for role in ("train", "test"):
        names = (info / f"{role}_name.txt").read_text(encoding="utf-8").split()
        rows = loadmat(info / f"tracks_{role}_info.mat")[f"track_{role}_info"].tolist()
        for row, (first, last, person, camera) in enumerate(rows):
            frame_names = names[first - 1 : last]
            frames = tuple(world / f"bbox_{role}" / name[:4] / name for name in frame_names)
            numbers = tuple(int(name[12:-4]) for name in frame_names)
            listed.append(WorldTracklet(role, person, camera, role == "test" and row in queries, frames, numbers))
    next_person = 1 + max(tracklet.person for tracklet in listed)
    tracklets: list[WorldTracklet] = []
    for tracklet in listed:
        if tracklet.person == DISTRACTOR:
            tracklets.append(replace(tracklet, person=next_person))
            next_person += 1
        elif tracklet.person != JUNK or keep_junk:
            tracklets.append(tracklet)
    return tracklets


def _duke_video(tracklets: list[WorldTracklet], out: Path, separator: str = "_") -> dict[str, str]:
    names: dict[str, str] = {}
    persons_with_query: set[int] = set()
    for count, tracklet in enumerate(tracklets):
        role = "train" if tracklet.role == "train" else "gallery"
        if tracklet.is_query and tracklet.person not in persons_with_query:
            persons_with_query.add(tracklet.person)
            role = "query"
        folder = out / role / f"{tracklet.person:04d}" / f"{count:04d}"
        folder.mkdir(parents=True)
        for frame, number in zip(tracklet.frames, tracklet.numbers, strict=True):
            parts = f"{tracklet.person:04d}", f"C{tracklet.camera}", f"F{number:04d}", f"X{count * 100 + number:05d}"
            names[frame.name] = f"{separator.join(parts)}.jpg"
            _link(frame, folder / names[frame.name])
    return names


def _duke_video_old(tracklets: list[WorldTracklet], out: Path) -> dict[str, str]:
    return _duke_video(tracklets, out, separator="")


def _ls_vid(tracklets: list[WorldTracklet], out: Path) -> dict[str, str]:
    names: dict[str, str] = {}
    (out / "list_sequence").mkdir()
    for role in ("train", "test"):
        lines: list[str] = []
        for count, tracklet in enumerate(tracklet for tracklet in tracklets if tracklet.role == role):
            path = f"tracklet_{role}/{tracklet.person:04d}/{tracklet.person:04d}_{count:04d}"
            lines.append(f"{path} {tracklet.person}\n")
            (out / path).parent.mkdir(parents=True, exist_ok=True)
            for frame, number in zip(tracklet.frames, tracklet.numbers, strict=True):
                target = out / f"{path}_{tracklet.camera:02d}_{number:05d}.jpg"
                names[frame.name] = target.name
                _link(frame, target)
        (out / "list_sequence" / f"list_seq_{role}.txt").write_text("".join(lines), encoding="utf-8")
    test = [tracklet for tracklet in tracklets if tracklet.role == "test"]
    (out / "test" / "data").mkdir(parents=True)
    query = [row for row, tracklet in enumerate(test, start=1) if tracklet.is_query]
    _write_hdf5(out / "test" / "data" / "info_test.mat", "query", np.array([query], np.float64).T)
    return names


def _folder(tracklets: list[WorldTracklet], out: Path) -> dict[str, str]:
    """Write the layout ``folder``. Frames keep their names, which are unique, so that faults can refer to them."""
    for tracklet in tracklets:
        folder = out / f"{tracklet.person:04d}" / f"camera{tracklet.camera}" / tracklet.frames[0].name[:11]
        folder.mkdir(parents=True)
        for frame in tracklet.frames:
            _link(frame, folder / frame.name)
    return {frame.name: frame.name for tracklet in tracklets for frame in tracklet.frames}


def _manifest(tracklets: list[WorldTracklet], out: Path) -> dict[str, str]:
    lines: list[str] = []
    for tracklet in tracklets:
        folder = out / "frames" / tracklet.frames[0].name[:11]
        folder.mkdir(parents=True)
        for frame in tracklet.frames:
            _link(frame, folder / frame.name)
        known = {} if tracklet.person == JUNK else {"person": f"{tracklet.person:04d}"}
        line = {"id": folder.name, "frames": f"frames/{folder.name}", **known, "camera": f"camera{tracklet.camera}"}
        lines.append(json.dumps(line) + "\n")
    (out / "manifest.jsonl").write_text("".join(lines), encoding="utf-8")
    return {frame.name: frame.name for tracklet in tracklets for frame in tracklet.frames}


def _prid2011(tracklets: list[WorldTracklet], out: Path) -> dict[str, str]:
    root = out / "prid_2011" / "multi_shot"
    longest = _longest(tracklets)
    pairs = _seen_twice(longest)
    places = [
        (person, camera, tracklet)
        for person, pair in pairs.items()
        for camera, tracklet in zip("ab", pair, strict=True)
    ]
    # As in the data set, each camera also sees people whom the other does not.
    places += [
        (person, "ab"[camera % 2], tracklet)
        for person, cameras in longest.items()
        for camera, tracklet in cameras.items()
        if len(cameras) == 1
    ]
    for person, camera, tracklet in places:
        _encode(tracklet.frames, root / f"cam_{camera}" / f"person_{person:04d}", "{:04d}.png")
    splits = [
        {
            role: [f"person_{person:04d}" for person in sorted(half)]
            for role, half in zip(("train", "test"), halves, strict=True)
        }
        for halves in _halvings(list(pairs))
    ]
    (out / "splits_prid2011.json").write_text(json.dumps(splits, indent=1), encoding="utf-8")
    return {}


def _ilids_vid(tracklets: list[WorldTracklet], out: Path) -> dict[str, str]:
    pairs = _seen_twice(_longest(tracklets))
    # Two halves of equal size need an even number of persons.
    persons = list(pairs)[: len(pairs) // 2 * 2]
    for person in persons:
        for camera, tracklet in enumerate(pairs[person], start=1):
            folder = out / "i-LIDS-VID" / "sequences" / f"cam{camera}" / f"person{person:03d}"
            _encode(tracklet.frames, folder, f"cam{camera}_person{person:03d}_{{:05d}}.png")
    place = {person: number for number, person in enumerate(persons, start=1)}
    rows = [[place[person] for person in (*test, *train)] for train, test in _halvings(persons)]
    splits = out / "train-test people splits"
    splits.mkdir()
    write_mat(splits / "train_test_splits_ilidsvid.mat", "ls_set", np.array(rows, np.uint16))
    return {}


LAYOUTS: Mapping[str, Callable[[list[WorldTracklet], Path], dict[str, str]]] = MappingProxyType(
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
"""Functions that write each layout to a folder. They return the new name of each frame, or nothing if names repeat."""


def _longest(tracklets: Iterable[WorldTracklet]) -> dict[int, dict[int, WorldTracklet]]:
    """Return the longest tracklet of each person in each camera, by person and camera."""
    longest: dict[int, dict[int, WorldTracklet]] = {}
    for tracklet in tracklets:
        cameras = longest.setdefault(tracklet.person, {})
        if tracklet.camera not in cameras or len(tracklet.frames) > len(cameras[tracklet.camera].frames):
            cameras[tracklet.camera] = tracklet
    return longest


def _seen_twice(longest: dict[int, dict[int, WorldTracklet]]) -> dict[int, tuple[WorldTracklet, WorldTracklet]]:
    """Return the longest tracklets in the first two cameras, of each person seen by at least two cameras."""
    pairs = {
        person: (cameras[sorted(cameras)[0]], cameras[sorted(cameras)[1]])
        for person, cameras in sorted(longest.items())
        if len(cameras) > 1
    }
    if len(pairs) < 2:
        raise DatasetError(
            f"{len(pairs)} persons of this world are seen by two cameras, but splits need at least 2; render a "
            "larger world"
        )
    return pairs


def _halvings(persons: list[int]) -> list[tuple[list[int], list[int]]]:
    """Draw `SPLITS` divisions of the persons into two halves."""
    half = len(persons) // 2
    drawn = [stream(0, "halving", number).permutation(persons).tolist() for number in range(SPLITS)]
    return [(order[:half], order[half : 2 * half]) for order in drawn]


def _link(source: Path, target: Path) -> None:
    """Create a hard link, or a copy if the file system has no hard links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _encode(frames: Iterable[Path], folder: Path, pattern: str) -> None:
    """Write frames as PNG files, named by a format pattern for their number."""
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames, start=1):
        with Image.open(frame) as picture:
            picture.save(folder / pattern.format(number), compress_level=1)


def _write_hdf5(path: Path, name: str, values: NDArray[np.float64]) -> None:
    """Write a table as MATLAB 7.3 does: transposed, after a text header."""
    import h5py

    with h5py.File(path, "w", userblock_size=_HDF5_HEADER) as file:
        file[name] = values.T
    with path.open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file".ljust(_HDF5_HEADER))
