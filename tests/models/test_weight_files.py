"""Weight files of other programs: common wrappers are opened, other types of files are named."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from resight.errors import CheckpointError
from resight.models.kinetics import load_public_weights
from resight.tensor_files import read_tensors

Weights = dict[str, Tensor]


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def prefixed(prefix: str) -> Callable[[Weights], object]:
    return lambda weights: {f"{prefix}{name}": tensor for name, tensor in weights.items()}


WRAPPED: dict[str, Callable[[Weights], object]] = {
    "plain": lambda weights: weights,
    "state_dict": lambda weights: {"state_dict": weights, "epoch": 7, "args": argparse.Namespace(lr=0.1)},
    "model": lambda weights: {"model": weights, "optimizer": {"state": {}}, "best": np.float64(0.5)},
    "model in state_dict": lambda weights: {"state_dict": {"model": weights}},
    "module.": prefixed("module."),
    "module.encoder.": prefixed("module.encoder."),
    "_orig_mod.": prefixed("_orig_mod."),
    "beside a head": lambda weights: prefixed("backbone.")(weights) | {"head.weight": torch.zeros(9, 2)},  # type: ignore[operator]
}


@pytest.mark.parametrize("way", WRAPPED)
def test_wrappers_are_opened(tmp_path: Path, way: str) -> None:
    source, target = network(), network()
    torch.save(WRAPPED[way](source.state_dict()), tmp_path / "w.pth")
    report = load_public_weights(target, tmp_path / "w.pth")
    assert not report.missing and not report.wrong_shape
    assert all(torch.equal(target.state_dict()[name], tensor) for name, tensor in source.state_dict().items())


def test_a_safetensors_file_is_read(tmp_path: Path) -> None:
    source, target = network(), network()
    save_file(source.state_dict(), tmp_path / "w.safetensors")
    load_public_weights(target, tmp_path / "w.safetensors")
    assert torch.equal(target[0].weight, source[0].weight)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("w.pt", b"", "an empty file"),
        ("w.pt", b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "a pointer of Git LFS.*git lfs pull"),
        ("w.pt", b"<!DOCTYPE html><html>Sign in", "a web page"),
        ("w.onnx", b"\x08\x07\x12\x07pytorch", "an ONNX network"),
        ("w.h5", b"\x89HDF\r\n", "HDF5"),
        ("w.pt", b"\x1f\x8b\x08", "compressed with gzip"),
        ("w.pt", b"PK\x03\x04 and then nothing", "cannot read"),
    ],
)
def test_other_types_are_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    for read in (lambda path: load_public_weights(network(), path), lambda path: read_tensors(path, "resight model")):
        with pytest.raises(CheckpointError, match=message if read.__code__.co_names[0] != "read_tensors" else name):
            read(tmp_path / name)


def test_what_is_not_weights_is_refused_in_one_line(tmp_path: Path) -> None:
    values: tuple[Any, ...] = ({"epoch": 3}, [torch.zeros(2)], network())
    for value in values:
        torch.save(value, tmp_path / "w.pt")
        with pytest.raises(CheckpointError, match=r"w\.pt.*model\.state_dict\(\)") as caught:
            load_public_weights(network(), tmp_path / "w.pt")
        assert "\n" not in str(caught.value)
    with pytest.raises(CheckpointError, match="is a folder"):
        load_public_weights(network(), tmp_path)
