"""Take the weights of an ONNX file that are stored in another file into it.

PyTorch's exporter writes large weights to a second file, but a model file must hold the whole network. An ONNX file is
a protobuf message; only the parts that lead to weights are read and written here. The numbers below are those of the
fields in onnx.proto.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from resight.errors import CheckpointError

_GRAPH = 7
_INITIALIZER = 5
_RAW_DATA, _EXTERNAL_DATA, _DATA_LOCATION = 9, 13, 14
_LARGEST = 2**31 - 1
"""Size limit of a protobuf message in bytes."""


def take_weights_in(content: bytes, folder: Path) -> bytes:
    """Return an ONNX file with all weights in it.

    Args:
        content: The file; returned as it is if it has all its weights, or is not an ONNX file.
        folder: Folder of the file, in which its weights are.

    Raises:
        CheckpointError: If a file of weights is missing or too short, is not in the folder, or the result is too large.
    """
    try:
        if not any(
            field == _DATA_LOCATION and value == 1
            for number, graph in _fields(content) if number == _GRAPH and isinstance(graph, bytes)
            for kind, tensor in _fields(graph) if kind == _INITIALIZER and isinstance(tensor, bytes)
            for field, value in _fields(tensor)
        ):  # fmt: skip
            return content
    except (IndexError, ValueError):  # onnxruntime says what is wrong with the file
        return content
    whole = _rewritten(content, _GRAPH, lambda graph: _rewritten(graph, _INITIALIZER, partial(_whole, folder=folder)))
    if len(whole) > _LARGEST:
        raise CheckpointError(f"the network and its weights have {len(whole):,} bytes, expected at most {_LARGEST:,}")
    return whole


def _rewritten(message: bytes, field: int, change: Callable[[bytes], bytes]) -> bytes:
    """Return a message in which all values of one field are changed."""
    return b"".join(
        _written(number, change(value) if number == field and isinstance(value, bytes) else value)
        for number, value in _fields(message)
    )


def _whole(tensor: bytes, folder: Path) -> bytes:
    """Return a tensor with its values in it."""
    fields = list(_fields(tensor))
    if (_DATA_LOCATION, 1) not in fields:
        return tensor
    entries = [
        dict(_fields(value)) for number, value in fields if number == _EXTERNAL_DATA and isinstance(value, bytes)
    ]
    where = {_text(entry.get(1)): _text(entry.get(2)) for entry in entries}
    name = where.get("location", "")
    path = folder / name
    if not name or not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
        raise CheckpointError(f"the network's weights are in {name!r}, expected that file in {folder}: copy it there")
    offset = int(where.get("offset", "0"))
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read(int(where["length"]) if "length" in where else -1)
    if len(data) < int(where.get("length", "0")):
        raise CheckpointError(f"{path} is too short for the weights of the network: copy it again")
    kept = [field for field in fields if field[0] not in (_EXTERNAL_DATA, _DATA_LOCATION)]
    return b"".join(_written(*field) for field in (*kept, (_RAW_DATA, data)))


def _text(value: bytes | int | None) -> str:
    return value.decode() if isinstance(value, bytes) else ""


def _fields(message: bytes) -> Iterator[tuple[int, bytes | int]]:
    """Yield (number, value) of the fields of a message; a fixed-size value has a negative number and is bytes."""
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        kind = key & 7
        if kind == 0:
            value, place = _varint(message, place)
            yield key >> 3, value
        elif kind in (1, 2, 5):
            size, place = _varint(message, place) if kind == 2 else ({1: 8, 5: 4}[kind], place)
            if place + size > len(message):
                raise ValueError("truncated message")
            yield (key >> 3) if kind == 2 else -key, message[place : place + size]
            place += size
        else:
            raise ValueError(f"unknown wire type {kind}")


def _written(number: int, value: bytes | int) -> bytes:
    if number < 0:  # of fixed size
        assert isinstance(value, bytes)
        return _as_varint(-number) + value
    if isinstance(value, int):
        return _as_varint(number << 3) + _as_varint(value)
    return _as_varint(number << 3 | 2) + _as_varint(len(value)) + value


def _varint(message: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[place]
        place += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, place


def _as_varint(value: int) -> bytes:
    parts = bytearray()
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    parts.append(value)
    return bytes(parts)
