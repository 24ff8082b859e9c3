"""List all folders below a folder once: pictures with their sizes, other files, links."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from resight.data.readers import LAYOUTS
from resight.data.readers.listing import OTHER_PICTURES, PICTURES, is_ignored, natural_order
from resight.data.readers.names import one_spelling
from resight.doctor.report import Findings
from resight.packs import Pack
from resight.progress import Progress


@dataclass
class Listed:
    """The content of a folder.

    Attributes:
        folders: Names of its folders.
        pictures: Picture name → size in bytes; -1 for a broken link.
        others: Names of all other files.
    """

    folders: list[str] = field(default_factory=list)
    pictures: dict[str, int] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)


@dataclass
class Tree:
    """A folder and everything below it, without hidden files.

    Attributes:
        root: The folder.
        folders: Path relative to `root`, with ``/``, and ``""`` for `root` itself → content. A folder comes before the
            folders in it.
        broken: Links that lead nowhere or form a cycle, relative paths.
        outside: Links to places outside `root`.
        closed: Folders that cannot be listed.
        system: Folders of operating systems and network storage, which are not looked into.
    """

    root: Path
    folders: dict[str, Listed] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    system: list[str] = field(default_factory=list)

    def pictures(self) -> Iterator[tuple[str, int]]:
        """Yield relative path and size in bytes of every picture that exists."""
        for folder, listed in self.folders.items():
            for name, size in listed.pictures.items():
                if size >= 0:
                    yield join(folder, name), size

    def count(self) -> int:
        """Return the number of pictures, including broken links."""
        return sum(len(listed.pictures) for listed in self.folders.values())


def join(folder: str, name: str) -> str:
    """Return the path of a name in a folder of a tree."""
    return f"{folder}/{name}" if folder else name


def list_tree(root: Path, progress: Progress | None = None) -> Tree:
    """List a folder and everything below it. Links to folders are followed, but cycles are not.

    Args:
        root: An existing folder.
        progress: Called with (folders listed, folders known).
    """
    tree = Tree(root)
    home = os.path.realpath(root)
    # Each folder is stored with the real paths of the folders around it: a link to one of these is a cycle.
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
            if is_ignored(entry.name):
                if not entry.name.startswith("."):
                    tree.system.append(join(folder, entry.name))
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


def tree_of_pack(pack: Pack) -> Tree:
    """Return the folders of the data set in a pack, as `list_tree` does for a folder."""
    tree = Tree(pack.root, {"": Listed()})
    for folder, rows in sorted(pack.folders(), key=lambda item: natural_order(item[0])):
        above = ""
        for part in folder.split("/") if folder else []:
            path = join(above, part)
            if path not in tree.folders:
                tree.folders[above].folders.append(part)
                tree.folders[path] = Listed()
            above = path
        sizes = pack.rows["size"]
        tree.folders[folder].pictures.update((name, int(sizes[row])) for name, row in rows.items())
    return tree


def check_tree(tree: Tree, kind: str, findings: Findings) -> None:
    """Check links, sizes, names and empty folders, independent of what the files mean."""
    findings.add_each("broken-link", tree.broken, f"{len(tree.broken)} links that lead nowhere or form a cycle")
    findings.add_each("link-outside", tree.outside, f"{len(tree.outside)} links to places outside {tree.root}")
    findings.add_each(
        "layout-missing", tree.closed, f"{len(tree.closed)} folders that cannot be listed",
        expected="folders that you may read", remedy="change their permissions",
    )  # fmt: skip
    findings.add_each("system-folders", tree.system, f"{len(tree.system)} folders of a system, which are not read")
    unread = [
        join(path, name)
        for path, listed in tree.folders.items()
        for name in listed.others
        if name.lower().endswith(OTHER_PICTURES)
    ]
    findings.add_each("frames-unread", unread, f"{len(unread)} pictures", expected=", ".join(LAYOUTS[kind].suffixes))
    empty = [path for path, size in tree.pictures() if size == 0]
    findings.add_each("zero-bytes", empty, f"{len(empty)} frames with a size of 0 bytes", expected="pictures")
    without_content = [
        path
        for path, listed in tree.folders.items()
        if path and not (listed.folders or listed.pictures or listed.others) and path not in tree.closed
    ]
    findings.add_each("empty-folder", without_content, f"{len(without_content)} empty folders", expected="frames")
    not_text = [
        join(path, name)
        for path, listed in tree.folders.items()
        for name in (*listed.folders, *listed.pictures)
        if not name.isascii() and not _is_text(name)
    ]
    findings.add_each("name-not-text", not_text, f"{len(not_text)} names that are not UTF-8", expected="names in UTF-8")
    _check_suffixes(tree, kind, findings)
    _check_alike(tree, kind, findings)


def _check_suffixes(tree: Tree, kind: str, findings: Findings) -> None:
    layout = LAYOUTS[kind]
    unusual = [
        join(path, name)
        for path, listed in tree.folders.items()
        for name in listed.pictures
        if not name.endswith(layout.suffixes)
    ]
    suffixes = ", ".join(layout.suffixes)
    if layout.any_case:
        findings.add_each("suffix-case", unusual, f"{len(unusual)} frames", expected=suffixes)
    else:
        findings.add_each(
            "suffix-case", unusual, f"{len(unusual)} frames", expected=suffixes, severity="error",
            remedy=f"rename them: the reader of {kind} ignores all suffixes except {suffixes}",
        )  # fmt: skip


def _check_alike(tree: Tree, kind: str, findings: Findings) -> None:
    """Report folders in the same place whose names differ only in case, or only in leading zeros."""
    cases: list[str] = []
    zeros: list[str] = []
    cameras: dict[str, str] = {}
    for path, listed in tree.folders.items():
        # A camera has the same name in the folders of all persons, so camera names are compared across persons.
        seen: dict[str, str] = cameras if kind == "folder" and path and "/" not in path else {}
        numbers: dict[int, str] = {}
        for name in listed.folders:
            other = seen.setdefault(one_spelling(name).casefold().strip(), name)
            if other != name:
                cases.append(f"{join(path, other)} and {name}")
            if name.isdecimal():
                other = numbers.setdefault(int(name), name)
                if other != name:
                    zeros.append(f"{join(path, other)} and {name}")
    for kind_of_finding, pairs in (("names-differ-in-case", cases), ("names-differ-in-zeros", zeros)):
        findings.add_each(kind_of_finding, pairs, f"{len(pairs)} such pairs", expected="one name for each folder")


def _is_text(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
