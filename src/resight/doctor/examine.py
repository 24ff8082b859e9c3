"""From a name to a report: a data set, or what is to be ingested."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from resight.data.readers import READERS
from resight.doctor.cameras import examine_cameras
from resight.doctor.datasets import Stage, examine_dataset
from resight.doctor.layout import guess_kind
from resight.doctor.report import Findings, Report
from resight.doctor.statistics import DatasetStatistics
from resight.doctor.tree import list_tree
from resight.errors import DatasetError
from resight.progress import progress_bar


def examine(
    name: str, *, everything: bool = False, stage: Stage = progress_bar
) -> tuple[Report, DatasetStatistics | None]:
    """Examine what a name says, and go on whatever is wrong with it. Nothing is written or downloaded.

    Args:
        name: ``KIND:PATH`` of a data set, all splits of which are examined, whatever number stands at its end; a TOML
            file of cameras, a video, or a folder of its frames; or the path of a data set whose kind is guessed.
        everything: read and decode every frame; without, of large sets a sample, the same one every time.
        stage: shows progress, such as `resight.progress.progress_bar`.

    Returns:
        The report; and statistics, if it is a data set that its reader can read.

    Raises:
        DatasetError: if the name has no meaning: an unknown kind, or a path where there is nothing.
    """
    kind, colon, rest = name.partition(":")
    path = Path(name).expanduser()
    if colon and rest and (kind in READERS or not path.exists()):
        if kind not in READERS:
            raise DatasetError(f"{kind!r} in {name!r} is not a kind of data set; known: {', '.join(sorted(READERS))}")
        report, statistics = examine_dataset(kind, _without_number(rest), stage, everything=everything)
        return replace(report, name=name), statistics
    if path.is_file() and path.suffix not in (".jsonl", ".csv"):
        return examine_cameras(path, stage, everything=everything), None
    if not path.exists():
        raise DatasetError(
            f"there is nothing at {name!r}: expected KIND:PATH with a kind of {', '.join(sorted(READERS))}, a file of "
            "cameras, or a video; check the path"
        )
    return _examine_unnamed(path, stage, everything)


def _examine_unnamed(path: Path, stage: Stage, everything: bool) -> tuple[Report, DatasetStatistics | None]:
    """A folder without a kind: the frames of one camera, or a data set of a kind that fits."""
    guess: tuple[str, str] | None = ("manifest", "")
    if path.is_dir():
        tree = list_tree(path)
        if tree.folders[""].pictures:
            return examine_cameras(path, stage, everything=everything), None
        guess = guess_kind(tree)
    if guess is None:
        raise DatasetError(
            f"{path} looks like no known data set; say which it should be, as KIND:{path}, with a kind of "
            f"{', '.join(sorted(READERS))}"
        )
    findings = Findings()
    named = f"{guess[0]}:{path / guess[1]}"
    findings.add("kind-guessed", named, expected="KIND:PATH", remedy=f"name it {named}")
    return examine_dataset(guess[0], path / guess[1], stage, everything=everything, findings=findings)


def _without_number(path: str) -> Path:
    """The path of a data set without the number of a split."""
    whole = Path(path).expanduser()
    folder, hash_, number = path.rpartition("#")
    numbered = hash_ and (number.isdecimal() or number == "all") and not whole.exists()
    return Path(folder).expanduser() if numbered else whole
