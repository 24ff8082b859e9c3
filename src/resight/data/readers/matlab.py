"""Tables of whole numbers in MATLAB files, of the old kind and of the new one, which is HDF5."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat

from resight.errors import DatasetError

_LARGEST = 2**53
"""Beyond it, floating point numbers are no longer whole; NaN is not below it either."""

_HDF5 = (b"MATLAB 7.3 MAT-file", b"\x89HDF\r\n\x1a\n")


def read_table(path: Path, variable: str, layout: str) -> NDArray[np.int64]:
    """One variable of a MATLAB file.

    Args:
        path: a ``.mat`` file.
        variable: its name in the file.
        layout: what to say was expected if there is no such file.

    Returns:
        The array as MATLAB shows it: rows first, at least two axes.

    Raises:
        DatasetError: if the file is missing or damaged, has no such variable, or one that does not hold whole numbers;
            or if it is HDF5 and h5py is not installed.
    """
    if not path.is_file():
        raise DatasetError(f"there is no table {path}: {layout}")
    with path.open("rb") as file:
        is_hdf5 = file.read(32).startswith(_HDF5)
    try:
        variables = _read_hdf5(path, variable) if is_hdf5 else loadmat(path)
    except DatasetError:
        raise
    except Exception as error:  # both parsers raise whatever they stumble over
        raise DatasetError(f"{path} is not a readable MATLAB file ({error}); copy the official file again") from error
    if variable not in variables:
        found = ", ".join(sorted(name for name in variables if not name.startswith(("__", "#")))) or "none"
        raise DatasetError(f"{path}: expected a variable {variable}, found {found}; use the official file")
    values = np.asarray(variables[variable])
    if values.dtype.kind not in "iuf" or not (np.abs(values) <= _LARGEST).all() or (values != np.round(values)).any():
        raise DatasetError(
            f"{path}: expected {variable} to hold whole numbers, found others ({values.dtype}); use the official file"
        )
    return values.astype(np.int64)


def _read_hdf5(path: Path, variable: str) -> dict[str, Any]:
    """The variables of a file by name; of the other ones only the names."""
    try:
        import h5py
    except ImportError as error:
        raise DatasetError(
            f"{path} is an HDF5 file, and reading those needs h5py; install it: pip install 'resight[h5]'"
        ) from error
    with h5py.File(path, "r") as file:
        names: dict[str, Any] = dict.fromkeys(file)
        if isinstance(file.get(variable), h5py.Dataset):
            # MATLAB stores column by column, so that HDF5 sees the axes the other way round
            names[variable] = np.asarray(file[variable]).T
        return names
