"""Ways to break a data set, and a table of broken data sets with the expected findings."""

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
    """A kind of data set, how it is broken, and the finding that is expected when it is read as `read_as`."""

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
    """Add a function to a table of cases."""

    def enter(apply: Break) -> Break:
        cases.append(Broken(kind, read_as or kind, apply, finding, words))
        return apply

    return enter


def check(case: Broken, root: Path) -> None:
    """Check that the doctor reports the fault, and that the reader reads the data set or refuses it with a message."""
    case.apply(root)
    report = examine(case.read_as, root)
    texts = [finding.to_text() for finding in report.findings if finding.kind == case.finding]
    assert texts, report.to_text()
    assert any(case.words in text for text in texts), report.to_text()
    report.to_text().encode("utf-8")
    try:
        datasets = READERS[case.read_as](root)
        for dataset in datasets if isinstance(datasets, tuple) else (datasets,):
            for tracklet in islice(dataset.gallery, 5):
                read_frames([tracklet.frame(number) for number in range(len(tracklet))])
    except ResightError as error:
        assert len(str(error)) > 20


def pictures(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.suffix in (".jpg", ".png"))


def frames_of_one(root: Path, least: int = 4) -> list[Path]:
    """Return the frames in the first folder with at least `least` frames."""
    folders = sorted({path.parent for path in pictures(root)})
    return next(own for folder in folders if len(own := sorted(folder.iterdir())) >= least)


def rewrite(path: Path, content: bytes) -> None:
    """Replace a file, without changing files that are hard-linked to it."""
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
    """Move everything in a folder into a new folder in it."""
    names = [path.name for path in root.iterdir()]
    (root / below).mkdir(parents=True)
    for name in names:
        (root / name).rename(root / below / name)
