"""Read numeric arrays from MATLAB files of version 5, the format of `save -v6` and `save -v7`.

SciPy's parser can crash the whole process on damaged files, so this one reads the few element types that tables need
and checks every length. The format is described in MathWorks' "MAT-File Format".
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15
_TYPES = {
    1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8",
}  # fmt: skip
"""Type of the stored numbers → type of NumPy."""
_NUMERIC_CLASSES = range(6, 16)
_LARGEST = 1 << 30
"""Bytes of an unpacked variable; the largest official table has less than one megabyte."""


def read_matlab5(content: bytes) -> dict[str, Any]:
    """Return the variables of a file: numeric arrays with rows first, and other variables as object arrays.

    Args:
        content: The whole file.

    Raises:
        ValueError: If it is damaged, or of another version.
    """
    if len(content) < _HEADER or content[126:128] not in (b"IM", b"MI"):
        raise ValueError("it has no header of MATLAB 5; if it is older or newer, save it with save -v7")
    order = "<" if content[126:128] == b"IM" else ">"
    variables: dict[str, Any] = {}
    for kind, data in _elements(content[_HEADER:], order):
        if kind == _COMPRESSED:
            unpacker = zlib.decompressobj()
            try:
                data = unpacker.decompress(data, _LARGEST)
            except zlib.error as error:
                raise ValueError(str(error)) from error
            if not unpacker.eof:
                raise ValueError("a compressed variable is cut off or too large")
            ((kind, data),) = _elements(data, order)
        if kind == _MATRIX:
            name, values = _read_matrix(data, order)
            variables[name] = values
    return variables


def _elements(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Yield type and content of each element."""
    place = 0
    while place + 8 <= len(data):
        first, size = (int(n) for n in np.frombuffer(data, f"{order}u4", 2, place))
        if first >> 16:  # a small element holds its content in its tag
            kind, size, start, after = first & 0xFFFF, first >> 16, place + 4, place + 8
            if size > 4:
                raise ValueError("an element is damaged")
        else:
            kind, start = first, place + 8
            after = start + size + (0 if kind == _COMPRESSED else -size % 8)
        if start + size > len(data):
            raise ValueError("it ends too early")
        yield kind, data[start : start + size]
        place = after


def _read_matrix(data: bytes, order: str) -> tuple[str, Any]:
    """Return name and values of a variable."""
    parts = list(_elements(data, order))
    if len(parts) < 3 or len(parts[0][1]) != 8:
        raise ValueError("a variable is damaged")
    array_class = int(np.frombuffer(parts[0][1], f"{order}u4", 1)[0]) & 0xFF
    name = parts[2][1].decode("latin-1")
    if array_class not in _NUMERIC_CLASSES:
        return name, np.array(None, object)
    if len(parts[1][1]) % 4 or len(parts) < 4 or parts[3][0] not in _TYPES:
        raise ValueError(f"the variable {name} is damaged")
    shape = tuple(int(n) for n in np.frombuffer(parts[1][1], f"{order}i4"))
    stored = np.dtype(order + _TYPES[parts[3][0]])
    if min(shape, default=-1) < 0 or len(parts[3][1]) % stored.itemsize:
        raise ValueError(f"the variable {name} is damaged")
    values = np.frombuffer(parts[3][1], stored)
    if np.prod(shape, dtype=object) != len(values):
        raise ValueError(f"the variable {name} has {len(values)} values, expected {' x '.join(map(str, shape))}")
    return name, values.reshape(shape, order="F").astype(stored.newbyteorder("="))
