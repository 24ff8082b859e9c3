"""Splits of your own data: persons to train on and persons to test on, drawn from a seed.

As in the official splits of PRID2011 and iLIDS-VID, persons are halved at random several times, and scores are means
over the splits; as in MARS, by default one tracklet of each test person and camera is a query.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np

from resight.data.readers.folder import folder_splits_file, read_folder
from resight.data.readers.listing import natural_order
from resight.data.readers.manifest import manifest_splits_file, read_manifest
from resight.data.readers.own_splits import OwnSplit, OwnSplits, hash_ids
from resight.errors import DatasetError, RecipeError
from resight.tracklet import DISTRACTOR, Dataset, Tracklet, by_person

_OWN: dict[str, tuple[Callable[[Path], Dataset], Callable[[Path], Path]]] = {
    "folder": (read_folder, folder_splits_file),
    "manifest": (read_manifest, manifest_splits_file),
}
_CAMERA = "camera:"
_LEAST = 2
_WIDTH = 100


@dataclass(frozen=True)
class SplitRule:
    """How splits are drawn.

    Attributes:
        number: how many, ≥ 1.
        test_share: share of the persons to test on, between 0 and 1.
        queries: ``one-per-camera``, a drawn tracklet of each test person under each camera, as in MARS; ``all``, each
            of their tracklets; or ``camera:NAME``, a drawn tracklet of each under that camera.
        min_frames: tracklets of fewer frames are in no split, ≥ 1.
        seed: ≥ 0.

    Raises:
        RecipeError: if a value cannot work.
    """

    number: int = 10
    test_share: float = 0.5
    queries: str = "one-per-camera"
    min_frames: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.test_share < 1:
            raise RecipeError(
                f"the test share must be between 0 and 1, such as 0.5 for half of the persons, found {self.test_share}"
            )
        numbers = (("number of splits", self.number, 1), ("least number of frames", self.min_frames, 1))
        for name, value, least in (*numbers, ("seed", self.seed, 0)):
            if value < least:
                raise RecipeError(f"the {name} must be at least {least}, found {value}")
        if self.queries not in ("one-per-camera", "all") and not self.camera:
            raise RecipeError(
                f"queries must be one-per-camera, all, or camera:NAME, such as camera:door, found {self.queries!r}"
            )

    @property
    def camera(self) -> str | None:
        """Name of the only camera that asks, or None."""
        return self.queries.removeprefix(_CAMERA) if self.queries.startswith(_CAMERA) else None

    def in_words(self) -> str:
        """The whole rule, to be kept beside what was drawn by it."""
        asking = {
            "one-per-camera": "one drawn tracklet of each of these persons under each camera",
            "all": "all tracklets of these persons",
        }.get(self.queries, f"one drawn tracklet of each of these persons under camera {self.camera}")
        seen = "under two cameras or more" if self.camera is None else f"under camera {self.camera} and another one"
        short = f"Tracklets of fewer than {self.min_frames} frames are left out. " if self.min_frames > 1 else ""
        return (
            f"{self.test_share:g} of the persons seen {seen} are asked for; queries are {asking}. Of all other "
            f"persons, {self.test_share:g} are in the gallery and never asked for. The gallery is all tracklets of "
            "both, queries included, and of unknown persons, which are junk. Everybody else is to be trained on. "
            f"{short}No two splits ask for exactly the same persons."
        )


@dataclass(frozen=True)
class MadeSplits:
    """What was drawn and written.

    Attributes:
        path: the file.
        own: what it says.
        splits: the same as splits of the data set.
    """

    path: Path
    own: OwnSplits
    splits: tuple[Dataset, ...]

    def to_json(self) -> dict[str, Any]:
        """File, seed, rule, and how many persons and tracklets each split has, as plain values."""
        return {
            "file": str(self.path),
            "seed": self.own.seed,
            "rule": self.own.rule,
            "left_out": len(self.own.left_out),
            "splits": [
                {
                    role: {"persons": len(by_person(tracklets)), "tracklets": len(tracklets)}
                    for role, tracklets in (("train", one.train), ("query", one.query), ("gallery", one.gallery))
                }
                for one in self.splits
            ],
        }

    def to_text(self) -> str:
        """The same in a few lines, with the least and the most of any split."""
        rows = self.to_json()["splits"]
        lines = [fill(self.own.rule, _WIDTH), ""]
        for role in ("train", "query", "gallery"):
            persons, tracklets = (_span([row[role][what] for row in rows]) for what in ("persons", "tracklets"))
            lines.append(f"{role:8}  {persons} persons, {tracklets} tracklets")
        unknown = sum(t.person <= DISTRACTOR for t in self.splits[0].gallery)
        lines[-1] += f", {unknown} of them of unknown persons" if unknown else ""
        if self.own.left_out:
            lines.append(f"left out  {len(self.own.left_out)} short tracklets")
        count = f"{len(rows)} splits" if len(rows) > 1 else "1 split"
        return "\n".join([*lines, f"wrote {self.path}: {count} from seed {self.own.seed}"])


def make_splits(name: str, rule: SplitRule, *, replace: bool = False) -> MadeSplits:
    """Draw splits of a data set of your own and write them beside it, where its reader looks for them.

    Args:
        name: ``folder:PATH`` or ``manifest:PATH``.
        rule: how to draw.
        replace: whether other splits that are there may be overwritten.

    Returns:
        what was written: ``splits.json`` in the folder, or ``manifest.splits.json`` beside ``manifest.jsonl``.

    Raises:
        DatasetError: if it is another kind of data set or cannot be read, or as `draw_splits`, or if there is a file of
            other splits and `replace` is not set.
    """
    kind, _, text = name.partition(":")
    if kind not in _OWN or not text:
        raise DatasetError(
            f"splits are drawn for your own data, folder:PATH or manifest:PATH, found {name!r}; other kinds have "
            "official ones"
        )
    root = Path(text).expanduser()
    read, splits_file = _OWN[kind]
    whole = read(root)
    own = draw_splits(whole, rule)
    path = splits_file(root)
    write_splits(path, own, replace=replace)
    return MadeSplits(path, own, own.of(whole))


def draw_splits(whole: Dataset, rule: SplitRule) -> OwnSplits:
    """Draw splits with nobody on both sides.

    Persons who can be asked for, those with a tracklet to ask with and another under another camera, are drawn into
    the test side with the test share; so are, apart from them, all others, whose tracklets then only make the gallery
    larger. Person `JUNK` is in every gallery and in no training. The first n splits do not depend on how many are
    drawn, nor on the order of the tracklets.

    Args:
        whole: a data set with every tracklet in its gallery.
        rule: how to draw.

    Raises:
        DatasetError: if there is no such camera, there are fewer than two persons to ask for or to train on, or the
            persons cannot be divided in so many ways.
    """
    everyone = sorted(whole.gallery, key=lambda tracklet: natural_order(tracklet.id))
    usable = [t for t in everyone if len(t) >= rule.min_frames]
    asking = _find_camera(whole, rule.camera)
    own = by_person(usable)
    askable = [person for person, seen in own.items() if _can_be_asked_for(seen, asking)]
    others = [person for person in own if person not in set(askable)]
    n_asked, n_others = (math.floor(rule.test_share * len(persons) + 0.5) for persons in (askable, others))
    _check_cameras(whole, usable)
    _check_numbers(whole, rule, len(askable), len(others), n_asked, len(own) - n_asked - n_others)
    rng = np.random.default_rng(rule.seed)
    drawn: dict[frozenset[int], OwnSplit] = {}
    while len(drawn) < rule.number:
        asked = frozenset(rng.permutation(askable)[:n_asked].tolist())
        if asked in drawn:
            continue
        test = asked | set(rng.permutation(others)[:n_others].tolist())
        query = [t for person in sorted(asked) for t in _draw_queries(own[person], rule, asking, rng)]
        drawn[asked] = OwnSplit(
            train=tuple(t.id for t in usable if t.person > DISTRACTOR and t.person not in test),
            query=tuple(t.id for t in query),
            gallery=tuple(t.id for t in usable if t.person <= DISTRACTOR or t.person in test),
        )
    left_out = tuple(t.id for t in everyone if len(t) < rule.min_frames)
    return OwnSplits(rule.seed, rule.in_words(), hash_ids(t.id for t in everyone), left_out, tuple(drawn.values()))


def write_splits(path: Path, own: OwnSplits, *, replace: bool = False) -> None:
    """Write splits to a temporary name, then rename it.

    Raises:
        DatasetError: if other splits are there and `replace` is not set.
    """
    content = own.to_bytes()
    if path.exists() and not replace and path.read_bytes() != content:
        raise DatasetError(
            f"{path} holds other splits already, and scores made with them could not be repeated; keep it, move it "
            "away, or overwrite it with --replace"
        )
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _find_camera(whole: Dataset, name: str | None) -> int | None:
    if name is None:
        return None
    if name not in whole.camera_names:
        raise DatasetError(f"no camera is called {name!r} in {whole.root}; it has {', '.join(whole.camera_names)}")
    return whole.camera_names.index(name) + 1


def _can_be_asked_for(seen: Sequence[Tracklet], asking: int | None) -> bool:
    cameras = {t.camera for t in seen}
    return len(cameras) > 1 and (asking is None or asking in cameras)


def _draw_queries(
    seen: Sequence[Tracklet], rule: SplitRule, asking: int | None, rng: np.random.Generator
) -> Sequence[Tracklet]:
    if rule.queries == "all":
        return seen
    cameras = [asking] if asking is not None else sorted({t.camera for t in seen})
    by_camera = [[t for t in seen if t.camera == camera] for camera in cameras]
    return [own[int(rng.integers(len(own)))] for own in by_camera]


def _check_cameras(whole: Dataset, usable: Sequence[Tracklet]) -> None:
    cameras = {t.camera for t in usable}
    if len(cameras) == 1:
        raise DatasetError(
            f"{whole.root} has one camera only ({whole.camera_name(min(cameras))}), and nobody can be found again "
            "under another; give the tracklets of different cameras different camera names, or judge the set as it is "
            "by protocol any-camera"
        )


def _check_numbers(whole: Dataset, rule: SplitRule, n_askable: int, n_others: int, n_asked: int, n_train: int) -> None:
    if n_asked < _LEAST or n_train < _LEAST:
        seen = "by two cameras or more" if rule.camera is None else f"by camera {rule.camera} and another one"
        long = f", in tracklets of {rule.min_frames} frames or more" if rule.min_frames > 1 else ""
        raise DatasetError(
            f"{n_askable} of {n_askable + n_others} persons in {whole.root} are seen {seen}{long}; with a test share "
            f"of {rule.test_share:g} that makes {n_asked} to ask for and {n_train} to train on, but {_LEAST} of each "
            "are needed: change the share, or bring more persons"
        )
    ways = math.comb(n_askable, n_asked)
    if ways < rule.number:
        raise DatasetError(
            f"{n_asked} of {n_askable} persons can be chosen in {ways} ways, fewer than {rule.number} splits: ask for "
            f"{ways} at most, or bring more persons"
        )


def _span(numbers: Sequence[int]) -> str:
    least, most = min(numbers), max(numbers)
    return str(least) if least == most else f"{least} to {most}"
