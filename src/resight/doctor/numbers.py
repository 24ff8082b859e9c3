"""Group frames by tracklet, and check the numbers in their names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import pairwise
from typing import NamedTuple

from resight.data.readers import LAYOUTS
from resight.data.readers.listing import natural_order
from resight.doctor.report import Findings
from resight.doctor.tree import Tree
from resight.recipe import ClipSpec
from resight.tracklet import Tracklet

_CLIP_LENGTH = ClipSpec().length


class Group(NamedTuple):
    """The frames of one tracklet.

    Attributes:
        name: Id of the tracklet.
        folder: Folder of the frames, relative to the data set.
        names: File names of the frames, in the order of the reader.
    """

    name: str
    folder: str
    names: tuple[str, ...]


def group_tracklets(tracklets: Iterable[Tracklet], tree: Tree) -> list[Group]:
    """Return the frames of tracklets. Folders outside the tree have absolute paths."""
    groups: dict[tuple[str, str], Group] = {}
    for tracklet in tracklets:
        path = tracklet.folder
        folder = path.relative_to(tree.root).as_posix() if path.is_relative_to(tree.root) else path.as_posix()
        folder = "" if folder == "." else folder
        groups.setdefault((tracklet.id, folder), Group(tracklet.id, folder, tracklet.names))
    return list(groups.values())


def group_tree(tree: Tree, kind: str) -> list[Group]:
    """Return probable tracklets of a data set that its reader cannot read.

    Each folder is one, or, if the layout puts several tracklets into a folder, all frames whose names have the same
    beginning.
    """
    shared = LAYOUTS[kind].shared_folders
    groups: list[Group] = []
    for folder, listed in tree.folders.items():
        frames: dict[str, list[str]] = {}
        for name, size in sorted(listed.pictures.items(), key=lambda item: natural_order(item[0])):
            if size >= 0:
                match = _match_number(kind, name) if shared else None
                beginning = name[: match.start()].rstrip("_") if match else ""
                frames.setdefault(beginning, []).append(name)
        for beginning, names in frames.items():
            groups.append(Group(beginning or folder, folder, tuple(names)))
    return groups


def frame_number(kind: str, name: str) -> int | None:
    """Return the frame number in a file name, None if there is none."""
    match = _match_number(kind, name)
    return int(match["frame"]) if match else None


def _match_number(kind: str, name: str) -> re.Match[str] | None:
    return _number_pattern(kind).search(name.rpartition(".")[0])


@cache
def _number_pattern(kind: str) -> re.Pattern[str]:
    return re.compile(rf"(?:{LAYOUTS[kind].frame_number})$", re.IGNORECASE)


def check_numbers(groups: Sequence[Group], kind: str, findings: Findings) -> None:
    """Check frame numbers for gaps, repetitions and order, and tracklets for their length."""
    numbered = [(group, [frame_number(kind, name) for name in group.names]) for group in groups]
    known = [(group, [n for n in numbers if n is not None]) for group, numbers in numbered if None not in numbers]
    steps = Counter(b - a for _, numbers in known for a, b in pairwise(sorted(set(numbers))))
    usual = steps.most_common(1)[0][0] if steps else 1
    gaps = list(_gaps(known, usual))
    findings.add_each(
        "frame-gaps", gaps, f"{len(gaps)} gaps",
        expected="consecutive numbers" if usual == 1 else f"steps of {usual}, as in most tracklets",
    )  # fmt: skip
    twice = list(_repeats(known))
    findings.add_each("same-number-twice", twice, f"{len(twice)} pairs of frames", expected="one frame per number")
    # Only a manifest may list frames in an order that differs from that of their numbers.
    backwards = [group.name for group, numbers in known if numbers != sorted(numbers)]
    findings.add_each("frames-out-of-order", backwards, f"{len(backwards)} tracklets", expected="increasing numbers")
    by_text = [
        f"{group.folder}: {names[0]} after {names[1]}"
        for group, numbers in known
        if numbers == sorted(numbers) and (names := _misplaced(group.names))
    ]
    findings.add_each(
        "unpadded-numbers", by_text, f"{len(by_text)} tracklets", expected="numbers with the same number of digits"
    )
    short = [f"{group.name} ({len(group.names)})" for group in groups if len(group.names) < _CLIP_LENGTH]
    findings.add_each("short-tracklets", short, f"{len(short)} tracklets", expected=f"at least {_CLIP_LENGTH} frames")


def _gaps(known: Iterable[tuple[Group, list[int]]], usual: int) -> Iterator[str]:
    for group, numbers in known:
        for before, after in pairwise(sorted(set(numbers))):
            if after - before > usual:
                yield f"{group.name}: {before} to {after}"


def _repeats(known: Iterable[tuple[Group, list[int]]]) -> Iterator[str]:
    for group, numbers in known:
        if len(set(numbers)) < len(numbers):
            first: dict[int, str] = {}
            for number, name in zip(numbers, group.names, strict=True):
                if first.setdefault(number, name) != name:
                    yield f"{group.folder}: {first[number]} and {name}"


def _misplaced(names: Sequence[str]) -> tuple[str, str] | None:
    """Return two successive names, in order of their numbers, that sort the other way as text."""
    return next((pair for pair in pairwise(names) if pair[0] > pair[1]), None)
