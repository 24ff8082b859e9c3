"""What a data set consists of: persons, cameras, roles, and the published counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np

from resight.doctor.report import Findings
from resight.doctor.tree import Tree, join
from resight.evaluation.protocols import PROTOCOLS, Labels, Protocol, default_protocol, judge_pairs
from resight.tracklet import DISTRACTOR, JUNK, Dataset, by_person

_ROWS = 1 << 24
"""Query-gallery pairs that are judged at once."""
_NEAR = 0.2
"""A data set with a count that is nearer than this to the published one is meant to be that data set."""
_OWN = ("folder", "manifest")
_LISTED = ("mars", "ls-vid")
"""Kinds whose gallery holds the queries."""

PUBLISHED: Mapping[str, Mapping[str, int]] = MappingProxyType(
    {
        "mars": {
            "train tracklets": 8_298, "train persons": 625, "train frames": 509_914, "query tracklets": 1_980,
            "gallery tracklets": 12_180, "gallery frames": 681_089,
        },
        "duke-video": {
            "train tracklets": 2_196, "train persons": 702, "query tracklets": 702, "gallery tracklets": 2_636,
        },
        "prid2011": {"splits": 10, "train tracklets": 178, "query tracklets": 89, "gallery tracklets": 89},
        "ilids-vid": {"splits": 10, "train tracklets": 300, "query tracklets": 150, "gallery tracklets": 150},
    }
)  # fmt: skip
"""Kind → what its authors, or the published splits, say. The sources are in docs/datasets.md."""


def check_roles(splits: Sequence[Dataset], kind: str, tree: Tree, findings: Findings) -> None:
    """Check what a reader read: persons, cameras, roles, matches, counts, and that every frame is there."""
    _check_published(splits, kind, tree, findings)
    _check_present(splits, tree, findings)
    everyone = {t.id: t for split in splits for t in (*split.train, *split.query, *split.gallery)}
    cameras = {person: {t.camera for t in own} for person, own in by_person(everyone.values()).items()}
    once = [str(person) for person, seen in cameras.items() if len(seen) == 1]
    findings.add_each(
        "one-camera-persons", [f"person {person}" for person in once], f"{len(once)} of {len(cameras)} persons"
    )
    unknown = [t.id for t in everyone.values() if t.person == JUNK]
    if kind == "manifest":
        findings.add_each("unknown-persons", unknown, f"{len(unknown)} of {len(everyone)} tracklets")
    for split in splits:
        where = "" if split.number is None else f"split {split.number}: "
        _check_split(split, kind, where, findings)


def _check_split(split: Dataset, kind: str, where: str, findings: Findings) -> None:
    train, query, gallery = (by_person(role) for role in (split.train, split.query, split.gallery))
    own_test = {t.id for t in split.train} != {t.id for t in split.gallery}
    swapped = bool(query) and not set(query) & set(gallery) and set(query) <= set(train)
    if swapped:
        findings.add(
            "roles-swapped", f"{where}all {len(query)} persons that are asked for are in train, none is in the gallery",
            expected="them in the gallery",
        )  # fmt: skip
    elif own_test:
        both = sorted(set(train) & (set(query) | set(gallery)))
        findings.add_each(
            "roles-overlap", [f"person {person}" for person in both],
            f"{where}{len(both)} persons in train and in the test",
            expected="no person in both",
        )  # fmt: skip
    known = {t.id for t in split.gallery}
    outside = [t.id for t in split.query if t.id not in known]
    if outside and (kind in _LISTED or (len(outside) < len(split.query) and own_test)):
        findings.add(
            "query-not-in-gallery", f"{where}{len(outside)} of {len(split.query)} queries are not in the gallery",
            expected="all of them, or none", places=outside,
        )  # fmt: skip
    asked = [t for t in split.query if t.person > DISTRACTOR]
    lonely = find_unmatched(split, default_protocol(kind))
    if lonely and not swapped:
        own = kind in _OWN and len(lonely) < len(asked)
        findings.add(
            "no-match", f"{where}{len(lonely)} of {len(asked)} queries have none",
            expected=f"a match by the protocol {default_protocol(kind).name}", places=lonely,
            severity="note" if own else "error" if kind not in _OWN and len(lonely) == len(asked) else "warning",
        )  # fmt: skip


def find_unmatched(split: Dataset, protocol: Protocol) -> list[str]:
    """Ids of the queries of somebody that no gallery tracklet matches."""
    query, gallery = Labels.of(split.query), Labels.of(split.gallery)
    is_query = gallery.among(query)
    lonely: list[str] = []
    rows = max(1, _ROWS // max(1, len(split.gallery)))
    for start in range(0, len(split.query), rows):
        part = query.rows(slice(start, start + rows))
        match, _ = judge_pairs(protocol, part, gallery, is_query)
        unmatched = ~match.any(axis=1) & (part.persons > DISTRACTOR)
        lonely += (part.ids[row] for row in np.flatnonzero(unmatched))
    return lonely


def count_split(splits: Sequence[Dataset]) -> dict[str, int]:
    """The counts that publications give, of the first split."""
    first = splits[0]
    counts = {"splits": len(splits), "train persons": len(by_person(first.train))}
    for role, tracklets in (("train", first.train), ("query", first.query), ("gallery", first.gallery)):
        counts[f"{role} tracklets"] = len(tracklets)
        counts[f"{role} frames"] = sum(map(len, tracklets))
    return counts


def _check_published(splits: Sequence[Dataset], kind: str, tree: Tree, findings: Findings) -> None:
    published = PUBLISHED.get(kind)
    if published is None:
        return
    counts = count_split(splits)
    wrong = [
        f"{what}: {counts[what]:,}, not {number:,}" for what, number in published.items() if counts[what] != number
    ]
    if not wrong:
        return
    whose = PROTOCOLS[kind].name if kind in PROTOCOLS else kind
    synthetic = any((splits[0].root / "info" / name).is_file() for name in ("world.json", "faults.csv"))
    sizes = {what: number for what, number in published.items() if what != "splits"}
    meant = any(abs(counts[what] - number) <= _NEAR * number for what, number in sizes.items())
    if synthetic or not meant:
        found = "a synthetic world" if synthetic else f"another data set: {wrong[0]}"
        findings.add("not-published", found, expected=f"the published {whose}, or your own data in its layout")
    else:
        findings.add("differs-from-published", f"{len(wrong)} other counts", expected=f"those of {whose}", places=wrong)


def _check_present(splits: Sequence[Dataset], tree: Tree, findings: Findings) -> None:
    """That the frames of all tracklets are in the folders where the reader says they are."""
    missing: list[str] = []
    for tracklet in {t.id: t for split in splits for t in (*split.train, *split.query, *split.gallery)}.values():
        folder = tracklet.folder
        if not folder.is_relative_to(tree.root):
            continue
        inside = folder.relative_to(tree.root).as_posix()
        listed = tree.folders.get("" if inside == "." else inside)
        if listed is not None and listed.pictures.keys() >= set(tracklet.names):
            continue
        for name in tracklet.names:
            path = name if inside == "." else join(inside, name)
            above, _, last = path.rpartition("/")
            if last.startswith(".") or ".." in Path(path).parts:
                continue
            if above not in tree.folders or last not in tree.folders[above].pictures:
                missing.append(path)
    findings.add_each(
        "frames-missing", missing, f"{len(missing)} frames of tracklets that are not there", expected="all"
    )
