"""Small ONNX files for tests. The protobuf is encoded by hand, so that no package is needed to write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

FLOAT, UINT8, INT64, FLOAT16 = 1, 2, 7, 10
"""Number types of ONNX."""

Node = tuple[str, tuple[str, ...], str, Mapping[str, int | Sequence[int]]]
"""Operator, inputs, output, and attributes that are whole numbers or lists of them."""

Shape = Sequence[int | str]


def onnx_file(
    nodes: Sequence[Node],
    inputs: Mapping[str, Shape],
    outputs: Mapping[str, Shape],
    weights: Mapping[str, NDArray[np.float32] | NDArray[np.int64]] | None = None,
    *,
    type_: int = FLOAT,
    metadata: Mapping[str, str] | None = None,
    opset: int = 13,
) -> bytes:
    """Return an ONNX file. A text in a shape is a symbolic size; `type_` is the number type of the inputs."""
    graph = b"".join(_block(1, _node(*node)) for node in nodes) + _block(2, "graph")
    graph += b"".join(_block(5, _tensor(name, values)) for name, values in (weights or {}).items())
    graph += b"".join(_block(11, _value(name, shape, type_)) for name, shape in inputs.items())
    graph += b"".join(_block(12, _value(name, shape, FLOAT)) for name, shape in outputs.items())
    entries = b"".join(_block(14, _block(1, key) + _block(2, value)) for key, value in (metadata or {}).items())
    return _number(1, 8) + _block(7, graph) + _block(8, _number(2, opset)) + entries


def mean_colours(
    shape: Shape,
    axes: Sequence[int] = (2, 3),
    weight: NDArray[np.float32] | None = None,
    *,
    metadata: Mapping[str, str] | None = None,
    opset: int = 13,
) -> bytes:
    """Return a network whose features are the mean of its input over some axes, times a (3, D) matrix."""
    weight = np.eye(3, dtype=np.float32) if weight is None else weight
    nodes: list[Node] = [
        ("ReduceMean", ("images",), "means", {"axes": list(axes), "keepdims": 0}),
        ("MatMul", ("means", "weight"), "features", {}),
    ]
    outputs: dict[str, Shape] = {"features": (shape[0], weight.shape[1])}
    return onnx_file(nodes, {"images": shape}, outputs, {"weight": weight}, metadata=metadata, opset=opset)


def _number(key: int, value: int) -> bytes:
    return _varint(key << 3) + _varint(value)


def _block(key: int, content: bytes | str) -> bytes:
    content = content.encode() if isinstance(content, str) else content
    return _varint(key << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    value &= 2**64 - 1
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + _varint(value >> 7)


def _tensor(name: str, values: NDArray[np.float32] | NDArray[np.int64]) -> bytes:
    dims = b"".join(_number(1, n) for n in values.shape)
    return (
        dims
        + _number(2, FLOAT if values.dtype == np.float32 else INT64)
        + _block(8, name)
        + _block(9, values.tobytes())
    )


def _value(name: str, shape: Shape, type_: int) -> bytes:
    dims = b"".join(_block(1, _block(2, n) if isinstance(n, str) else _number(1, n)) for n in shape)
    return _block(1, name) + _block(2, _block(1, _number(1, type_) + _block(2, dims)))


def _node(operator: str, inputs: tuple[str, ...], output: str, attributes: Mapping[str, int | Sequence[int]]) -> bytes:
    names = b"".join(_block(1, name) for name in inputs) + _block(2, output) + _block(4, operator)
    for name, value in attributes.items():
        if isinstance(value, int):
            content = _number(3, value) + _number(20, 2)
        else:
            content = b"".join(_number(8, n) for n in value) + _number(20, 7)
        names += _block(5, _block(1, name) + content)
    return names
