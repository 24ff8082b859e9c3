"""Examine a data set, or the input of `resight ingest`, by its name on the command line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from resight.data.readers import READERS, manifest, split_path
from resight.doctor.cameras import examine_cameras
from resight.doctor.datasets import Stage, examine_dataset
from resight.doctor.layout import guess_kind
from resight.doctor.report import Findings, Report
from resight.doctor.statistics import DatasetStatistics
from resight.doctor.tree import list_tree
from resight.errors import DatasetError
from resight.ingest.footage import VIDEOS
from resight.progress import progress_bar


def examine(
    name: str, *, everything: bool = False, stage: Stage = progress_bar
) -> tuple[Report, DatasetStatistics | None]:
    """Examine a data set or the input of `resight ingest`. Errors do not stop it. It writes and downloads nothing.

    Args:
        name: ``KIND:PATH`` of a data set, of which all splits are examined even if the name selects one; a TOML file
            of cameras, a video, or a folder of its frames; or the path of a data set whose kind is guessed.
        everything: Read and decode every frame. Otherwise large data sets are sampled, always in the same way.
        stage: Shows progress, as `resight.progress.progress_bar` does.

    Returns:
        The report; and statistics if it is a data set that its reader can read, else None.

    Raises:
        DatasetError: If the kind is unknown or the path does not exist.
    """
    kind, colon, text = name.partition(":")
    path = Path(name).expanduser()
    kinds = ", ".join(sorted(READERS))
    if colon and text and (kind in READERS or not path.exists()):
        if kind not in READERS:
            raise DatasetError(f"{kind!r} in {name!r} is not a kind of data set; known: {kinds}")
        report, statistics = examine_dataset(kind, split_path(kind, text)[0], stage, everything=everything)
        return replace(report, name=name), statistics
    if path.is_file() and path.suffix not in manifest.SUFFIXES:
        return examine_cameras(path, stage, everything=everything), None
    if not path.exists():
        raise DatasetError(
            f"{name!r} does not exist: expected KIND:PATH with one of the kinds {kinds}, a file of cameras, or a "
            "video; check the path"
        )
    if not path.is_dir() and not path.is_file():
        raise DatasetError(f"{path} is not a regular file: expected a folder, a table or a video")
    return _examine_unnamed(path, stage, everything)


def _examine_unnamed(path: Path, stage: Stage, everything: bool) -> tuple[Report, DatasetStatistics | None]:
    """Examine a path without a kind: the frames of one camera, or a data set of the kind that fits."""
    guess: tuple[str, str] | None = ("manifest", "")
    if path.is_dir():
        tree = list_tree(path)
        if tree.folders[""].pictures or any(name.lower().endswith(VIDEOS) for name in tree.folders[""].others):
            return examine_cameras(path, stage, everything=everything), None
        guess = guess_kind(tree)
    if guess is None:
        raise DatasetError(
            f"{path} does not have the layout of any known data set; name its kind as KIND:{path}, with one of the "
            f"kinds {', '.join(sorted(READERS))}"
        )
    kind, home = guess
    findings = Findings()
    named = f"{kind}:{path / home}"
    findings.add("kind-guessed", named, expected="KIND:PATH", remedy=f"use {named}")
    return examine_dataset(kind, path / home, stage, everything=everything, findings=findings)
