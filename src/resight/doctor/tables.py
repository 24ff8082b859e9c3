"""Check the official tables and lists of data sets: their form, and whether they match each other and the disk."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from resight.data.readers import LAYOUTS, mars
from resight.data.readers.layout import Layout
from resight.data.readers.listing import first_few
from resight.data.readers.mars import MarsPart
from resight.data.readers.matlab import read_table
from resight.doctor.report import Findings, several
from resight.doctor.tree import Tree, join
from resight.errors import DatasetError

Tables = Mapping[str, NDArray[np.int64]]
"""Name of a variable → its table."""


class _Half(NamedTuple):
    """The training or the test half of MARS.

    Attributes:
        part: Where it lies.
        rows: Its table.
        names: Its list of frame names; None if there is none.
        present: Person's folder → names of the frames on disk.
    """

    part: MarsPart
    rows: NDArray[np.int64]
    names: list[str] | None
    present: dict[str, set[str]]

    @property
    def frames(self) -> int:
        """Number of frames on disk."""
        return sum(map(len, self.present.values()))


def check_tables(tree: Tree, kind: str, home: str, findings: Findings) -> None:
    """Check the tables and lists that a data set's layout has.

    Args:
        tree: The content of the disk.
        kind: Kind of data set.
        home: The data set's own folder in the tree.
        findings: Receives ``table-wrong``, ``table-rows``, ``text-encoding``, ``frames-missing``, ``roles-swapped``.
    """
    layout, tables = LAYOUTS[kind], dict[str, NDArray[np.int64]]()
    for file in layout.files:
        path = file.find(tree.root, tree.root / home)
        if path is None:
            continue
        if not file.variable:
            check_encoding(path, findings)
        elif (table := _read(path, file.variable, layout, findings)) is not None:
            tables[file.variable] = table
    if kind == "mars":
        _check_mars(tree, home, tables, findings)


def check_encoding(path: Path, findings: Findings, *, any_bytes: bool = False) -> None:
    """Check that a text is UTF-8, if the file exists.

    Args:
        path: The file.
        findings: Receives ``text-encoding``.
        any_bytes: Accept bytes that are not UTF-8, as in a list of file names, but not UTF-16.
    """
    if not path.is_file():
        return
    content = path.read_bytes()
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        findings.add("text-encoding", "UTF-16", expected="UTF-8", places=[str(path)])
        return
    try:
        content.decode("utf-8", errors="surrogateescape" if any_bytes else "strict")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        findings.add(
            "text-encoding", f"byte {content[error.start]:#x} in line {line}", expected="UTF-8", places=[str(path)]
        )


def _read(path: Path, variable: str, layout: Layout, findings: Findings) -> NDArray[np.int64] | None:
    """Return a table, or None with a finding that says what is wrong with it."""
    try:
        return read_table(path, variable, layout.description)
    except DatasetError as error:
        names = {file.variable: Path(file.places[0]).name for file in layout.files if file.variable}
        others = [name for other, name in names.items() if other != variable and f"found {other}" in str(error)]
        found = f"the table that should be {others[0]}" if others else str(error)
        findings.add("table-wrong", found, expected=f"{variable}, a table of whole numbers", places=[str(path)])
        return None


def _check_mars(tree: Tree, home: str, tables: Tables, findings: Findings) -> None:
    info = tree.root / home / mars.INFO
    train, test = (_check_half(tree, home, part, tables, findings) for part in (mars.TRAIN, mars.TEST))
    query = tables.get(mars.QUERY_VARIABLE)
    if query is not None and test is not None and (not query.size or query.min() < 1 or query.max() > len(test.rows)):
        span = f"{query.min()} to {query.max()}" if query.size else "none"
        findings.add(
            "table-rows", f"{query.size} numbers, {span}",
            expected=f"rows of {mars.TEST.table}, 1 to {len(test.rows)}", places=[str(info / mars.QUERY_TABLE)],
        )  # fmt: skip
    if train is not None and test is not None:
        _check_swapped(train, test, findings)
    for half in (train, test):
        if half is not None and not findings.has("roles-swapped"):
            _check_frames(half, findings)


def _check_half(tree: Tree, home: str, part: MarsPart, tables: Tables, findings: Findings) -> _Half | None:
    """Check the table of one half, and return the half; None if it has no usable table."""
    info = tree.root / home / mars.INFO
    rows = tables.get(part.variable)
    if rows is None:
        return None
    if rows.ndim != 2 or rows.shape[1] != len(mars.COLUMNS) or not len(rows):
        findings.add(
            "table-wrong", f"an array of shape {rows.shape}",
            expected=f"four columns: {', '.join(mars.COLUMNS)}", places=[str(info / part.table)],
        )  # fmt: skip
        return None
    listed = info / part.names
    try:
        names = listed.read_text(encoding="utf-8-sig").split() if listed.is_file() else None
    except UnicodeDecodeError:
        names = None
    folder = join(home, part.frames)
    present = {
        path.rpartition("/")[2]: set(content.pictures)
        for path, content in tree.folders.items()
        if path.startswith(f"{folder}/")
    }
    half = _Half(part, rows, names, present)
    _check_rows(info / part.table, half, findings)
    return half


def _check_rows(path: Path, half: _Half, findings: Findings) -> None:
    first, last = half.rows[:, 0], half.rows[:, 1]
    wrong = np.flatnonzero((first < 1) | (last < first))
    findings.add_each(
        "table-rows", [f"row {row + 1}" for row in wrong], f"{len(wrong)} rows in {path.name} in another order",
        expected="first frame ≤ last frame, counted from 1",
    )  # fmt: skip
    jumps = np.flatnonzero(first[1:] != last[:-1] + 1) + 1
    findings.add_each(
        "table-rows", [f"row {row + 1}" for row in jumps],
        f"{len(jumps)} rows in {path.name} after a gap or overlap",
        expected="each row to begin after the previous one", severity="warning",
    )  # fmt: skip
    if half.names is not None and len(half.names) != last.max():
        findings.add(
            "table-rows", f"{len(half.names):,} names in {half.part.names}",
            expected=f"{last.max():,}, the number that {path.name} counts",
        )  # fmt: skip


def _check_swapped(train: _Half, test: _Half, findings: Findings) -> None:
    has_nobody = [bool((half.rows[:, 2] <= 0).any()) for half in (train, test)]
    counted = int(train.rows[:, 1].max()), int(test.rows[:, 1].max())
    on_disk = train.frames, test.frames
    if has_nobody == [True, False]:
        findings.add(
            "roles-swapped", f"junk or distractors in {mars.TRAIN.table} and none in {mars.TEST.table}",
            expected="junk and distractors in the test table only",
        )  # fmt: skip
    elif counted[0] != counted[1] and counted == on_disk[::-1]:
        findings.add(
            "roles-swapped",
            f"{on_disk[0]:,} frames in {mars.TRAIN.frames} and {on_disk[1]:,} in {mars.TEST.frames}",
            expected=f"{counted[0]:,} and {counted[1]:,}, the numbers in the tables",
        )  # fmt: skip


def _check_frames(half: _Half, findings: Findings) -> None:
    """Report frames that are in the list, or counted in the table, but not on disk."""
    folder = half.part.frames
    if half.names is None:
        counted, on_disk = int(half.rows[:, 1].max()), half.frames
        if counted != on_disk:
            kind = "frames-missing" if on_disk < counted else "table-rows"
            empty = [f"{folder}/{name}" for name, frames in half.present.items() if not frames]
            findings.add(
                kind, f"{on_disk:,} frames in {folder}", expected=f"{counted:,}, the number in its table",
                count=abs(counted - on_disk), places=empty,
                remedy=f"copy the data set again, or add the official lists of names to {mars.INFO}/, which identify "
                "the frames",
            )  # fmt: skip
        return
    nothing: set[str] = set()
    listed = set(half.names)
    missing = [name for name in half.names if name not in half.present.get(mars.person_folder(name), nothing)]
    if missing:
        persons = [name for name in sorted(set(map(mars.person_folder, missing))) if not half.present.get(name)]
        found = f"{len(missing):,} missing frames"
        found += f", including all frames of {len(persons)} persons, {first_few(persons)}" if persons else ""
        findings.add(
            "frames-missing", found, expected=f"all {len(half.names):,} listed frames",
            places=[f"{folder}/{mars.person_folder(name)}/{name}" for name in missing],
        )  # fmt: skip
    extra = [f"{folder}/{of}/{name}" for of, frames in half.present.items() for name in frames if name not in listed]
    if extra:
        suffixes = several(sorted({Path(name).suffix for name in extra}))
        findings.add(
            "frames-unlisted", f"{len(extra):,} pictures ({suffixes}) that are in no list", places=sorted(extra)
        )
