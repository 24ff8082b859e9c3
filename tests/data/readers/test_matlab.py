"""Tables in both formats of MATLAB files. The tests of the readers also cover damaged tables."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from scipy.io import loadmat, savemat

from resight.data.readers.matlab import read_table
from resight.data.readers.matlab5 import read_matlab5
from resight.errors import DatasetError

TABLE = np.array([[1, 2, 3], [4, 5, 6]])


def write_hdf5(path: Path, header: bytes = b"MATLAB 7.3 MAT-file") -> Path:
    with h5py.File(path, "w", userblock_size=512 if header else 0) as file:
        file["table"] = TABLE.T.astype(np.float64)
        file["broken"] = np.array([0.5])
        file.create_group("#refs#")
        file.create_group("group")
    if header:
        with path.open("r+b") as raw:
            raw.write(header)
    return path


def write_old(path: Path) -> Path:
    savemat(path, {"table": TABLE.astype(np.float64), "broken": np.array([0.5]), "group": np.array(["text"], object)})
    return path


@pytest.mark.parametrize("header", [b"MATLAB 7.3 MAT-file", b""])
def test_both_kinds_give_the_same_table(tmp_path: Path, header: bytes) -> None:
    old, new = write_old(tmp_path / "old.mat"), write_hdf5(tmp_path / "new.mat", header)
    for path in (old, new):
        table = read_table(path, "table", "a layout")
        assert table.dtype == np.int64
        assert table.tolist() == TABLE.tolist()


@pytest.mark.parametrize("write", [write_old, write_hdf5])
def test_errors_are_explained(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    path = write(tmp_path / "table.mat")
    with pytest.raises(DatasetError, match=r"expected a variable rows, found broken, group, table; use"):
        read_table(path, "rows", "a layout")
    for name in ("broken", "group"):
        with pytest.raises(DatasetError, match=rf"expected {name} to hold whole numbers, found"):
            read_table(path, name, "a layout")
    path.write_bytes(path.read_bytes()[:150])
    with pytest.raises(DatasetError, match=r"table.mat is not a readable MATLAB file .*copy"):
        read_table(path, "table", "a layout")
    with pytest.raises(DatasetError, match=r"no table .*nowhere.mat: a layout"):
        read_table(tmp_path / "nowhere.mat", "table", "a layout")


def test_a_missing_h5py_is_reported_with_the_install_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_hdf5(tmp_path / "table.mat")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(DatasetError, match=r"table.mat is an HDF5 file.*pip install 'resight\[h5\]'"):
        read_table(path, "table", "a layout")
    assert read_table(write_old(path), "table", "a layout").shape == (2, 3)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint32, np.float32, np.float64, np.int64])
@pytest.mark.parametrize("compressed", [False, True])
def test_our_parser_reads_what_scipy_reads(tmp_path: Path, dtype: type, compressed: bool) -> None:
    rng = np.random.default_rng(0)
    shapes: dict[str, tuple[int, int]] = {"a": (7, 4), "long": (1, 300)}
    written: dict[str, Any] = {name: rng.integers(0, 200, shape).astype(dtype) for name, shape in shapes.items()}
    savemat(
        tmp_path / "t.mat", written | {"text": "words", "cells": np.array(["x"], object)}, do_compression=compressed
    )
    found, expected = read_matlab5((tmp_path / "t.mat").read_bytes()), loadmat(tmp_path / "t.mat")
    assert set(found) == {"a", "long", "text", "cells"}
    for name in written:
        assert found[name].shape == expected[name].shape and (found[name] == expected[name]).all()
