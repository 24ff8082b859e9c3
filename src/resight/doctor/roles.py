"""Check persons, cameras and roles of a data set, and compare its counts with the published ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np

from resight.data.readers import LAYOUTS, OWN_DATA
from resight.doctor.kinds import Severity
from resight.doctor.report import Findings
from resight.doctor.tree import Tree, join
from resight.evaluation.protocols import PROTOCOLS, Labels, Protocol, default_protocol, judge_pairs
from resight.tracklet import DISTRACTOR, JUNK, Dataset, by_person

_ROWS = 1 << 24
"""Query-gallery pairs that are compared at once."""
_NEAR = 0.2
"""If a count is within this share of the published one, the data set is taken for a copy of the published one."""

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
"""Kind → counts published by its authors or with its splits. docs/datasets.md has the sources."""


def check_roles(splits: Sequence[Dataset], kind: str, tree: Tree, findings: Findings) -> None:
    """Check what a reader read: persons, cameras, roles, matches, counts, and that every frame exists."""
    _check_published(splits, kind, findings)
    _check_present(splits, tree, findings)
    tracklets = {t.id: t for split in splits for t in (*split.train, *split.query, *split.gallery)}
    cameras = {person: {t.camera for t in seen} for person, seen in by_person(tracklets.values()).items()}
    in_one_camera = [f"person {person}" for person, seen in cameras.items() if len(seen) == 1]
    findings.add_each("one-camera-persons", in_one_camera, f"{len(in_one_camera)} of {len(cameras)} persons")
    unknown = [t.id for t in tracklets.values() if t.person == JUNK]
    if kind == "manifest":
        findings.add_each("unknown-persons", unknown, f"{len(unknown)} of {len(tracklets)} tracklets")
    for split in splits:
        where = "" if split.number is None else f"split {split.number}: "
        _check_split(split, kind, where, findings)


def _check_split(dataset: Dataset, kind: str, where: str, findings: Findings) -> None:
    train, query, gallery = (by_person(role) for role in (dataset.train, dataset.query, dataset.gallery))
    has_test = {t.id for t in dataset.train} != {t.id for t in dataset.gallery}
    swapped = bool(query) and not set(query) & set(gallery) and set(query) <= set(train)
    if swapped:
        findings.add(
            "roles-swapped", f"{where}all {len(query)} query persons are in train, none is in the gallery",
            expected="query persons in the gallery",
        )  # fmt: skip
    elif has_test:
        both = sorted(set(train) & (set(query) | set(gallery)))
        findings.add_each(
            "roles-overlap", [f"person {person}" for person in both],
            f"{where}{len(both)} persons in both train and test",
            expected="different persons in train and test",
        )  # fmt: skip
    known = {t.id for t in dataset.gallery}
    outside = [t.id for t in dataset.query if t.id not in known]
    if outside and (LAYOUTS[kind].gallery_has_queries or (len(outside) < len(dataset.query) and has_test)):
        findings.add(
            "query-not-in-gallery", f"{where}{len(outside)} of {len(dataset.query)} queries are not in the gallery",
            expected="all of them, or none", places=outside,
        )  # fmt: skip
    queries = [t for t in dataset.query if t.person > DISTRACTOR]
    protocol = default_protocol(kind)
    unmatched = find_unmatched(dataset, protocol)
    if unmatched and not swapped:
        severities: tuple[Severity, Severity] = ("note", "warning") if kind in OWN_DATA else ("warning", "error")
        findings.add(
            "no-match", f"{where}{len(unmatched)} of {len(queries)} queries have none",
            expected=f"a match under protocol {protocol.name}", places=unmatched,
            severity=severities[len(unmatched) == len(queries)],
        )  # fmt: skip


def find_unmatched(dataset: Dataset, protocol: Protocol) -> list[str]:
    """Return the ids of queries of known persons that have no match in the gallery."""
    query, gallery = Labels.of(dataset.query), Labels.of(dataset.gallery)
    is_query = gallery.among(query)
    unmatched: list[str] = []
    rows = max(1, _ROWS // max(1, len(dataset.gallery)))
    for start in range(0, len(dataset.query), rows):
        part = query.rows(slice(start, start + rows))
        match, _ = judge_pairs(protocol, part, gallery, is_query)
        without_match = ~match.any(axis=1) & (part.persons > DISTRACTOR)
        unmatched += (part.ids[row] for row in np.flatnonzero(without_match))
    return unmatched


def count_split(splits: Sequence[Dataset]) -> dict[str, int]:
    """Return the counts that publications state, for the first split."""
    first = splits[0]
    counts = {"splits": len(splits), "train persons": len(by_person(first.train))}
    for role, tracklets in (("train", first.train), ("query", first.query), ("gallery", first.gallery)):
        counts[f"{role} tracklets"] = len(tracklets)
        counts[f"{role} frames"] = sum(map(len, tracklets))
    return counts


def _check_published(splits: Sequence[Dataset], kind: str, findings: Findings) -> None:
    published = PUBLISHED.get(kind)
    if published is None:
        return
    counts = count_split(splits)
    wrong = [
        f"{what}: {counts[what]:,}, not {number:,}" for what, number in published.items() if counts[what] != number
    ]
    if not wrong:
        return
    name = PROTOCOLS[kind].name if kind in PROTOCOLS else kind
    synthetic = any((splits[0].root / "info" / file).is_file() for file in ("world.json", "faults.csv"))
    sizes = {what: number for what, number in published.items() if what != "splits"}
    is_copy = any(abs(counts[what] - number) <= _NEAR * number for what, number in sizes.items())
    if synthetic or not is_copy:
        found = "a synthetic world" if synthetic else f"another data set: {wrong[0]}"
        findings.add("not-published", found, expected=f"the published {name}, or your own data in its layout")
    else:
        findings.add("differs-from-published", f"{len(wrong)} other counts", expected=f"those of {name}", places=wrong)


def _check_present(splits: Sequence[Dataset], tree: Tree, findings: Findings) -> None:
    """Check that the frames of all tracklets are in their folders."""
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
    findings.add_each("frames-missing", missing, f"{len(missing)} missing frames of tracklets", expected="all")
