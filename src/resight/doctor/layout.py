"""Find out which layout a folder has, and what is missing from the expected one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from resight.data.readers import LAYOUTS, folder, manifest
from resight.data.readers.layout import MAX_DEPTH
from resight.doctor.report import Findings, several
from resight.doctor.tree import Tree, join

ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar", ".bz2", ".xz")


def find_homes(tree: Tree, kind: str) -> list[str]:
    """Return the folders of a tree, as relative paths, that contain all folders of a kind's layout."""
    needed = LAYOUTS[kind].folders
    first = needed[0].split("/")[0]
    return [
        path
        for path, listed in tree.folders.items()
        if first in listed.folders and all(join(path, name) in tree.folders for name in needed)
    ]


def guess_kind(tree: Tree) -> tuple[str, str] | None:
    """Return the kind of data set that a tree looks like and its folder as a relative path; None if no kind fits."""
    for kind, layout in LAYOUTS.items():
        if layout.folders and (homes := find_homes(tree, kind)):
            return kind, homes[0]
    for path, listed in tree.folders.items():
        if any(name in listed.others for name in manifest.NAMES):
            return "manifest", path
    depths = picture_depths(tree)
    if len(depths) == 1 and min(depths) >= folder.DEPTH:
        # Deeper pictures are a folder data set inside other folders, if each of these holds only one folder.
        path, listed = "", tree.folders[""]
        for _ in range(min(depths) - folder.DEPTH):
            if len(listed.folders) != 1:
                return None
            path = join(path, listed.folders[0])
            listed = tree.folders[path]
        return "folder", path
    return None


def picture_depths(tree: Tree) -> dict[int, int]:
    """Return the number of pictures by depth: the number of folders between the root of a tree and its pictures."""
    counts: Counter[int] = Counter()
    for path, listed in tree.folders.items():
        if listed.pictures:
            counts[path.count("/") + 1 if path else 0] += len(listed.pictures)
    return dict(sorted(counts.items()))


def check_path(path: Path, findings: Findings) -> bool:
    """Return whether a path is a folder or a manifest. If not, add a finding that says what is there instead."""
    if path.is_dir() or (path.is_file() and path.suffix in manifest.SUFFIXES):
        return True
    if path.is_file():
        kind = "not-unpacked" if path.name.lower().endswith(ARCHIVES) else "path-missing"
        findings.add(kind, f"the file {path}", expected="a folder")
        return False
    near = path
    while not near.is_dir() and near != near.parent:
        near = near.parent
    names = [entry.name for entry in near.iterdir()] if near.is_dir() else []
    missing = path.relative_to(near).parts[0] if near != path and near in path.parents else path.name
    alike = [name for name in names if name.casefold() == missing.casefold()]
    if alike:
        findings.add("name-case", f"{near / alike[0]}", expected=f"{near / missing}", remedy=f"use the name {alike[0]}")
    else:
        contents = several(sorted(names)) or "nothing"
        findings.add("path-missing", f"{near}, which contains {contents}", expected=f"a folder {path}")
    return False


def check_layout(tree: Tree, kind: str, findings: Findings) -> str:
    """Search for the layout of a kind. Add findings for what is missing, or if the data set is of another kind.

    Returns:
        The data set's own folder, relative to the root of the tree; ``""`` if it was not found.
    """
    _check_archives(tree, findings)
    if kind == "manifest":
        if not any(name in tree.folders[""].others for name in manifest.NAMES):
            _other_kind(tree, kind, " or ".join(manifest.NAMES), findings)
        return ""
    if kind == "folder":
        _check_depths(tree, findings)
        return ""
    homes = find_homes(tree, kind)
    if not homes:
        _check_folders(tree, kind, findings)
        return ""
    home = homes[0]
    if home.count("/") + bool(home) > MAX_DEPTH:
        findings.add(
            "unpacked-too-deep", str(tree.root / home),
            expected=f"a {kind} data set at most {MAX_DEPTH} folders below the path",
            remedy=f"use {kind}:{tree.root / home}",
        )  # fmt: skip
    elif len(homes) > 1:
        places = [str(tree.root / other) for other in homes]
        findings.add("several-copies", f"{len(homes)} {kind} data sets", places=places)
    for file in LAYOUTS[kind].files:
        if file.required and file.find(tree.root, tree.root / home) is None:
            _missing_file(tree.root / home, file.places[0], findings)
    return home


def check_number_names(tree: Tree, kind: str, home: str, findings: Findings) -> None:
    """Check that persons' folders have four-digit numbers where the layout needs them: ``0001``, not ``1``."""
    wrong = [
        join(above, name)
        for above in (join(home, role) for role in LAYOUTS[kind].numbered_folders)
        if above in tree.folders
        for name in tree.folders[above].folders
        if name.isdecimal() and len(name) != 4
    ]
    if wrong:
        name = wrong[0].rpartition("/")[2]
        findings.add(
            "name-zeros", f"{len(wrong)} folders with fewer or more digits",
            expected="persons with four digits, such as 0001",
            places=wrong, remedy=f"add or remove zeros: rename {name} to {int(name):04d}",
        )  # fmt: skip


def _check_archives(tree: Tree, findings: Findings) -> None:
    packed = [
        join(path, name)
        for path, listed in tree.folders.items()
        for name in listed.others
        if name.lower().endswith(ARCHIVES)
    ]
    if packed and not tree.count():
        findings.add("not-unpacked", f"archives and no picture in {tree.root}", expected="frames", places=packed)


def _check_folders(tree: Tree, kind: str, findings: Findings) -> None:
    """Say why no folder contains all that the kind needs: a part of it, other names, or another kind."""
    needed = LAYOUTS[kind].folders
    for above in (tree.root.absolute().parent, tree.root.absolute().parent.parent):
        if all((above / name).is_dir() for name in needed):
            findings.add(
                "named-too-deep", f"{tree.root}, which is a part of it", expected=str(above),
                remedy=f"use {kind}:{above}",
            )  # fmt: skip
            return
    if not _wrong_case(tree, kind, findings):
        _other_kind(tree, kind, ", ".join(f"{name}/" for name in needed), findings)


def _wrong_case(tree: Tree, kind: str, findings: Findings) -> bool:
    """Return whether all folders of the kind exist if upper and lower case are ignored, and add findings for these."""
    folded = {path.casefold(): path for path in tree.folders}
    for home in tree.folders:
        paths = [join(home, name) for name in LAYOUTS[kind].folders]
        actual = {path: folded[path.casefold()] for path in paths if path.casefold() in folded}
        if len(actual) == len(paths):
            for path, name in actual.items():
                if name != path:
                    findings.add("name-case", f"{name}/", expected=f"{path}/", remedy=f"rename it to {path}")
            return True
    return False


def _other_kind(tree: Tree, kind: str, needed: str, findings: Findings) -> None:
    """Add the finding that the layout is missing, or that the data set is of another kind."""
    present = [
        path for home in tree.folders for name in LAYOUTS[kind].folders if (path := join(home, name)) in tree.folders
    ]
    guess = guess_kind(tree)
    # Pictures in nested folders always look like a folder data set.
    if guess is not None and guess[0] != kind and not (present and guess[0] == "folder"):
        place = tree.root / guess[1]
        findings.add(
            "wrong-kind", f"the layout of {guess[0]} in {place}", expected=needed, remedy=f"use {guess[0]}:{place}"
        )
        return
    root = tree.folders[""]
    contents = several([*(f"{name}/" for name in root.folders), *root.others]) or "nothing"
    only = f"; of these folders it has only {several(present)}" if present else ""
    findings.add("layout-missing", f"{tree.root}, which contains {contents}{only}", expected=needed)


def _check_depths(tree: Tree, findings: Findings) -> None:
    depths = picture_depths(tree)
    if not depths:
        _other_kind(tree, "folder", folder.PATTERN, findings)
        return
    if list(depths) == [0]:  # pictures and no folders: the reader says what they are read as
        return
    guess = guess_kind(tree)
    if guess is not None and (guess[0] not in ("folder", "manifest") or guess[1]):
        place = tree.root / guess[1]
        kind = "unpacked-too-deep" if guess[0] == "folder" else "wrong-kind"
        findings.add(
            kind, f"the layout of {guess[0]} in {place}", expected=folder.PATTERN, remedy=f"use {guess[0]}:{place}"
        )
        return
    wrong = [
        path or "."
        for path, listed in tree.folders.items()
        if listed.pictures and path.count("/") + bool(path) != folder.DEPTH
    ]
    if wrong:
        counts = ", ".join(f"{count:,} pictures in folders of level {depth}" for depth, count in depths.items())
        findings.add(
            "picture-depth", counts, expected=f"{folder.PATTERN}: pictures in folders of level {folder.DEPTH}",
            places=wrong,
        )  # fmt: skip


def _missing_file(home: Path, name: str, findings: Findings) -> None:
    path = home / name
    alike = [sibling for sibling in _siblings(path) if sibling.casefold() == path.name.casefold()]
    if alike:
        findings.add("name-case", str(path.with_name(alike[0])), expected=str(path), remedy=f"rename it to {path.name}")
    else:
        findings.add("layout-missing", f"no {name} in {home}", expected=name)


def _siblings(path: Path) -> Iterator[str]:
    if path.parent.is_dir():
        yield from (entry.name for entry in path.parent.iterdir())
