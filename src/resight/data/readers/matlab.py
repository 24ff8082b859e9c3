"""Read tables of whole numbers from MATLAB files, in the old format and in version 7.3, which is HDF5."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resight.data.readers.listing import read_file
from resight.data.readers.matlab5 import read_matlab5
from resight.errors import DatasetError

_LARGEST = 2**53
"""Above this value floating-point numbers do not represent every whole number. NaN fails the comparison too."""

_HDF5 = (b"MATLAB 7.3 MAT-file", b"\x89HDF\r\n\x1a\n")


def read_table(path: Path, variable: str, layout: str) -> NDArray[np.int64]:
    """Read one variable of a MATLAB file.

    Args:
        path: A ``.mat`` file.
        variable: Its name in the file.
        layout: Description of the expected layout, for the message if the file is missing.

    Returns:
        The array in MATLAB's orientation: rows first, at least two axes.

    Raises:
        DatasetError: If the file is missing or damaged, or the variable is missing or does not hold whole numbers;
            or if the file is HDF5 and h5py is not installed.
    """
    if not path.is_file():
        raise DatasetError(f"there is no table {path}: {layout}")
    content = read_file(path, "the table")
    try:
        variables = _read_hdf5(path, variable) if content.startswith(_HDF5) else read_matlab5(content)
    except DatasetError:
        raise
    except Exception as error:  # damaged files make both parsers raise exceptions of any type
        raise DatasetError(f"{path} is not a readable MATLAB file ({error}); copy the official file again") from error
    if variable not in variables:
        found = ", ".join(sorted(name for name in variables if not name.startswith(("__", "#")))) or "none"
        raise DatasetError(f"{path}: expected a variable {variable}, found {found}; use the official file")
    values = np.asarray(variables[variable])
    is_number = values.dtype.kind in "iuf"
    if not is_number or not (np.abs(values) <= _LARGEST).all() or (values != np.round(values)).any():
        raise DatasetError(
            f"{path}: expected {variable} to hold whole numbers, found other values ({values.dtype}); use the official "
            "file"
        )
    return values.astype(np.int64)


def _read_hdf5(path: Path, variable: str) -> dict[str, Any]:
    """Return the names of all variables, with the values of `variable`."""
    try:
        import h5py
    except ImportError as error:
        raise DatasetError(
            f"{path} is an HDF5 file, which needs h5py; install it with: pip install 'resight[h5]'"
        ) from error
    with h5py.File(path, "r") as file:
        names: dict[str, Any] = dict.fromkeys(file)
        if isinstance(file.get(variable), h5py.Dataset):
            # MATLAB stores arrays by column, so HDF5 shows the axes in reverse order.
            names[variable] = np.asarray(file[variable]).T
        return names
