"""All folders below a folder, listed once: pictures with their sizes, other files, links."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from resight.data.readers.listing import PICTURES, natural_order
from resight.doctor.report import Findings
from resight.progress import Progress


@dataclass
class Listed:
    """A folder.

    Attributes:
        folders: names of folders in it.
        pictures: name → bytes; -1 if it is a link that leads nowhere.
        others: names of other files.
    """

    folders: list[str] = field(default_factory=list)
    pictures: dict[str, int] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)


@dataclass
class Tree:
    """A folder and all below it, hidden files left out.

    Attributes:
        root: the folder.
        folders: path relative to `root`, with ``/``, ``""`` for itself → what it holds; folders before those in them.
        broken: links that lead nowhere or in a circle, relative paths.
        outside: links that lead out of `root`.
        closed: folders that cannot be listed.
    """

    root: Path
    folders: dict[str, Listed] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)

    def pictures(self) -> Iterator[tuple[str, int]]:
        """Relative path and bytes of every picture whose file is there."""
        for folder, listed in self.folders.items():
            for name, size in listed.pictures.items():
                if size >= 0:
                    yield join(folder, name), size

    def count(self) -> int:
        """Pictures, links that lead nowhere included."""
        return sum(len(listed.pictures) for listed in self.folders.values())


def join(folder: str, name: str) -> str:
    """A path in a tree."""
    return f"{folder}/{name}" if folder else name


def list_tree(root: Path, progress: Progress | None = None) -> Tree:
    """List a folder and all below it; links to folders are followed, but never in a circle.

    Args:
        root: an existing folder.
        progress: called with (folders listed, folders known).
    """
    tree = Tree(root)
    home = os.path.realpath(root)
    # A folder waits with the real paths of those it lies in: a link to one of them would never end.
    waiting: list[tuple[str, tuple[str, ...]]] = [("", (home,))]
    while waiting:
        folder, above = waiting.pop()
        listed = tree.folders[folder] = Listed()
        try:
            entries = sorted(os.scandir(root / folder), key=lambda entry: natural_order(entry.name))
        except OSError:
            tree.closed.append(folder)
            continue
        below: list[tuple[str, tuple[str, ...]]] = []
        for entry in entries:
            if entry.name.startswith(".") or entry.name == "__MACOSX":
                continue
            path, size, is_folder = join(folder, entry.name), -1, False
            try:
                is_folder, size = entry.is_dir(), entry.stat().st_size
            except OSError:
                tree.broken.append(path)
            target = os.path.realpath(entry.path) if entry.is_symlink() else ""
            if is_folder and target in above:
                tree.broken.append(path)
                continue
            if target and size >= 0 and not f"{target}/".startswith(f"{home}/"):
                tree.outside.append(path)
            if is_folder:
                listed.folders.append(entry.name)
                below.append((path, (*above, target or os.path.join(above[-1], entry.name))))  # noqa: PTH118
            elif entry.name.lower().endswith(PICTURES):
                listed.pictures[entry.name] = size
            else:
                listed.others.append(entry.name)
        waiting += reversed(below)
        if progress is not None:
            progress(len(tree.folders), len(tree.folders) + len(waiting))
    return tree


def check_tree(tree: Tree, kind: str, findings: Findings) -> None:
    """What can be said of files and folders whatever they mean: links, sizes, names, emptiness."""
    findings.add_each("broken-link", tree.broken, f"{len(tree.broken)} links that lead nowhere or in a circle")
    findings.add_each("link-outside", tree.outside, f"{len(tree.outside)} links to somewhere outside {tree.root}")
    findings.add_each(
        "layout-missing", tree.closed, f"{len(tree.closed)} folders that cannot be listed",
        expected="folders that you may read", remedy="change their permissions",
    )  # fmt: skip
    empty = [path for path, size in tree.pictures() if size == 0]
    findings.add_each("zero-bytes", empty, f"{len(empty)} frames of no bytes", expected="pictures")
    hollow = [
        path
        for path, listed in tree.folders.items()
        if path and not (listed.folders or listed.pictures or listed.others) and path not in tree.closed
    ]
    findings.add_each("empty-folder", hollow, f"{len(hollow)} empty folders", expected="frames")
    strange = [
        join(path, name)
        for path, listed in tree.folders.items()
        for name in (*listed.folders, *listed.pictures)
        if not name.isascii() and not _is_text(name)
    ]
    findings.add_each("name-not-text", strange, f"{len(strange)} names that are not UTF-8", expected="names in UTF-8")
    _check_alike(tree, kind, findings)
    read = (".jpg",) if kind == "mars" else PICTURES
    loud = [
        join(path, name) for path, listed in tree.folders.items() for name in listed.pictures if not name.endswith(read)
    ]
    passed_over = {"severity": "error", "remedy": "rename them: MARS has .jpg, and others are not read"}
    findings.add_each(
        "suffix-case", loud, f"{len(loud)} frames", expected=", ".join(read), **passed_over if kind == "mars" else {}
    )


def _check_alike(tree: Tree, kind: str, findings: Findings) -> None:
    """Folders side by side whose names differ in case only, or in leading zeros only."""
    cases: list[str] = []
    zeros: list[str] = []
    cameras: dict[str, str] = {}
    for path, listed in tree.folders.items():
        # A camera has one name in the folders of all persons, so these are compared with each other.
        seen: dict[str, str] = cameras if kind == "folder" and path and "/" not in path else {}
        numbers: dict[int, str] = {}
        for name in listed.folders:
            other = seen.setdefault(name.casefold(), name)
            if other != name:
                cases.append(f"{join(path, other)} and {name}")
            if name.isdecimal():
                other = numbers.setdefault(int(name), name)
                if other != name:
                    zeros.append(f"{join(path, other)} and {name}")
    findings.add_each("names-differ-in-case", cases, f"{len(cases)} such pairs", expected="one name for one thing")
    findings.add_each("names-differ-in-zeros", zeros, f"{len(zeros)} such pairs", expected="one name for one thing")


def _is_text(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
