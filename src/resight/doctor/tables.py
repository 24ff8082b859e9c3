"""The official tables and lists of data sets: whether they are the right ones, and fit each other and the disk."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from resight.data.readers.listing import first_few
from resight.data.readers.matlab import read_table
from resight.doctor.layout import LAYOUTS
from resight.doctor.report import Findings, several
from resight.doctor.tree import Tree, join
from resight.errors import DatasetError

_MARS_TABLES = {
    "tracks_train_info.mat": "track_train_info",
    "tracks_test_info.mat": "track_test_info",
    "query_IDX.mat": "query_IDX",
}
_TEXTS = {
    "mars": ("info/train_name.txt", "info/test_name.txt"),
    "ls-vid": ("list_sequence/list_seq_train.txt", "list_sequence/list_seq_test.txt"),
    "folder": ("splits.json",),
    "manifest": ("manifest.splits.json",),
}


class _Part(NamedTuple):
    """One half of MARS: its table, its list of names if it has one, and the frames on disk by folder."""

    rows: NDArray[np.int64]
    names: list[str] | None
    there: dict[str, set[str]]

    @property
    def frames(self) -> int:
        return sum(map(len, self.there.values()))


def check_tables(tree: Tree, kind: str, home: str, findings: Findings) -> None:
    """Check the tables and lists of a data set, as far as its layout has any.

    Args:
        tree: what lies on disk.
        kind: of data set.
        home: the data set's own folder in the tree.
        findings: receives ``table-wrong``, ``table-rows``, ``text-encoding``, ``frames-missing``, ``roles-swapped``.
    """
    root = tree.root / home
    for name in _TEXTS.get(kind, ()):
        check_encoding(root / name, findings)
    if kind == "mars":
        _check_mars(tree, home, findings)
    elif kind == "ls-vid":
        table = next((root / p for p in LAYOUTS[kind].files[-1] if (root / p).is_file()), None)
        if table is not None:
            _table(table, "query", findings)
    elif kind == "ilids-vid":
        table = next((root / p for p in LAYOUTS[kind].files[0] if (root / p).is_file()), None)
        if table is not None:
            _table(table, "ls_set", findings)


def check_encoding(path: Path, findings: Findings) -> None:
    """Whether a text is UTF-8, if there is one."""
    if not path.is_file():
        return
    content = path.read_bytes()
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        findings.add("text-encoding", "UTF-16", expected="UTF-8", places=[str(path)])
        return
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        findings.add(
            "text-encoding", f"byte {content[error.start]:#x} in line {line}", expected="UTF-8", places=[str(path)]
        )


def _table(path: Path, variable: str, findings: Findings) -> NDArray[np.int64] | None:
    """A table, or None with a finding that says what is wrong with it."""
    try:
        return read_table(path, variable, "a table of the data set")
    except DatasetError as error:
        others = [name for name, own in _MARS_TABLES.items() if own != variable and f"found {own}" in str(error)]
        found = f"the table that should be {others[0]}" if others else str(error)
        findings.add("table-wrong", found, expected=f"{variable}, a table of whole numbers", places=[str(path)])
        return None


def _check_mars(tree: Tree, home: str, findings: Findings) -> None:
    info = tree.root / home / "info"
    tables = {
        name: _table(info / name, variable, findings) if (info / name).is_file() else None
        for name, variable in _MARS_TABLES.items()
    }
    parts: dict[str, _Part] = {}
    for part in ("train", "test"):
        name = f"tracks_{part}_info.mat"
        rows = tables[name]
        if rows is None:
            continue
        if rows.ndim != 2 or rows.shape[1] != 4 or not len(rows):
            findings.add(
                "table-wrong", f"an array of shape {rows.shape}",
                expected="four columns: first frame, last frame, person, camera", places=[str(info / name)],
            )  # fmt: skip
            continue
        listed = info / f"{part}_name.txt"
        try:
            names = listed.read_text(encoding="utf-8-sig").split() if listed.is_file() else None
        except UnicodeDecodeError:
            names = None
        folder = join(home, f"bbox_{part}")
        there = {
            path.rpartition("/")[2]: set(own.pictures)
            for path, own in tree.folders.items()
            if path.startswith(f"{folder}/")
        }
        parts[part] = _Part(rows, names, there)
        _check_rows(info / name, parts[part], findings)
    query, test = tables["query_IDX.mat"], parts.get("test")
    if query is not None and test is not None and (not query.size or query.min() < 1 or query.max() > len(test.rows)):
        span = f"{query.min()} to {query.max()}" if query.size else "none"
        findings.add(
            "table-rows", f"{query.size} numbers, {span}",
            expected=f"rows of tracks_test_info.mat, 1 to {len(test.rows)}",
            places=[str(info / "query_IDX.mat")],
        )  # fmt: skip
    if len(parts) == 2:
        _check_swapped(parts["train"], parts["test"], findings)
    for part, one in parts.items():
        if not findings.has("roles-swapped"):
            _check_frames(f"bbox_{part}", one, findings)


def _check_rows(path: Path, part: _Part, findings: Findings) -> None:
    first, last = part.rows[:, 0], part.rows[:, 1]
    wrong = np.flatnonzero((first < 1) | (last < first))
    findings.add_each(
        "table-rows", [f"row {row + 1}" for row in wrong], f"{len(wrong)} rows in {path.name} with another order",
        expected="first frame ≤ last frame, counted from 1",
    )  # fmt: skip
    jumps = np.flatnonzero(first[1:] != last[:-1] + 1) + 1
    findings.add_each(
        "table-rows", [f"row {row + 1}" for row in jumps],
        f"{len(jumps)} rows in {path.name} that leave a gap or overlap",
        expected="each row to begin after the one before", severity="warning",
    )  # fmt: skip
    if part.names is not None and len(part.names) != last.max():
        findings.add(
            "table-rows", f"{len(part.names):,} names in the list beside {path.name}",
            expected=f"{last.max():,}, as many as its rows count",
        )  # fmt: skip


def _check_swapped(train: _Part, test: _Part, findings: Findings) -> None:
    strangers = [bool((part.rows[:, 2] <= 0).any()) for part in (train, test)]
    counted = int(train.rows[:, 1].max()), int(test.rows[:, 1].max())
    on_disk = train.frames, test.frames
    if strangers == [True, False]:
        findings.add(
            "roles-swapped", "junk or distractors in tracks_train_info.mat and none in tracks_test_info.mat",
            expected="them in the test table only",
        )  # fmt: skip
    elif counted[0] != counted[1] and counted == on_disk[::-1]:
        findings.add(
            "roles-swapped", f"{on_disk[0]:,} frames in bbox_train and {on_disk[1]:,} in bbox_test",
            expected=f"{counted[0]:,} and {counted[1]:,}, as the tables say",
        )  # fmt: skip


def _check_frames(folder: str, part: _Part, findings: Findings) -> None:
    """Frames that the list names, or the table counts, and the disk does not have."""
    if part.names is None:
        counted, on_disk = int(part.rows[:, 1].max()), part.frames
        if counted != on_disk:
            kind = "frames-missing" if on_disk < counted else "table-rows"
            empty = [f"{folder}/{name}" for name, own in part.there.items() if not own]
            findings.add(
                kind, f"{on_disk:,} frames in {folder}", expected=f"{counted:,}, as its table counts",
                count=abs(counted - on_disk), places=empty,
                remedy="copy the data set again, or put the official lists of names into info/: they say which ones",
            )  # fmt: skip
        return
    nobody: set[str] = set()
    missing = [f"{folder}/{name[:4]}/{name}" for name in part.names if name not in part.there.get(name[:4], nobody)]
    if missing:
        without = [name for name in sorted({path.split("/")[1] for path in missing}) if not part.there.get(name)]
        found = f"{len(missing):,} listed frames that are not there"
        found += f", all of {len(without)} persons among them, {first_few(without)}" if without else ""
        findings.add("frames-missing", found, expected=f"all {len(part.names):,} listed frames", places=missing)
    listed = set(part.names)
    extra = [f"{folder}/{of}/{name}" for of, own in part.there.items() for name in own if name not in listed]
    if extra:
        other = several(sorted({Path(name).suffix for name in extra}))
        findings.add("frames-unlisted", f"{len(extra):,} pictures ({other}) that no list names", places=sorted(extra))
