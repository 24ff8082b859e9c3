"""Which layout a folder has, and what it lacks of the one that it should have."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from resight.data.readers.two_camera import ILIDS_VID_SPLITS, PRID2011_SPLITS
from resight.doctor.report import Findings, several
from resight.doctor.tree import Tree, join

ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar", ".bz2", ".xz")
_MANIFESTS = ("manifest.jsonl", "manifest.csv")
_FOLDER_DEPTH = 3
_READERS_LOOK = 2
"""Levels below the path that the readers of public data sets look into."""


@dataclass(frozen=True)
class Layout:
    """What a data set's own folder holds.

    Attributes:
        folders: needed, relative.
        files: needed, each as the places where it may be: relative to the data set's folder, or ``../`` above it.
    """

    folders: tuple[str, ...]
    files: tuple[tuple[str, ...], ...] = ()


def _around(name: str, *between: str) -> tuple[str, ...]:
    return tuple(f"{up}{folder}{name}" for up in ("", "../", "../../") for folder in ("", *between))


LAYOUTS: Mapping[str, Layout] = MappingProxyType(
    {
        "mars": Layout(
            ("bbox_train", "bbox_test", "info"),
            tuple((f"info/{name}.mat",) for name in ("tracks_train_info", "tracks_test_info", "query_IDX")),
        ),
        "duke-video": Layout(("train", "query", "gallery")),
        "ls-vid": Layout(
            ("list_sequence",),
            (
                ("list_sequence/list_seq_train.txt",),
                ("list_sequence/list_seq_test.txt",),
                ("test/data/info_test.mat", "data/info_test.mat"),
            ),
        ),
        "prid2011": Layout(("multi_shot/cam_a", "multi_shot/cam_b"), (_around(PRID2011_SPLITS),)),
        "ilids-vid": Layout(
            ("sequences/cam1", "sequences/cam2"), (_around(ILIDS_VID_SPLITS, "train-test people splits/"),)
        ),
    }
)
"""Kind → layout, of the data sets whose layout is fixed."""


def find_homes(tree: Tree, kind: str) -> list[str]:
    """Folders of a tree, relative, that hold all folders of a layout."""
    needed = LAYOUTS[kind].folders
    first = needed[0].split("/")[0]
    return [
        path
        for path, listed in tree.folders.items()
        if first in listed.folders and all(join(path, name) in tree.folders for name in needed)
    ]


def guess_kind(tree: Tree) -> tuple[str, str] | None:
    """Kind of data set that a tree looks like, and the folder of it, relative; None if no kind fits."""
    for kind in LAYOUTS:
        if homes := find_homes(tree, kind):
            return kind, homes[0]
    for path, listed in tree.folders.items():
        if any(name in listed.others for name in _MANIFESTS):
            return "manifest", path
    depths = picture_depths(tree)
    if len(depths) == 1 and min(depths) >= _FOLDER_DEPTH:
        # What lies deeper is a folder data set inside others, as long as these hold one folder each.
        path, listed = "", tree.folders[""]
        for _ in range(min(depths) - _FOLDER_DEPTH):
            if len(listed.folders) != 1:
                return None
            path = join(path, listed.folders[0])
            listed = tree.folders[path]
        return "folder", path
    return None


def picture_depths(tree: Tree) -> dict[int, int]:
    """Folders between a tree's root and its pictures → how many pictures lie so deep."""
    counts: Counter[int] = Counter()
    for path, listed in tree.folders.items():
        if listed.pictures:
            counts[path.count("/") + 1 if path else 0] += len(listed.pictures)
    return dict(sorted(counts.items()))


def check_path(path: Path, findings: Findings) -> bool:
    """Whether a folder, or a manifest, is at a path; if not, say what is there instead."""
    if path.is_dir():
        return True
    if path.is_file() and path.suffix in (".jsonl", ".csv"):
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
        findings.add("name-case", f"{near / alike[0]}", expected=f"{near / missing}", remedy=f"name it {alike[0]}")
    else:
        findings.add(
            "path-missing", f"{near} with {several(sorted(names)) or 'nothing in it'}", expected=f"a folder {path}"
        )
    return False


def check_layout(tree: Tree, kind: str, findings: Findings) -> str:
    """Look for the layout of a kind; say what is missing, or which other kind this is.

    Returns:
        The data set's own folder, relative to the tree's root; ``""`` if it is not there.
    """
    _check_archives(tree, findings)
    if kind == "manifest":
        if not any(name in tree.folders[""].others for name in _MANIFESTS):
            _other_kind(tree, kind, "manifest.jsonl or manifest.csv", findings)
        return ""
    if kind == "folder":
        _check_depths(tree, findings)
        return ""
    homes = find_homes(tree, kind)
    if not homes:
        _check_folders(tree, kind, findings)
        return ""
    home = homes[0]
    if home.count("/") + bool(home) > _READERS_LOOK:
        findings.add(
            "unpacked-too-deep", str(tree.root / home),
            expected=f"a {kind} data set at most {_READERS_LOOK} folders down",
            remedy=f"name it {kind}:{tree.root / home}",
        )  # fmt: skip
    elif len(homes) > 1:
        findings.add("several-copies", f"{len(homes)} {kind} data sets", places=[str(tree.root / one) for one in homes])
    for places in LAYOUTS[kind].files:
        if not any((tree.root / home / place).is_file() for place in places):
            _missing_file(tree.root / home, places[0], findings)
    return home


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
    """No folder has all that the kind needs: perhaps another kind, a part of it, or other names."""
    for above in (tree.root.absolute().parent, tree.root.absolute().parent.parent):
        if all((above / name).is_dir() for name in LAYOUTS[kind].folders):
            findings.add(
                "named-too-deep", f"{tree.root}, a part of it", expected=str(above), remedy=f"name it {kind}:{above}"
            )
            return
    if _wrong_case(tree, kind, findings):
        return
    _other_kind(tree, kind, ", ".join(f"{name}/" for name in LAYOUTS[kind].folders), findings)


def _wrong_case(tree: Tree, kind: str, findings: Findings) -> bool:
    """Whether all folders of the kind are there but for upper and lower case."""
    folded = {path.casefold(): path for path in tree.folders}
    for path in tree.folders:
        found = {name: folded.get(join(path, name).casefold()) for name in LAYOUTS[kind].folders}
        if all(other is not None for other in found.values()):
            for name, other in found.items():
                if other is not None and other != join(path, name):
                    findings.add(
                        "name-case",
                        f"{other}/",
                        expected=f"{join(path, name)}/",
                        remedy=f"rename it to {join(path, name)}",
                    )
            return True
    return False


def _other_kind(tree: Tree, kind: str, needed: str, findings: Findings) -> None:
    """Nothing fits: part of the layout may be there, or it may be a data set of another kind."""
    layout = LAYOUTS.get(kind)
    paths = [join(path, name) for path in tree.folders for name in (layout.folders if layout else ())]
    there = [path for path in paths if path in tree.folders]
    guess = guess_kind(tree)
    # Any nested pictures look like a folder data set.
    if guess is not None and guess[0] != kind and not (there and guess[0] == "folder"):
        place = tree.root / guess[1]
        findings.add(
            "wrong-kind", f"the layout of {guess[0]} in {place}", expected=needed, remedy=f"name it {guess[0]}:{place}"
        )
        return
    holds = several([*(f"{name}/" for name in tree.folders[""].folders), *tree.folders[""].others]) or "nothing"
    holds += f"; of these folders only {several(there)}" if there else ""
    findings.add("layout-missing", f"{tree.root} with {holds}", expected=needed)


def _check_depths(tree: Tree, findings: Findings) -> None:
    depths = picture_depths(tree)
    if not depths:
        _other_kind(tree, "folder", "<person>/<camera>/<tracklet>/<frame>.jpg", findings)
        return
    guess = guess_kind(tree)
    if guess is not None and (guess[0] not in ("folder", "manifest") or guess[1]):
        place = tree.root / guess[1]
        kind = "unpacked-too-deep" if guess[0] == "folder" else "wrong-kind"
        findings.add(
            kind, f"the layout of {guess[0]} in {place}", expected="<person>/<camera>/<tracklet>/<frame>.jpg",
            remedy=f"name it {guess[0]}:{place}",
        )  # fmt: skip
        return
    wrong = [path for path, listed in tree.folders.items() if listed.pictures and path.count("/") + bool(path) != 3]
    if wrong:
        found = ", ".join(f"{count:,} pictures {depth} folders down" for depth, count in depths.items())
        findings.add(
            "picture-depth", found, expected="<person>/<camera>/<tracklet>/<frame>.jpg: pictures three folders down",
            places=[path or "." for path in wrong],
        )  # fmt: skip


def _missing_file(home: Path, name: str, findings: Findings) -> None:
    path = home / name
    alike = [one for one in _siblings(path) if one.casefold() == path.name.casefold()]
    if alike:
        findings.add("name-case", str(path.with_name(alike[0])), expected=str(path), remedy=f"rename it to {path.name}")
    else:
        findings.add("layout-missing", f"no {name} in {home}", expected=name)


def _siblings(path: Path) -> Iterator[str]:
    if path.parent.is_dir():
        yield from (entry.name for entry in path.parent.iterdir())


_NUMBERED = re.compile(r"\d+")


def check_number_names(tree: Tree, kind: str, home: str, findings: Findings) -> None:
    """Folders of persons whose numbers are not written with four digits, as ``1`` for ``0001``."""
    if kind not in ("mars", "duke-video"):
        return
    wrong = [
        join(join(home, role), name)
        for role in LAYOUTS[kind].folders
        if role != "info" and join(home, role) in tree.folders
        for name in tree.folders[join(home, role)].folders
        if _NUMBERED.fullmatch(name) and len(name) != 4
    ]
    if wrong:
        name = wrong[0].rpartition("/")[2]
        findings.add(
            "name-zeros", f"{len(wrong)} folders of another width", expected="persons with four digits, such as 0001",
            places=wrong, remedy=f"rename it, such as {name} to {int(name):04d}",
        )  # fmt: skip
