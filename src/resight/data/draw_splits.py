"""Draw splits of your own data into training and test persons, from a seed.

As in the official splits of PRID2011 and iLIDS-VID, persons are divided at random several times, and a score is the
mean over the splits. As in MARS, by default one tracklet of each test person and camera is a query.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np

from resight.data.readers import OWN_DATA
from resight.data.readers.listing import natural_order
from resight.data.readers.own_splits import OwnSplit, OwnSplits, hash_ids
from resight.errors import DatasetError, RecipeError
from resight.tracklet import DISTRACTOR, Dataset, Tracklet, by_person
from resight.words import in_number

_CAMERA = "camera:"
_LEAST = 2
_WIDTH = 100


@dataclass(frozen=True)
class SplitRule:
    """How splits are drawn.

    Attributes:
        number: Number of splits, at least 1.
        test_share: Share of the persons used for testing, between 0 and 1.
        queries: ``one-per-camera``: one random tracklet of each test person in each camera, as in MARS. ``all``: every
            tracklet of each test person. ``camera:NAME``: one random tracklet of each test person in that camera.
        min_frames: Tracklets with fewer frames are in no split; at least 1.
        seed: Seed of the random numbers, at least 0.

    Raises:
        RecipeError: If a value is out of range.
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
        numbers = (("number of splits", self.number, 1), ("minimum number of frames", self.min_frames, 1))
        for name, value, least in (*numbers, ("seed", self.seed, 0)):
            if value < least:
                raise RecipeError(f"the {name} must be at least {least}, found {value}")
        if self.queries not in ("one-per-camera", "all") and not self.camera:
            raise RecipeError(
                f"queries must be one-per-camera, all, or camera:NAME, such as camera:door, found {self.queries!r}"
            )

    @property
    def camera(self) -> str | None:
        """Name of the only camera with queries, or None."""
        return self.queries.removeprefix(_CAMERA) if self.queries.startswith(_CAMERA) else None

    def in_words(self) -> str:
        """Return the complete rule as text, which is stored with the splits."""
        share = f"{100 * self.test_share:g} %"
        queries = {
            "one-per-camera": "one random tracklet of each test person in each camera",
            "all": "all tracklets of the test persons",
        }.get(self.queries, f"one random tracklet of each test person in camera {self.camera}")
        seen = "in two or more cameras" if self.camera is None else f"in camera {self.camera} and another camera"
        short = f"Tracklets with fewer than {self.min_frames} frames are left out. " if self.min_frames > 1 else ""
        return (
            f"{share} of the persons seen {seen} are test persons. Queries are {queries}. {share} of all other persons "
            "are in the gallery without queries. The gallery also contains all tracklets of the test persons, "
            "including the queries, and unknown persons as junk. All remaining persons are for training. "
            f"{short}No two splits have exactly the same test persons."
        )


@dataclass(frozen=True)
class MadeSplits:
    """Splits that were drawn and written.

    Attributes:
        path: The file.
        own: Its content.
        splits: The data sets that the reader returns from now on.
    """

    path: Path
    own: OwnSplits
    splits: tuple[Dataset, ...]

    def to_json(self) -> dict[str, Any]:
        """Return file, seed, rule, and the number of persons and tracklets of each split, as plain values."""
        return {
            "file": str(self.path),
            "seed": self.own.seed,
            "rule": self.own.rule,
            "left_out": len(self.own.left_out),
            "splits": [
                {
                    role: {"persons": len(by_person(tracklets)), "tracklets": len(tracklets)}
                    for role, tracklets in (("train", split.train), ("query", split.query), ("gallery", split.gallery))
                }
                for split in self.splits
            ],
        }

    def to_text(self) -> str:
        """Return the same in a few lines, with the minimum and the maximum over the splits."""
        rows = self.to_json()["splits"]
        lines = [fill(self.own.rule, _WIDTH), ""]
        for role in ("train", "query", "gallery"):
            persons, tracklets = (_range([row[role][what] for row in rows]) for what in ("persons", "tracklets"))
            lines.append(in_number(f"{role:8}  {persons} persons, {tracklets} tracklets"))
        unknown = sum(t.person <= DISTRACTOR for t in self.splits[0].gallery)
        lines[-1] += f", {unknown} of them of unknown persons" if unknown else ""
        if self.own.left_out:
            lines.append(f"left out  {len(self.own.left_out)} short tracklets")
        count = f"{len(rows)} splits" if len(rows) > 1 else "1 split"
        return "\n".join([*lines, f"wrote {self.path}: {count} from seed {self.own.seed}"])


def make_splits(name: str, rule: SplitRule, *, replace: bool = False) -> MadeSplits:
    """Draw splits of your own data and write them to the file that its reader looks for.

    The file is ``splits.json`` in a folder, or ``manifest.splits.json`` beside ``manifest.jsonl``.

    Args:
        name: ``folder:PATH`` or ``manifest:PATH``.
        rule: How to draw.
        replace: Whether to overwrite a file with other splits.

    Raises:
        DatasetError: If the data set is of another kind or cannot be read, as `draw_splits`, or if the file has other
            splits and `replace` is False.
    """
    kind, _, text = name.partition(":")
    if kind not in OWN_DATA or not text:
        raise DatasetError(
            f"splits can be drawn only for your own data, folder:PATH or manifest:PATH, found {name!r}; other kinds "
            "have official splits"
        )
    root = Path(text).expanduser()
    whole = OWN_DATA[kind].read(root)
    own = draw_splits(whole, rule)
    path = OWN_DATA[kind].splits_file(root)
    write_splits(path, own, replace=replace)
    return MadeSplits(path, own, own.of(whole))


def draw_splits(whole: Dataset, rule: SplitRule) -> OwnSplits:
    """Draw splits in which no person is in both training and test.

    Candidates for test persons have a possible query and another tracklet in another camera. The test share of them
    is drawn as test persons. All other persons are divided separately with the same share; those on the test side
    only enlarge the gallery. Person `JUNK` is in every gallery and never in training. The first n splits depend
    neither on the number of splits nor on the order of the tracklets.

    Args:
        whole: A data set with every tracklet in its gallery.
        rule: How to draw.

    Raises:
        DatasetError: If the camera does not exist, there are fewer than two test or training persons, or there are
            fewer different sets of test persons than splits.
    """
    everything = sorted(whole.gallery, key=lambda tracklet: natural_order(tracklet.id))
    usable = [t for t in everything if len(t) >= rule.min_frames]
    query_camera = _find_camera(whole, rule.camera)
    tracklets = by_person(usable)
    candidates = [person for person, seen in tracklets.items() if _can_be_test_person(seen, query_camera)]
    others = [person for person in tracklets if person not in set(candidates)]
    n_test, n_others = (math.floor(rule.test_share * len(persons) + 0.5) for persons in (candidates, others))
    _check_cameras(whole, usable)
    _check_numbers(whole, rule, len(candidates), len(others), n_test, len(tracklets) - n_test - n_others)
    rng = np.random.default_rng(rule.seed)
    drawn: dict[frozenset[int], OwnSplit] = {}
    while len(drawn) < rule.number:
        test_persons = frozenset(rng.permutation(candidates)[:n_test].tolist())
        if test_persons in drawn:
            continue
        test = test_persons | set(rng.permutation(others)[:n_others].tolist())
        query = [
            t for person in sorted(test_persons) for t in _draw_queries(tracklets[person], rule, query_camera, rng)
        ]
        drawn[test_persons] = OwnSplit(
            train=tuple(t.id for t in usable if t.person > DISTRACTOR and t.person not in test),
            query=tuple(t.id for t in query),
            gallery=tuple(t.id for t in usable if t.person <= DISTRACTOR or t.person in test),
        )
    left_out = tuple(t.id for t in everything if len(t) < rule.min_frames)
    return OwnSplits(rule.seed, rule.in_words(), hash_ids(t.id for t in everything), left_out, tuple(drawn.values()))


def write_splits(path: Path, own: OwnSplits, *, replace: bool = False) -> None:
    """Write splits to a file. The file is complete or not changed, even if writing is interrupted.

    Raises:
        DatasetError: If the file has other splits and `replace` is False.
    """
    content = own.to_bytes()
    if path.exists() and not replace and path.read_bytes() != content:
        raise DatasetError(
            f"{path} already contains other splits, and scores computed with them could not be repeated without it; "
            "keep it, move it, or overwrite it with --replace"
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
        raise DatasetError(
            f"there is no camera {name!r} in {whole.root}; its cameras are {', '.join(whole.camera_names)}"
        )
    return whole.camera_names.index(name) + 1


def _can_be_test_person(seen: Sequence[Tracklet], query_camera: int | None) -> bool:
    cameras = {t.camera for t in seen}
    return len(cameras) > 1 and (query_camera is None or query_camera in cameras)


def _draw_queries(
    seen: Sequence[Tracklet], rule: SplitRule, query_camera: int | None, rng: np.random.Generator
) -> Sequence[Tracklet]:
    if rule.queries == "all":
        return seen
    cameras = [query_camera] if query_camera is not None else sorted({t.camera for t in seen})
    by_camera = [[t for t in seen if t.camera == camera] for camera in cameras]
    return [tracklets[int(rng.integers(len(tracklets)))] for tracklets in by_camera]


def _check_cameras(whole: Dataset, usable: Sequence[Tracklet]) -> None:
    cameras = {t.camera for t in usable}
    if len(cameras) == 1:
        raise DatasetError(
            f"{whole.root} has one camera only ({whole.camera_name(min(cameras))}), so that no person has a match in "
            "another camera; name the cameras of the tracklets, or evaluate the whole data set with protocol any-camera"
        )


def _check_numbers(
    whole: Dataset, rule: SplitRule, n_candidates: int, n_others: int, n_test: int, n_train: int
) -> None:
    if n_test < _LEAST or n_train < _LEAST:
        seen = "in two or more cameras" if rule.camera is None else f"in camera {rule.camera} and another camera"
        long = f", with tracklets of at least {rule.min_frames} frames" if rule.min_frames > 1 else ""
        raise DatasetError(
            f"{n_candidates} of {n_candidates + n_others} persons in {whole.root} are seen {seen}{long}; a test share "
            f"of {rule.test_share:g} gives {n_test} test persons and {n_train} training persons, but at least {_LEAST} "
            "of each are needed: change the share, or add persons"
        )
    ways = math.comb(n_candidates, n_test)
    if ways < rule.number:
        raise DatasetError(
            f"{n_test} test persons can be chosen from {n_candidates} in {ways} ways, which is fewer than "
            f"{rule.number} splits: draw at most {ways} splits, or add persons"
        )


def _range(numbers: Sequence[int]) -> str:
    least, most = min(numbers), max(numbers)
    return str(least) if least == most else f"{least} to {most}"
