"""A data set, examined: by its reader, and below it by ourselves."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from resight.data.readers import READERS
from resight.data.readers.folder import read_folder
from resight.data.readers.manifest import read_manifest
from resight.doctor.frames import check_frames
from resight.doctor.layout import check_layout, check_number_names, check_path, guess_kind
from resight.doctor.manifest import check_manifest
from resight.doctor.numbers import check_numbers, group_tracklets, group_tree
from resight.doctor.report import Findings, Report
from resight.doctor.roles import check_roles
from resight.doctor.statistics import DatasetStatistics, count_dataset
from resight.doctor.tables import check_tables
from resight.doctor.tree import check_tree, list_tree
from resight.errors import DatasetError
from resight.progress import Progress
from resight.tracklet import Dataset

_WITHOUT_SPLITS: dict[str, Callable[[Path], Dataset]] = {"folder": read_folder, "manifest": read_manifest}

Stage = Callable[[str, str], AbstractContextManager[Progress]]
"""Words and a unit → a progress bar for the block, as `resight.progress.progress_bar` gives."""


def examine_dataset(
    kind: str, path: Path, stage: Stage, *, everything: bool = False, findings: Findings | None = None
) -> tuple[Report, DatasetStatistics | None]:
    """Examine a data set; go on where its reader refuses.

    Args:
        kind: of `READERS`.
        path: of the data set, as its reader takes it.
        stage: shows progress.
        everything: decode every frame, not a sample.
        findings: to add to.

    Returns:
        The report, and statistics if the reader could read it.
    """
    findings = findings or Findings()
    name = f"{kind}:{path}"
    if kind == "duke-video":
        findings.add("withdrawn", "DukeMTMC-VideoReID", severity="note")
    if not check_path(path, findings):
        return Report(name, kind, findings.sorted()), None
    manifest = path if path.is_file() else None
    with stage("listing", "folders") as progress:
        tree = list_tree(path.parent if manifest else path, progress)
    home = "" if manifest else check_layout(tree, kind, findings)
    check_tree(tree, kind, findings)
    check_number_names(tree, kind, home, findings)
    check_tables(tree, kind, home, findings)
    if kind == "manifest":
        tables = [manifest] if manifest else [path / name for name in ("manifest.jsonl", "manifest.csv")]
        for table in [one for one in tables if one.is_file()][:1]:
            check_manifest(table, findings)
    splits = _read(kind, path, findings)
    for note in dict.fromkeys(note for split in splits for note in split.notes):
        findings.add("reader-note", note)
    kind_of_names = kind
    if splits:
        check_roles(splits, kind, tree, findings)
        groups = group_tracklets((t for s in splits for t in (*s.train, *s.query, *s.gallery)), tree)
    else:
        # Names are to be understood as what they are, not as what they should have been.
        guess = guess_kind(tree)
        kind_of_names = guess[0] if guess else kind
        groups = group_tree(tree, kind_of_names)
    check_numbers(groups, kind_of_names, findings)
    known_bad = {*tree.broken, *(path for path, size in tree.pictures() if not size)}
    with stage("reading", "frames") as progress:
        looked = check_frames(
            tree.root, groups, kind, findings, known_bad=known_bad, everything=everything, progress=progress
        )
    statistics = count_dataset(splits) if splits else None
    looked_at = {
        "folders": len(tree.folders), "pictures": tree.count(), "frames of tracklets": looked.frames,
        "frames read": looked.read, "frames decoded": looked.decoded,
    }  # fmt: skip
    return Report(name, kind, findings.sorted(), looked_at, statistics.to_json() if statistics else {}), statistics


def _read(kind: str, path: Path, findings: Findings) -> tuple[Dataset, ...]:
    """What the reader reads; of your own data, whose splits may be what it refuses, then that without splits."""
    try:
        read = READERS[kind](path)
    except DatasetError as error:
        findings.add("reader-refuses", str(error))
        whole = _WITHOUT_SPLITS.get(kind)
        with suppress(DatasetError):
            return (whole(path),) if whole else ()
        return ()
    return read if isinstance(read, tuple) else (read,)
