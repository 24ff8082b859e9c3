"""Ways to break a data set, and the table of what was broken how."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.io import loadmat, savemat

from resight.data.frames import read_frames
from resight.data.readers import READERS
from resight.doctor.datasets import examine_dataset
from resight.doctor.report import Report
from resight.errors import ResightError
from resight.progress import Progress

Break = Callable[[Path], None]
Table = NDArray[np.int64] | NDArray[np.float64]


@dataclass(frozen=True)
class Broken:
    """A data set of a kind, what is done to it, and what the doctor must say when it is read as `read_as`."""

    kind: str
    read_as: str
    apply: Break
    finding: str
    words: str

    def __str__(self) -> str:
        return f"{self.kind}-{self.apply.__name__}"


@contextmanager
def silent(words: str, unit: str) -> Iterator[Progress]:
    yield lambda done, total: None


def examine(kind: str, path: Path) -> Report:
    return examine_dataset(kind, path, silent)[0]


def breaks(
    cases: list[Broken], kind: str, finding: str, words: str, read_as: str | None = None
) -> Callable[[Break], Break]:
    """Enter a function into a table of cases."""

    def enter(apply: Break) -> Break:
        cases.append(Broken(kind, read_as or kind, apply, finding, words))
        return apply

    return enter


def check(case: Broken, root: Path) -> None:
    """The doctor says what it must, and the reader reads or refuses."""
    case.apply(root)
    report = examine(case.read_as, root)
    said = [one.to_text() for one in report.findings if one.kind == case.finding]
    assert said, report.to_text()
    assert any(case.words in one for one in said), report.to_text()
    report.to_text().encode("utf-8")
    try:
        found = READERS[case.read_as](root)
        for split in found if isinstance(found, tuple) else (found,):
            for tracklet in islice(split.gallery, 5):
                read_frames([tracklet.frame(number) for number in range(len(tracklet))])
    except ResightError as error:
        assert len(str(error)) > 20


def pictures(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.suffix in (".jpg", ".png"))


def frames_of_one(root: Path, least: int = 4) -> list[Path]:
    """The frames in the first folder that has so many."""
    folders = sorted({path.parent for path in pictures(root)})
    return next(own for folder in folders if len(own := sorted(folder.iterdir())) >= least)


def rewrite(path: Path, content: bytes) -> None:
    """Write a file anew: what it was linked with keeps its own."""
    path.unlink()
    path.write_bytes(content)


def rewrite_table(path: Path, name: str, change: Callable[[Table], Table]) -> None:
    values = change(loadmat(path)[name].astype(np.int64))
    path.unlink()
    savemat(path, {name: values})


def repaint(path: Path, change: Callable[[Image.Image], Image.Image], form: str | None = None) -> None:
    with Image.open(path) as picture:
        changed = change(picture.convert("RGB"))
    path.unlink()
    changed.save(path, form)


def swap(root: Path, one: str, other: str) -> None:
    (root / one).rename(root / "between")
    (root / other).rename(root / one)
    (root / "between").rename(root / other)


def remove(*paths: Path) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def move_below(root: Path, below: str) -> None:
    """Everything in a folder goes into a folder in it."""
    names = [path.name for path in root.iterdir()]
    (root / below).mkdir(parents=True)
    for name in names:
        (root / name).rename(root / below / name)
