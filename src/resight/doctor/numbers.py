"""Frames in groups, as tracklets have them or as their names suggest, and the numbers in their names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from resight.data.readers.listing import natural_order
from resight.doctor.report import Findings
from resight.doctor.tree import Tree
from resight.tracklet import Tracklet

_FRAME = {
    "mars": re.compile(r"F(\d+)\.\w+$", re.IGNORECASE),
    "duke-video": re.compile(r"F(\d+)_?X", re.IGNORECASE),
}
_LAST = re.compile(r"(\d+)\D*\.\w+$")
_SHORT = 4
"""Frames of a clip; shorter tracklets repeat theirs."""


class Group(NamedTuple):
    """The frames of one tracklet.

    Attributes:
        name: of the tracklet.
        folder: of the frames, relative to the data set.
        names: of the frames, in the order of the reader.
    """

    name: str
    folder: str
    names: tuple[str, ...]


def group_tracklets(tracklets: Iterable[Tracklet], tree: Tree) -> list[Group]:
    """The frames that a reader found; folders outside of the tree stay absolute."""
    groups: dict[tuple[str, str], Group] = {}
    for tracklet in tracklets:
        folder = tracklet.folder
        inside = folder.relative_to(tree.root).as_posix() if folder.is_relative_to(tree.root) else folder.as_posix()
        inside = "" if inside == "." else inside
        groups.setdefault((tracklet.id, inside), Group(tracklet.id, inside, tracklet.names))
    return list(groups.values())


def group_tree(tree: Tree, kind: str) -> list[Group]:
    """What may be tracklets, where no reader says it: folders, or frames whose names begin alike."""
    groups: list[Group] = []
    for folder, listed in tree.folders.items():
        own: dict[str, list[str]] = {}
        for name, size in sorted(listed.pictures.items(), key=lambda item: natural_order(item[0])):
            if size >= 0:
                own.setdefault(_beginning(kind, name), []).append(name)
        for start, names in own.items():
            groups.append(Group(start or folder, folder, tuple(names)))
    return groups


def _beginning(kind: str, name: str) -> str:
    if kind == "mars":
        return re.split(r"F\d+\.", name)[0]
    return name.rpartition("_")[0] if kind == "ls-vid" else ""


def frame_number(kind: str, name: str) -> int | None:
    """The number of a frame in the name of its file, None if there is none."""
    match = _FRAME.get(kind, _LAST).search(name)
    return int(match[1]) if match else None


def check_numbers(groups: Sequence[Group], kind: str, findings: Findings) -> None:
    """Gaps, repeats and order of the frame numbers of tracklets, and tracklets of very few frames."""
    numbered = [(group, [frame_number(kind, name) for name in group.names]) for group in groups]
    known = [(group, [n for n in numbers if n is not None]) for group, numbers in numbered if None not in numbers]
    steps = Counter(b - a for _, numbers in known for a, b in pairwise(sorted(set(numbers))))
    usual = steps.most_common(1)[0][0] if steps else 1
    gaps = list(_gaps(known, usual))
    findings.add_each(
        "frame-gaps", gaps, f"{len(gaps)} gaps",
        expected="numbers one after the other" if usual == 1 else f"steps of {usual}, as nearly everywhere",
    )  # fmt: skip
    twice = list(_repeats(known))
    findings.add_each("same-number-twice", twice, f"{len(twice)} pairs of frames", expected="one frame a number")
    # A manifest's own order may differ from that of the numbers; no reader's does.
    backwards = [group.name for group, numbers in known if numbers != sorted(numbers)]
    findings.add_each("frames-out-of-order", backwards, f"{len(backwards)} tracklets", expected="rising numbers")
    by_text = [
        f"{group.folder}: {names[0]} after {names[1]}"
        for group, numbers in known
        if numbers == sorted(numbers) and (names := _misplaced(group.names))
    ]
    findings.add_each("unpadded-numbers", by_text, f"{len(by_text)} tracklets", expected="numbers of one width")
    short = [f"{group.name} ({len(group.names)})" for group in groups if len(group.names) < _SHORT]
    findings.add_each("short-tracklets", short, f"{len(short)} tracklets", expected=f"at least {_SHORT} frames")


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
    """Two names in the order of their numbers that text would put the other way round."""
    return next((pair for pair in pairwise(names) if pair[0] > pair[1]), None)
