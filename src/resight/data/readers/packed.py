"""Readers that also accept a pack of what they read."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path

from resight.data.readers.own_splits import apply_own_splits
from resight.errors import DatasetError
from resight.packs import is_pack, open_pack
from resight.tracklet import Dataset

Reader = Callable[[Path], Dataset | tuple[Dataset, ...]]

SPLITS = "splits.json"
"""File of the splits of your own data in a pack."""


def reads_packs(kind: str, read: Reader) -> Reader:
    """Return a reader that also accepts a pack.

    Args:
        kind: Kind of data set that it reads.
        read: The reader of a folder.
    """

    @wraps(read)
    def read_either(root: Path) -> Dataset | tuple[Dataset, ...]:
        if not is_pack(root):
            return read(root)
        datasets = _datasets(kind, root)
        if (root / SPLITS).is_file():
            return apply_own_splits(datasets[0], root / SPLITS, f"{kind}:{root}")
        return datasets

    return read_either


def reads_whole_packs(kind: str, read: Callable[[Path], Dataset]) -> Callable[[Path], Dataset]:
    """As `reads_packs`, for a reader of your own data without splits."""
    return wraps(read)(lambda root: _datasets(kind, root)[0] if is_pack(root) else read(root))


def packed_splits_file(splits_file: Callable[[Path], Path]) -> Callable[[Path], Path]:
    """Return a function for the path of the file of splits, for a folder of your own data or a pack of it."""
    return wraps(splits_file)(lambda root: root / SPLITS if is_pack(root) else splits_file(root))


def _datasets(kind: str, root: Path) -> tuple[Dataset, ...]:
    pack = open_pack(root)
    if pack.kind != kind:
        raise DatasetError(f"{root} is a pack of the kind {pack.kind}, expected {kind}: use {pack.kind}:{root}")
    return pack.datasets()
