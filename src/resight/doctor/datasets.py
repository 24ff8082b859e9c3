"""Examine a data set: with its reader, and independent of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from resight.data.readers import OWN_DATA, READERS
from resight.data.readers.manifest import find_manifest
from resight.doctor.frames import check_frames
from resight.doctor.layout import check_layout, check_number_names, check_path, guess_kind
from resight.doctor.manifest import check_manifest
from resight.doctor.numbers import check_numbers, group_tracklets, group_tree
from resight.doctor.report import Findings, Report
from resight.doctor.roles import check_roles
from resight.doctor.statistics import DatasetStatistics, count_dataset
from resight.doctor.tables import check_encoding, check_tables
from resight.doctor.tree import Tree, check_tree, list_tree, tree_of_pack
from resight.errors import DatasetError
from resight.packs import is_pack, open_pack
from resight.progress import Progress
from resight.tracklet import Dataset

Stage = Callable[[str, str], AbstractContextManager[Progress]]
"""Takes a description and a unit, and shows a progress bar, as `resight.progress.progress_bar` does."""


def examine_dataset(
    kind: str, path: Path, stage: Stage, *, everything: bool = False, findings: Findings | None = None
) -> tuple[Report, DatasetStatistics | None]:
    """Examine a data set. Unlike its reader, continue after an error.

    Args:
        kind: A key of `READERS`.
        path: Path of the data set, as for its reader.
        stage: Shows progress.
        everything: Decode every frame, not a sample.
        findings: Findings to which new ones are added.

    Returns:
        The report; and statistics if the reader could read the data set, else None.
    """
    findings = findings or Findings()
    name = f"{kind}:{path}"
    if kind == "duke-video":
        findings.add("withdrawn", "DukeMTMC-VideoReID", severity="note")
    if not check_path(path, findings):
        return Report(name, kind, findings.sorted()), None
    tree = _packed_tree(path, findings)
    if tree is None and is_pack(path):
        return Report(name, kind, findings.sorted()), None
    if tree is not None:  # tables are not packed: the reader has read them
        check_tree(tree, kind, findings)
    else:
        is_manifest = path.is_file()
        with stage("listing", "folders") as progress:
            tree = list_tree(path.parent if is_manifest else path, progress)
        home = "" if is_manifest else check_layout(tree, kind, findings)
        check_tree(tree, kind, findings)
        check_number_names(tree, kind, home, findings)
        check_tables(tree, kind, home, findings)
        _check_own_files(kind, path, findings)
    splits = _read(kind, path, findings)
    for note in dict.fromkeys(note for split in splits for note in split.notes):
        findings.add("reader-note", note)
    kind_of_names = kind
    if splits:
        check_roles(splits, kind, tree, findings)
        groups = group_tracklets((t for s in splits for t in (*s.train, *s.query, *s.gallery)), tree)
    else:
        # If the data set is of another kind than the user said, its frames are named as in that kind.
        guess = guess_kind(tree)
        kind_of_names = guess[0] if guess else kind
        groups = group_tree(tree, kind_of_names)
    check_numbers(groups, kind_of_names, findings)
    known_bad = {*tree.broken, *(path for path, size in tree.pictures() if not size)}
    with stage("reading", "frames") as progress:
        counts = check_frames(
            tree.root, groups, kind, findings, known_bad=known_bad, everything=everything, progress=progress
        )
    statistics = count_dataset(splits) if splits else None
    looked_at = {
        "folders": len(tree.folders), "pictures": tree.count(), "frames of tracklets": counts.frames,
        "frames read": counts.read, "frames decoded": counts.decoded,
    }  # fmt: skip
    return Report(name, kind, findings.sorted(), looked_at, statistics.to_json() if statistics else {}), statistics


def _packed_tree(path: Path, findings: Findings) -> Tree | None:
    """Return the folders of a pack; None if the path is no pack, or a damaged one, which is reported."""
    if not is_pack(path):
        return None
    try:
        return tree_of_pack(open_pack(path))
    except DatasetError as error:
        findings.add("reader-refuses", str(error))
        return None


def _check_own_files(kind: str, path: Path, findings: Findings) -> None:
    """Check the manifest and the file of splits of your own data."""
    with suppress(DatasetError):  # without a manifest there is nothing to check, and its reader says so
        if kind in OWN_DATA:
            check_encoding(OWN_DATA[kind].splits_file(path), findings, any_bytes=True)
        if kind == "manifest":
            check_manifest(find_manifest(path), findings)


def _read(kind: str, path: Path, findings: Findings) -> tuple[Dataset, ...]:
    """Return what the reader reads. If it refuses the splits of your own data, return the data without splits."""
    try:
        datasets = READERS[kind](path)
    except DatasetError as error:
        findings.add("reader-refuses", str(error))
        with suppress(DatasetError):
            return (OWN_DATA[kind].read(path),) if kind in OWN_DATA else ()
        return ()
    return datasets if isinstance(datasets, tuple) else (datasets,)
